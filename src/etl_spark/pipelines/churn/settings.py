"""What can be configured of the churn job (conf/churn.toml), checked as it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import UsageError
from etl_spark.core.settings import DailySettings, ItemSettings
from etl_spark.pipelines.churn.features import HISTORY_DAYS
from etl_spark.pipelines.churn.tables import KINDS


@dataclass(frozen=True)
class WebRules:
    """What makes a line of the website's logs acceptable. `kinds` lists what the logs call each kind of event.

    An event may arrive up to `late_days` after the log of its own day.
    """

    max_line_bytes: int
    late_days: int
    kinds: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        if self.max_line_bytes < 1 or self.late_days < 0:
            raise UsageError("max_line_bytes must be at least 1, and late_days at least 0")
        if set(self.kinds) != set(KINDS):
            raise UsageError(f"the kinds are {', '.join(KINDS)}, not {', '.join(self.kinds)}")
        names = [name for one in self.kinds.values() for name in one]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"of more than one kind: {', '.join(twice)}")


@dataclass(frozen=True)
class SplitShares:
    """The shares of the snapshots, the last ones, that a model is tested on, and before them that it is chosen by."""

    validation: float
    test: float

    def __post_init__(self) -> None:
        if min(self.validation, self.test) <= 0 or self.validation + self.test >= 1:
            raise UsageError("split: validation and test are shares above 0 that leave something to train on")


@dataclass(frozen=True)
class ModelTrial:
    """What models are fitted to and tried on: at most `max_rows` of each split, and no fewer than `min_rows`.

    `seed` draws the customers, where there are more, and `max_trees` bounds what is boosted.
    """

    min_rows: int
    max_rows: int
    max_trees: int
    seed: int

    def __post_init__(self) -> None:
        if self.min_rows < 2 or self.max_rows < self.min_rows:
            raise UsageError("evaluation: min_rows must be at least 2, and max_rows no less than that")
        if self.max_trees < 1:
            raise UsageError(f"evaluation.max_trees must be at least 1, not {self.max_trees}")


@dataclass(frozen=True, kw_only=True)
class ChurnSettings(DailySettings, ItemSettings):
    """`label_days` without a purchase after a snapshot are what is foretold."""

    rules: WebRules
    snapshot_every: Literal["day", "week", "month"]
    label_days: int
    split: SplitShares
    evaluation: ModelTrial

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.label_days <= 365:
            raise UsageError(f"label_days is 1 to 365, not {self.label_days}")


def snapshots(asked: DateRange, every: str) -> tuple[date, ...]:
    """The snapshot dates of a range: each day, each Monday, or each first of a month, whatever the range.

    Raises UsageError where there is none.
    """
    place: Callable[[date], int] = {"day": lambda day: 0, "week": date.weekday, "month": lambda day: day.day - 1}[every]
    found = tuple(day for day in asked.days if place(day) == 0)
    if not found:
        raise UsageError(f"there is no snapshot in {asked}: snapshot_every is a {every}, its first day")
    return found


def feature_days(asked: DateRange, settings: ChurnSettings) -> DateRange:
    """The days that features of the snapshots look at: up to the day before the last."""
    found = snapshots(asked, settings.snapshot_every)
    return DateRange(found[0] - timedelta(HISTORY_DAYS), found[-1] - timedelta(1))


def label_days(asked: DateRange, settings: ChurnSettings) -> DateRange:
    """The days that features or labels of the snapshots look at."""
    days = feature_days(asked, settings)
    return DateRange(days.start, days.end + timedelta(settings.label_days))
