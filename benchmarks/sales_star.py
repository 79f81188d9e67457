"""The sales job over 10 million order items, beside DuckDB processes that make the same star and the same analytics.

    python benchmarks/sales_star.py

The source is as the generator writes it: one CSV file a table, with the few bad rows that it puts in. Both make
dim_customer, dim_product and fact_sales from nothing, by the same rules, and the analytics of them. The two stars must
be equal, row for row, on their natural keys, and so must the analytics of the job's star, before any time is shown; and
all processes of the job together must stay within 4 GB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb

# A script has its own folder on its path, and not the one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import (
    Cost,
    Days,
    add_work_options,
    cost_line,
    cost_table,
    job_command,
    machine,
    measured,
    new_folder,
    quoted,
    write_place,
)
from tests.sales_analytics import SOLD, statement
from tests.sales_analytics import TABLES as TABLES_OF_ANALYTICS

MEMORY_LIMIT_MB = 4_096
TABLES = ("customers", "products", "orders", "order_items")

# The rules of the README, as far as the generator breaks them, written once more and with none of the job's code. A
# text that is no number or no date is null; every price has two decimals and every sound date is ISO. The keys of the
# dimensions are DuckDB's own hash: rows are compared on natural keys.
DIMENSIONS = {
    "dim_customer": """
        SELECT (hash(customer_id) >> 1)::BIGINT AS customer_key, customer_id, name, email, address, city, country,
            registration_date::DATE AS registration_date, getvariable('end_date') AS extract_date
        FROM source_customers
        WHERE customer_id IS NOT NULL
            AND (registration_date IS NULL OR (registration_date LIKE '____-__-__'
                AND TRY_CAST(registration_date AS DATE) IS NOT NULL))
        UNION ALL BY NAME SELECT -1 AS customer_key, '(unknown)' AS customer_id
    """,
    "dim_product": """
        SELECT (hash(product_id) >> 1)::BIGINT AS product_key, product_id, product_name, category,
            price::DECIMAL(18, 4) AS price, stock_quantity::INTEGER AS stock_quantity,
            getvariable('end_date') AS extract_date
        FROM source_products
        WHERE product_id IS NOT NULL
            AND (price IS NULL OR TRY_CAST(price AS DECIMAL(18, 4)) >= 0)
            AND (stock_quantity IS NULL OR regexp_full_match(stock_quantity, '[+-]?[0-9]+'))
        UNION ALL BY NAME SELECT -1 AS product_key, '(unknown)' AS product_id
    """,
}
# Of the sound items of one id the first in text order counts; no order_id stands twice in what the generator makes.
FACTS = """
    WITH orders AS (
        SELECT order_id, customer_id, TRY_CAST(order_date AS TIMESTAMP)::DATE AS order_date
        FROM source_orders
        WHERE order_id IS NOT NULL AND order_date LIKE '____-__-__%' AND TRY_CAST(order_date AS TIMESTAMP) IS NOT NULL
    ), sound AS (
        SELECT *, TRY_CAST(price_per_item AS DECIMAL(18, 4)) AS item_price
        FROM source_order_items
        WHERE order_item_id IS NOT NULL AND order_id IS NOT NULL AND regexp_full_match(quantity, '[+-]?[0-9]+')
            AND item_price >= 0
    ), items AS (
        SELECT order_item_id, order_id, product_id, quantity::INTEGER AS quantity, item_price
        FROM sound
        QUALIFY row_number() OVER (
            PARTITION BY order_item_id ORDER BY order_id, product_id NULLS FIRST, quantity, price_per_item
        ) = 1
    )
    SELECT order_date, order_item_id, order_id, coalesce(customer_key, -1) AS customer_key,
        coalesce(product_key, -1) AS product_key, strftime(order_date, '%Y%m%d')::INTEGER AS date_key,
        quantity AS quantity_sold, item_price AS price_per_item,
        (quantity * item_price)::DECIMAL(18, 4) AS line_item_total, quantity < 0 AS is_return
    FROM items
    JOIN orders USING (order_id)
    LEFT JOIN dim_customer USING (customer_id)
    LEFT JOIN dim_product USING (product_id)
    WHERE order_date BETWEEN getvariable('start_date') AND getvariable('end_date')
"""
# The keys of the facts as those of the source: what the two stars must agree on.
NATURAL_FACTS = """
    SELECT order_item_id, order_date, order_id, customer_id, product_id, date_key, quantity_sold, price_per_item,
        line_item_total, is_return
    FROM {star}_fact_sales
    LEFT JOIN {star}_dim_customer USING (customer_key)
    LEFT JOIN {star}_dim_product USING (product_key)
"""


@dataclass(frozen=True)
class Sizes:
    """What the generator is asked for, beside the days."""

    customers: int
    products: int
    orders_per_day: int

    @property
    def options(self) -> tuple[str, ...]:
        values = (self.customers, self.products, self.orders_per_day)
        names = ("--customers", "--products", "--orders-per-day")
        return tuple(text for name, value in zip(names, values, strict=True) for text in (name, str(value)))


@dataclass(frozen=True)
class Shop:
    """The folder of a benchmark: input, configuration, and the stars that the job and DuckDB make."""

    work: Path
    days: Days

    @property
    def source(self) -> Path:
        return self.work / "source"

    @property
    def exported(self) -> Path:
        return self.work / "output" / "parquet"

    @property
    def place(self) -> Path:
        return self.work / "place.toml"

    @property
    def statement(self) -> Path:
        return self.work / "statement"

    @property
    def log(self) -> Path:
        return self.work / "commands.log"

    def generate(self, sizes: Sizes) -> str:
        """Makes the input; how much there is of it."""
        command = job_command("generate", "sales", *self.days.options, *sizes.options, "--output", str(self.source))
        measured(command, self.log)
        size = sum(file.stat().st_size for file in self.source.iterdir())
        with duckdb.connect() as db:
            counts = {name: one_value(db, f"SELECT count(*) FROM {_csv(self.source / name)}") for name in TABLES}
        shown = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        return f"{self.days.start} to {self.days.end}: {shown}, {size / 1e6:,.0f} MB"

    def run_job(self) -> Cost:
        places = ("--source", str(self.source), "--output", str(self.work / "output"), "--config", str(self.place))
        return measured(job_command("sales", *self.days.options, *places), self.log)

    def run_statement(self) -> Cost:
        self.statement.mkdir()
        arguments = (str(self.source), str(self.days.start), str(self.days.end), str(self.statement))
        return measured((sys.executable, __file__, "--statement", *arguments), self.log)

    def run_analytics(self) -> Cost:
        (self.work / "analytics").mkdir()
        arguments = (str(self.exported), str(self.days.start), str(self.days.end), str(self.work / "analytics"))
        return measured((sys.executable, __file__, "--analytics", *arguments), self.log)

    def seconds_of_tables(self) -> Mapping[str, float]:
        """What the job took to make and write each table; those of one turn run side by side."""
        (record,) = (self.work / "output" / "_runs").glob("sales-*.json")
        times: Mapping[str, float] = json.loads(record.read_text(encoding="utf-8"))["times"]
        return {name: times[name] for name in (*TABLES_OF_ANALYTICS[:-1], "clv, clv_model", "sales_summary")}

    def compare_analytics(self) -> str:
        """What they hold. Raises RuntimeError where a table of the job's is not DuckDB's."""
        sizes = []
        for name in TABLES_OF_ANALYTICS:
            with duckdb.connect() as db:
                own = f"SELECT * FROM '{quoted(self.work / 'analytics' / name)}.parquet'"
                columns = ", ".join(str(row[0]) for row in db.execute(f"DESCRIBE {own}").fetchall())
                job = f"SELECT {columns} FROM {_parquet(self.exported / name / '**/data.parquet')}"
                for one, other in ((job, own), (own, job)):
                    example = db.execute(f"{one} EXCEPT ALL {other} LIMIT 3").fetchall()
                    if example:
                        raise RuntimeError(f"{name}: rows of the job and of DuckDB differ, such as {example}")
                sizes.append(f"{one_value(db, f'SELECT count(*) FROM ({job})'):,} rows of {name}")
        return ", ".join(sizes)

    def compare(self) -> str:
        """What the stars hold. Raises RuntimeError where the job's and DuckDB's are not the same."""
        files = {
            "job": star_files(self.exported),
            "statement": {name: self.statement / f"{name}.parquet" for name in ("fact_sales", *DIMENSIONS)},
        }
        with duckdb.connect(str(self.work / "compared.duckdb")) as db:
            for star, tables in files.items():
                for name, file in tables.items():
                    db.execute(f"CREATE VIEW {star}_{name} AS FROM {_parquet(file)}")
            sizes = [f"{compare_dimension(db, name):,} rows of {name}" for name in DIMENSIONS]
            rows, money = compare_facts(db)
        return f"{', '.join(sizes)}, {rows:,} rows of fact_sales worth {money:,}"


def compare_dimension(db: duckdb.DuckDBPyConnection, name: str) -> int:
    """The rows of a dimension. Raises RuntimeError where its members are not the same, but for their keys."""
    members = {star: f"SELECT * EXCLUDE ({name.removeprefix('dim_')}_key) FROM {star}_{name}" for star in _STARS}
    _same_columns(db, name, members)
    for one, other in (_STARS, _STARS[::-1]):
        strange = f"{members[one]} EXCEPT ALL {members[other]}"
        count = one_value(db, f"SELECT count(*) FROM ({strange})")
        if count:
            example = db.execute(f"{strange} ORDER BY ALL LIMIT 3").fetchall()
            raise RuntimeError(f"{name}: {count} rows of the {one} are not the {other}'s, such as {example}")
    return int(one_value(db, f"SELECT count(*) FROM job_{name}"))


def compare_facts(db: duckdb.DuckDBPyConnection) -> tuple[int, Decimal]:
    """The rows and the money of fact_sales. Raises RuntimeError where the two are not the same.

    Joined on the item's id, so many rows take less memory than by EXCEPT ALL: the tables are the same if every pair is
    equal, and there are as many pairs as rows in each. An id that stood twice would make more.
    """
    facts = {star: NATURAL_FACTS.format(star=star) for star in _STARS}
    columns = _same_columns(db, "fact_sales", facts)
    for star, query in facts.items():
        db.execute(f"CREATE TABLE {star}_facts AS {query}")
    different = " OR ".join(f"one.{name} IS DISTINCT FROM other.{name}" for name in columns)
    pairs = "FROM job_facts AS one FULL JOIN statement_facts AS other USING (order_item_id)"
    example = db.execute(f"SELECT one, other {pairs} WHERE {different} ORDER BY ALL LIMIT 3").fetchall()
    if example:
        count = one_value(db, f"SELECT count(*) {pairs} WHERE {different}")
        raise RuntimeError(f"fact_sales: {count} rows of the job and of DuckDB differ, such as {example}")
    counts = [one_value(db, f"SELECT count(*) {rows}") for rows in ("FROM job_facts", "FROM statement_facts", pairs)]
    if len(set(counts)) != 1 or not counts[0]:
        raise RuntimeError(f"fact_sales: rows of the job, of DuckDB and of both are {counts}")
    sums = [Decimal(one_value(db, f"SELECT sum(line_item_total) FROM {star}_facts")) for star in _STARS]
    if sums[0] != sums[1]:
        raise RuntimeError(f"fact_sales: the money of the job and of DuckDB is {sums}")
    return int(counts[0]), sums[0]


_STARS = ("job", "statement")


def _same_columns(db: duckdb.DuckDBPyConnection, name: str, queries: Mapping[str, str]) -> list[str]:
    """The columns of both `queries`. Raises RuntimeError where their names or types are not the same."""
    job, statement = ([row[:2] for row in db.execute(f"DESCRIBE {queries[star]}").fetchall()] for star in _STARS)
    if job != statement:
        raise RuntimeError(f"{name}: columns differ: {sorted(set(job) ^ set(statement))}")
    return [str(row[0]) for row in job]


def one_value(db: duckdb.DuckDBPyConnection, query: str) -> int:
    ((value,),) = db.execute(query).fetchall()
    return value  # type: ignore[no-any-return]


def run_statement(source: Path, days: Days, output: Path) -> None:
    """dim_customer, dim_product and fact_sales of `days`, from the files of `source` into Parquet files in `output`."""
    limits = {"memory_limit": f"{MEMORY_LIMIT_MB}MB", "temp_directory": str(output / "spilled")}
    with duckdb.connect(config={"preserve_insertion_order": False, **limits}) as db:
        db.execute("SET VARIABLE start_date = ?", [days.start])
        db.execute("SET VARIABLE end_date = ?", [days.end])
        for name in TABLES:
            trimmed = "nullif(trim(COLUMNS(*)), '')"
            db.execute(f"CREATE TEMP VIEW source_{name} AS SELECT {trimmed} FROM {_csv(source / name)}")
        for name, query in DIMENSIONS.items():
            db.execute(f"CREATE TEMP TABLE {name} AS {query}")
        for name, query in {**{name: f"FROM {name}" for name in DIMENSIONS}, "fact_sales": FACTS}.items():
            db.execute(f"COPY ({query}) TO '{quoted(output / name)}.parquet' (FORMAT parquet)")


def run_analytics(exported: Path, days: Days, output: Path) -> None:
    """The analytics of `days`, of the star in the Parquet files in `exported`, into Parquet files in `output`."""
    limits = {"memory_limit": f"{MEMORY_LIMIT_MB}MB", "temp_directory": str(output / "spilled")}
    with duckdb.connect(config={"preserve_insertion_order": False, **limits}) as db:
        for name, file in star_files(exported).items():
            db.execute(f"CREATE TEMP TABLE {name} AS FROM {_parquet(file)}")
        db.execute(SOLD)
        for name in TABLES_OF_ANALYTICS:
            query = statement(name, str(days.start), str(days.end))
            db.execute(f"COPY ({query}) TO '{quoted(output / name)}.parquet' (FORMAT parquet)")


def star_files(exported: Path) -> dict[str, Path]:
    """The Parquet files of a star that the job exported, by table."""
    dimensions = {name: exported / name / "data.parquet" for name in DIMENSIONS}
    return {"fact_sales": exported / "fact_sales/**/data.parquet", **dimensions}


def _parquet(files: Path) -> str:
    return f"read_parquet('{quoted(files)}', hive_partitioning = true)"


def _csv(table: Path) -> str:
    options = "all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"'"
    return f"read_csv('{quoted(table)}.csv', {options})"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; 1 where a run fails, the stars differ, or the job takes more than MEMORY_LIMIT_MB."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for option, day in (("--start-date", "2024-01-01"), ("--end-date", "2024-12-31")):
        parser.add_argument(option, type=date.fromisoformat, default=day, metavar="DATE", help=f"(default: {day})")
    for name, size in (("customers", 200_000), ("products", 2_000), ("orders_per_day", 10_500)):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=size, metavar="N", help=f"(default: {size:,})")
    add_work_options(parser)
    parser.add_argument("--statement", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--analytics", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    for run, arguments in ((run_statement, options.statement), (run_analytics, options.analytics)):
        if arguments:
            source, start, end, output = arguments
            run(Path(source), Days(date.fromisoformat(start), date.fromisoformat(end)), Path(output))
            return 0
    work = new_folder(parser, options, "sales_star")
    shop = Shop(work, Days(options.start_date, options.end_date))
    try:
        print(shop.generate(Sizes(options.customers, options.products, options.orders_per_day)), flush=True)
        write_place(shop.place, options.driver_memory)
        job = shop.run_job()
        star = shop.run_statement()
        print(f"{shop.compare()}, equal", flush=True)
        analytics = shop.run_analytics()
        print(f"{shop.compare_analytics()}, equal", flush=True)
    except RuntimeError as error:
        print(f"FAILED: {error}\nall is kept in {work}", file=sys.stderr)
        return 1
    both = Cost(star.wall + analytics.wall, star.cpu + analytics.cpu, max(star.memory, analytics.memory))
    lines = (
        cost_line("etl-spark sales, from nothing", job, both),
        cost_line("DuckDB, the star and its analytics", both, both),
        cost_line("of these, the analytics", analytics, both),
    )
    seconds = ", ".join(f"{name} {taken:.0f}" for name, taken in shop.seconds_of_tables().items())
    print(f"\n{cost_table(lines)}\n\nThe job's seconds, side by side: {seconds}")
    print(f"{machine()}; driver memory {options.driver_memory}")
    if not options.keep:
        shutil.rmtree(work if options.work else work.parent)
    if job.memory > MEMORY_LIMIT_MB:
        print(f"FAILED: the job took {job.memory:,.0f} MB, more than {MEMORY_LIMIT_MB:,}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
