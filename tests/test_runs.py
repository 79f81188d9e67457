"""Whole runs, by the command line: whatever happened before, a run leaves what a rebuild from nothing would leave."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from etl_spark.core.dates import DateRange
from etl_spark.core.table import Table
from etl_spark.pipelines.viewing.generate import day_lines, generate
from etl_spark.pipelines.viewing.pipeline import VIEWING
from etl_spark.stores.records import RunRecord
from tests.pipelines.viewing.log_lines import line

APRIL = date(2022, 4, 1)
ONE_DAY = ("--start-date", "20220401", "--end-date", "20220401")
NOT_COMPARED = {"run_id", "modified_at"}


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Logs of the first six days of April."""
    generate(DateRange(APRIL, date(2022, 4, 6)), tmp_path / "logs", seed=7, contracts=100, rows_per_day=300)
    return tmp_path / "logs"


@pytest.fixture
def view(spark: SparkSession, logs: Path, tmp_path: Path) -> Callable[..., int]:
    """Runs the viewing job on `logs`; returns the exit code."""

    def run(start: str, end: str, *options: str, output: str = "output") -> int:
        given = ["--start-date", start, "--end-date", end, "--source", str(logs), "--output", str(tmp_path / output)]
        return main(["viewing", *given, *options])

    return run


def stored(spark: SparkSession, output: Path, start: str, end: str) -> dict[str, list[tuple[object, ...]]]:
    """Everything the lake and the exports hold of the days and the range from `start` to `end`."""
    found = {}
    for table in VIEWING.tables:
        day = table.replaces[-1]
        inside = f"{day} BETWEEN '{start}' AND '{end}'"
        if day == "end_date":
            inside = f"start_date = '{start}' AND end_date = '{end}'"
        names = [name for name in table.column_names if name not in NOT_COMPARED]
        rows = spark.read.format("delta").load(str(output / "lake" / table.name)).where(inside).select(*names).collect()
        found[table.name] = sorted((tuple(row) for row in rows), key=str)
        for file_format in ("parquet", "csv"):
            found[f"{table.name}.{file_format}"] = exported(output, table, file_format, names, inside)
    return found


def exported(
    output: Path, table: Table, file_format: str, names: Sequence[str], inside: str
) -> list[tuple[object, ...]]:
    if not table.exported:
        assert not (output / file_format / table.name).exists()
        return []
    columns = ", ".join(f'"{name}"' for name in names)
    place = f"'{output}/{file_format}/{table.name}/**/data.{file_format}'"
    if not any((output / file_format / table.name).rglob("data.*")):
        return []
    with duckdb.connect() as sql:
        query = (
            f"SELECT {columns} FROM read_{file_format}({place}, hive_partitioning = true) WHERE {inside} ORDER BY ALL"
        )
        return sql.execute(query).fetchall()


def days_read(output: Path) -> list[str]:
    """The days that the newest run read."""
    newest = max((output / "_runs").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    return list(json.loads(newest.read_text())["days_read"])


@pytest.mark.default_spark
def test_any_history_ends_as_a_rebuild_would(
    spark: SparkSession, logs: Path, tmp_path: Path, view: Callable[..., int]
) -> None:
    output = tmp_path / "output"

    def step(start: str, end: str, *options: str, reads: list[str]) -> None:
        assert view(start, end, *options) == 0
        assert days_read(output) == reads
        assert not (output / "_staging").exists()

    def equals_a_rebuild(start: str, end: str, *options: str) -> None:
        rebuilt = f"rebuilt-{len(list(tmp_path.iterdir()))}"
        assert view(start, end, *options, output=rebuilt) == 0
        assert stored(spark, output, start, end) == stored(spark, tmp_path / rebuilt, start, end)

    days = [f"2022-04-0{day}" for day in range(1, 8)]
    step(days[3], days[5], reads=days[0:6])
    step(days[3], days[5], reads=[])
    step(days[4], days[5], "--refresh", reads=days[2:6])
    equals_a_rebuild(days[4], days[5])
    # A replaced day, a day that became empty, and a day that arrived.
    (logs / "20220404.json").write_bytes(b"".join(day_lines(APRIL, seed=8, contracts=90, rows_per_day=250)))
    (logs / "20220405.json").write_bytes(b"")
    (logs / "20220407.json.gz").write_bytes(
        gzip.compress(b"".join(day_lines(date(2022, 4, 7), seed=7, contracts=100, rows_per_day=300)))
    )
    step(days[3], days[6], reads=[days[3], days[4], days[6]])
    equals_a_rebuild(days[3], days[6])
    # A day that is no longer there.
    (logs / "20220406.json").unlink()
    step(days[4], days[6], "--allow-missing-days", reads=[])
    equals_a_rebuild(days[4], days[6], "--allow-missing-days")


@pytest.mark.default_spark
def test_a_range_with_nothing_in_it_is_a_result_too(
    spark: SparkSession, logs: Path, view: Callable[..., int], tmp_path: Path
) -> None:
    (logs / "20220402.json").write_bytes(b" \n\r\n")
    (logs / "20220403.json").unlink()
    (logs / "20220403.json.gz").write_bytes(gzip.compress(b""))
    assert view("2022-04-02", "2022-04-03") == 0
    found = stored(spark, tmp_path / "output", "2022-04-02", "2022-04-03")
    assert found["viewing_profile"] == found["viewing_profile.csv"] == found["viewing_daily"] == []
    assert [row[2:5] for row in found["viewing_summary"]] == [("All", 0, 0)]
    assert len(found["load_audit"]) == 2
    assert len(found["viewing_trend"]) > 0  # the day before had viewers


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file of the lake and the exports."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for place in ("lake", "parquet", "csv")
        for file in (folder / place).rglob("*")
        if file.is_file()
    }


def one_line(text: str) -> str:
    """The lines of standard error that are not the log."""
    said = [line for line in text.splitlines() if not line.startswith('{"time"')]
    assert "Traceback" not in text
    assert "\tat " not in text
    return "\n".join(said)


def test_what_is_wrong_with_the_input_is_said_and_changes_nothing(
    logs: Path, tmp_path: Path, view: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    assert view("2022-04-03", "2022-04-03", "--sink", "csv") == 0
    before = snapshot(output)
    whole = (logs / "20220404.json").read_bytes()

    def fails(code: int, *expected: str) -> None:
        capfd.readouterr()
        assert view("2022-04-03", "2022-04-08") == code
        said = one_line(capfd.readouterr().err)
        assert all(text in said for text in expected), said
        assert said.startswith("etl-spark: ")
        assert snapshot(output) == before
        newest = max((output / "_runs").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        record = json.loads(newest.read_text())
        assert record["exit_code"] == code
        assert record["error"] in said
        assert code == 4 or "\n" not in said

    fails(3, "2 of 6 days have no file at", "2022-04-07, 2022-04-08")
    for day in ("07", "08"):
        (logs / f"202204{day}.json").write_bytes(line() + b"\n")
    compressed = gzip.compress(whole)
    (logs / "20220404.json").unlink()
    (logs / "20220404.json.gz").write_bytes(compressed[: len(compressed) // 2])
    fails(3, "20220404.json.gz to its end, it is truncated or damaged")
    (logs / "20220404.json.gz").write_bytes(b"")
    fails(3, "20220404.json.gz is not a gzip file")
    (logs / "20220404.json.gz").unlink()
    (logs / "20220404.json").write_bytes(b"\n".join([line()] * 8 + [line(app="RADIO"), b'{"half":', b""]))
    fails(
        4, "2022-04-04 2 of 10 (20.0%)", "1 x app_unknown, such as: ", "RADIO", '1 x not_json_object, such as: {"half":'
    )


@pytest.mark.default_spark
def test_missing_days_can_be_allowed_but_not_all_of_them(
    logs: Path, view: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    assert view("2022-05-01", "2022-05-02", "--allow-missing-days") == 3
    assert "2 of 2 days have no file" in capfd.readouterr().err
    assert view("2022-04-06", "2022-04-07", "--allow-missing-days", "--sink", "parquet") == 0
    assert "1 of 2 found" in (said := capfd.readouterr().out)
    assert "missing: 2022-04-07" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required: JOB"),
        (["vieving"], "invalid choice: 'vieving'"),
        (["viewing"], "required: --start-date, --end-date"),
        (["viewing", "--start-date", "2022-04-31", "--end-date", "2022-05-01"], "'2022-04-31' is not a date"),
        (["viewing", "--start-date", "20220402", "--end-date", "20220401"], "is after the end date"),
        (["viewing", *ONE_DAY, "--sink", "excel"], "invalid choice: 'excel'"),
        (["viewing", *ONE_DAY, "--colour"], "unrecognized arguments: --colour"),
        (["generate", "viewing", *ONE_DAY, "--output", "x", "--contracts", "0"], "'0' is not a number of at least 1"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(
    arguments: list[str],
    complaint: str,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capfd.readouterr().err.strip()
    assert complaint in said
    assert "\n" not in said
    assert list(tmp_path.iterdir()) == []


def test_wrong_configuration_is_one_line_and_recorded(
    view: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[viewing.rules]\nmax_seconds = '1'\n")
    assert view("2022-04-01", "2022-04-01", "--config", str(file)) == 2
    said = one_line(capfd.readouterr().err)
    assert said.startswith(f"etl-spark: {file}: [viewing] ")
    assert "max_seconds" in said
    (record,) = (tmp_path / "output" / "_runs").glob("*.json")
    assert json.loads(record.read_text())["exit_code"] == 2


def test_a_package_that_the_job_needs_is_missed_before_spark_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    output = tmp_path / "output"
    assert main(["forecast", *ONE_DAY, "--output", str(output)]) == 2
    said = one_line(capfd.readouterr().err)
    assert said == (
        "etl-spark: statsforecast must be installed for this job: ./scripts/submit.sh forecast does it, or "
        "pip install 'etl_spark[forecast]'"
    )
    (record,) = (output / "_runs").glob("*.json")
    assert json.loads(record.read_text())["exit_code"] == 2
    assert not (output / "lake").exists()


@pytest.mark.parametrize(
    ("sinks", "complaint"),
    [
        ("", 'where mysql is, the configuration must say: [sinks.mysql] with url = "jdbc:..."'),
        ('[sinks.mysql]\nurl = "jdbc:mysql://127.0.0.1/etl"', "set ETL_SPARK_MYSQL_USER and ETL_SPARK_MYSQL_PASSWORD"),
    ],
)
def test_a_warehouse_must_be_configured_and_let_the_run_in(
    view: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str], sinks: str, complaint: str
) -> None:
    file = tmp_path / "my.toml"
    file.write_text(sinks)
    assert view("2022-04-01", "2022-04-01", "--config", str(file), "--sink", "mysql") == 2
    assert complaint in one_line(capfd.readouterr().err)
    assert not (tmp_path / "output" / "lake").exists()


def test_an_unknown_table_to_export_is_refused(
    view: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my.toml"
    file.write_text('[viewing]\nexport_also = ["viewing_weekly"]\n')
    assert view("2022-04-01", "2022-04-01", "--config", str(file)) == 2
    assert "viewing has no table viewing_weekly" in one_line(capfd.readouterr().err)


@pytest.mark.default_spark
def test_other_rules_judge_the_days_anew_and_lake_tables_can_be_exported(
    view: Callable[..., int], tmp_path: Path, logs: Path
) -> None:
    (logs / "20220401.json").write_bytes(line(app="RADIO") + b"\n" + line() * 1 + b"\n" + line() + b"\n")
    file = tmp_path / "my.toml"
    file.write_text("[viewing]\nmax_rejected_share = 0.5\n")
    assert view("2022-04-01", "2022-04-01", "--config", str(file)) == 0
    file.write_text(
        '[viewing]\nmax_rejected_share = 0.5\nexport_also = ["viewing_daily", "viewing_rejected"]\n'
        '[viewing.rules]\nreject_repeated_ids = true\n[viewing.rules.categories]\nTV = ["RADIO"]\n'
    )
    assert view("2022-04-01", "2022-04-01", "--config", str(file)) == 4  # KPLUS is now unknown: 2 of 3 lines
    file.write_text(file.read_text().replace('["RADIO"]', '["RADIO", "KPLUS"]').replace("0.5", "0.9"))
    assert view("2022-04-01", "2022-04-01", "--config", str(file)) == 0
    assert days_read(tmp_path / "output") == ["2022-04-01"]
    daily = next(table for table in VIEWING.tables if table.name == "viewing_daily")
    place = f"'{tmp_path}/output/parquet/{daily.name}/**/data.parquet'"
    with duckdb.connect() as sql:
        assert sql.execute(f"SELECT tv_seconds, record_count FROM read_parquet({place})").fetchall() == [(254, 1)]


def test_two_runs_at_once_are_refused(
    view: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RunRecord(str(tmp_path / "output"), "other").alone():
        assert view("2022-04-01", "2022-04-01") == 1
    assert one_line(capfd.readouterr().err).startswith("etl-spark: another run is writing to")


def test_a_source_that_changes_while_it_is_read_is_refused(
    view: Callable[..., int], logs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from etl_spark.core.audit import Reading

    read = Reading.audit

    def read_and_touch(*arguments: object) -> object:
        rows = read(*arguments)  # type: ignore[arg-type]
        os.utime(logs / "20220402.json", ns=(1, 1))
        return rows

    monkeypatch.setattr(Reading, "audit", read_and_touch)
    assert view("2022-04-02", "2022-04-02") == 3
    assert "changed while they were read: run again" in one_line(capfd.readouterr().err)
