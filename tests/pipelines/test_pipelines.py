"""Every pipeline is wired soundly: names, producers, inputs, grains, parameters."""

import inspect
from collections import Counter
from dataclasses import fields

import pytest

from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.step import NOTHING, DailyFiles, Extracts, Intake, Items, Pipeline, Step, Upstream
from etl_spark.core.table import Table
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.calendar.dim_date import DIM_DATE

RUN_PARAMETERS = {
    "asked",
    "changed_days",
    "days_found",
    "extract_dates",
    "previous_days_found",
    "profiles_days",
    "sales_days",
    "social_days",
}


@pytest.fixture(params=list(PIPELINES.values()), ids=list(PIPELINES))
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    assert isinstance(request.param, Pipeline)
    return request.param


SHARED = (LOAD_AUDIT, DIM_DATE)
"""What several pipelines make: each its own rows of the one, all the same rows of the other."""


def test_each_table_has_one_producer_in_all_pipelines() -> None:
    steps = (step for one in PIPELINES.values() for step in _steps(one))
    made = Counter(table.name for step in steps for table in step.outputs if table not in SHARED)
    assert [name for name, times in made.items() if times > 1] == []


def _parts(intake: Intake) -> dict[str, set[str]]:
    """The parts that there are of a source, by the names of what it is made of."""
    match intake.source:
        case Extracts(tables=tables):
            return {extract.name: {"rows"} for extract in tables}
        case DailyFiles(name=name):
            return {name: {"files", "lines"}}
        case Items(name=name):
            return {name: {"items"}}
        case Upstream(name=name):
            return {name: {"counts"}}


def _steps(pipeline: Pipeline) -> tuple[Step, ...]:
    evaluation = (pipeline.evaluator.step,) if pipeline.evaluator else ()
    return (*(intake.step for intake in pipeline.intakes), *pipeline.steps, *evaluation)


def test_every_input_is_a_source_or_an_earlier_output(pipeline: Pipeline) -> None:
    made = {table.name for table in pipeline.upstream_tables}
    for intake in pipeline.intakes:
        own = {table.name for table in intake.step.outputs}
        for one in intake.step.inputs:
            assert one.part in _parts(intake).get(one.of, ()) or (one.of in own and one.part == "known")
    made |= {table.name for intake in pipeline.intakes for table in intake.step.outputs}
    for step in pipeline.steps:
        parts = ("asked", "previous", "window", "whole", *(("changed", "recent") if step.over == "changed" else ()))
        for one in step.inputs:
            assert one == NOTHING or (one.of in made and one.part in parts)
        made |= {table.name for table in step.outputs}
    for check in pipeline.checks:
        assert {one.of for one in check.inputs} <= made


def test_tables_of_another_job_are_what_it_makes(pipeline: Pipeline) -> None:
    for source in (intake.source for intake in pipeline.intakes):
        if isinstance(source, Upstream) and source.pipeline in PIPELINES:
            assert set(source.tables) <= set(PIPELINES[source.pipeline].tables)


def test_steps_that_run_at_once_need_nothing_of_each_other(pipeline: Pipeline) -> None:
    assert tuple(step for turn in pipeline.turns for step in turn) == pipeline.steps
    for turn in pipeline.turns:
        made = {table.name for step in turn for table in step.outputs}
        assert turn
        assert not made & {one.of for step in turn for one in step.inputs}


def test_an_evaluator_takes_one_table_of_snapshots_and_shows_what_it_makes(pipeline: Pipeline) -> None:
    if pipeline.evaluator:
        step = pipeline.evaluator.step
        ((of, part),) = ((one.of, one.part) for one in step.inputs)
        assert [(len(table.replaces), part) for table in pipeline.tables if table.name == of] == [(1, "asked")]
        assert set(pipeline.evaluator.shown) <= set(step.outputs[0].column_names)
        assert not set(step.outputs) & set(pipeline.tables)


def test_a_source_has_no_name_of_a_table() -> None:
    names = {name for one in PIPELINES.values() for intake in one.intakes for name in _parts(intake)}
    assert not names & {table.name for table in tables()}


def test_an_extract_says_what_it_is(pipeline: Pipeline) -> None:
    sources = [intake.source for intake in pipeline.intakes]
    extracts = [extract for source in sources if isinstance(source, Extracts) for extract in source.tables]
    for extract in extracts:
        required = {column.name for column in extract.columns if not column.nullable}
        assert set(extract.key) <= required
        assert {extract.day} <= {*required, None}
        assert {one.extract for one in extract.through} <= {other.name for other in extracts if other.day}


def test_parameters_are_what_the_transform_takes_and_a_run_has(pipeline: Pipeline) -> None:
    available = RUN_PARAMETERS | {setting.name for setting in fields(pipeline.settings)}
    for step in _steps(pipeline):
        signature = inspect.signature(step.transform)
        keywords = {one.name for one in signature.parameters.values() if one.kind is inspect.Parameter.KEYWORD_ONLY}
        assert keywords == set(step.parameters) <= available
        signature.bind(*step.inputs, **dict.fromkeys(step.parameters))


def test_the_audit_and_the_quarantine_are_made_where_a_source_is_read(pipeline: Pipeline) -> None:
    assert all(LOAD_AUDIT in intake.step.outputs for intake in pipeline.intakes)
    assert not any(LOAD_AUDIT in step.outputs for step in pipeline.steps)
    assert len({pipeline.audited_as(intake) for intake in pipeline.intakes}) == len(pipeline.intakes)
    for intake in pipeline.intakes:
        if isinstance(intake.source, Upstream):
            assert intake.quarantine is None
        else:
            assert intake.quarantine and intake.quarantine in intake.step.outputs
            assert {"reason", "line", "line_count"} <= set(intake.quarantine.column_names)


def tables() -> list[Table]:
    return list(
        {
            table.name: table
            for pipeline in PIPELINES.values()
            for table in (*pipeline.tables, *pipeline.evaluated_tables)
        }.values()
    )


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)
def test_a_table_says_what_it_is(table: Table) -> None:
    assert table.doc.startswith("One row per ")
    assert all(column.doc for column in table.columns)
    assert not [column.name for column in table.columns if column.nullable and column.name in table.grain]
