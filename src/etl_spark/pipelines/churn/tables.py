"""The tables of the churn job and of the social stream, each with one row per what.

What arrives on a day is told apart from what happened on it: a table with an `arrival_date`, or a `log_date`, is
complete for a day once that day is over, and nothing that comes later changes it.
"""

from __future__ import annotations

from etl_spark.core.table import END_DATE, MONEY, START_DATE, Column, Table
from etl_spark.pipelines.churn.features import FEATURES, RATIO

KINDS = ("view", "search", "add_to_cart", "checkout", "other")
"""What events of the website are, as conf/churn.toml sorts them."""

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
        Column("kind", "VARCHAR(32)", "view, search, add_to_cart, checkout, or other"),
    ),
    grain=("log_date", "event_id"),
    replaces=("log_date",),
    exported=False,
    forgets="customer",
)
WEB_REJECTED = Table(
    name="web_rejected",
    doc="One row per day of a log, file, reason and line that was rejected.",
    columns=(Column("log_date", "DATE", "day of the log"), _FILE, _REASON, _LINE, _LINE_COUNT),
    grain=("log_date", "file", "reason", "line"),
    replaces=("log_date",),
    exported=False,
    forgets="line",
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
    forgets="row",
)
PROFILE_REJECTED = Table(
    name="profile_rejected",
    doc="One row per extract of the profiles, file, reason and item that was rejected.",
    columns=(
        Column("extract_date", "DATE", "day as of which the extract was made"),
        Column("file", "VARCHAR(1024)", "file below the source, or segment of a table that was scanned"),
        _REASON,
        Column("line", "BINARY", "what is taken out of the item, as DynamoDB's JSON; no name, no e-mail, no city"),
        _LINE_COUNT,
    ),
    grain=("extract_date", "file", "reason", "line"),
    replaces=("extract_date",),
    exported=False,
    forgets="line",
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
    forgets="customer",
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
    forgets="line",
)

UNKNOWN_CUSTOMER = "(unknown)"
"""Who did what nobody known did: orders without a customer of dim_customer, visits without a login, all of those who
are forgotten."""


def _count(name: str, doc: str) -> Column:
    return Column(name, "BIGINT", doc)


def _visits(name: str, doc: str) -> Column:
    return Column(name, "BIGINT", doc, needs_name=True)


_ARRIVAL = (
    Column("arrival_date", "DATE", "day on which it became known"),
    Column("activity_date", "DATE", "day on which it happened, UTC"),
)

PURCHASES = (
    _count("order_count", "orders with a line of a piece or more"),
    _count("item_count", "lines of a piece or more"),
    Column("spend", MONEY, "of these lines"),
    _count("return_count", "lines that are returns"),
    Column("returned", MONEY, "of returns, 0 or less"),
)
WEB = (
    _count("event_count", "events of the website"),
    _count("view_count", "views"),
    _count("search_count", "searches"),
    _count("cart_count", "things put into a cart"),
    _count("checkout_count", "checkouts"),
    _visits("session_count", "visits; 0 for the unknown customer"),
    _visits("cart_session_count", "visits with something put into a cart"),
    _visits("checkout_session_count", "visits with both that and a checkout"),
)
SOCIAL = (
    _count("mention_count", "posts that mention the shop"),
    _count("reply_count", "replies to posts of the shop"),
    _count("sentiment_count", "posts and replies with a sentiment"),
    Column("sentiment_sum", "DECIMAL(18,4)", "of these, -1 to 1 each"),
)

CUSTOMER_ACTIVITY_DAILY = Table(
    name="customer_activity_daily",
    doc="One row per day on which something became known, day on which it happened, and customer: counts and sums.",
    columns=(*_ARRIVAL, CUSTOMER_ID, *PURCHASES, *WEB, *SOCIAL),
    grain=("arrival_date", "activity_date", "customer_id"),
    replaces=("arrival_date",),
    exported=False,
    forgets="customer",
)
CUSTOMER_CATEGORY_DAILY = Table(
    name="customer_category_daily",
    doc="One row per day on which purchases became known, day of the purchases, customer and category of products.",
    columns=(
        *_ARRIVAL,
        CUSTOMER_ID,
        Column("category", "VARCHAR(100)", "of dim_product; (unknown) where that has none"),
        _count("item_count", "lines of a piece or more"),
    ),
    grain=("arrival_date", "activity_date", "customer_id", "category"),
    replaces=("arrival_date",),
    exported=False,
    forgets="customer",
)

_SNAPSHOT = Column("snapshot_date", "DATE", "the snapshot is taken when this day begins, UTC")

CHURN_TRAINING = Table(
    name="churn_training",
    doc="One row per snapshot whose label is known, and customer who bought in the 90 days before it.",
    columns=(
        _SNAPSHOT,
        CUSTOMER_ID,
        *(feature.column for feature in FEATURES),
        Column("is_churned", "BOOLEAN", "the label: no order in the label_days from the snapshot on"),
        Column("split", "VARCHAR(10)", "train, validation or test by the snapshot's place in the run's range, or gap"),
    ),
    grain=("snapshot_date", "customer_id"),
    replaces=("snapshot_date",),
    distributed_by="customer_id",
    forgets="row",
)
CHURN_SCORING = Table(
    name="churn_scoring",
    doc="One row per newest snapshot of an asked range, and customer who bought in the 90 days before it.",
    columns=(_SNAPSHOT, CUSTOMER_ID, *(feature.column for feature in FEATURES)),
    grain=("snapshot_date", "customer_id"),
    replaces=("snapshot_date",),
    distributed_by="customer_id",
    forgets="row",
)
CHURN_FEATURE = Table(
    name="churn_feature",
    doc="One row per feature of churn_training and churn_scoring: what it means.",
    columns=(
        Column("feature", "VARCHAR(64)", "the column"),
        Column("meaning", "VARCHAR(200)", "what it is"),
        Column("source", "VARCHAR(16)", "purchases, web, social or profile"),
        Column(
            "window_days", "INT", "how many days before the snapshot it looks at; null for a profile", nullable=True
        ),
        Column("unit", "VARCHAR(16)", "what it counts in"),
        Column("type", "VARCHAR(32)", "its type in the lake"),
    ),
    grain=("feature",),
    replaces=(),
)
CHURN_DATASET = Table(
    name="churn_dataset",
    doc="One row per snapshot and feature: how many customers, how many of them left, and how the feature is spread.",
    columns=(
        _SNAPSHOT,
        Column("feature", "VARCHAR(64)", "of churn_feature"),
        Column("row_count", "BIGINT", "customers of the snapshot"),
        Column("churn_rate", RATIO, "share of them that left; null where that is not known yet", nullable=True),
        Column("split", "VARCHAR(10)", "as in churn_training; scoring where that has not the snapshot"),
        Column("null_share", RATIO, "share of the customers without a value"),
        Column("mean", "DOUBLE", "mean of the values, yes as 1; null for a name", nullable=True),
        Column("deviation", "DOUBLE", "their standard deviation; null for a name", nullable=True),
        Column(
            "drift",
            "DOUBLE",
            "change of the mean since the snapshot before, in its deviations; null for the first of a run, a name, or "
            "where that had none",
            nullable=True,
        ),
        Column("schema_fingerprint", "VARCHAR(16)", "of the names and types of all features"),
    ),
    grain=("snapshot_date", "feature"),
    replaces=("snapshot_date",),
)

_MODEL = Column("model", "VARCHAR(32)", "recency, logistic_regression or gradient_boosted_trees")


def _ratio(name: str, doc: str) -> Column:
    return Column(name, RATIO, doc)


CHURN_EVALUATION = Table(
    name="churn_evaluation",
    doc="One row per evaluated range, split that no model was fitted to, and model: how well it tells who leaves.",
    columns=(
        START_DATE,
        END_DATE,
        Column("split", "VARCHAR(10)", "validation, by which its parameters were chosen, or test"),
        _MODEL,
        Column("row_count", "BIGINT", "rows of the split that were scored"),
        _ratio("churn_rate", "share of them that left"),
        _ratio("auc", "chance that one who left has a higher score than one who stayed; 0.5 is chance"),
        _ratio("average_precision", "area under precision and recall; churn_rate is chance"),
        _ratio("brier", "mean squared error of the probabilities; 0 is best"),
        _ratio("calibration_error", "how far, in the mean, a tenth by score is off what it foretells"),
        _ratio("top_tenth_lift", "how many times more leave of the tenth with the highest scores than of all"),
        Column("parameters", "VARCHAR(64)", "what validation chose; null where there is no choice", nullable=True),
        Column("train_row_count", "BIGINT", "rows it was fitted to"),
        Column("schema_fingerprint", "VARCHAR(16)", "of the names and types of all features, as in churn_dataset"),
    ),
    grain=("start_date", "end_date", "split", "model"),
    replaces=("start_date", "end_date"),
)
CHURN_CALIBRATION = Table(
    name="churn_calibration",
    doc="One row per evaluated range, model and tenth of the test split by falling score; like scores stay together.",
    columns=(
        START_DATE,
        END_DATE,
        _MODEL,
        Column("bin", "INT", "1, the most likely to leave, to 10"),
        Column("row_count", "BIGINT", "rows of the test split"),
        _ratio("mean_predicted", "mean of the probabilities of leaving"),
        _ratio("observed_rate", "share of them that left"),
        _ratio("lift", "observed_rate in times that of the whole split"),
    ),
    grain=("start_date", "end_date", "model", "bin"),
    replaces=("start_date", "end_date"),
)
