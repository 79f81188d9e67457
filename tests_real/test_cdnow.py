"""CDNOW's customers through the sales job: the model of their purchases has the published parameters."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import pytest

from etl_spark.cli import main

MAPPING = """
date_formats = ["yyyyMMdd"]
[columns]
order_id = { columns = ["customer", "day"] }
order_date = "day"
customer_id = "customer"
product_id = { value = "CD" }
quantity = "pieces"
line_item_total = "total"
"""
PUBLISHED = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426, "p": 6.25, "q": 3.74, "v": 15.44}
"""Up to 1997-09-30, in weeks: Fader, Hardie and Lee (2005), and Fader and Hardie (2013)."""


@pytest.fixture(scope="module")
def output(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run over the 39 weeks that the published parameters are of."""
    place = tmp_path_factory.mktemp("cdnow")
    lines = (real_data / "cdnow" / "CDNOW_sample.txt").read_text(encoding="utf-8").splitlines()
    with (place / "cdnow.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("everybody", "customer", "day", "pieces", "total"))
        writer.writerows(line.split() for line in lines)
    (place / "cdnow.toml").write_text(MAPPING)
    asked = ["--start-date", "1997-01-01", "--end-date", "1997-09-30", "--sink", "parquet"]
    source = ["--source", str(place / "cdnow.csv"), "--mapping", str(place / "cdnow.toml")]
    assert main(["sales", *asked, *source, "--output", str(place / "output")]) == 0
    return place / "output"


def test_the_parameters_are_the_published_ones(output: Path, figures: list[str]) -> None:
    with duckdb.connect() as sql:
        files = f"read_parquet('{output}/parquet/clv_model/**/data.parquet')"
        found = sql.execute(f"SELECT {', '.join(PUBLISHED)} FROM {files}").fetchone()
        tried = f"holdout_purchases, holdout_expected_purchases, holdout_value, holdout_expected_value FROM {files}"
        bought, expected, spent, expected_value = sql.execute(f"SELECT {tried}").fetchone() or ()
    assert found is not None
    assert dict(zip(PUBLISHED, found, strict=True)) == pytest.approx(PUBLISHED, rel=0.01)
    shown = ", ".join(f"{name} {value:.3f}" for name, value in zip(PUBLISHED, found, strict=True))
    figures.append(f"CDNOW to 1997-09-30: {shown}")
    figures.append(
        f"CDNOW, the last quarter of it: {bought:,.0f} purchases, {expected:,.0f} expected; "
        f"{spent:,.2f} spent, {expected_value:,.2f} expected"
    )


def test_each_customer_is_there_with_all_that_it_spent(output: Path, real_data: Path) -> None:
    with duckdb.connect() as sql:
        spent = """
            SELECT customer, count(DISTINCT day) - 1, sum(total)::DECIMAL(18, 4)
            FROM read_csv($file, delim = '|', header = false, all_varchar = true, columns = {'line': 'VARCHAR'}),
                LATERAL (SELECT regexp_split_to_array(trim(line), ' +') AS words),
                LATERAL (SELECT words[2] AS customer, words[3] AS day, words[5]::DECIMAL(18, 4) AS total)
            WHERE day <= '19970930' GROUP BY ALL ORDER BY ALL
        """
        expected = sql.execute(spent, {"file": str(real_data / "cdnow" / "CDNOW_sample.txt")}).fetchall()
        found = sql.execute(f"""
            SELECT customer_id, repeat_purchases, total_spending
            FROM read_parquet('{output}/parquet/clv/**/data.parquet')
            JOIN '{output}/parquet/dim_customer/data.parquet' USING (customer_key) ORDER BY ALL
        """).fetchall()
    assert len(found) == 2_357
    assert found == expected
