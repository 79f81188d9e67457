"""Every pipeline is wired soundly: names, producers, inputs, grains, parameters."""

import inspect
from collections import Counter
from dataclasses import fields

import pytest

from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.step import NOTHING, DailyFiles, Extracts, Pipeline
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.calendar.dim_date import DIM_DATE

RUN_PARAMETERS = {"asked", "days_found", "previous_days_found", "extract_dates"}


@pytest.fixture(params=list(PIPELINES.values()), ids=list(PIPELINES))
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    assert isinstance(request.param, Pipeline)
    return request.param


SHARED = (LOAD_AUDIT, DIM_DATE)
"""What several pipelines make: each its own rows of the one, all the same rows of the other."""


def test_each_table_has_one_producer_in_all_pipelines() -> None:
    made = Counter(table.name for one in PIPELINES.values() for table in one.tables if table not in SHARED)
    assert [name for name, times in made.items() if times > 1] == []


def test_every_input_is_the_source_or_an_earlier_output(pipeline: Pipeline) -> None:
    match pipeline.source:
        case Extracts(tables=tables):
            sources = {extract.name: {"rows"} for extract in tables}
        case DailyFiles(name=name):
            sources = {name: {"files", "lines"}}
    made: set[str] = set()
    for step in pipeline.steps:
        for one in step.inputs:
            of_table = one.of in made and one.part in ("asked", "previous", "whole")
            assert one == NOTHING or of_table or one.part in sources.get(one.of, ())
        made |= {table.name for table in step.outputs}
    for check in pipeline.checks:
        assert {one.of for one in check.inputs} <= made


def test_steps_that_run_at_once_need_nothing_of_each_other(pipeline: Pipeline) -> None:
    assert (pipeline.steps[0], *(step for turn in pipeline.turns for step in turn)) == pipeline.steps
    assert [step for step in pipeline.steps if LOAD_AUDIT in step.outputs] == [pipeline.steps[0]]
    for turn in pipeline.turns:
        made = {table.name for step in turn for table in step.outputs}
        assert turn
        assert not made & {one.of for step in turn for one in step.inputs}


def test_a_source_has_no_name_of_a_table() -> None:
    names = {
        extract.name for one in PIPELINES.values() if isinstance(one.source, Extracts) for extract in one.source.tables
    }
    assert not names & {table.name for table in tables()}


def test_an_extract_says_what_it_is(pipeline: Pipeline) -> None:
    extracts = pipeline.source.tables if isinstance(pipeline.source, Extracts) else ()
    for extract in extracts:
        required = {column.name for column in extract.columns if not column.nullable}
        assert set(extract.key) <= required
        assert {extract.day} <= {*required, None}
        assert {one.extract for one in extract.through} <= {other.name for other in extracts if other.day}


def test_parameters_are_what_the_transform_takes_and_a_run_has(pipeline: Pipeline) -> None:
    available = RUN_PARAMETERS | {setting.name for setting in fields(pipeline.settings)}
    for step in pipeline.steps:
        signature = inspect.signature(step.transform)
        keywords = {one.name for one in signature.parameters.values() if one.kind is inspect.Parameter.KEYWORD_ONLY}
        assert keywords == set(step.parameters) <= available
        signature.bind(*step.inputs, **dict.fromkeys(step.parameters))


def test_the_audit_and_the_quarantine_are_made_where_the_source_is_read(pipeline: Pipeline) -> None:
    (reading,) = (step for step in pipeline.steps if LOAD_AUDIT in step.outputs)
    assert pipeline.quarantine in reading.outputs
    assert {"reason", "line", "line_count"} <= set(pipeline.quarantine.column_names)


def tables() -> list[Table]:
    return list({table.name: table for pipeline in PIPELINES.values() for table in pipeline.tables}.values())


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)
def test_a_table_says_what_it_is(table: Table) -> None:
    assert table.doc.startswith("One row per ")
    assert all(column.doc for column in table.columns)
    assert not [column.name for column in table.columns if column.nullable and column.name in table.grain]
