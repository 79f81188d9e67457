"""Tables of the lake in the Glue Data Catalog (moto's)."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from etl_spark.config import load
from etl_spark.core.errors import EtlError, UsageError
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.viewing.settings import ViewingSettings
from etl_spark.pipelines.viewing.tables import VIEWING_PROFILE
from etl_spark.stores.glue import register

pytestmark = pytest.mark.default_spark


@pytest.fixture(autouse=True)
def account(aws_account: None) -> None:
    boto3.client("glue").create_database(DatabaseInput={"Name": "etl"})


def test_a_table_is_registered_and_brought_up_to_date() -> None:
    for place in ("s3a://bucket/old", "s3a://bucket/lake/viewing_profile"):
        register("etl", [(VIEWING_PROFILE, place)])
    (found,) = boto3.client("glue").get_tables(DatabaseName="etl")["TableList"]
    assert found["Name"] == "viewing_profile"
    assert found["Parameters"]["table_type"] == "delta"
    assert found["StorageDescriptor"]["Location"] == "s3://bucket/lake/viewing_profile"
    columns = {column["Name"]: column["Type"] for column in found["StorageDescriptor"]["Columns"]}
    assert list(columns) == list(VIEWING_PROFILE.column_names)
    assert (columns["start_date"], columns["contract"], columns["total_seconds"]) == ("date", "string", "bigint")


def test_every_column_has_a_type_of_the_catalog() -> None:
    register("etl", [(table, "s3://b/x") for pipeline in PIPELINES.values() for table in pipeline.tables])
    pages = boto3.client("glue").get_paginator("get_tables").paginate(DatabaseName="etl")
    types = {
        column["Type"].partition("(")[0]
        for page in pages
        for table in page["TableList"]
        for column in table["StorageDescriptor"]["Columns"]
    }
    assert types <= {"bigint", "binary", "boolean", "date", "decimal", "double", "int", "string", "timestamp"}


def test_no_such_database() -> None:
    with pytest.raises(EtlError, match="cannot register the tables in the Glue database none: "):
        register("none", [(VIEWING_PROFILE, "s3://b/x")])


def test_the_database_is_named_in_the_file_of_the_place(tmp_path: Path) -> None:
    place = tmp_path / "place.toml"
    place.write_text("[viewing]\nsource = 'logs'\n[catalog]\nglue_database = 'etl'")
    assert load("viewing", ViewingSettings, pipelines=PIPELINES, file=place).glue_database == "etl"
    place.write_text("[viewing]\nsource = 'logs'\n[catalog]\nglue_database = 'Etl;'")
    with pytest.raises(UsageError, match=r"\[catalog\] has a glue_database"):
        load("viewing", ViewingSettings, pipelines=PIPELINES, file=place)
