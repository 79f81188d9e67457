"""The churn job with its sources at AWS, as moto's server plays it: profiles in DynamoDB, posts by Firehose and S3."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_spark.cli import main
from etl_spark.core.dates import DateRange
from etl_spark.core.table import Table
from etl_spark.pipelines.churn.generate import generate
from etl_spark.pipelines.churn.tables import CHURN_SCORING, CUSTOMER_PROFILE, SOCIAL_EVENT, SOCIAL_REJECTED
from tests.databases import Server, aws_client
from tests.dynamodb import Item, fill_table
from tests.pipelines.churn.activity import record
from tests.short_jobs import star_alone

pytestmark = pytest.mark.default_spark

RECORDS = 10_000
A_DELIVERY = 500
AUTHORS = 50
"""Customers by whom record() has posts, each as many."""

NOW = datetime.now(UTC)
BOUGHT = DateRange(NOW.date() - timedelta(1), NOW.date())
SNAPSHOT = NOW.date() + timedelta(2)
"""When all has arrived, even if it is midnight meanwhile: Firehose writes its objects now."""


@dataclass(frozen=True)
class Shop:
    spark: SparkSession
    output: Path
    source: Path
    profiles: Mapping[str, Item]

    def read(self, table: Table) -> DataFrame:
        return self.spark.read.format("delta").load(str(self.output / "lake" / table.name))


@pytest.fixture(scope="module")
def shop(
    spark: SparkSession, databases: Mapping[str, Server], bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """What the stream has taken in, and the datasets of one snapshot that were built of it."""
    folder, server = tmp_path_factory.mktemp("aws"), databases["s3"]
    source, output, place = folder / "source", folder / "output", folder / "place.toml"
    generate(BOUGHT, source, seed=7, customers=AUTHORS, products=6, orders_per_day=9, visits_per_day=4, posts_per_day=0)
    profiles = exported_items(source / "profiles")
    fill_table(server, "shop-profiles", list(profiles.values()))
    deliver(server, bucket)
    place.write_text(
        f'[sales]\nsource = "{source / "sales"}"\nmax_rejected_share = 1.0\n'
        f'[churn]\nsource = "{source}"\nmax_rejected_share = 1.0\nsnapshot_every = "day"\n'
        '[churn.items]\nplace = "dynamodb://shop-profiles?region=eu-west-1"\nsegments = 3\n'
    )
    given = ("--output", str(output), "--config", str(place))
    login = {"AWS_ACCESS_KEY_ID": server.user, "AWS_SECRET_ACCESS_KEY": server.password}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://{server.host}:{server.port}")
        for name, value in login.items():
            patch.setenv(name, value)
            # The workers that scan.
            patch.setitem(spark.sparkContext.environment, name, value)
        assert main(["stream", "social", "--once", "--source", f"{bucket}/social", *given]) == 0
        with star_alone():
            days = ("--start-date", str(BOUGHT.start), "--end-date", str(BOUGHT.end))
            assert main(["sales", *days, *given, "--sink", "parquet"]) == 0
        day = str(SNAPSHOT)
        one_day = ("--start-date", day, "--end-date", day, "--allow-missing-days")
        assert main(["churn", *one_day, *given, "--sink", "parquet"]) == 0
    yield Shop(spark, output, source, profiles)


def exported_items(folder: Path) -> dict[str, Item]:
    """The items of the last export, by customer_id. So few have no fault."""
    files = max(folder.glob("dt=*")).rglob("data/*.json.gz")
    items = [json.loads(line)["Item"] for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    return {item["customer_id"]["S"]: item for item in items}


def deliver(server: Server, bucket: str) -> None:
    """All records to the stream, which puts them into the bucket: once each, and a hundred of them again."""
    firehose = aws_client("firehose", server)
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
        lines = [post(number) for number in range(first, first + A_DELIVERY)]
        match form % 3:
            case 0:  # Two objects a line.
                put(*(one + two + b"\n" for one, two in zip(lines[::2], lines[1::2], strict=True)))
            case 1:  # No newline anywhere, and split over two deliveries.
                put(*lines[:200])
                put(*lines[200:])
            case _:
                put(gzip.compress(b"\n".join(lines)))
    put(*(post(number) for number in range(300, 400)))


def post(number: int) -> bytes:
    return record(number, event_time=f"{NOW:%Y-%m-%dT%H:%M:%SZ}")


def test_ten_thousand_records_are_each_in_the_lake_once(shop: Shop) -> None:
    ids = [row.event_id for row in shop.read(SOCIAL_EVENT).select("event_id").collect()]
    assert sorted(ids) == sorted(json.loads(post(number))["event_id"] for number in range(RECORDS))
    rejected = shop.read(SOCIAL_REJECTED).groupBy("reason").sum("line_count").collect()
    assert [tuple(row) for row in rejected] == [("event_repeated", 100)]


def test_the_table_is_scanned_to_its_last_item(shop: Shop) -> None:
    found = {row.customer_id: row for row in shop.read(CUSTOMER_PROFILE).collect()}
    assert len(shop.profiles) > AUTHORS * 0.9
    assert found.keys() == shop.profiles.keys()
    assert {row.extract_date for row in found.values()} == {SNAPSHOT - timedelta(1)}


def test_the_snapshot_knows_posts_and_profiles(shop: Shop) -> None:
    rows = shop.read(CHURN_SCORING).collect()
    authors = {json.loads(post(number))["customer_id"] for number in range(AUTHORS)}
    assert len(rows) > 5
    for row in rows:
        wrote = row.customer_id in authors
        assert (row.mention_count_7d, row.days_since_last_post is not None) == (RECORDS / AUTHORS * wrote, wrote)
        item: Mapping[str, Any] = shop.profiles[row.customer_id]
        wants_mail = "email" in item.get("opt_ins", {"SS": []})["SS"]
        told = (item["plan"]["S"], item["address"]["M"]["country"]["S"], wants_mail)
        assert (row.plan, row.country, row.is_email_opt_in) == told
