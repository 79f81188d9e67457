"""Installs a data mart in MySQL or MariaDB. What is there and right is left as it is: installing twice does no harm."""

from __future__ import annotations

import re
from collections.abc import Iterable

from etl_spark.core.errors import EtlError
from etl_spark.core.mart import Mart, Procedure
from etl_spark.stores.mysql import LOADING_RIGHTS, MySql
from etl_spark.stores.warehouse import ConnectionLostError, Session

RIGHTS = (*LOADING_RIGHTS, "CREATE VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "EVENT")
"""What the user must be granted on the database, to load tables and to install the mart."""


def install(store: MySql, mart: Mart, at: str) -> list[str]:
    """What was done, in words. `at` is the time of day, HH:MM in UTC, at which the mart is refreshed.

    Raises EtlError where a right is missing, or the server runs no events, before anything is changed.
    """
    try:
        with store.session() as session:
            _require(store, session)
            for table in (*mart.sources, *mart.tables):
                store.prepare(session, table)
            for name, query in mart.views.items():
                session.run(f"CREATE OR REPLACE VIEW `{name}` AS {query}")
            done = []
            if mart.procedure:
                done.append(_install_procedure(session, mart.procedure))
                done.append(_install_event(session, mart.procedure, at))
                session.run(mart.procedure.call)
    except ConnectionLostError as lost:
        raise EtlError(f"{store.place}: {lost}: run again") from lost
    names = (*(table.name for table in mart.tables), *mart.views)
    return [f"{store.place} has {', '.join(names)}", *done]


def _require(store: MySql, session: Session) -> None:
    ((database,),) = session.run("SELECT DATABASE()")
    granted = _granted((grant for (grant,) in session.run("SHOW GRANTS")), str(database))
    missing = [right for right in RIGHTS if right not in granted]
    if "ALL PRIVILEGES" not in granted and missing:
        raise EtlError(f"{store.place}: the user lacks rights: GRANT {', '.join(missing)} ON `{database}`.* TO ...")
    ((scheduler,),) = session.run("SELECT @@GLOBAL.event_scheduler")
    if str(scheduler).upper() not in ("ON", "1"):
        raise EtlError(f"{store.place} runs no events: SET GLOBAL event_scheduler = ON, and so in its configuration")


def _granted(grants: Iterable[str], database: str) -> set[str]:
    """The rights on `database` that the lines of SHOW GRANTS tell of."""
    rights: set[str] = set()
    for grant in grants:
        found = re.match(r"GRANT (.+?) ON (?:(\*)|[`\"]?(.+?)[`\"]?)\.\* TO ", grant)
        if found and (found[2] or found[3].replace("\\", "") == database):
            rights |= {right.strip().upper() for right in re.sub(r"\([^)]*\)", "", found[1]).split(",")}
    return rights


def _install_procedure(session: Session, procedure: Procedure) -> str:
    """Made anew only if it differs: a procedure that is dropped loses the rights that others have to it."""
    found = session.run(
        "SELECT routine_definition FROM information_schema.routines WHERE routine_schema = DATABASE() "
        f"AND routine_name = '{procedure.name}'"
    )
    if found and found[0][0] and str(found[0][0]).split() == procedure.body.split():
        return f"procedure {procedure.name} is there already"
    session.run(f"DROP PROCEDURE IF EXISTS `{procedure.name}`")
    comment = procedure.doc.replace("'", "''")
    session.run(
        f"CREATE PROCEDURE `{procedure.name}`({procedure.parameters}) MODIFIES SQL DATA COMMENT '{comment}'\n"
        f"{procedure.body}"
    )
    return f"procedure {procedure.name} is made"


def _install_event(session: Session, procedure: Procedure, at: str) -> str:
    """The schedule of an event that is there is its owner's."""
    if session.run(
        f"SELECT 1 FROM information_schema.events WHERE event_schema = DATABASE() AND event_name = '{procedure.name}'"
    ):
        session.run(f"ALTER EVENT `{procedure.name}` DO {procedure.call}")
        return f"event {procedure.name} is there already"
    session.run(
        f"CREATE EVENT `{procedure.name}` ON SCHEDULE EVERY 1 DAY STARTS CURRENT_DATE + INTERVAL 1 DAY "
        f"+ INTERVAL '{at}' HOUR_MINUTE DO {procedure.call}"
    )
    return f"event {procedure.name} calls it every day at {at}, UTC"
