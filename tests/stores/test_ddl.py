"""DDL as text. That servers take it is shown where tables are loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from etl_spark.cli import main
from etl_spark.core.table import Column, Table
from etl_spark.pipelines import PIPELINES
from etl_spark.stores.ddl import Found, MySqlDdl, RedshiftDdl

TABLE = Table(
    name="t",
    doc="One row per day and code; it's a test's.",
    columns=(
        Column("day", "DATE", "the day"),
        Column("code", "VARCHAR(20)", "the code"),
        Column("amount", "DECIMAL(18,4)", "money", nullable=True),
        Column("at", "TIMESTAMP", "when", nullable=True),
    ),
    grain=("code", "day"),
    replaces=("day",),
    distributed_by="code",
)
MYSQL = """\
CREATE TABLE IF NOT EXISTS `t` (
  `day` DATE NOT NULL COMMENT 'the day',
  `code` VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the code',
  `amount` DECIMAL(18,4) COMMENT 'money',
  `at` DATETIME(6) COMMENT 'when',
  PRIMARY KEY (`code`, `day`),
  KEY `replaced` (`day`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='One row per day and code; it''s a test''s.'"""
REDSHIFT = """\
CREATE TABLE IF NOT EXISTS "t" (
  "day" DATE NOT NULL,
  "code" VARCHAR(80) NOT NULL,
  "amount" DECIMAL(18,4),
  "at" TIMESTAMP,
  PRIMARY KEY ("code", "day")
) DISTKEY ("code") SORTKEY ("day")"""


def test_statements() -> None:
    assert MySqlDdl().create(TABLE) == (MYSQL,)
    table, comment, *columns = RedshiftDdl().create(TABLE)
    assert table == REDSHIFT
    assert comment == "COMMENT ON TABLE \"t\" IS 'One row per day and code; it''s a test''s.'"
    assert columns[-1] == 'COMMENT ON COLUMN "t"."at" IS \'when\''


def test_a_key_longer_than_innodb_takes_is_none() -> None:
    long = Table("t", "", (Column("file", "VARCHAR(769)", ""),), ("file",), ())
    assert "KEY" not in MySqlDdl().create(long)[0]
    fits = Table("t", "", (Column("file", "VARCHAR(768)", ""),), ("file",), ())
    assert "PRIMARY KEY (`file`)" in MySqlDdl().create(fits)[0]


def test_redshift_makes_a_text_longer_and_moves_every_other_difference_away() -> None:
    ddl = RedshiftDdl()
    sound = [
        Found("day", "date", False),
        Found("code", "varchar(80)", False),
        Found("amount", "decimal(18,4)", True),
        Found("at", "timestamp", True),
    ]
    assert ddl.differences(TABLE, sound, TABLE.grain) == ()
    away = 'ALTER TABLE "t" RENAME TO "t_old"'
    (in_key,) = ddl.differences(TABLE, [sound[0], Found("code", "varchar(20)", False), *sound[2:]], TABLE.grain)
    assert in_key.mend == away
    by_day = replace(TABLE, grain=("day",))
    (shorter,) = ddl.differences(by_day, [sound[0], Found("code", "varchar(20)", False), *sound[2:]], by_day.grain)
    assert shorter.mend == 'ALTER TABLE "t" ALTER COLUMN "code" TYPE VARCHAR(80)'
    added, must_have_a_value = (ddl.differences(TABLE, sound[:at] + sound[at + 1 :], TABLE.grain) for at in (2, 1))
    assert added[0].mend == 'ALTER TABLE "t" ADD COLUMN "amount" DECIMAL(18,4)'
    assert must_have_a_value[0].mend == away
    (other,) = ddl.differences(TABLE, [Found("day", "timestamp", False), *sound[1:]], TABLE.grain)
    assert (other.what, other.mend) == (
        "day is timestamp not null, not date not null",
        away,
    )


@pytest.mark.parametrize("sink", ["mysql", "redshift"])
def test_all_tables_are_printed(sink: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ddl", "--sink", sink]) == 0
    printed = capsys.readouterr().out
    names = {
        table.name for one in PIPELINES.values() for table in (*one.tables, *one.evaluated_tables) if table.exported
    }
    names |= {"etl_load"} | ({"daily_statistics"} if sink == "mysql" else set())
    assert printed.count("CREATE TABLE") == len(names)
    assert all(f"EXISTS `{name}` (" in printed or f'EXISTS "{name}" (' in printed for name in names)
