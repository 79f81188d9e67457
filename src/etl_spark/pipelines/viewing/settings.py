"""What can be configured of the viewing job (conf/viewing.toml), checked as it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from etl_spark.core.errors import UsageError
from etl_spark.core.settings import DailySettings
from etl_spark.pipelines.viewing.tables import CATEGORIES


@dataclass(frozen=True)
class LogRules:
    """What makes a log line acceptable. `categories` lists the AppName values of each category."""

    contract_pattern: str
    mac_pattern: str
    max_seconds: int
    max_line_bytes: int
    reject_repeated_ids: bool
    categories: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for pattern in (self.contract_pattern, self.mac_pattern):
            try:
                re.compile(pattern)
            except re.error as error:
                raise UsageError(f"'{pattern}' is not a regular expression: {error}") from None
        if self.max_seconds < 1 or self.max_line_bytes < 1:
            raise UsageError("max_seconds and max_line_bytes must be at least 1")
        if set(self.categories) != set(CATEGORIES):
            raise UsageError(f"the categories are {', '.join(CATEGORIES)}, not {', '.join(self.categories)}")
        apps = [app for names in self.categories.values() for app in names]
        twice = sorted({app for app in apps if apps.count(app) > 1})
        if twice:
            raise UsageError(f"in more than one category: {', '.join(twice)}")


@dataclass(frozen=True)
class Segment:
    """A share of activity and its name. `below_days` is the first count of days out of 30 that is too many for it."""

    name: str
    below_days: int | None = None


@dataclass(frozen=True, kw_only=True)
class ViewingSettings(DailySettings):
    """`segments` in rising order; the last takes all that are left, so it alone has no bound."""

    rules: LogRules
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        bounds = [segment.below_days for segment in self.segments[:-1]]
        known = [bound for bound in bounds if bound is not None]
        if not self.segments or self.segments[-1].below_days is not None or len(known) < len(bounds):
            raise UsageError("every segment but the last needs below_days, and the last must have none")
        if known != sorted(set(known)):
            raise UsageError("the segments must stand in rising order of below_days")
        if len({segment.name for segment in self.segments}) < len(self.segments):
            raise UsageError("two segments have one name")
