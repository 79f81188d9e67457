"""The data flow of the sales job, from top to bottom."""

from __future__ import annotations

from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.step import NOTHING, Check, Extracts, Generator, Intake, Pipeline, Size, Step, asked, rows, whole
from etl_spark.pipelines.calendar.dim_date import DIM_DATE, build_dim_date
from etl_spark.pipelines.sales.checks import SUMMED, balance, totals_balance
from etl_spark.pipelines.sales.clv import build_clv
from etl_spark.pipelines.sales.co_purchase import build_co_purchase
from etl_spark.pipelines.sales.cohort import build_cohort
from etl_spark.pipelines.sales.dimensions import build_dim_customer, build_dim_product
from etl_spark.pipelines.sales.extracts import (
    EXTRACTS,
    PIPELINE,
    RAW_CUSTOMERS,
    RAW_ORDER_ITEMS,
    RAW_ORDERS,
    RAW_PRODUCTS,
    SALES_REJECTED,
    read_extracts,
)
from etl_spark.pipelines.sales.facts import build_fact_sales
from etl_spark.pipelines.sales.mart import SALES_MART
from etl_spark.pipelines.sales.rfm import build_rfm
from etl_spark.pipelines.sales.rollups import (
    build_sales_by_category,
    build_sales_by_country,
    build_sales_by_day,
    build_sales_by_product,
    build_sales_summary,
)
from etl_spark.pipelines.sales.settings import SalesSettings
from etl_spark.pipelines.sales.tables import (
    CLV,
    CLV_MODEL,
    CO_PURCHASE,
    COHORT,
    DIM_CUSTOMER,
    DIM_PRODUCT,
    FACT_SALES,
    RFM,
    SALES_BY_CATEGORY,
    SALES_BY_COUNTRY,
    SALES_BY_DAY,
    SALES_BY_PRODUCT,
    SALES_SUMMARY,
)
from etl_spark.quality import resolves, unique

SALES = Pipeline(
    name=PIPELINE,
    doc="a star schema of sales from customers, products, orders and order items, and its analytics",
    settings=SalesSettings,
    intakes=(
        Intake(
            Extracts("shop", "the tables of a shop", EXTRACTS),
            Step(
                read_extracts,
                inputs=tuple(rows(extract) for extract in EXTRACTS),
                outputs=(RAW_CUSTOMERS, RAW_PRODUCTS, RAW_ORDERS, RAW_ORDER_ITEMS, SALES_REJECTED, LOAD_AUDIT),
                parameters=("asked", "extract_dates", "date_formats", "mapping"),
            ),
            quarantine=SALES_REJECTED,
        ),
    ),
    steps=(
        Step(build_dim_date, inputs=(NOTHING,), outputs=(DIM_DATE,)),
        Step(build_dim_customer, inputs=(whole(RAW_CUSTOMERS),), outputs=(DIM_CUSTOMER,)),
        Step(build_dim_product, inputs=(whole(RAW_PRODUCTS),), outputs=(DIM_PRODUCT,)),
        Step(
            build_fact_sales,
            inputs=(asked(RAW_ORDERS), asked(RAW_ORDER_ITEMS), whole(DIM_CUSTOMER), whole(DIM_PRODUCT)),
            outputs=(FACT_SALES,),
            parameters=("extract_dates",),
        ),
        Step(
            build_sales_by_day,
            inputs=(asked(FACT_SALES), whole(DIM_DATE)),
            outputs=(SALES_BY_DAY,),
            parameters=("asked",),
        ),
        Step(
            build_sales_by_category,
            inputs=(asked(FACT_SALES), whole(DIM_PRODUCT)),
            outputs=(SALES_BY_CATEGORY,),
            parameters=("asked",),
        ),
        Step(
            build_sales_by_country,
            inputs=(asked(FACT_SALES), whole(DIM_CUSTOMER)),
            outputs=(SALES_BY_COUNTRY,),
            parameters=("asked",),
        ),
        Step(
            build_sales_by_product,
            inputs=(asked(FACT_SALES),),
            outputs=(SALES_BY_PRODUCT,),
            parameters=("asked",),
        ),
        Step(
            build_cohort,
            inputs=(asked(FACT_SALES), whole(DIM_CUSTOMER)),
            outputs=(COHORT,),
            parameters=("asked", "cohort_by"),
        ),
        Step(
            build_co_purchase,
            inputs=(asked(FACT_SALES),),
            outputs=(CO_PURCHASE,),
            parameters=("asked", "co_purchase"),
        ),
        Step(
            build_rfm,
            inputs=(asked(FACT_SALES),),
            outputs=(RFM,),
            parameters=("asked", "rfm_segments"),
        ),
        Step(
            build_clv,
            inputs=(asked(FACT_SALES),),
            outputs=(CLV, CLV_MODEL),
            parameters=("asked", "clv"),
        ),
        Step(
            build_sales_summary,
            inputs=(asked(FACT_SALES), whole(DIM_CUSTOMER)),
            outputs=(SALES_SUMMARY,),
            parameters=("asked", "cohort_by", "co_purchase"),
        ),
    ),
    checks=(
        unique(DIM_CUSTOMER),
        unique(DIM_PRODUCT),
        unique(FACT_SALES),
        unique(FACT_SALES, "sales_key"),
        resolves(FACT_SALES, "customer_key", DIM_CUSTOMER),
        resolves(FACT_SALES, "product_key", DIM_PRODUCT),
        resolves(FACT_SALES, "date_key", DIM_DATE),
        Check(
            "all that sums up fact_sales comes to its money",
            totals_balance,
            inputs=(asked(FACT_SALES), asked(SALES_SUMMARY), *(asked(table) for table in SUMMED)),
        ),
        Check(
            "the audit, the raw items and fact_sales have the same items and money",
            balance,
            inputs=(asked(LOAD_AUDIT), asked(RAW_ORDER_ITEMS), asked(FACT_SALES)),
        ),
    ),
    generator=Generator(
        "etl_spark.pipelines.sales.generate",
        sizes=(
            Size("customers", 2_000, "customers there are"),
            Size("products", 120, "products there are"),
            Size("orders_per_day", 20, "orders a day, on average"),
        ),
    ),
    mart=SALES_MART,
)
