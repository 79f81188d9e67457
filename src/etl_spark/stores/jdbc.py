"""JDBC drivers in Spark's JVM: how rows are handed to them, and what is to be said where one fails."""

from __future__ import annotations

import pyspark.sql.functions as F
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from etl_spark.core.errors import EngineError, EtlError
from etl_spark.core.table import Table, date_pattern


def dates_as_text(df: DataFrame, table: Table) -> DataFrame:
    """`df` with each DATE and TIMESTAMP as text, in UTC.

    Drivers would take them through the zone of the machine, and early ones through another calendar. A server in strict
    mode refuses a text that is no date.
    """
    patterns = {column.name: date_pattern(column) for column in table.columns if column.type in ("DATE", "TIMESTAMP")}
    return df.withColumns({name: F.date_format(name, pattern) for name, pattern in patterns.items()})


def failure(error: Py4JJavaError | PySparkException, what: str, package: str, password: str) -> EtlError:
    """`what` failed, and why, in a line without the password. `package` has the driver."""
    text = str(error.java_exception.toString() if isinstance(error, Py4JJavaError) else error)
    if "ClassNotFoundException" in text:
        return EngineError(f"the driver is not on Spark's class path: add --packages {package}")
    reasons = [line.strip() for line in text.splitlines() if "SQL" in line or "BatchUpdate" in line]
    reason = (reasons or text.strip().splitlines())[0]
    return EtlError(f"{what}: {reason.replace(password, '***') if password else reason}")
