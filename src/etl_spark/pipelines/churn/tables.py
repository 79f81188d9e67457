"""The tables of the churn job and of the social stream, each with one row per what.

What arrives on a day is told apart from what happened on it: a table with an `arrival_date`, or a `log_date`, is
complete for a day once that day is over, and nothing that comes later changes it.
"""

from __future__ import annotations

from etl_spark.core.table import Column, Table

CUSTOMER_ID = Column("customer_id", "VARCHAR(64)", "the customer's id at every source")
_FILE = Column("file", "VARCHAR(1024)", "file below the source")
_REASON = Column("reason", "VARCHAR(64)", "the first rule that the record fails")
_LINE = Column("line", "BINARY", "the record as it came")
_LINE_COUNT = Column("line_count", "BIGINT", "how often it stands there")

WEB_EVENT = Table(
    name="web_event",
    doc="One row per accepted event of the website's logs.",
    columns=(
        Column("log_date", "DATE", "day of the log: the event has arrived when that day is over"),
        Column("event_id", "VARCHAR(64)", "the event's id"),
        Column("event_at", "TIMESTAMP", "when it happened, UTC"),
        Column("session_id", "VARCHAR(64)", "the visit it is of"),
        Column("customer_id", "VARCHAR(64)", "who did it; null for a visitor who is not logged in", nullable=True),
        Column("kind", "VARCHAR(32)", "what was done, one of `kinds` in conf/churn.toml"),
    ),
    grain=("log_date", "event_id"),
    replaces=("log_date",),
    exported=False,
)
WEB_REJECTED = Table(
    name="web_rejected",
    doc="One row per day of a log, file, reason and line that was rejected.",
    columns=(Column("log_date", "DATE", "day of the log"), _FILE, _REASON, _LINE, _LINE_COUNT),
    grain=("log_date", "file", "reason", "line"),
    replaces=("log_date",),
    exported=False,
)

CUSTOMER_PROFILE = Table(
    name="customer_profile",
    doc="One row per extract of the profiles and customer, as the profile was then; no name, no address, no e-mail.",
    columns=(
        Column("extract_date", "DATE", "day as of which the extract was made: it has arrived when that day is over"),
        CUSTOMER_ID,
        Column("registered_at", "TIMESTAMP", "when the profile was made, UTC", nullable=True),
        Column("country", "VARCHAR(100)", "country of the address", nullable=True),
        Column("plan", "VARCHAR(32)", "what the customer subscribes to", nullable=True),
        Column("is_email_opt_in", "BOOLEAN", "whether the customer wants mail"),
        Column("is_sms_opt_in", "BOOLEAN", "whether the customer wants text messages"),
        Column("is_push_opt_in", "BOOLEAN", "whether the customer wants notifications"),
        Column("loyalty_points", "DECIMAL(38,6)", "points collected, exact", nullable=True),
    ),
    grain=("extract_date", "customer_id"),
    replaces=("extract_date",),
    exported=False,
)
PROFILE_REJECTED = Table(
    name="profile_rejected",
    doc="One row per extract of the profiles, file, reason and item that was rejected.",
    columns=(
        Column("extract_date", "DATE", "day as of which the extract was made"),
        Column("file", "VARCHAR(1024)", "file below the source, or segment of a table that was scanned"),
        _REASON,
        Column("line", "BINARY", "the item, DynamoDB's JSON"),
        _LINE_COUNT,
    ),
    grain=("extract_date", "file", "reason", "line"),
    replaces=("extract_date",),
    exported=False,
)

SOCIAL_EVENT = Table(
    name="social_event",
    doc="One row per event of the social stream, each once however often it was delivered.",
    columns=(
        Column("arrival_date", "DATE", "day of arrived_at"),
        Column("arrived_at", "TIMESTAMP", "hour in which its object was delivered, UTC, as the object's name tells it"),
        Column("event_id", "VARCHAR(64)", "the event's id"),
        Column("event_at", "TIMESTAMP", "when it happened, UTC"),
        Column("customer_id", "VARCHAR(64)", "whose account it is of; null where that is not known", nullable=True),
        Column("platform", "VARCHAR(32)", "where it was written", nullable=True),
        Column("kind", "VARCHAR(32)", "mention or reply"),
        Column(
            "sentiment", "DECIMAL(5,4)", "of its text, -1 to 1; null without one. The text is not kept", nullable=True
        ),
        Column("file", "VARCHAR(1024)", "the object it came in, below the source"),
        Column("place", "INT", "which record of the object it is, from 0"),
    ),
    grain=("arrival_date", "event_id"),
    replaces=("arrival_date",),
    exported=False,
)
SOCIAL_REJECTED = Table(
    name="social_rejected",
    doc="One row per object of the social stream, reason and record that was rejected.",
    columns=(
        Column("arrival_date", "DATE", "day on which the object was delivered"),
        Column("file", "VARCHAR(1024)", "the object below the source"),
        _REASON,
        _LINE,
        _LINE_COUNT,
    ),
    grain=("arrival_date", "file", "reason", "line"),
    replaces=("arrival_date",),
    exported=False,
)
