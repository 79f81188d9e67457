"""Secrets by name: read at AWS (moto's), found by the environment or the configuration, and shown nowhere."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from etl_spark.config import Config, Credentials, load
from etl_spark.core.errors import UsageError
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.viewing.settings import ViewingSettings

pytestmark = pytest.mark.default_spark

LOGIN = '{"username": "me", "password": "canary"}'


@pytest.fixture(autouse=True)
def account(aws_account: None) -> None:
    boto3.client("secretsmanager").create_secret(Name="etl/mysql", SecretString=LOGIN)
    boto3.client("ssm").put_parameter(Name="/etl/mysql", Value=LOGIN, Type="SecureString")


def configured(secret: str) -> Config:
    return Config(None, {}, {}, {"mysql": secret})


@pytest.mark.parametrize("name", ["etl/mysql", "ssm:/etl/mysql"])
def test_a_login_is_read_by_the_name_of_its_secret(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert configured(name).credentials("mysql") == Credentials("me", "canary")
    monkeypatch.setenv("ETL_SPARK_MYSQL_SECRET", name)
    assert Config(None, {}, {}).credentials("mysql") == Credentials("me", "canary")


def test_the_environments_own_login_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETL_SPARK_MYSQL_USER", "here")
    monkeypatch.setenv("ETL_SPARK_MYSQL_PASSWORD", "own")
    assert configured("no/such").credentials("mysql") == Credentials("here", "own")


@pytest.mark.parametrize(
    ("held", "complaint"),
    [
        ("canary", "must be JSON"),
        ('["canary"]', "must be JSON"),
        ('{"user": "canary"}', "must be JSON"),
        (b"canary", "is no text"),
    ],
)
def test_a_secret_that_is_none_is_told_without_a_word_of_it(held: str | bytes, complaint: str) -> None:
    if isinstance(held, bytes):
        boto3.client("secretsmanager").create_secret(Name="odd", SecretBinary=held)
    else:
        boto3.client("secretsmanager").create_secret(Name="odd", SecretString=held)
    with pytest.raises(UsageError, match=complaint) as error:
        configured("odd").credentials("mysql")
    assert "canary" not in str(error.value)
    assert error.value.__suppress_context__


@pytest.mark.parametrize("name", ["no/such", "ssm:/no/such"])
def test_a_secret_that_is_not_there(name: str) -> None:
    with pytest.raises(UsageError, match=f"cannot read the secret {name}: "):
        configured(name).credentials("mysql")


def test_secrets_are_named_in_the_file_of_the_place(tmp_path: Path) -> None:
    place = tmp_path / "place.toml"

    def read(text: str) -> Config:
        place.write_text(f"[viewing]\nsource = 'logs'\n{text}")
        return load("viewing", ViewingSettings, pipelines=PIPELINES, file=place)

    assert read("[secrets]\nmysql = 'etl/mysql'\nsales = 'ssm:/x'").secrets == {"mysql": "etl/mysql", "sales": "ssm:/x"}
    for text, complaint in (
        ("[secrets]\noracle = 'x'", "'oracle' is no source or sink"),
        ("[secrets]\nmysql = 3", "mysql is the name of a secret"),
        ("[secrets]\nmysql = 'a b'", "mysql is the name of a secret"),
    ):
        with pytest.raises(UsageError, match=complaint):
            read(text)
