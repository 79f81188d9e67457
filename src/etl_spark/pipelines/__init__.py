"""Every pipeline, and every stream, by the name it has on the command line."""

from etl_spark.core.step import Pipeline, Stream
from etl_spark.core.table import Table
from etl_spark.pipelines.churn.pipeline import CHURN
from etl_spark.pipelines.churn.social import SOCIAL
from etl_spark.pipelines.forecast.pipeline import FORECAST
from etl_spark.pipelines.rental.pipeline import RENTAL
from etl_spark.pipelines.sales.pipeline import SALES
from etl_spark.pipelines.viewing.pipeline import VIEWING

PIPELINES: dict[str, Pipeline] = {pipeline.name: pipeline for pipeline in (VIEWING, SALES, RENTAL, CHURN, FORECAST)}

STREAMS: dict[str, Stream] = {stream.name: stream for stream in (SOCIAL,)}


def all_tables() -> tuple[Table, ...]:
    """The tables that they make, each once."""
    made = (table for pipeline in PIPELINES.values() for table in pipeline.tables)
    taken_in = (table for stream in STREAMS.values() for table in (stream.events, stream.quarantine))
    return tuple(dict.fromkeys((*made, *taken_in)))
