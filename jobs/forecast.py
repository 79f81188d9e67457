from etl_spark.cli import run_job

run_job("forecast")
