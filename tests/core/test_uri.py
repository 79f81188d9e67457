"""Paths and URIs by their text."""

from pathlib import Path

import pytest

from etl_spark.core.errors import UsageError
from etl_spark.core.uri import local_path, refuse_credentials


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("output", "output"),
        ("/a b/c", "/a b/c"),
        ("./a:b", "./a:b"),
        ("file:/a/b", "/a/b"),
        ("file:///a/b", "/a/b"),
        ("s3a://bucket/x", None),
        ("hdfs:///x", None),
    ],
)
def test_what_is_on_this_machine(uri: str, path: str | None) -> None:
    assert local_path(uri) == (Path(path) if path else None)


def test_a_uri_with_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError) as error:
        refuse_credentials("s3a://AKIA:canary@bucket/logs")
    assert "canary" not in str(error.value)
    for fine in ("s3a://bucket/a@b:c", "abfss://container@account.host/x", "/logs/a:b@c", "logs"):
        assert refuse_credentials(fine) == fine
