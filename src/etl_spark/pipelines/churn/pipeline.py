"""The data flow of the churn job, from top to bottom."""

from __future__ import annotations

from etl_spark.core.audit import LOAD_AUDIT, take_over
from etl_spark.core.step import (
    NOTHING,
    Check,
    DailyFiles,
    Evaluator,
    Generator,
    Intake,
    Pipeline,
    Size,
    Step,
    Upstream,
    asked,
    counts,
    files,
    items,
    lines,
    part,
    whole,
)
from etl_spark.pipelines.churn.activity import build_activity, web_reach
from etl_spark.pipelines.churn.checks import balance
from etl_spark.pipelines.churn.evaluation import evaluate
from etl_spark.pipelines.churn.profiles import PROFILES, read_profiles
from etl_spark.pipelines.churn.settings import ChurnSettings, feature_days, label_days
from etl_spark.pipelines.churn.snapshots import build_datasets, build_dictionary
from etl_spark.pipelines.churn.tables import (
    CHURN_CALIBRATION,
    CHURN_DATASET,
    CHURN_EVALUATION,
    CHURN_FEATURE,
    CHURN_SCORING,
    CHURN_TRAINING,
    CUSTOMER_ACTIVITY_DAILY,
    CUSTOMER_CATEGORY_DAILY,
    CUSTOMER_PROFILE,
    PROFILE_REJECTED,
    SOCIAL_EVENT,
    WEB_EVENT,
    WEB_REJECTED,
)
from etl_spark.pipelines.churn.web import read_web
from etl_spark.pipelines.sales.extracts import RAW_ORDER_ITEMS
from etl_spark.pipelines.sales.tables import DIM_CUSTOMER, DIM_PRODUCT, FACT_SALES
from etl_spark.quality import unique

WEB_LOGS = DailyFiles("web", "daily JSON lines of what visitors of the website did", measure="money")
PURCHASES = Upstream(
    "sales",
    "the sales job's tables in the lake",
    pipeline="sales",
    counted="order_items",
    tables=(FACT_SALES, DIM_CUSTOMER, DIM_PRODUCT, RAW_ORDER_ITEMS),
    extracted=RAW_ORDER_ITEMS,
    by_runs=True,
)
POSTS = Upstream(
    "social",
    "what the social stream has taken in",
    pipeline="social",
    counted=SOCIAL_EVENT.name,
    tables=(SOCIAL_EVENT,),
)

SALES = tuple(whole(table) for table in (FACT_SALES, RAW_ORDER_ITEMS, DIM_CUSTOMER, DIM_PRODUCT))


CHURN = Pipeline(
    name="churn",
    doc="a training table of customers who leave, from purchases, web activity, profiles and social activity",
    settings=ChurnSettings,
    intakes=(
        Intake(
            WEB_LOGS,
            Step(
                read_web,
                inputs=(files(WEB_LOGS), lines(WEB_LOGS), part("known", WEB_EVENT)),
                outputs=(WEB_EVENT, WEB_REJECTED, LOAD_AUDIT),
                parameters=("rules",),
            ),
            quarantine=WEB_REJECTED,
            days=feature_days,
            needed=feature_days,
            reach=web_reach,
        ),
        Intake(
            PROFILES,
            Step(
                read_profiles,
                inputs=(items(PROFILES),),
                outputs=(CUSTOMER_PROFILE, PROFILE_REJECTED, LOAD_AUDIT),
            ),
            quarantine=PROFILE_REJECTED,
            days=feature_days,
            needed=feature_days,
        ),
        Intake(
            PURCHASES,
            Step(take_over, inputs=(counts(PURCHASES),), outputs=(LOAD_AUDIT,)),
            days=label_days,
            needed=feature_days,
        ),
        Intake(
            POSTS,
            Step(take_over, inputs=(counts(POSTS),), outputs=(LOAD_AUDIT,)),
            days=feature_days,
            needed=feature_days,
        ),
    ),
    steps=(
        Step(
            build_activity,
            inputs=(
                part("recent", WEB_EVENT),
                part("changed", SOCIAL_EVENT),
                *SALES,
            ),
            outputs=(CUSTOMER_ACTIVITY_DAILY, CUSTOMER_CATEGORY_DAILY),
            parameters=("changed_days", "rules"),
            over="changed",
        ),
        Step(
            build_datasets,
            inputs=(
                part("window", CUSTOMER_ACTIVITY_DAILY),
                part("window", CUSTOMER_CATEGORY_DAILY),
                whole(CUSTOMER_PROFILE),
            ),
            outputs=(CHURN_TRAINING, CHURN_SCORING, CHURN_DATASET),
            parameters=("asked", "snapshot_every", "label_days", "split", "sales_days", "profiles_days"),
        ),
        Step(build_dictionary, inputs=(NOTHING,), outputs=(CHURN_FEATURE,)),
    ),
    checks=(
        unique(CHURN_TRAINING),
        unique(CHURN_SCORING),
        Check(
            "what became known adds up to the events, the posts and the purchases",
            balance,
            inputs=(
                asked(LOAD_AUDIT),
                part("window", CUSTOMER_ACTIVITY_DAILY),
                part("window", WEB_EVENT),
                *SALES,
            ),
        ),
    ),
    generator=Generator(
        "etl_spark.pipelines.churn.generate",
        sizes=(
            Size("customers", 2_000, "customers there are"),
            Size("products", 120, "products there are"),
            Size("orders_per_day", 20, "orders a day, on average"),
            Size("visits_per_day", 10, "visits without an order, on a mean day"),
            Size("posts_per_day", 6, "posts a day, on average"),
        ),
    ),
    evaluator=Evaluator(
        doc="how well models tell who leaves, by the training table",
        step=Step(
            evaluate,
            inputs=(asked(CHURN_TRAINING),),
            outputs=(CHURN_EVALUATION, CHURN_CALIBRATION),
            parameters=("asked", "label_days", "evaluation"),
        ),
        shown=("split", "model", "row_count", "churn_rate", "auc", "average_precision", "brier", "top_tenth_lift"),
    ),
)
