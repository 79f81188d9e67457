"""The Glue Data Catalog: where Athena, Redshift Spectrum and other Sparks find the tables of the lake by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from etl_spark.core.errors import EtlError
from etl_spark.core.table import Column, Table


def register(database: str, locations: Iterable[tuple[Table, str]]) -> None:
    """Makes an entry for each table and the place of its Delta table, or brings the one that is there up to date.

    Raises EtlError where the catalog refuses, or has no such database.
    """
    client = boto3.client("glue")
    try:
        for table, location in locations:
            entry = _entry(table, location)
            try:
                client.create_table(DatabaseName=database, TableInput=entry)
            except client.exceptions.AlreadyExistsException:
                client.update_table(DatabaseName=database, TableInput=entry)
    except (BotoCoreError, ClientError) as error:
        raise EtlError(f"cannot register the tables in the Glue database {database}: {error}") from None


def _entry(table: Table, location: str) -> dict[str, Any]:
    # The catalog knows S3 by this scheme.
    place = location.replace("s3a://", "s3://", 1)
    return {
        "Name": table.name,
        "Description": table.doc[:2048],
        "TableType": "EXTERNAL_TABLE",
        # Readers take rows and partitions from Delta's own log: Athena goes by table_type, Spark by the provider.
        "Parameters": {"EXTERNAL": "TRUE", "table_type": "delta", "spark.sql.sources.provider": "delta"},
        "StorageDescriptor": {
            "Columns": [_column(column) for column in table.columns],
            "Location": place,
            "InputFormat": "org.apache.hadoop.mapred.SequenceFileInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
                "Parameters": {"serialization.format": "1", "path": place},
            },
        },
    }


def _column(column: Column) -> dict[str, str]:
    # Hive's types have Spark's names, and Delta keeps a VARCHAR as a string.
    kind = "string" if column.length else column.type.lower()
    return {"Name": column.name, "Type": kind, "Comment": column.doc[:255]}
