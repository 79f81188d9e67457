"""The analytics of the sales job in DuckDB's SQL, by the rules of docs/sales.md and with none of the job's code."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "golden" / "sales"

SOLD = """
CREATE TEMP MACRO half_up(part, whole, scale) AS
    sign(part) * ((2 * abs(part)::HUGEINT * scale + whole) // (2 * nullif(whole, 0))) / scale;
CREATE TEMP VIEW sold AS
SELECT f.*, customer_id, registration_date, coalesce(country, '(unknown)') AS country, product_id,
    coalesce(category, '(unknown)') AS category
FROM fact_sales f JOIN dim_customer USING (customer_key) JOIN dim_product USING (product_key)
"""
"""What the statements read, of a star that has these three: its lines, and what their customers and products are.

half_up(part, whole, scale) is part / whole of whole numbers, to 1 / scale: a division of DuckDB's is one of DOUBLEs.
"""

_ROLL_UPS = {
    "sales_by_day": "order_date",
    "sales_by_category": "category",
    "sales_by_country": "country",
    "sales_by_product": "product_key",
}
TABLES = (*_ROLL_UPS, "cohort", "co_purchase", "rfm", "clv")


def statement(table: str, start: str, end: str) -> str:
    """The rows of `table`, but for the range's two columns and for what a model or a configuration file tells."""
    key = _ROLL_UPS.get(table)
    text = (_FOLDER / ("rollups.sql" if key else f"{table}.sql")).read_text(encoding="utf-8")
    for name, value in {"{key} AS key": key or "", "$start": f"'{start}'", "$end": f"'{end}'"}.items():
        text = text.replace(name, value)
    return text
