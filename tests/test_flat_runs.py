"""A whole run of the sales job on a flat file like Online Retail, compared with what DuckDB makes of its lines."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main

LINES = {
    "2010-12-01.csv": """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HEART HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,71053,"LANTERN, METAL",6,2010-12-01 08:26:00,3.39,17850.0,United Kingdom
536365,71053,"LANTERN, METAL",6,2010-12-01 08:26:00,3.39,17850.0,United Kingdom
536370,POST,POSTAGE,3,2010-12-01 08:45:00,18.0,12583.0,France
C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527.0,United Kingdom
536381,22719,,5,2010-12-01 09:41:00,0.0,,United Kingdom
536381,22719,WALL LIGHT,5,2010-12-01 09:42:00,2.1,,United Kingdom
536382,22719,WALL LIGHT,five,2010-12-01 09:45:00,2.1,16098.0,United Kingdom
""",
    "2010-12-02.csv": """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536600,22719,wall light broken?,-40,2010-12-02 10:00:00,0.0,,United Kingdom
536601,85123A,CREAM HEART HOLDER,1200,2010-12-02 10:10:00,1.955,17850.0,Belgium
C536602,71053,"LANTERN, METAL",-2,2010-12-02 11:00:00,3.39,17850.0,Belgium
""",
    "2010-12-03.csv": """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536700,85123A,WHITE HEART HOLDER,6,2010-12-03 08:26:00,2.55,17850.0,United Kingdom
""",
}
EXPECTED = """
WITH lines AS (
    SELECT *, left(CustomerID, 5) AS customer_id, InvoiceDate::TIMESTAMP AS billed_at
    FROM read_csv($source || '/*.csv', all_varchar = true, header = true)
)
SELECT billed_at::DATE, InvoiceNo, coalesce(customer_id, '(unknown)'), StockCode, Quantity::INTEGER,
    UnitPrice::DECIMAL(18, 4), (Quantity::INTEGER * UnitPrice::DECIMAL(18, 4))::DECIMAL(18, 4), Quantity::INTEGER < 0
FROM lines WHERE TRY_CAST(Quantity AS INTEGER) IS NOT NULL AND billed_at < '2010-12-03' ORDER BY ALL
"""
FOUND = """
SELECT order_date, order_id, c.customer_id, p.product_id, quantity_sold, price_per_item, line_item_total, is_return
FROM read_parquet('{output}/parquet/fact_sales/**/*.parquet', hive_partitioning = true)
JOIN '{output}/parquet/dim_customer/data.parquet' c USING (customer_key)
JOIN '{output}/parquet/dim_product/data.parquet' p USING (product_key)
ORDER BY ALL
"""
ASKED = ["--start-date", "2010-12-01", "--end-date", "2010-12-02"]


@pytest.mark.default_spark
def test_a_file_like_online_retail_is_booked_to_the_cent(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "retail", tmp_path / "output"
    source.mkdir()
    for name, lines in LINES.items():
        (source / name).write_text(lines)
    place = ["--source", str(source), "--output", str(output), "--sink", "parquet"]
    assert main(["sales", *ASKED, *place, "--mapping", "online_retail"]) == 0
    said = capsys.readouterr().out
    assert "1  line_repeated, accepted" in said
    assert "1  quantity_not_a_whole_number\n" in said

    with duckdb.connect() as sql:
        expected = sql.execute(EXPECTED, {"source": str(source)}).fetchall()
        found = sql.execute(FOUND.format(output=output)).fetchall()
        assert found == expected
        assert len(found) == 10
        assert sum(row[6] for row in found) == Decimal("2432.2000")
        keys = sql.execute(
            f"SELECT count(DISTINCT order_item_id) FROM '{output}/parquet/fact_sales/**/*.parquet'"
        ).fetchone()
        assert keys == (10,)
        members = sql.execute(
            f"SELECT product_id, product_name FROM '{output}/parquet/dim_product/data.parquet' ORDER BY 1"
        ).fetchall()
        assert members == [
            ("(unknown)", None),
            ("22719", "wall light broken?"),
            ("71053", "LANTERN, METAL"),
            ("85123A", "WHITE HEART HOLDER"),
            ("D", "Discount"),
            ("POST", "POSTAGE"),
        ]
        audit = sql.execute(
            f"""
            SELECT source_table, file, sum(rows_in), sum(rows_outside)
            FROM read_parquet('{output}/parquet/load_audit/**/*.parquet', hive_partitioning = true)
            WHERE reason = 'All' GROUP BY ALL ORDER BY ALL
            """
        ).fetchall()
        assert audit == [
            ("customers", "(customers)", 4, 0),
            ("order_items", "2010-12-01.csv", 8, 0),
            ("order_items", "2010-12-02.csv", 3, 0),
            ("order_items", "2010-12-03.csv", 0, 1),
            ("orders", "(orders)", 8, 1),
            ("products", "(products)", 5, 0),
        ]

    (record,) = (output / "_runs").glob("*.json")
    total = json.loads(record.read_text())["total"]
    assert (total["flagged"], total["rejected"]) == ({"line_repeated": 1}, {"quantity_not_a_whole_number": 1})

    assert main(["sales", *ASKED, *place, "--mapping", "nowhere"]) == 2
    assert main(["sales", *ASKED, *place, "--mapping", "online_retail", "--source", "jdbc:mariadb://localhost/x"]) == 2
    assert main(["viewing", *ASKED, *place, "--mapping", "online_retail"]) == 2
    said = capsys.readouterr().err
    assert "there is no flat/nowhere.toml" in said
    assert "mapping is for a flat file, and the source is a database" in said
    assert "unrecognized arguments: --mapping" in said
