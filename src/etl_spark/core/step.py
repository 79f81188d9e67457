"""How a pipeline is written down: sources, steps and checks, by name, in the order they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from etl_spark.core.audit import Measure
from etl_spark.core.dates import DateRange
from etl_spark.core.extract import Extract
from etl_spark.core.mart import Mart
from etl_spark.core.table import Table

Part = Literal[
    "files",
    "lines",
    "rows",
    "items",
    "counts",
    "asked",
    "previous",
    "window",
    "changed",
    "recent",
    "known",
    "whole",
    "nothing",
]


@dataclass(frozen=True)
class DailyFiles:
    """A source that has one file, or one folder of files, of text lines a day.

    Where `looks_back`, the range of equal length before the asked one is read too, as far as it is there.
    """

    name: str
    doc: str
    measure: Measure
    looks_back: bool = False
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
class Items:
    """A source that has the items of one key-value table: DynamoDB's exports of it, or the live table.

    Of a live table, only `attributes` are ever asked for.
    """

    name: str
    doc: str
    attributes: tuple[str, ...]
    measure: Measure = "money"
    judged_by: ClassVar = "date"


@dataclass(frozen=True)
class Upstream:
    """Tables that another job, or the stream, makes in the same lake, day by day as its rows of load_audit tell.

    `pipeline` is whose rows these are, and `counted` the source_table whose accepted rows are what is taken over.
    `extracted` is one of `tables` that tells by its partitions when its rows were extracted, if it does. Where they are
    made `by_runs`, over ranges of days, a day that is needed must be of one that has completed.
    """

    name: str
    doc: str
    pipeline: str
    counted: str
    tables: tuple[Table, ...]
    extracted: Table | None = None
    by_runs: bool = False
    measure: Measure = "money"
    judged_by: ClassVar = "date"


@dataclass(frozen=True)
class Input:
    """One DataFrame that a transform is given: a part of a source or of a table.

    Of daily files: `files`, one row a file to read, and `lines`, one row a line of them. Of an extract: its `rows`. Of
    a key-value table: its `items`. Of tables of another job: the `counts` of what is taken over.

    Of a table: the rows of the `asked` range, or of the `previous` range of equal length, as far as the source has
    those days now; of the `window`, all days that the run looks at; of the days that are `changed`, see Step.over, or
    of these and the `recent` ones before that still matter; of the days around those to read that are `known`; or the
    `whole` table. `nothing` is one row without a column.
    """

    of: str
    part: Part


def files(source: DailyFiles) -> Input:
    return Input(source.name, "files")


def lines(source: DailyFiles) -> Input:
    return Input(source.name, "lines")


def rows(extract: Extract) -> Input:
    return Input(extract.name, "rows")


def items(source: Items) -> Input:
    return Input(source.name, "items")


def whole(table: Table) -> Input:
    return Input(table.name, "whole")


NOTHING = Input("", "nothing")
"""For a table that is made of nothing: one row without a column."""


def asked(table: Table) -> Input:
    return Input(table.name, "asked")


def previous(table: Table) -> Input:
    return Input(table.name, "previous")


def counts(upstream: Upstream) -> Input:
    return Input(upstream.name, "counts")


def part(name: Part, table: Table) -> Input:
    return Input(table.name, name)


@dataclass(frozen=True)
class Step:
    """A transform, what it is given, and the tables it makes, in the order it returns them.

    `parameters` are names of plain values: of the run (`asked`, `days_found`, ...) or of the pipeline's settings; the
    transform takes each as a keyword argument of that name.

    It makes the asked days, or the range, of its tables; or where `over` says so, the days on which anything changed
    of the sources that it reads.
    """

    transform: Callable[..., Any]
    inputs: tuple[Input, ...]
    outputs: tuple[Table, ...]
    parameters: tuple[str, ...] = ()
    over: Literal["asked", "changed"] = "asked"


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
class Option:
    """A setting of a pipeline, a whole number, that the command line may give too; and what it counts."""

    name: str
    doc: str


@dataclass(frozen=True)
class Generator:
    """Makes input like the real one: `generate(asked, output, seed=..., **sizes)` of `module`; returns its files.

    A module's name, not the function: what a generator needs (numpy) is not needed where jobs run.
    """

    module: str
    sizes: tuple[Size, ...]


@dataclass(frozen=True)
class Evaluator:
    """What `etl-spark JOB evaluate` does with a table of the job, apart from its runs: `step` makes tables of its rows.

    `shown` are columns of the first of these, for a person to read.
    """

    doc: str
    step: Step
    shown: tuple[str, ...]


def _asked(asked: DateRange, settings: Any) -> DateRange:
    return asked


def _none(settings: Any) -> int:
    return 0


def _always(settings: Any) -> bool:
    return True


@dataclass(frozen=True)
class Intake:
    """What a pipeline takes in of one source: by which step, and which table has the rows that were turned away.

    `days` of the source are looked at, all of `needed` must be there. A day of it matters to what becomes known on
    the `reach` days after it. All three depend on the run's range and the pipeline's settings; and so does whether the
    source is `used` at all.
    """

    source: DailyFiles | Extracts | Items | Upstream
    step: Step
    quarantine: Table | None = None
    days: Callable[[DateRange, Any], DateRange] = _asked
    needed: Callable[[DateRange, Any], DateRange] = _asked
    reach: Callable[[Any], int] = _none
    used: Callable[[Any], bool] = _always

    @property
    def judged_column(self) -> str:
        """The quarantine's column that says what a rejected row is judged with."""
        assert self.quarantine
        return self.quarantine.replaces[0] if self.source.judged_by == "date" else self.source.judged_by

    @property
    def table_names(self) -> frozenset[str]:
        """The tables that a change of the source is seen in."""
        own = self.source.tables if isinstance(self.source, Upstream) else ()
        return frozenset(table.name for table in (*own, *self.step.outputs))


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
    """A subject's data flow: what it takes in, and the steps after that.

    `settings` is the dataclass that its configuration must fit. `requires` are the Python packages that this pipeline
    alone needs: the extra of its name installs them, and they go to a cluster with its job.
    """

    name: str
    doc: str
    settings: type
    intakes: tuple[Intake, ...]
    steps: tuple[Step, ...]
    checks: tuple[Check, ...] = ()
    generator: Generator | None = None
    mart: Mart | None = None
    evaluator: Evaluator | None = None
    options: tuple[Option, ...] = ()
    requires: tuple[str, ...] = ()

    @property
    def reads(self) -> bool:
        """Whether it has a source outside of the lake."""
        return not all(isinstance(intake.source, Upstream) for intake in self.intakes)

    def audited_as(self, intake: Intake) -> str:
        """The pipeline that load_audit names for what is taken in of a source: each of several has rows of its own."""
        return self.name if len(self.intakes) == 1 else f"{self.name}.{intake.source.name}"

    @property
    def measure(self) -> Measure:
        return self.intakes[0].source.measure

    @property
    def turns(self) -> tuple[tuple[Step, ...], ...]:
        """The steps, in their order, those together that need nothing of each other."""
        turns: list[list[Step]] = []
        made: set[str] = set()
        for step in self.steps:
            if not turns or made & {one.of for one in step.inputs}:
                turns.append([])
                made = set()
            turns[-1].append(step)
            made |= {table.name for table in step.outputs}
        return tuple(map(tuple, turns))

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables that it makes, each once."""
        steps = (*(intake.step for intake in self.intakes), *self.steps)
        return tuple(dict.fromkeys(table for step in steps for table in step.outputs))

    @property
    def evaluated_tables(self) -> tuple[Table, ...]:
        """The tables that its evaluator makes: defined and published with the others, and left alone by a run."""
        return self.evaluator.step.outputs if self.evaluator else ()

    @property
    def upstream_tables(self) -> tuple[Table, ...]:
        """The tables of other jobs that it reads."""
        sources = (intake.source for intake in self.intakes)
        return tuple(table for source in sources if isinstance(source, Upstream) for table in source.tables)
