"""JDBC drivers in Spark's JVM: how rows are handed to them, and what is to be said where one fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyspark.sql.functions as F
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from etl_spark.core.errors import EngineError, EtlError
from etl_spark.core.table import Table, date_pattern


def connect_in_java(spark: SparkSession, options: Mapping[str, str]) -> Any:
    """A connection of the JVM: url, driver, and the driver's own options. Raises Py4JJavaError."""
    jvm: Any = spark._jvm
    given = dict(options)
    # By Spark's class loader, which knows the jars of --packages; java.sql.DriverManager does not look there.
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    driver, url = loader.loadClass(given.pop("driver")).newInstance(), given.pop("url")
    properties = jvm.java.util.Properties()
    for name, value in given.items():
        properties.setProperty(name, value)
    return driver.connect(url, properties)


def dates_as_text(df: DataFrame, table: Table) -> DataFrame:
    """`df` with each DATE and TIMESTAMP as text, in UTC.

    Drivers would take them through the zone of the machine, and early ones through another calendar. A server in strict
    mode refuses a text that is no date.
    """
    texts = {
        # A date's text is the pattern's, in a fraction of its time.
        column.name: F.col(column.name).cast("string")
        if column.type == "DATE"
        else F.date_format(column.name, date_pattern(column))
        for column in table.columns
        if column.type in ("DATE", "TIMESTAMP")
    }
    return df.withColumns(texts)


def failure(error: Py4JJavaError | PySparkException, what: str, package: str, password: str) -> EtlError:
    """`what` failed, and why, in a line without the password. `package` has the driver."""
    text = str(error.java_exception.toString() if isinstance(error, Py4JJavaError) else error)
    if "ClassNotFoundException" in text:
        return EngineError(f"the driver is not on Spark's class path: add --packages {package}")
    reasons = [line.strip() for line in text.splitlines() if "SQL" in line or "BatchUpdate" in line]
    reason = (reasons or text.strip().splitlines())[0]
    return EtlError(f"{what}: {reason.replace(password, '***') if password else reason}")
