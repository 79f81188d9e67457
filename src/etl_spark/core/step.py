"""How a pipeline is written down: sources, steps and checks, by name, in the order they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from etl_spark.core.audit import Measure
from etl_spark.core.extract import Extract
from etl_spark.core.mart import Mart
from etl_spark.core.table import Table

Part = Literal["files", "lines", "rows", "asked", "previous", "whole", "nothing"]


@dataclass(frozen=True)
class DailyFiles:
    """A source that has one file, or one folder of files, of text lines a day."""

    name: str
    doc: str
    measure: Measure
    judged_by: ClassVar = "date"
    """Of each of which only a share of the rows may be rejected."""


@dataclass(frozen=True)
class Extracts:
    """A source that has tables, as extracts of them or in a database."""

    name: str
    doc: str
    tables: tuple[Extract, ...]
    measure: Measure = "money"
    judged_by: ClassVar = "source_table"


@dataclass(frozen=True)
class Input:
    """One DataFrame that a transform is given: a part of a source or of a table.

    Of daily files: `files`, one row a file to read, and `lines`, one row a line of them. Of an extract: its `rows`. Of
    a table: the rows of the `asked` range, or of the `previous` range of equal length, as far as the source has those
    days now; or the `whole` table. `nothing` is one row without a column.
    """

    of: str
    part: Part


def files(source: DailyFiles) -> Input:
    return Input(source.name, "files")


def lines(source: DailyFiles) -> Input:
    return Input(source.name, "lines")


def rows(extract: Extract) -> Input:
    return Input(extract.name, "rows")


def whole(table: Table) -> Input:
    return Input(table.name, "whole")


NOTHING = Input("", "nothing")
"""For a table that is made of nothing: one row without a column."""


def asked(table: Table) -> Input:
    return Input(table.name, "asked")


def previous(table: Table) -> Input:
    return Input(table.name, "previous")


@dataclass(frozen=True)
class Step:
    """A transform, what it is given, and the tables it makes, in the order it returns them.

    `parameters` are names of plain values: of the run (`asked`, `days_found`, ...) or of the pipeline's settings; the
    transform takes each as a keyword argument of that name.
    """

    transform: Callable[..., Any]
    inputs: tuple[Input, ...]
    outputs: tuple[Table, ...]
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """A query over finished tables whose rows are the failures: none means that it holds. `name` says what holds."""

    name: str
    query: Callable[..., Any]
    inputs: tuple[Input, ...]


@dataclass(frozen=True)
class Size:
    """A whole-number option of a generator, and what it counts."""

    name: str
    default: int
    doc: str


@dataclass(frozen=True)
class Generator:
    """Makes input like the real one: `generate(asked, output, seed=..., **sizes)` of `module`; returns its files.

    A module's name, not the function: what a generator needs (numpy) is not needed where jobs run.
    """

    module: str
    sizes: tuple[Size, ...]


@dataclass(frozen=True)
class Stream:
    """What arrives without end, in objects of records: `events` has those accepted, `quarantine` the others.

    `settings` is the dataclass that its configuration must fit.
    """

    name: str
    doc: str
    settings: type
    events: Table
    quarantine: Table


@dataclass(frozen=True)
class Pipeline:
    """A subject's data flow, whose first step reads the source.

    `settings` is the dataclass that its configuration must fit; `quarantine` the table of the rows it turned away.
    """

    name: str
    doc: str
    settings: type
    source: DailyFiles | Extracts
    quarantine: Table
    steps: tuple[Step, ...]
    checks: tuple[Check, ...] = ()
    generator: Generator | None = None
    mart: Mart | None = None

    @property
    def judged_column(self) -> str:
        """The quarantine's column that says what a rejected row is judged with."""
        return self.quarantine.replaces[0] if self.source.judged_by == "date" else self.source.judged_by

    @property
    def turns(self) -> tuple[tuple[Step, ...], ...]:
        """The steps after the first, in their order, those together that need nothing of each other."""
        turns: list[list[Step]] = []
        made: set[str] = set()
        for step in self.steps[1:]:
            if not turns or made & {one.of for one in step.inputs}:
                turns.append([])
                made = set()
            turns[-1].append(step)
            made |= {table.name for table in step.outputs}
        return tuple(map(tuple, turns))

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(table for step in self.steps for table in step.outputs)
