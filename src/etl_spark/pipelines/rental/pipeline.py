"""The data flow of the rental job, from top to bottom."""

from __future__ import annotations

from etl_spark.core.audit import LOAD_AUDIT
from etl_spark.core.settings import ExtractSettings
from etl_spark.core.step import NOTHING, Check, Extracts, Generator, Intake, Pipeline, Size, Step, asked, rows, whole
from etl_spark.pipelines.calendar.dim_date import DIM_DATE, build_dim_date
from etl_spark.pipelines.rental.analytics import build_film_utilisation, build_open_rental, build_rental_revenue
from etl_spark.pipelines.rental.checks import balance, revenue_balance, weight_balance
from etl_spark.pipelines.rental.dimensions import (
    build_bridge_film_actor,
    build_bridge_film_category,
    build_dim_actor,
    build_dim_film,
    build_dim_rental_customer,
    build_dim_staff,
    build_dim_store,
)
from etl_spark.pipelines.rental.extracts import (
    ACTOR,
    ADDRESS,
    CATEGORY,
    CITY,
    COUNTRY,
    CUSTOMER,
    EXTRACTS,
    FILM,
    FILM_ACTOR,
    FILM_CATEGORY,
    INVENTORY,
    LANGUAGE,
    PAYMENT,
    PIPELINE,
    RAW,
    RENTAL_REJECTED,
    STAFF,
    STORE,
    read_extracts,
)
from etl_spark.pipelines.rental.extracts import RENTAL as RENTAL_EXTRACT
from etl_spark.pipelines.rental.facts import DIMENSIONS, build_fact_payment, build_fact_rental
from etl_spark.pipelines.rental.tables import (
    BRIDGE_FILM_ACTOR,
    BRIDGE_FILM_CATEGORY,
    DIM_ACTOR,
    DIM_FILM,
    DIM_RENTAL_CUSTOMER,
    DIM_STAFF,
    DIM_STORE,
    FACT_PAYMENT,
    FACT_RENTAL,
    FILM_UTILISATION,
    OPEN_RENTAL,
    RENTAL_REVENUE,
)
from etl_spark.quality import resolves, unique

_ADDRESSES = (whole(RAW[ADDRESS]), whole(RAW[CITY]), whole(RAW[COUNTRY]))
_MEMBERS = tuple(whole(dimension) for dimension in DIMENSIONS.values())

RENTAL = Pipeline(
    name=PIPELINE,
    doc="a star schema of film rentals and payments from a film-rental database",
    settings=ExtractSettings,
    intakes=(
        Intake(
            Extracts("film_rental", "the tables of a film-rental database", EXTRACTS),
            Step(
                read_extracts,
                inputs=tuple(rows(extract) for extract in EXTRACTS),
                outputs=(*RAW.values(), RENTAL_REJECTED, LOAD_AUDIT),
                parameters=("asked", "extract_dates", "date_formats"),
            ),
            quarantine=RENTAL_REJECTED,
        ),
    ),
    steps=(
        Step(build_dim_date, inputs=(NOTHING,), outputs=(DIM_DATE,)),
        Step(build_dim_film, inputs=(whole(RAW[FILM]), whole(RAW[LANGUAGE])), outputs=(DIM_FILM,)),
        Step(build_dim_actor, inputs=(whole(RAW[ACTOR]),), outputs=(DIM_ACTOR,)),
        Step(build_dim_rental_customer, inputs=(whole(RAW[CUSTOMER]), *_ADDRESSES), outputs=(DIM_RENTAL_CUSTOMER,)),
        Step(build_dim_store, inputs=(whole(RAW[STORE]), whole(RAW[STAFF]), *_ADDRESSES), outputs=(DIM_STORE,)),
        Step(build_dim_staff, inputs=(whole(RAW[STAFF]), *_ADDRESSES), outputs=(DIM_STAFF,)),
        Step(
            build_bridge_film_category,
            inputs=(whole(RAW[FILM_CATEGORY]), whole(RAW[CATEGORY]), whole(DIM_FILM)),
            outputs=(BRIDGE_FILM_CATEGORY,),
        ),
        Step(
            build_bridge_film_actor,
            inputs=(whole(RAW[FILM_ACTOR]), whole(DIM_FILM), whole(DIM_ACTOR)),
            outputs=(BRIDGE_FILM_ACTOR,),
        ),
        Step(
            build_fact_rental,
            inputs=(asked(RAW[RENTAL_EXTRACT]), asked(RAW[PAYMENT]), whole(RAW[INVENTORY]), *_MEMBERS),
            outputs=(FACT_RENTAL,),
        ),
        Step(
            build_fact_payment,
            inputs=(asked(RAW[PAYMENT]), asked(RAW[RENTAL_EXTRACT]), whole(RAW[INVENTORY]), *_MEMBERS),
            outputs=(FACT_PAYMENT,),
        ),
        Step(
            build_rental_revenue,
            inputs=(asked(FACT_PAYMENT), whole(BRIDGE_FILM_CATEGORY), whole(DIM_STORE), whole(DIM_RENTAL_CUSTOMER)),
            outputs=(RENTAL_REVENUE,),
            parameters=("asked",),
        ),
        Step(
            build_open_rental,
            inputs=(asked(FACT_RENTAL), whole(DIM_RENTAL_CUSTOMER), whole(DIM_FILM), whole(DIM_STORE)),
            outputs=(OPEN_RENTAL,),
            parameters=("asked", "extract_dates"),
        ),
        Step(
            build_film_utilisation,
            inputs=(asked(FACT_RENTAL), whole(RAW[INVENTORY]), whole(DIM_FILM)),
            outputs=(FILM_UTILISATION,),
            parameters=("asked", "extract_dates"),
        ),
    ),
    checks=(
        *(unique(table) for table in (*DIMENSIONS.values(), DIM_ACTOR, BRIDGE_FILM_CATEGORY, BRIDGE_FILM_ACTOR)),
        *(unique(table) for table in (FACT_RENTAL, FACT_PAYMENT, RENTAL_REVENUE, OPEN_RENTAL, FILM_UTILISATION)),
        unique(FACT_RENTAL, "rental_key"),
        unique(FACT_PAYMENT, "payment_key"),
        *(
            resolves(fact, key, dimension)
            for fact in (FACT_RENTAL, FACT_PAYMENT)
            for key, dimension in {**DIMENSIONS, "date_key": DIM_DATE}.items()
        ),
        resolves(BRIDGE_FILM_CATEGORY, "film_key", DIM_FILM),
        resolves(BRIDGE_FILM_ACTOR, "film_key", DIM_FILM),
        resolves(BRIDGE_FILM_ACTOR, "actor_key", DIM_ACTOR),
        Check("the weights of a film's categories sum to 1", weight_balance, inputs=(whole(BRIDGE_FILM_CATEGORY),)),
        Check(
            "the audit, the raw tables and the facts have the same rentals, payments and money",
            balance,
            inputs=(
                asked(LOAD_AUDIT),
                asked(RAW[RENTAL_EXTRACT]),
                asked(RAW[PAYMENT]),
                asked(FACT_RENTAL),
                asked(FACT_PAYMENT),
            ),
        ),
        Check(
            "revenue by store, category and country adds up to the payments of the month",
            revenue_balance,
            inputs=(asked(FACT_PAYMENT), asked(RENTAL_REVENUE)),
        ),
    ),
    generator=Generator(
        "etl_spark.pipelines.rental.generate",
        sizes=(
            Size("films", 1_000, "films there are"),
            Size("customers", 600, "customers there are"),
            Size("rentals_per_day", 90, "rentals a day, on average"),
        ),
    ),
)
