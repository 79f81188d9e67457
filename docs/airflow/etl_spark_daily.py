"""The jobs, one after the other, over each day: an example for Airflow 2.10 and 3. docs/airflow.md tells about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.timetables.interval import CronDataIntervalTimetable

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.bash import BashOperator

JOBS = ("viewing", "sales", "rental")

# The range is the run's data interval, whose end is the first moment that is no longer in it.
COMMAND = """
cd {{ var.value.etl_spark_folder }} && ./scripts/submit.sh --target emr-serverless
    --application-id {{ var.value.etl_spark_application_id }}
    --execution-role {{ var.value.etl_spark_job_role_arn }}
    --wait JOB
    --start-date {{ data_interval_start | ds }}
    --end-date {{ (data_interval_end - macros.timedelta(days=1)) | ds }}
    --source {{ var.value.etl_spark_source }}/JOB
    --output {{ var.value.etl_spark_output }}
"""

with DAG(
    dag_id="etl_spark_daily",
    # By its name: of a plain cron text Airflow 3 makes a timetable whose intervals are empty, and ds would be today.
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    start_date=datetime(2022, 4, 1, tzinfo=UTC),
    catchup=False,
    # Delta on S3 is safe from one writer at a time.
    max_active_runs=1,
    default_args={
        # A run that is repeated leaves what one run leaves. So a retry needs no cleaning up.
        "retries": 2,
        "retry_delay": timedelta(minutes=10),
        # Longer than EMR's own limit and the wait for other runs.
        "execution_timeout": timedelta(hours=20),
    },
    tags=["etl_spark"],
) as dag:
    before = None
    for job in JOBS:
        task = BashOperator(task_id=job, bash_command=" ".join(COMMAND.replace("JOB", job).split()))
        if before is not None:
            before >> task
        before = task
