"""What hypothesis draws for whole runs, and how often: each example is a run of minutes, not of milliseconds."""

from __future__ import annotations

import os
from datetime import timedelta

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from etl_spark.core.dates import DateRange

few_examples = settings(
    max_examples=int(os.environ.get("ETL_SPARK_SCHEDULES", "1")),
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
"""One example; as many as ETL_SPARK_SCHEDULES says."""


def ranges(within: DateRange) -> st.SearchStrategy[DateRange]:
    """Any range of days of `within`."""
    day = st.integers(0, (within.end - within.start).days)
    return st.tuples(day, day).map(
        lambda ends: DateRange(within.start + timedelta(min(ends)), within.start + timedelta(max(ends)))
    )
