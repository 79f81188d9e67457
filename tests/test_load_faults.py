"""Loaders and databases killed twice, as benchmarks/load_faults.py does it often; and that it sees what is wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from benchmarks.faults import Kill, Parts
from benchmarks.load_faults import (
    STORES,
    Interrupted,
    Outages,
    Progress,
    Reader,
    Servers,
    Step,
    Trial,
    faults_of,
    interrupted,
    is_due,
    label,
    ledger_faults,
    line_of,
    running_servers,
    spark_options,
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Of this module alone: no other test expects its database to be killed."""
    with running_servers(tmp_path_factory.mktemp("killed"), STORES) as servers:
        yield servers


@pytest.mark.default_spark
@pytest.mark.parametrize("store", STORES)
def test_nothing_is_lost_or_doubled_by_a_kill(
    store: str, spark: SparkSession, servers: Servers, tmp_path: Path
) -> None:
    trial = Trial(store, tmp_path / "trial", spark=spark, servers=servers, options=spark_options(tmp_path), rows=1000)
    chance = random.Random()
    # Not by the clock, which is for a loader's second load.
    loader_kills, database_kills = ([kill for kill in trial.kills(3, chance) if kill.after] for _ in range(2))
    outcomes = trial.run(loader_kills, database_kills)
    said = "\n".join(line_of(number, store, outcome) for number, outcome in enumerate(outcomes, start=1))
    assert len(outcomes) == (4 if trial.subject.servers else 2)
    assert [outcome.failures for outcome in outcomes] == [()] * len(outcomes), said


OLD: Parts = {("2022-04-01",): (3, 11), ("2022-04-02",): (3, 12), ("2022-04-03",): (3, 13)}
NEW: Parts = {("2022-04-01",): (3, 11), ("2022-04-02",): (4, 22), ("2022-04-03",): (4, 23)}


def test_a_table_is_one_version_or_the_other_as_a_whole() -> None:
    assert faults_of(OLD, [OLD, NEW]) == faults_of(NEW, [OLD, NEW]) == []
    assert faults_of(OLD, [NEW]) == [
        "2022-04-02 is of no allowed version: 3 rows",
        "2022-04-03 is of no allowed version: 3 rows",
    ]
    mixture = {**OLD, ("2022-04-03",): (4, 23)}
    assert faults_of(mixture, [OLD, NEW]) == ["some days are of one version, others of another"]
    less = dict(list(NEW.items())[:2])
    assert faults_of(less, [OLD, NEW]) == ["2022-04-03 is missing"]
    doubled = {**NEW, ("2022-04-02",): (8, 44)}
    assert faults_of(doubled, [OLD, NEW]) == ["2022-04-02 is of no allowed version: 8 rows"]
    assert faults_of({}, [OLD, NEW]) == [f"2022-04-0{day} is missing" for day in (1, 2, 3)]


def test_a_ledger_has_every_completed_load_once_and_no_other() -> None:
    assert ledger_faults({"a"}, ["b", "a"], 1) == []
    assert ledger_faults({"a"}, ["a"], 1) == ["the ledger has 0 loads more, not 1"]
    assert ledger_faults({"a"}, ["a", "b"], 0) == ["the ledger has 1 loads more, not 0"]
    assert ledger_faults({"a"}, ["b"], 1) == ["the ledger has lost a"]
    assert ledger_faults({"a"}, ["a", "b", "b"], 1) == ["the ledger has b 2 times"]


def test_a_reader_tells_of_a_mixture_and_of_what_it_cannot_read_while_the_database_is_up() -> None:
    outages = Outages()
    answers: list[Parts | Exception] = []

    def read() -> Parts:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    reader = Reader(read, [OLD, NEW], outages)

    def failures(*given: Parts | Exception) -> list[str]:
        answers[:] = given
        for _ in given:
            reader.look()
        return reader.take_failures()

    assert failures(OLD, NEW) == []
    mixture = {**OLD, ("2022-04-03",): (4, 23)}
    said = "a reader found that some days are of one version, others of another"
    assert failures(mixture, OLD, mixture) == [f"{said} (2 times)"]
    assert failures(OSError("gone")) == ["the table cannot be read: OSError('gone') (1 times)"]
    outages.begun = 1
    assert failures(OSError("gone"), OLD) == []
    outages.over = 1
    assert failures(OSError("gone")) == ["the table cannot be read: OSError('gone') (1 times)"]
    assert reader.reads == 6


def test_what_a_loader_told_says_where_the_kill_hit() -> None:
    told = ["ready"]
    assert interrupted(told) == Interrupted(0, "", "", "")
    told.append("load 1 A")
    assert interrupted(told) == Interrupted(0, "", "A", "count")
    told += ["DELETE FROM sold", "COMMIT"]
    assert interrupted(told) == Interrupted(0, "", "A", "COMMIT")
    told.append("loaded 1 A")
    assert interrupted(told) == Interrupted(1, "A", "", "")
    told += ["load 2 B", "BEGIN"]
    assert interrupted(told) == Interrupted(1, "A", "B", "BEGIN")


def test_a_step_is_timed_where_it_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress()
    told = [(0.0, "load 1 A"), (1.0, "SELECT"), (1.5, "stage"), (4.5, "SELECT"), (4.75, "COMMIT"), (5.0, "loaded 1 A")]
    for moment, text in told:
        monkeypatch.setattr("time.monotonic", lambda moment=moment: moment)
        progress.tell(text)
    assert progress.steps() == {"SELECT": Step(0.5, 4.0), "stage": Step(3.0, 3.5), "COMMIT": Step(0.25, 0.25)}


def test_a_kill_is_due_at_its_step_of_its_load() -> None:
    told = ["ready", "load 1 A", "BEGIN", "COMMIT", "loaded 1 A"]
    assert [is_due(Kill(after="COMMIT"), 1)(told[:length]) for length in range(6)] == [False] * 4 + [True] * 2
    assert is_due(Kill(after="never told"), 1)(told)
    assert [is_due(Kill(), 1)(told[:length]) for length in range(3)] == [False, False, True]
    assert not is_due(Kill(), 2)(told)
    assert not is_due(Kill(after="COMMIT"), 2)([*told, "load 2 B", "BEGIN"])


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("COMMIT", "COMMIT"),
        ("SELECT GET_LOCK('x', 1)", "SELECT GET_LOCK"),
        ("SELECT COUNT(*) FROM `etl_staging_12ab`", "SELECT COUNT"),
        ("SELECT 1 FROM `etl_staging_12ab` WHERE 1 = 0", "SELECT 1 FROM staging"),
        ('INSERT INTO "etl_load" ("load_id") VALUES (1)', "INSERT INTO etl_load"),
        ("DROP TABLE IF EXISTS `etl_staging_12ab`", "DROP TABLE IF EXISTS staging"),
        ("SELECT column_name FROM information_schema.columns", "SELECT"),
        ("SET timezone TO 'UTC'", "SET"),
    ],
)
def test_a_statement_is_told_of_in_few_words(sql: str, said: str) -> None:
    assert label(sql) == said
