"""The tables that the pages read, each with the job that makes it, and the command of each job."""

from __future__ import annotations

from collections.abc import Mapping

_TABLES: Mapping[str, tuple[str, ...]] = {
    "viewing": ("viewing_daily", "viewing_profile", "viewing_statistics", "viewing_summary", "viewing_trend"),
    "sales": (
        "clv",
        "clv_model",
        "co_purchase",
        "cohort",
        "dim_customer",
        "dim_product",
        "fact_sales",
        "rfm",
        "sales_by_category",
        "sales_by_country",
        "sales_by_day",
        "sales_by_product",
        "sales_summary",
    ),
    "rental": ("bridge_film_category", "dim_film", "fact_rental", "film_utilisation", "open_rental", "rental_revenue"),
    "churn": ("churn_dataset", "churn_feature"),
    "churn evaluate": ("churn_calibration", "churn_evaluation"),
    "forecast": ("demand_forecast", "demand_history", "forecast_backtest", "replenishment"),
}

REPORTED = tuple(job for job in _TABLES if " " not in job)
"""The jobs that there are reports of."""

ANY_JOB = "any job"
"""What makes load_audit."""

MADE_BY: Mapping[str, str] = {table: job for job, tables in _TABLES.items() for table in tables} | {
    "load_audit": ANY_JOB
}
"""The job that makes a table, by the table's name. No other name goes into a statement as that of a table."""

COMMANDS: Mapping[str, str] = {
    "viewing": "./scripts/submit.sh viewing --start-date 2022-04-01 --end-date 2022-04-30",
    "sales": "./scripts/submit.sh sales --start-date 2024-01-01 --end-date 2024-03-31",
    "rental": "./scripts/submit.sh rental --start-date 2022-01-01 --end-date 2022-12-31",
    "churn": "./scripts/submit.sh churn --start-date 2024-04-01 --end-date 2024-06-30",
    "churn evaluate": "./scripts/submit.sh churn evaluate",
    "forecast": "./scripts/submit.sh forecast --start-date 2023-01-01 --end-date 2024-06-30 --horizon 28",
    ANY_JOB: "./scripts/submit.sh viewing --start-date 2022-04-01 --end-date 2022-04-30",
}
"""What to type for the tables of a job, over its sample."""
