"""The data flow of the viewing job, from top to bottom."""

from __future__ import annotations

from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.step import (
    Check,
    DailyFiles,
    Generator,
    Intake,
    Pipeline,
    Size,
    Step,
    asked,
    files,
    lines,
    previous,
)
from etl_spark.pipelines.viewing.checks import balance
from etl_spark.pipelines.viewing.logs import read_days
from etl_spark.pipelines.viewing.mart import VIEWING_MART
from etl_spark.pipelines.viewing.profile import build_profile
from etl_spark.pipelines.viewing.settings import ViewingSettings
from etl_spark.pipelines.viewing.summary import build_statistics, build_summary
from etl_spark.pipelines.viewing.tables import (
    VIEWING_DAILY,
    VIEWING_PROFILE,
    VIEWING_REJECTED,
    VIEWING_STATISTICS,
    VIEWING_SUMMARY,
    VIEWING_TREND,
)
from etl_spark.pipelines.viewing.trend import build_trend

VIEWING_LOGS = DailyFiles(
    "viewing_logs", "daily JSON lines of what was watched, by contract", measure="seconds", looks_back=True
)

VIEWING = Pipeline(
    name="viewing",
    doc="viewing profiles from the daily logs of a TV platform: durations, most watched, taste, activeness, trend",
    settings=ViewingSettings,
    intakes=(
        Intake(
            VIEWING_LOGS,
            Step(
                read_days,
                inputs=(files(VIEWING_LOGS), lines(VIEWING_LOGS)),
                outputs=(VIEWING_DAILY, VIEWING_REJECTED, LOAD_AUDIT),
                parameters=("rules",),
            ),
            quarantine=VIEWING_REJECTED,
        ),
    ),
    steps=(
        Step(
            build_statistics,
            inputs=(asked(VIEWING_DAILY),),
            outputs=(VIEWING_STATISTICS,),
        ),
        Step(
            build_profile,
            inputs=(asked(VIEWING_DAILY),),
            outputs=(VIEWING_PROFILE,),
            parameters=("asked", "segments"),
        ),
        Step(
            build_trend,
            inputs=(asked(VIEWING_PROFILE), previous(VIEWING_DAILY)),
            outputs=(VIEWING_TREND,),
            parameters=("asked", "previous_days_found"),
        ),
        Step(
            build_summary,
            inputs=(asked(VIEWING_PROFILE),),
            outputs=(VIEWING_SUMMARY,),
            parameters=("asked", "days_found"),
        ),
    ),
    checks=(
        Check(
            "the audit and the tables have the same rows and seconds",
            balance,
            inputs=(
                asked(LOAD_AUDIT),
                asked(VIEWING_DAILY),
                asked(VIEWING_REJECTED),
                asked(VIEWING_STATISTICS),
                asked(VIEWING_SUMMARY),
            ),
        ),
    ),
    generator=Generator(
        "etl_spark.pipelines.viewing.generate",
        sizes=(
            Size("contracts", 2_000, "customers there are"),
            Size("rows_per_day", 1_000, "rows in each day's file"),
        ),
    ),
    mart=VIEWING_MART,
)
