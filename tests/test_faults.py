"""The job killed twice, as benchmarks/faults.py does it many times; and that its readers see what they must see."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.faults import (
    EXPORTED,
    Kill,
    Parts,
    Reader,
    State,
    Trial,
    connect,
    differences,
    line_of,
    read_export,
    set_up,
)
from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.dates import DateRange, parse_date
from etl_spark.core.table import Table
from etl_spark.pipelines.viewing.tables import VIEWING_TREND

OLD: Parts = {("2022-04-01",): (3, 11), ("2022-04-02",): (3, 12)}
NEW: Parts = {("2022-04-01",): (3, 21), ("2022-04-02",): (3, 22)}


@pytest.mark.default_spark
@pytest.mark.usefixtures("spark")
def test_nothing_is_lost_when_the_job_is_killed(tmp_path: Path) -> None:
    trial = set_up(tmp_path / "faults", days=2, rows_per_day=150, contracts=200, spark_here=True)
    # The first, at any point of the very first run into an empty output; the second, between the first exported file
    # that is new and the last one.
    kills = (
        Kill(random.uniform(0, 2), after=random.choice(trial.messages[:-1])),
        Kill(published=5),
    )
    outcomes = trial.run(kills)
    said = "\n".join(line_of(number, outcome) for number, outcome in enumerate(outcomes, start=1))
    assert [outcome.failures for outcome in outcomes] == [(), ()], said
    assert outcomes[1].was_running, said
    files = len(trial.files())
    assert 5 <= outcomes[1].published < files, said
    assert trial.check_lake(["B"]) == []


def test_a_partition_is_of_one_version_or_it_is_wrong() -> None:
    mixed_days: Parts = {**OLD, ("2022-04-02",): NEW["2022-04-02",]}
    assert differences(OLD, [OLD], may_miss=False) == []
    assert differences(mixed_days, [OLD, NEW], may_miss=False) == []
    assert differences(mixed_days, [NEW], may_miss=False) == ["2022-04-01 is of no allowed version: 3 rows"]
    mixed_rows: Parts = {**OLD, ("2022-04-02",): (3, 17)}
    assert differences(mixed_rows, [OLD, NEW], may_miss=False) == ["2022-04-02 is of no allowed version: 3 rows"]


def test_a_partition_may_be_missing_only_while_the_first_run_writes() -> None:
    less: Parts = {("2022-04-01",): (3, 11)}
    assert differences(less, [OLD, NEW], may_miss=True) == []
    assert differences(less, [OLD, NEW], may_miss=False) == ["2022-04-02 is missing"]
    assert differences(less, [OLD, less], may_miss=False) == []
    assert differences(OLD, [less], may_miss=True) == ["2022-04-02 should not be there"]


def _export(output: Path, table: Table, version: str) -> Path:
    """A file of one row whose every value is `version`."""
    file = output.joinpath("parquet", table.name, *(f"{name}=1" for name in table.replaces), "data.parquet")
    file.parent.mkdir(parents=True, exist_ok=True)
    values = ", ".join(f"'{version}' AS {name}" for name in table.column_names if name not in table.replaces)
    with connect() as db:
        db.execute(f"COPY (SELECT {values}) TO '{file}'")
    return file


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """Reads an output that holds version A, while it may turn into B."""
    day = parse_date("2022-04-01")
    trial = Trial(tmp_path, DateRange(day, day), {}, spark_here=True)
    for version in ("B", "A"):
        for table in EXPORTED:
            _export(trial.output, table, version)
        with connect() as db:
            trial.expected[version] = {
                ("parquet", table.name): read_export(db, trial.output, "parquet", table) for table in EXPORTED
            }
    trial.state = State(1, "B", frozenset("AB"), is_complete=True)
    return Reader(trial, "parquet")


def _failures(reader: Reader) -> list[str]:
    with connect() as db:
        reader.look(db)
    return reader.take_failures()


def test_a_reader_takes_either_version_of_a_table(reader: Reader) -> None:
    assert _failures(reader) == []
    _export(reader.trial.output, VIEWING_TREND, "B")
    assert _failures(reader) == []
    reader.trial.state = State(1, "B", frozenset("B"), is_complete=True)
    assert len(_failures(reader)) == len(EXPORTED) - 1


def test_a_reader_that_finds_the_run_marked_complete_takes_nothing_old(reader: Reader) -> None:
    _export(reader.trial.output, LOAD_AUDIT, "B")
    assert len(_failures(reader)) == len(EXPORTED) - 1


def test_a_reader_tells_of_a_table_that_it_cannot_open(reader: Reader) -> None:
    file = _export(reader.trial.output, VIEWING_TREND, "A")
    file.write_bytes(file.read_bytes()[:100])
    assert "parquet viewing_trend cannot be read: " in _failures(reader)[0]
    file.unlink()
    assert "parquet viewing_trend cannot be read: " in _failures(reader)[0]
    reader.trial.state = State(1, "B", frozenset("AB"), is_complete=False)
    assert _failures(reader) == []
