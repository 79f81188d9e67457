"""What a database may be named, and what is refused in its name."""

import pytest

from etl_spark.core.database import parse_database
from etl_spark.core.errors import UsageError
from etl_spark.core.uri import refuse_credentials


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("jdbc:postgresql://db.example/film", "jdbc:postgresql://db.example:5432/film"),
        ("jdbc:postgresql://[::1]:5433/film", "jdbc:postgresql://[::1]:5433/film"),
        (
            "jdbc:postgresql://h/film?sslmode=verify-full&sslrootcert=/etc/a%26b",
            "jdbc:postgresql://h:5432/film?sslmode=verify-full&sslrootcert=%2Fetc%2Fa%26b",
        ),
        ("jdbc:mysql://h/film", "jdbc:mysql://h:3306/film?permitMysqlScheme=true&tinyInt1isBit=false"),
        ("jdbc:mariadb://h:1/film", "jdbc:mysql://h:1/film?permitMysqlScheme=true&tinyInt1isBit=false"),
    ],
)
def test_a_url_is_rebuilt_of_its_parts(uri: str, url: str) -> None:
    assert parse_database(uri).url == url


@pytest.mark.parametrize(
    "uri",
    [
        "jdbc:oracle://h/film",
        "jdbc:postgresql:film",
        "jdbc:postgresql://h/",
        "jdbc:postgresql://h,other/film",
        "jdbc:postgresql://h/film/more",
        "jdbc:postgresql://h/film;x=1",
        "jdbc:mysql://h/film?allowLoadLocalInfile=true",
        "jdbc:mysql://h/film?autoDeserialize=true",
        "jdbc:mysql://h/film?allowMultiQueries=true",
        "jdbc:postgresql://h/film?socketFactory=x",
    ],
)
def test_another_form_or_option_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match=r"a database is named jdbc:|are not allowed"):
        parse_database(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "jdbc:postgresql://me:secret@h/film",
        "jdbc:postgresql://me@h/film",
        "jdbc:postgresql://h/film?user=me",
        "jdbc:postgresql://h/film?sslmode=require&password=secret",
        "jdbc:mysql://h/film?PassWord=secret",
    ],
)
def test_credentials_are_refused_and_not_shown(uri: str) -> None:
    with pytest.raises(UsageError, match="refused") as raised:
        refuse_credentials(uri)
    assert "secret" not in str(raised.value)


def test_a_name_is_quoted_or_refused() -> None:
    assert parse_database("jdbc:mysql://h/film").quoted("film_id") == "`film_id`"
    assert parse_database("jdbc:postgresql://h/film").quoted("film") == '"film"'
    with pytest.raises(UsageError, match="cannot be the name"):
        parse_database("jdbc:mysql://h/film").quoted("film` WHERE 1=1 --")
