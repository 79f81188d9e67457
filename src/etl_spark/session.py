"""The only place that builds a SparkSession."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pyspark
from py4j.java_gateway import JavaPackage
from py4j.protocol import Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from etl_spark.config import conf_file
from etl_spark.core.errors import EngineError

ALWAYS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # Equal results on Spark 3.5 and 4.0, on every machine.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # A JSON value of the wrong type fails its line, which is then judged, instead of passing as null.
    "spark.sql.json.enablePartialResults": "false",
    # A row with too few values, or too many, is told by all of its columns.
    "spark.sql.csv.parser.columnPruning.enabled": "false",
    # Spark 3.5 would fail where an older Spark read a date otherwise.
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    # What cannot be read must fail, not vanish.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
}
"""What results depend on: it holds on every machine and is no one's to configure."""

_SCALA = {"3": "2.12", "4": "2.13"}


def start(
    name: str, options: Mapping[str, str], *, run_id: str, log: Path, packages: Sequence[str] = ()
) -> SparkSession:
    """The session of a run. `options` are Spark's, by name; the JVM started for it writes to the file `log`.

    `packages` are Maven coordinates of jars that it needs besides Delta's. Under spark-submit the JVM already runs,
    with the jars, master and memory it was given; options and packages are then the command line's. Raises EngineError
    where Spark or Delta cannot be had.
    """
    conf = SparkConf().setAppName(f"{name} {run_id}").setAll(list(ALWAYS.items()))
    is_submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    try:
        if not is_submitted and SparkContext._active_spark_context is None:
            conf.setAll([(key, value) for key, value in options.items() if key not in ALWAYS])
            _launch(conf, run_id, log, packages)
        _require_delta()
        session = SparkSession.builder.config(conf=conf).getOrCreate()
    except Py4JJavaError as error:
        raise EngineError(_why_not(log)) from error
    except PySparkException as error:
        raise EngineError(f"Spark did not start: {str(error).splitlines()[0]}") from error
    if is_submitted:
        # On one machine the JVM's log is the user's terminal, and all that matters there is said by this program.
        session.sparkContext.setLogLevel("OFF" if str(session.sparkContext.master).startswith("local") else "WARN")
    return session


def _require_delta() -> None:
    """Asked before there is a session: Spark would start without its extension, and only warn, with a stack trace."""
    SparkContext._ensure_initialized()
    if isinstance(SparkContext._jvm.io.delta.tables.DeltaTable, JavaPackage):  # type: ignore[union-attr]
        package = f"io.delta:delta-spark_{_SCALA.get(pyspark.__version__[0], '2.13')}:VERSION"
        raise EngineError(f"Delta is not on Spark's class path: add --packages {package} to spark-submit")


def delta_package() -> str:
    """The Maven coordinates of Delta's jar for the installed pyspark and delta-spark."""
    try:
        return f"io.delta:delta-spark_{_SCALA[pyspark.__version__[0]]}:{version('delta-spark')}"
    except (PackageNotFoundError, KeyError):
        raise EngineError(
            f"there is no delta-spark for pyspark {pyspark.__version__}: pip install 'etl_spark[spark]'"
        ) from None


def s3_packages() -> list[str]:
    """The Maven coordinates of Hadoop's client of S3, for the Hadoop of an installed pyspark; a cluster has its own."""
    jars = Path(pyspark.__file__).with_name("jars").glob("hadoop-client-api-*.jar")
    return [f"org.apache.hadoop:hadoop-aws:{jar.stem.removeprefix('hadoop-client-api-')}" for jar in jars]


def _launch(conf: SparkConf, run_id: str, log: Path, packages: Sequence[str]) -> None:
    """Starts the JVM, with Delta's jar, and makes it this process's SparkContext."""
    # Python workers would otherwise be whatever python3 is first on PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["ETL_SPARK_RUN_ID"] = run_id
    conf.set("spark.jars.packages", _joined(",", conf.get("spark.jars.packages", ""), delta_package(), *packages))
    # A bar would stand between the lines of the log.
    conf.setIfMissing("spark.ui.showConsoleProgress", "false")
    conf.setIfMissing("spark.jars.ivySettings", conf_file("ivysettings.xml").as_uri())
    log4j = f"-Dlog4j2.configurationFile={conf_file('log4j2.properties').as_uri()}"
    conf.set("spark.driver.extraJavaOptions", _joined(" ", log4j, conf.get("spark.driver.extraJavaOptions", "")))
    with log.open("ab") as stream:
        try:
            gateway = launch_gateway(conf, {"stdout": stream, "stderr": stream})  # type: ignore[no-untyped-call]
        except (PySparkException, OSError) as error:
            raise EngineError(_why_not(log)) from error
    SparkContext(conf=conf, gateway=gateway)


def _why_not(log: Path) -> str:
    said = log.read_text(encoding="utf-8", errors="replace")
    missing = re.findall(r"unresolved dependency: ([\w.#;\-]+)|download failed: ([\w.#;!\-]+)", said)
    if missing:
        names = sorted({left or right for left, right in missing})
        return f"could not fetch {', '.join(names)} from Maven Central: is there a network? See {log}"
    if "All masters are unresponsive" in said:
        return f"no standalone cluster answers there: is that its master? See {log}"
    if "JAVA_HOME" in said or "java: " in said or not said.strip():
        return "Java did not start: install Java 17 and put it on PATH, or set JAVA_HOME to it"
    return f"Spark did not start, see {log}"


def _joined(separator: str, *texts: str | None) -> str:
    return separator.join(text for text in texts if text)
