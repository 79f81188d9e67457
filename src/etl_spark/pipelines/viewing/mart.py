"""daily_statistics, one row per day and category, kept by MySQL itself; and views with the source document's names.

The mart of the source document (its step 5): a table, a procedure that works it out of the loaded statistics, and an
event that calls the procedure every day.
"""

from __future__ import annotations

from etl_spark.core.mart import Mart, Procedure
from etl_spark.core.table import Column, Table
from etl_spark.pipelines.viewing.tables import VIEWING_PROFILE, VIEWING_STATISTICS, VIEWING_SUMMARY


def _change(what: str, unit: str, since: str, words: str) -> Column:
    doc = f"{unit} more than {words}, less where negative; null where that day has none"
    return Column(f"{what}_since_{since}", "BIGINT", doc, nullable=True)


DAILY_STATISTICS = Table(
    name="daily_statistics",
    doc="One row per day and category, and one for All, of every day that viewing_statistics has.",
    columns=(
        *VIEWING_STATISTICS.columns,
        Column("average_seconds", "DECIMAL(18,2)", "total_seconds / viewer_count"),
        _change("viewers", "viewers", "day_before", "the day before"),
        _change("seconds", "seconds", "day_before", "the day before"),
        _change("viewers", "viewers", "week_before", "on the same weekday a week before"),
        _change("seconds", "seconds", "week_before", "on the same weekday a week before"),
    ),
    grain=("log_date", "category"),
    replaces=("log_date",),
)

# The day after and the days of the week after are compared with the days that are worked out.
_REFRESH = """\
BEGIN
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  DELETE FROM daily_statistics
    WHERE (first_day IS NULL OR log_date >= first_day) AND (last_day IS NULL OR log_date <= last_day + INTERVAL 7 DAY);
  INSERT INTO daily_statistics
      (log_date, category, viewer_count, total_seconds, average_seconds, viewers_since_day_before,
      seconds_since_day_before, viewers_since_week_before, seconds_since_week_before)
    SELECT s.log_date, s.category, s.viewer_count, s.total_seconds, ROUND(s.total_seconds / s.viewer_count, 2),
      s.viewer_count - d.viewer_count, s.total_seconds - d.total_seconds,
      s.viewer_count - w.viewer_count, s.total_seconds - w.total_seconds
    FROM viewing_statistics s
    LEFT JOIN viewing_statistics d ON d.log_date = s.log_date - INTERVAL 1 DAY AND d.category = s.category
    LEFT JOIN viewing_statistics w ON w.log_date = s.log_date - INTERVAL 7 DAY AND w.category = s.category
    WHERE (first_day IS NULL OR s.log_date >= first_day)
      AND (last_day IS NULL OR s.log_date <= last_day + INTERVAL 7 DAY);
  COMMIT;
END"""

VIEWING_MART = Mart(
    sources=(VIEWING_STATISTICS, VIEWING_PROFILE, VIEWING_SUMMARY),
    tables=(DAILY_STATISTICS,),
    views={
        "viewing_behaviour": (
            "SELECT start_date AS StartDate, end_date AS EndDate, contract AS Contract, tv_seconds AS TVDuration, "
            "movie_seconds AS MovieDuration, child_seconds AS ChildDuration, relax_seconds AS RelaxDuration, "
            "sport_seconds AS SportDuration, total_seconds AS TotalDuration, most_watch AS MostWatch, taste AS Taste, "
            "active_days AS DateCount, activeness AS Activeness, segment AS Category FROM viewing_profile"
        ),
        "viewing_averages": (
            "SELECT start_date AS StartDate, end_date AS EndDate, segment AS Category, contract_count AS TotalUsers, "
            "total_seconds AS TotalDuration, avg_seconds_per_person_month AS AvgDurationPerPersonPerMonth, "
            "avg_seconds_per_person_week AS AvgDurationPerPersonPerWeek, "
            "avg_seconds_per_person_day AS AvgDurationPerPersonPerDay FROM viewing_summary"
        ),
    },
    procedure=Procedure(
        name="refresh_daily_statistics",
        parameters="IN first_day DATE, IN last_day DATE",
        body=_REFRESH,
        call="CALL refresh_daily_statistics(NULL, NULL)",
        doc="Works daily_statistics out anew for the days from first_day to last_day, and for those compared with "
        "them; NULL is the first day, or the last, that there is.",
    ),
)
