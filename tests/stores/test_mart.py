"""The data mart in a real MariaDB: what it works out, when, and who may install it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest

from etl_spark.cli import main
from etl_spark.config import Credentials
from etl_spark.core.errors import EtlError
from etl_spark.core.mart import Mart
from etl_spark.core.sinks import MySqlSink
from etl_spark.pipelines.sales.mart import SALES_MART
from etl_spark.pipelines.viewing.mart import DAILY_STATISTICS, VIEWING_MART
from etl_spark.stores.mart import RIGHTS, install
from etl_spark.stores.mysql import MySql
from tests.databases import Server

pytestmark = pytest.mark.default_spark

NUMBERS = count()
Row = tuple[Any, ...]

# Twenty days, but for two, and a category that is not there every day.
STATISTICS = [
    (date(2022, 4, 1) + timedelta(n), category, 100 + n * n % 37 + len(category), 10_000 + n * 977 % 4_001)
    for n in range(20)
    for category in ("TV", "Movie", "All")
    if n not in (5, 12) and not (category == "Movie" and n % 4 == 3)
]
COLUMNS = ", ".join(DAILY_STATISTICS.column_names)


@pytest.fixture
def place(databases: Mapping[str, Server]) -> tuple[Server, str]:
    server, name = databases["mariadb"], f"mart{next(NUMBERS)}"
    server.create(name)
    return server, name


def installed(place: tuple[Server, str], at: str = "03:00", mart: Mart = VIEWING_MART) -> list[str]:
    server, name = place
    store = MySql(MySqlSink(server.url(name)), Credentials(server.user, server.password), "run")
    return install(store, mart, at)


def fill(place: tuple[Server, str], rows: list[Row]) -> None:
    server, name = place
    values = ", ".join(f"('{day}', '{category}', {viewers}, {seconds})" for day, category, viewers, seconds in rows)
    server.run(f"INSERT INTO viewing_statistics VALUES {values}", name)


def statistics(place: tuple[Server, str]) -> list[Row]:
    server, name = place
    return server.rows(f"SELECT {COLUMNS} FROM daily_statistics ORDER BY log_date, category", name)


def expected(rows: list[Row]) -> list[Row]:
    """By DuckDB, in another way: over a calendar without gaps, by looking back 1 and 7 rows."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE s (log_date DATE, category VARCHAR, viewers BIGINT, seconds BIGINT)")
        connection.executemany("INSERT INTO s VALUES (?, ?, ?, ?)", rows)
        return connection.execute(
            """
            WITH calendar AS (
                SELECT unnest(generate_series(min(log_date), max(log_date), INTERVAL 1 DAY))::DATE AS log_date FROM s
            ), filled AS (
                SELECT * FROM calendar CROSS JOIN (SELECT DISTINCT category FROM s)
                LEFT JOIN s USING (log_date, category)
            ), compared AS (
                SELECT log_date, category, viewers, seconds,
                    round(seconds / viewers::DECIMAL(18, 6), 2)::DECIMAL(18, 2),
                    viewers - lag(viewers, 1) OVER w, seconds - lag(seconds, 1) OVER w,
                    viewers - lag(viewers, 7) OVER w, seconds - lag(seconds, 7) OVER w
                FROM filled WINDOW w AS (PARTITION BY category ORDER BY log_date)
            )
            SELECT * FROM compared WHERE viewers IS NOT NULL ORDER BY log_date, category
            """
        ).fetchall()


def test_the_mart_is_what_duckdb_works_out_and_a_changed_day_changes_the_days_compared_with_it(
    place: tuple[Server, str],
) -> None:
    server, name = place
    installed(place)
    assert statistics(place) == []
    fill(place, STATISTICS)
    server.run("CALL refresh_daily_statistics(NULL, NULL)", name)
    assert statistics(place) == expected(STATISTICS)
    day = date(2022, 4, 10)
    changed = [(one[0], one[1], one[2] + 5, one[3] * 2) if one[0] == day else one for one in STATISTICS]
    server.run(
        f"UPDATE viewing_statistics SET viewer_count = viewer_count + 5, total_seconds = total_seconds * 2 "
        f"WHERE log_date = '{day}'",
        name,
    )
    server.run(f"CALL refresh_daily_statistics('{day}', '{day}')", name)
    assert statistics(place) == expected(changed)


def test_the_event_fires(place: tuple[Server, str]) -> None:
    server, name = place
    assert installed(place, at="04:30")[-1] == "event refresh_daily_statistics calls it every day at 04:30, UTC"
    ((starts,),) = server.rows(
        f"SELECT TIME(starts) FROM information_schema.events WHERE event_schema = '{name}'", "information_schema"
    )
    assert starts == timedelta(hours=4, minutes=30)
    fill(place, STATISTICS)
    server.run("ALTER EVENT refresh_daily_statistics ON SCHEDULE EVERY 1 SECOND", name)
    deadline = time.monotonic() + 30
    while not statistics(place) and time.monotonic() < deadline:
        time.sleep(0.2)
    server.run("ALTER EVENT refresh_daily_statistics DISABLE", name)
    assert statistics(place) == expected(STATISTICS)


def test_installing_again_keeps_rights_and_schedule_and_mends_a_changed_procedure(place: tuple[Server, str]) -> None:
    server, name = place
    installed(place)
    user = f"reader{name}"
    server.run(
        f"CREATE USER {user}@'127.0.0.1'; "
        f"GRANT EXECUTE ON PROCEDURE refresh_daily_statistics TO {user}@'127.0.0.1';"
        "ALTER EVENT refresh_daily_statistics ON SCHEDULE EVERY 2 HOUR",
        name,
    )
    assert installed(place)[1:] == [
        "procedure refresh_daily_statistics is there already",
        "event refresh_daily_statistics is there already",
    ]
    assert "EXECUTE ON PROCEDURE" in server.run(f"SHOW GRANTS FOR {user}@'127.0.0.1'", name)
    assert "EVERY 2 HOUR" in server.run("SHOW CREATE EVENT refresh_daily_statistics", name)
    server.run(
        "DROP PROCEDURE refresh_daily_statistics; CREATE PROCEDURE refresh_daily_statistics"
        "(IN first_day DATE, IN last_day DATE) SELECT 1",
        name,
    )
    assert "procedure refresh_daily_statistics is made" in installed(place)


def test_views_have_the_names_of_the_source_document(place: tuple[Server, str]) -> None:
    server, name = place
    installed(place)
    columns = [row[0] for row in server.rows("SHOW COLUMNS FROM viewing_behaviour", name)]
    assert {
        "Contract",
        "TVDuration",
        "ChildDuration",
        "MovieDuration",
        "SportDuration",
        "RelaxDuration",
        "MostWatch",
        "Taste",
        "DateCount",
        "Activeness",
    } <= set(columns)
    averages = {row[0] for row in server.rows("SHOW COLUMNS FROM viewing_averages", name)}
    assert {
        "TotalDuration",
        "AvgDurationPerPersonPerMonth",
        "AvgDurationPerPersonPerWeek",
        "AvgDurationPerPersonPerDay",
    } <= averages


def test_the_documented_rights_suffice_and_each_is_needed(place: tuple[Server, str]) -> None:
    server, name = place
    user = Credentials(f"least_{name}", "pass-word")
    who = f"{user.user}@'127.0.0.1'"
    store = MySql(MySqlSink(server.url(name)), user, "run")
    server.run(f"CREATE USER {who} IDENTIFIED BY '{user.password}'")
    for lacking in RIGHTS:
        server.run(f"GRANT {', '.join(RIGHTS)} ON {name}.* TO {who}; REVOKE {lacking} ON {name}.* FROM {who}")
        with pytest.raises(EtlError, match=rf"the user lacks rights: GRANT {lacking} ON `{name}`"):
            install(store, VIEWING_MART, "03:00")
    assert server.rows("SHOW TABLES", name) == []
    server.run(f"GRANT {', '.join(RIGHTS)} ON {name}.* TO {who}")
    install(store, VIEWING_MART, "03:00")
    fill(place, STATISTICS)
    server.run("CALL refresh_daily_statistics(NULL, NULL)", name)
    assert len(statistics(place)) == len(STATISTICS)


def test_the_top_pairs_of_each_range_have_names_and_places(place: tuple[Server, str]) -> None:
    assert installed(place, mart=SALES_MART)[0].endswith(" has top_co_purchase")
    server, name = place
    products = ", ".join(f"({key}, 'P{key}', '{product}')" for key, product in ((1, "Tea"), (2, "Cup"), (3, "Milk")))
    server.run(f"INSERT INTO dim_product (product_key, product_id, product_name) VALUES {products}", name)
    pairs = [(1, 1, 2, 5, 3), (1, 1, 3, 7, 1), (1, 2, 3, 5, 4), (2, 1, 2, 1, 1)]
    values = ", ".join(
        f"('2024-01-01', '2024-01-0{last}', {one}, {other}, {count}, 0.5, 0.5, 0.5, {lift})"
        for last, one, other, count, lift in pairs
    )
    server.run(f"INSERT INTO co_purchase VALUES {values}", name)
    found = server.rows(
        "SELECT DAY(end_date), place, product_1, product_2, order_count FROM top_co_purchase ORDER BY 1, 2", name
    )
    assert found == [
        (1, 1, "Tea", "Milk", 7),
        (1, 2, "Cup", "Milk", 5),
        (1, 3, "Tea", "Cup", 5),
        (2, 1, "Tea", "Cup", 1),
    ]


def test_the_command(
    place: tuple[Server, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server, name = place
    config = tmp_path / "place.toml"
    config.write_text(f'[sinks.mysql]\nurl = "{server.url(name)}"\n')
    assert main(["mart", "install", "--config", str(config)]) == 2
    for variable, value in server.login("mysql").items():
        monkeypatch.setenv(variable, value)
    assert main(["mart", "install", "--config", str(config), "--at", "24:00"]) == 2
    assert main(["mart", "install", "--config", str(config)]) == 0
    said = capsys.readouterr()
    assert "has daily_statistics, viewing_behaviour, viewing_averages" in said.out
    assert server.password not in said.out + said.err
