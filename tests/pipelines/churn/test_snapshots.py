"""Features, labels and splits: what a snapshot sees, and that it never sees what came later."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from etl_spark.core.dates import DateRange
from etl_spark.core.errors import UsageError
from etl_spark.core.table import Table
from etl_spark.pipelines.churn.activity import build_activity
from etl_spark.pipelines.churn.features import FEATURES
from etl_spark.pipelines.churn.settings import SplitShares, WebRules, snapshots
from etl_spark.pipelines.churn.snapshots import (
    build_datasets,
    build_dictionary,
    build_features,
    latest_before,
    splits,
)
from etl_spark.pipelines.churn.tables import (
    CHURN_DATASET,
    CHURN_FEATURE,
    CHURN_SCORING,
    CHURN_TRAINING,
    CUSTOMER_ACTIVITY_DAILY,
    CUSTOMER_CATEGORY_DAILY,
    CUSTOMER_PROFILE,
    KINDS,
    SOCIAL_EVENT,
    WEB_EVENT,
)
from etl_spark.pipelines.sales.extracts import RAW_ORDER_ITEMS
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, DIM_PRODUCT, FACT_SALES
from tests.pipelines.churn.rows import rows
from tests.places import ROOT

SNAPSHOT = date(2024, 7, 1)
RULES = WebRules(max_line_bytes=1000, late_days=3, kinds={kind: (kind,) for kind in KINDS})


def ago(days: int) -> date:
    return SNAPSHOT - timedelta(days)


def active(days: int, *, known: int | None = None, **counts: Any) -> dict[str, Any]:
    """What was done so many days before the snapshot, known on the same day or `known` days before it."""
    return {"activity_date": ago(days), "arrival_date": ago(days if known is None else known), **counts}


def features(spark: SparkSession, *activity: dict[str, Any], profiles: DataFrame | None = None) -> list[Row]:
    bought = [row for row in activity if row.get("order_count")]
    categories = [{name: row[name] for name in ("activity_date", "arrival_date")} for row in bought]
    made = build_features(
        rows(spark, CUSTOMER_ACTIVITY_DAILY, *activity),
        rows(spark, CUSTOMER_CATEGORY_DAILY, *categories),
        rows(spark, CUSTOMER_PROFILE) if profiles is None else profiles,
        snapshot_dates=(SNAPSHOT,),
        profile_dates={SNAPSHOT: ago(1)} if profiles is not None else {},
    )
    return CHURN_SCORING.conform(made).collect()


def test_a_window_is_the_days_before_the_snapshot(spark: SparkSession) -> None:
    spend = {90: 1, 91: 10, 30: 100, 31: 1_000, 7: 10_000, 8: 100_000, 1: 1_000_000, 0: 10_000_000}
    (row,) = features(spark, *(active(days, order_count=1, spend=money) for days, money in spend.items()))

    assert (row.spend_7d, row.spend_30d, row.spend_90d) == (1_010_000, 1_110_100, 1_111_101)
    assert (row.order_count_7d, row.order_count_30d, row.order_count_90d) == (2, 4, 6)
    assert row.days_since_last_order == 1


def test_only_what_had_arrived_is_seen(spark: SparkSession) -> None:
    (row,) = features(
        spark,
        active(10, order_count=1),
        active(5, order_count=1, known=0),
        active(4, view_count=3, session_count=1, known=1),
        active(3, view_count=5, session_count=1, known=0),
    )
    assert (row.order_count_90d, row.days_since_last_order) == (1, 10)
    assert (row.view_count_7d, row.days_since_last_visit) == (3, 4)


def test_a_customer_of_a_snapshot_bought_in_the_window(spark: SparkSession) -> None:
    assert features(spark, active(91, order_count=1), active(3, view_count=1), active(2, return_count=1)) == []
    assert features(spark, active(3, order_count=1) | {"customer_id": "(unknown)"}) == []


def test_gaps_ratios_and_profiles(spark: SparkSession) -> None:
    profiles = rows(
        spark,
        CUSTOMER_PROFILE,
        {
            "extract_date": ago(1),
            "registered_at": datetime(2024, 6, 1, 23, tzinfo=UTC),
            "plan": "plus",
            "is_sms_opt_in": True,
            "loyalty_points": Decimal("9007199254740993.25"),
        },
        {"extract_date": SNAPSHOT, "plan": "basic"},
    )
    (row,) = features(
        spark,
        active(60, order_count=2),
        active(50, order_count=1, cart_session_count=3, checkout_session_count=1),
        active(20, order_count=1, mention_count=2, sentiment_count=2, sentiment_sum=Decimal("-0.5")),
        profiles=profiles,
    )
    assert (row.gap_mean_days_90d, row.gap_max_days_90d, row.gap_deviation_days_90d) == (20, 30, 10)
    assert row.cart_abandonment_30d is None
    assert (row.cart_abandonment_90d, row.sentiment_mean_30d) == (Decimal("0.666667"), Decimal("-0.25"))
    assert (row.days_since_last_visit, row.days_since_last_post) == (None, 20)
    assert (row.plan, row.tenure_days, row.is_sms_opt_in, row.is_email_opt_in) == ("plus", 30, True, False)
    assert row.loyalty_points == 1_000_000_000
    assert (row.category_count_90d, row.top_category_90d) == (1, "Toys")


def test_without_a_second_order_or_a_profile_there_is_no_value(spark: SparkSession) -> None:
    (row,) = features(spark, active(1, order_count=1))
    empty = {name for name, value in row.asDict().items() if value is None}
    assert empty == {feature.name for feature in FEATURES if feature.column.nullable}


def datasets(spark: SparkSession, *activity: dict[str, Any], **given: Any) -> list[list[Row]]:
    keys = ("activity_date", "arrival_date", "customer_id")
    options: dict[str, Any] = {
        "asked": DateRange(date(2024, 6, 24), SNAPSHOT),
        "snapshot_every": "week",
        "label_days": 30,
        "split": SplitShares(validation=0.2, test=0.2),
        "sales_days": frozenset(DateRange(ago(100), ago(-22)).days),
        "profiles_days": (),
    }
    made = build_datasets(
        rows(spark, CUSTOMER_ACTIVITY_DAILY, *activity),
        rows(
            spark,
            CUSTOMER_CATEGORY_DAILY,
            *({name: row[name] for name in keys if name in row} for row in activity if row.get("order_count")),
        ),
        rows(spark, CUSTOMER_PROFILE),
        **(options | given),
    )
    found = [
        table.conform(df).orderBy(*table.grain).collect()
        for table, df in zip((CHURN_TRAINING, CHURN_SCORING, CHURN_DATASET), made, strict=True)
    ]
    spark.catalog.clearCache()
    return found


def test_a_label_is_of_a_window_that_is_over_and_the_newest_snapshot_is_scored(spark: SparkSession) -> None:
    stays, leaves, late = ({"customer_id": name} for name in ("C1", "C2", "C3"))
    training, scoring, dataset = datasets(
        spark,
        *(active(8, order_count=1) | who for who in (stays, leaves, late)),
        active(-22, order_count=1) | stays,
        active(-23, order_count=1) | leaves,
        active(0, order_count=1, known=-23) | late,
    )
    week = ago(7)
    assert {(row.snapshot_date, row.customer_id, row.is_churned) for row in training} == {
        (week, "C1", False),
        (week, "C2", True),
        (week, "C3", True),
    }
    assert {row.snapshot_date for row in scoring} == {SNAPSHOT}
    assert len(scoring) == 3
    assert {(row.snapshot_date, row.row_count, row.churn_rate, row.split) for row in dataset} == {
        (week, 3, Decimal("0.666667"), "test"),
        (SNAPSHOT, 3, None, "scoring"),
    }
    assert len(dataset) == 2 * len(FEATURES)


def test_a_dataset_says_how_features_are_spread_and_drift(spark: SparkSession) -> None:
    _, _, dataset = datasets(
        spark,
        active(8, order_count=1, spend=10),
        active(8, order_count=1, spend=30, session_count=1) | {"customer_id": "C2"},
        active(3, spend=40),
    )
    spend = {row.snapshot_date: row for row in dataset if row.feature == "spend_90d"}
    assert (spend[ago(7)].mean, spend[ago(7)].deviation, spend[ago(7)].drift) == (20.0, 10.0, None)
    assert (spend[SNAPSHOT].mean, spend[SNAPSHOT].deviation, spend[SNAPSHOT].drift) == (40.0, 10.0, 2.0)
    (visits,) = (row for row in dataset if row.feature == "days_since_last_visit" and row.snapshot_date == SNAPSHOT)
    assert (visits.null_share, visits.mean, visits.drift) == (Decimal("0.5"), 8.0, None)
    (name,) = (row for row in dataset if row.feature == "top_category_90d" and row.snapshot_date == SNAPSHOT)
    assert (name.null_share, name.mean, name.drift) == (0, None, None)


def test_the_dictionary_tells_each_feature(spark: SparkSession) -> None:
    found = CHURN_FEATURE.conform(build_dictionary(spark.range(1).select())).collect()
    assert {row.feature for row in found} == set(CHURN_SCORING.column_names) - {"snapshot_date", "customer_id"}
    assert {row.source for row in found} == {"purchases", "web", "social", "profile"}


def test_splits_are_by_time_with_a_gap_as_long_as_a_label() -> None:
    weeks = [date(2024, 1, 1) + timedelta(7 * n) for n in range(26)]
    found = splits(weeks, 30, SplitShares(validation=0.2, test=0.2))

    parts = {part: [day for day in weeks if found[day] == part] for part in ("train", "validation", "test", "gap")}
    assert [len(days) for days in parts.values()] == [6, 6, 6, 8]
    assert (parts["validation"][0] - parts["train"][-1]).days >= 30
    assert (parts["test"][0] - parts["validation"][-1]).days >= 30
    assert splits([], 30, SplitShares(validation=0.2, test=0.2)) == {}
    assert splits(weeks[:1], 30, SplitShares(validation=0.2, test=0.2)) == {weeks[0]: "test"}


def test_snapshots_do_not_depend_on_the_range() -> None:
    june = DateRange(date(2024, 6, 4), date(2024, 7, 2))
    assert [day.day for day in snapshots(june, "week")] == [10, 17, 24, 1]
    assert snapshots(june, "month") == (date(2024, 7, 1),)
    assert len(snapshots(june, "day")) == 29
    with pytest.raises(UsageError, match="there is no snapshot in"):
        snapshots(DateRange(date(2024, 6, 4), date(2024, 6, 5)), "week")


def test_the_last_complete_extract_of_the_profiles_is_seen() -> None:
    days = (ago(1), ago(2), SNAPSHOT)
    assert latest_before((ago(3), ago(1), SNAPSHOT), days) == {ago(1): ago(2), SNAPSHOT: ago(1)}


def made_by(spark: SparkSession, given: dict[Table, list[dict[str, Any]]], days: DateRange) -> list[Row]:
    """The features of the snapshot, made of all that is in `given`."""
    found = {table: rows(spark, table, *some) for table, some in given.items()}
    sales = (
        found[FACT_SALES],
        found[RAW_ORDER_ITEMS],
        rows(spark, DIM_CUSTOMER, *CUSTOMERS),
        rows(spark, DIM_PRODUCT, {}),
    )
    activity = build_activity(found[WEB_EVENT], found[SOCIAL_EVENT], *sales, changed_days=days.days, rules=RULES)
    extracts = sorted({row["extract_date"] for row in given[CUSTOMER_PROFILE]})
    made = build_features(
        *activity,
        found[CUSTOMER_PROFILE],
        snapshot_dates=(SNAPSHOT,),
        profile_dates=latest_before((SNAPSHOT,), extracts),
    )
    return CHURN_SCORING.conform(made).orderBy("customer_id").collect()


CUSTOMERS = [{"customer_key": key, "customer_id": f"C{key}"} for key in range(40)]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.default_spark)])
def test_what_arrives_later_changes_no_feature(spark: SparkSession, seed: int) -> None:
    """Of random purchases, visits, posts and profiles, many late: a snapshot made when it was taken, and made after all
    has arrived, after what happened later was given to other customers too."""
    all_days = DateRange(ago(100), ago(-40))
    draw = random.Random(seed)
    given = world(draw, all_days)
    then = {table: [row for row in some if row[ARRIVAL[table]] < SNAPSHOT] for table, some in given.items()}
    # Of the lines of orders an extract made later tells those that came late.
    known = {row["order_item_id"] for row in then[RAW_ORDER_ITEMS]}
    then[FACT_SALES] = [row for row in then[FACT_SALES] if row["order_item_id"] in known]
    assert all(len(then[table]) < len(given[table]) for table in given)

    before = made_by(spark, then, DateRange(all_days.start, ago(1)))
    after = made_by(spark, given, all_days)
    shuffled = made_by(spark, later_shuffled(draw, given), all_days)

    assert len(before) > 20
    assert any(row.session_count_7d for row in before) and any(row.sentiment_mean_7d for row in before)
    assert before == after == shuffled


ARRIVAL = {
    WEB_EVENT: "log_date",
    SOCIAL_EVENT: "arrival_date",
    FACT_SALES: "order_date",
    RAW_ORDER_ITEMS: "extract_date",
    CUSTOMER_PROFILE: "extract_date",
}


def world(draw: random.Random, days: DateRange) -> dict[Table, list[dict[str, Any]]]:
    made: dict[Table, list[dict[str, Any]]] = {table: [] for table in ARRIVAL}
    for number in range(1500):
        day, customer = draw.choice(days.days), draw.randrange(len(CUSTOMERS))
        at = datetime(day.year, day.month, day.day, draw.randrange(24), draw.randrange(60), tzinfo=UTC)
        known = day + timedelta(draw.choice((0, 0, 1, 3)))
        who = f"C{customer}" if draw.random() < 0.6 else None
        made[WEB_EVENT].append(
            {
                "log_date": known,
                "event_id": f"E{number}",
                "event_at": at,
                "session_id": f"S{customer}-{day.toordinal() // 2}",
                "customer_id": who,
                "kind": draw.choice(KINDS),
            }
        )
        made[SOCIAL_EVENT].append(
            {
                "arrival_date": known,
                "event_id": f"T{number}",
                "event_at": at,
                "customer_id": who,
                "sentiment": Decimal(draw.randrange(-9999, 9999)) / 10_000,
            }
        )
        made[FACT_SALES].append(
            {
                "order_date": day,
                "order_item_id": f"I{number}",
                "order_id": f"O{number // 2}-{day}",
                "customer_key": customer,
                "quantity_sold": draw.choice((1, 2, -1)),
            }
        )
        made[FACT_SALES][-1]["is_return"] = made[FACT_SALES][-1]["quantity_sold"] < 0
        # Extracts are made every day; some lines come with a later one.
        late = draw.choice((0, 0, 0, 2, 20))
        made[RAW_ORDER_ITEMS].append({"extract_date": day + timedelta(late), "order_item_id": f"I{number}"})
    for extract in (ago(30), ago(1), SNAPSHOT, ago(-9)):
        for customer in range(len(CUSTOMERS)):
            plan = draw.choice(("basic", "plus", None))
            made[CUSTOMER_PROFILE].append({"extract_date": extract, "customer_id": f"C{customer}", "plan": plan})
    return made


def later_shuffled(draw: random.Random, given: dict[Table, list[dict[str, Any]]]) -> dict[Table, list[dict[str, Any]]]:
    """`given`, of which all that happened on the snapshot's day or later is of some other customer."""
    shuffled = {}
    for table, some in given.items():
        name = "customer_key" if table is FACT_SALES else "customer_id"
        later = [row for row in some if row[ARRIVAL[table]] >= SNAPSHOT and name in row]
        others = [row[name] for row in later]
        draw.shuffle(others)
        changed = {id(row): row | {name: other} for row, other in zip(later, others, strict=True)}
        shuffled[table] = [changed.get(id(row), row) for row in some]
    return shuffled


def test_a_split_needs_something_to_train_on() -> None:
    for shares in ((0.5, 0.5), (0, 0.2), (0.2, 0)):
        with pytest.raises(UsageError, match="leave something to train on"):
            replace(SplitShares(0.1, 0.1), validation=shares[0], test=shares[1])


def test_the_docs_say_what_each_feature_is() -> None:
    """docs/churn.md has a row for each, in their order."""
    said = [line for line in (ROOT / "docs" / "churn.md").read_text().splitlines() if line.startswith("| ")]
    for place, feature in enumerate(FEATURES, start=len(said) - len(FEATURES)):
        null = " or null" if feature.column.nullable else ""
        days = feature.window_days or ""
        told = (feature.name, feature.column.type + null, feature.column.doc, feature.source, days, feature.unit)
        assert said[place] == f"| {' | '.join(map(str, told))} |"
