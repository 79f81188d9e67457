"""Ten thousand records by way of Firehose and S3, as a server of moto's plays them: each is taken in once."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from etl_spark.cli import main
from etl_spark.pipelines.churn.tables import SOCIAL_EVENT, SOCIAL_REJECTED
from tests.databases import Server, aws_client
from tests.pipelines.churn.activity import record

RECORDS = 10_000
A_DELIVERY = 500


@pytest.mark.default_spark
def test_ten_thousand_records_from_the_stream_to_the_lake(
    spark: SparkSession, databases: Mapping[str, Server], bucket: str, tmp_path: Path
) -> None:
    firehose = aws_client("firehose", databases["s3"])
    place = {
        "BucketARN": f"arn:aws:s3:::{bucket.partition('//')[2]}",
        "RoleARN": "arn:aws:iam::123456789012:role/firehose",
    }
    firehose.create_delivery_stream(
        DeliveryStreamName="social", ExtendedS3DestinationConfiguration={**place, "Prefix": "social/"}
    )

    def put(*data: bytes) -> None:
        """One delivery: an object of all of `data`."""
        firehose.put_record_batch(DeliveryStreamName="social", Records=[{"Data": one} for one in data])

    for form, first in enumerate(range(0, RECORDS, A_DELIVERY)):
        lines = [record(number) for number in range(first, first + A_DELIVERY)]
        match form % 3:
            case 0:  # Two objects a line.
                put(*(one + two + b"\n" for one, two in zip(lines[::2], lines[1::2], strict=True)))
            case 1:  # No newline anywhere, and split over two deliveries.
                put(*lines[:200])
                put(*lines[200:])
            case _:
                put(gzip.compress(b"\n".join(lines)))
    put(*(record(number) for number in range(300, 400)))

    output = tmp_path / "output"
    assert main(["stream", "social", "--source", f"{bucket}/social", "--output", str(output), "--once"]) == 0

    events, rejected = (
        spark.read.format("delta").load(str(output / "lake" / table.name)) for table in (SOCIAL_EVENT, SOCIAL_REJECTED)
    )
    ids = [row.event_id for row in events.select("event_id").collect()]
    assert sorted(ids) == [f"T20240401{number:08}" for number in range(RECORDS)]
    assert [tuple(row) for row in rejected.groupBy("reason").sum("line_count").collect()] == [("event_repeated", 100)]
