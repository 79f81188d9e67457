"""What can be configured of the forecast job (conf/forecast.toml), checked as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from etl_spark.core.errors import UsageError
from etl_spark.core.settings import SourceSettings
from etl_spark.pipelines.forecast import models

SeriesOf = Literal["product", "category", "country", "total", "film_category"]
Every = Literal["day", "week"]

SEASONS: Mapping[Every, int] = {"day": 7, "week": 52}
"""Periods after which demand repeats itself."""
DAYS: Mapping[Every, int] = {"day": 1, "week": 7}


@dataclass(frozen=True)
class Stocking:
    """For how many days an order has to last until the next one comes, and how often there shall be enough."""

    lead_days: int
    service_level: float

    def __post_init__(self) -> None:
        if self.lead_days < 1:
            raise UsageError("stocking.lead_days must be at least 1")
        if not 0.5 <= self.service_level < 1:
            raise UsageError(f"stocking.service_level is 0.5 to less than 1, not {self.service_level}")


@dataclass(frozen=True, kw_only=True)
class ForecastSettings(SourceSettings):
    """`series` is what has a forecast of its own, `every` how long a period is, `horizon` how many are forecast.

    `origins` are the ends of the back-test. A series without demand for `dead_days` is dead, and one whose first demand
    is less than `new_days` ago is new.
    """

    series: SeriesOf
    every: Every
    horizon: int
    origins: int
    dead_days: int
    new_days: int
    stocking: Stocking

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.horizon <= 366:
            raise UsageError(f"horizon is 1 to 366 periods, not {self.horizon}")
        if self.origins < 4:
            raise UsageError(f"origins must be at least 4, not {self.origins}")
        if min(self.dead_days, self.new_days) < DAYS[self.every]:
            raise UsageError("dead_days and new_days must be at least a period")

    @property
    def is_of_rentals(self) -> bool:
        return self.series == "film_category"

    def _deciding(self) -> tuple[Any, ...]:
        return (self.series, self.every)


def model_settings(every: Every, horizon: int, dead_days: int, new_days: int) -> models.Settings:
    """In periods."""
    length = DAYS[every]
    return models.Settings(horizon, SEASONS[every], dead_days // length, new_days // length)
