"""The viewing job over a month at a tenth of the real size, beside one DuckDB statement that makes the same profile.

    python benchmarks/viewing_month.py

Two ranges: the whole month from nothing, then its second half, all days of which are known by then. The statement
reads the JSON files each time, and makes viewing_profile alone: no audit, no quarantine, no lake, no trend. Both
profiles must be equal, row for row, before any time is shown.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
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

FIRST = date(2022, 4, 1)

# The rules of conf/viewing.toml, written once more: a profile that both agree on is right or wrong for two reasons.
# TRY: a line that is not JSON is null. As JSON, TotalDuration keeps its spelling, so that "254" and 254.0 are told
# apart from 254. A line that is not UTF-8 is left out by ignore_errors. HAVING, and not WHERE: a condition on the lines
# is carried down to their text, and parses each line once more.
PROFILE = r"""
WITH record AS (
    SELECT
        strptime(parse_filename(filename, true), '%Y%m%d')::DATE AS log_date,
        TRY(json_transform(
            line, '{"_source": {"Contract": "VARCHAR", "TotalDuration": "JSON", "AppName": "VARCHAR"}}'
        ))._source AS record
    FROM read_csv(
        getvariable('files'), columns = {'line': 'VARCHAR'}, delim = '\0', quote = '', escape = '', header = false,
        auto_detect = false, filename = true, ignore_errors = true, strict_mode = false
    )
), viewing AS (
    SELECT
        log_date,
        upper(trim(record.Contract, E' \t\n\r\f\v')) AS contract,
        CASE WHEN regexp_matches(record.TotalDuration::VARCHAR, '^-?[0-9]+$')
            THEN TRY_CAST(record.TotalDuration::VARCHAR AS BIGINT) END AS seconds,
        CASE
            WHEN record.AppName IN ('CHANNEL', 'KPLUS') THEN 'TV'
            WHEN record.AppName IN ('MOVIE', 'VOD', 'FIMS', 'BHD') THEN 'Movie'
            WHEN record.AppName = 'CHILD' THEN 'Child'
            WHEN record.AppName = 'RELAX' THEN 'Relax'
            WHEN record.AppName = 'SPORT' THEN 'Sport'
        END AS category
    FROM record
), judged AS (
    SELECT
        log_date,
        contract,
        seconds,
        CASE WHEN regexp_matches(contract, '^[A-Z]{2,6}[0-9]{4,8}$') AND seconds BETWEEN 1 AND 86400
            THEN category END AS category
    FROM viewing
), total AS (
    SELECT
        contract,
        sum(CASE WHEN category = 'TV' THEN seconds ELSE 0 END)::BIGINT AS tv_seconds,
        sum(CASE WHEN category = 'Movie' THEN seconds ELSE 0 END)::BIGINT AS movie_seconds,
        sum(CASE WHEN category = 'Child' THEN seconds ELSE 0 END)::BIGINT AS child_seconds,
        sum(CASE WHEN category = 'Relax' THEN seconds ELSE 0 END)::BIGINT AS relax_seconds,
        sum(CASE WHEN category = 'Sport' THEN seconds ELSE 0 END)::BIGINT AS sport_seconds,
        count(DISTINCT CASE WHEN category IS NOT NULL THEN log_date END)::INTEGER AS active_days
    FROM judged
    GROUP BY contract
    HAVING count(category) > 0
)
SELECT
    getvariable('start_date') AS start_date,
    getvariable('end_date') AS end_date,
    contract,
    tv_seconds, movie_seconds, child_seconds, relax_seconds, sport_seconds,
    tv_seconds + movie_seconds + child_seconds + relax_seconds + sport_seconds AS total_seconds,
    CASE greatest(tv_seconds, movie_seconds, child_seconds, relax_seconds, sport_seconds)
        WHEN tv_seconds THEN 'TV'
        WHEN movie_seconds THEN 'Movie'
        WHEN child_seconds THEN 'Child'
        WHEN relax_seconds THEN 'Relax'
        ELSE 'Sport'
    END AS most_watch,
    concat_ws(
        '-',
        CASE WHEN tv_seconds > 0 THEN 'TV' END,
        CASE WHEN movie_seconds > 0 THEN 'Movie' END,
        CASE WHEN child_seconds > 0 THEN 'Child' END,
        CASE WHEN relax_seconds > 0 THEN 'Relax' END,
        CASE WHEN sport_seconds > 0 THEN 'Sport' END
    ) AS taste,
    active_days,
    -- Hundredths of a percent, rounded half up in whole numbers.
    ((active_days * 20000 + getvariable('days')) // (2 * getvariable('days')) / 100)::DECIMAL(5, 2) AS activeness,
    CASE
        WHEN active_days * 30 < 7 * getvariable('days') THEN 'At Risk'
        WHEN active_days * 30 < 14 * getvariable('days') THEN 'Need Attention'
        WHEN active_days * 30 < 21 * getvariable('days') THEN 'Valuable'
        ELSE 'Loyal'
    END AS segment
FROM total
"""


@dataclass(frozen=True)
class Month:
    """The folder of a benchmark: input, configuration, and what the job and the statement make."""

    work: Path

    @property
    def source(self) -> Path:
        return self.work / "source"

    @property
    def place(self) -> Path:
        return self.work / "place.toml"

    @property
    def log(self) -> Path:
        return self.work / "commands.log"

    def generate(self, days: Days, rows_per_day: int, contracts: int) -> int:
        """Makes the input, and returns its bytes."""
        sizes = ("--rows-per-day", str(rows_per_day), "--contracts", str(contracts))
        measured(job_command("generate", "viewing", *days.options, *sizes, "--output", str(self.source)), self.log)
        return sum(file.stat().st_size for file in self.source.iterdir())

    def run_job(self, days: Days) -> Cost:
        places = ("--source", str(self.source), "--output", str(self.work / "output"))
        config = ("--config", str(self.place))
        return measured(job_command("viewing", *days.options, *places, *config), self.log)

    def run_statement(self, days: Days) -> Cost:
        arguments = ("--statement", str(self.source), str(days.start), str(days.end), str(self.statement_file(days)))
        return measured((sys.executable, __file__, *arguments), self.log)

    def statement_file(self, days: Days) -> Path:
        return self.work / f"statement_{days.start}_{days.end}.parquet"

    def days_read(self) -> list[int]:
        """How many days each run of the job has read, in order."""
        records = [json.loads(file.read_text()) for file in (self.work / "output" / "_runs").glob("*.json")]
        return [len(one["days_read"]) for one in sorted(records, key=lambda one: str(one["started_at"]))]

    def compare(self, days: Days) -> int:
        """The rows of the profile. Raises RuntimeError where the job's and the statement's are not the same."""
        folder = f"start_date={days.start}/end_date={days.end}"
        exported = quoted(self.work / "output" / "parquet" / "viewing_profile")
        with duckdb.connect() as db:
            db.execute(f"CREATE VIEW statement AS FROM '{quoted(self.statement_file(days))}'")
            columns = [(row[0], row[1]) for row in db.execute("DESCRIBE statement").fetchall()]
            names = ", ".join(name for name, _ in columns)
            db.execute(
                f"CREATE VIEW job AS SELECT {names} "
                f"FROM read_parquet('{exported}/**/data.parquet', hive_partitioning = true) "
                f"WHERE start_date = DATE '{days.start}' AND end_date = DATE '{days.end}'"
            )
            types = [(row[0], row[1]) for row in db.execute("DESCRIBE job").fetchall()]
            if types != columns:
                raise RuntimeError(f"{folder}: columns differ: {sorted(set(types) ^ set(columns))}")
            both = (("job", "statement"), ("statement", "job"))
            for one, other in both:
                query = f"FROM {one} EXCEPT ALL FROM {other}"
                example = db.execute(f"{query} ORDER BY contract LIMIT 3").fetchall()
                if example:
                    count = db.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0]
                    raise RuntimeError(f"{folder}: {count} rows of the {one} are not the {other}'s, such as {example}")
            rows = int(db.execute("SELECT count(*) FROM job").fetchall()[0][0])
        if not rows:
            raise RuntimeError(f"{folder}: there is no row to compare")
        return rows


def run_statement(source: Path, days: Days, output: Path) -> None:
    """viewing_profile of `days`, from the files of `source` into the Parquet file `output`."""
    files = [str(source / f"{days.start + timedelta(n):%Y%m%d}.json") for n in range(len(days))]
    values = {"files": files, "start_date": days.start, "end_date": days.end, "days": len(days)}
    with duckdb.connect(config={"preserve_insertion_order": False}) as db:
        for name, value in values.items():
            db.execute(f"SET VARIABLE {name} = ?", [value])
        db.execute(f"COPY ({PROFILE}) TO '{quoted(output)}' (FORMAT parquet)")


def run_all(month: Month, whole: Days, half: Days) -> str:
    """Runs the four cases; the Markdown table of what they cost, once their results were found equal."""
    cases = []
    for name, days in ((f"{len(whole)} days from nothing", whole), (f"the last {len(half)} of them, known", half)):
        job = month.run_job(days)
        statement = month.run_statement(days)
        rows = month.compare(days)
        print(f"{name}: {rows:,} rows of viewing_profile, equal", flush=True)
        cases += [
            cost_line(f"etl-spark viewing, {name}", job, statement),
            cost_line(f"DuckDB, the profile of the {len(days)} days", statement, statement),
        ]
    if month.days_read() != [len(whole), 0]:
        raise RuntimeError(f"days read were {month.days_read()}, not {[len(whole), 0]}")
    return cost_table(cases)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; 1 where a run fails or the results differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=int, default=30, metavar="N", help="days, at least 2 (default: 30)")
    parser.add_argument("--rows-per-day", type=int, default=160_000, metavar="N", help="rows a day (default: 160,000)")
    parser.add_argument("--contracts", type=int, default=192_000, metavar="N", help="customers (default: 192,000)")
    add_work_options(parser)
    parser.add_argument("--statement", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.statement:
        source, start, end, output = options.statement
        run_statement(Path(source), Days(date.fromisoformat(start), date.fromisoformat(end)), Path(output))
        return 0
    if options.days < 2:
        parser.error("--days must be at least 2")
    work = new_folder(parser, options, "viewing_month")
    month = Month(work)
    last = FIRST + timedelta(options.days - 1)
    whole, half = Days(FIRST, last), Days(last - timedelta(options.days // 2 - 1), last)
    size = month.generate(whole, options.rows_per_day, options.contracts)
    print(f"{options.days} days, {options.days * options.rows_per_day:,} rows, {size / 1e6:,.0f} MB", flush=True)
    write_place(month.place, options.driver_memory)
    try:
        costs = run_all(month, whole, half)
    except RuntimeError as error:
        print(f"FAILED: {error}\nall is kept in {work}", file=sys.stderr)
        return 1
    print(f"\n{costs}\n\n{machine()}; driver memory {options.driver_memory}")
    if not options.keep:
        shutil.rmtree(work if options.work else work.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
