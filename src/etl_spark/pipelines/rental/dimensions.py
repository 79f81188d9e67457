"""The dimensions of the rental job: one row per film, actor, customer, store, member of the staff, and their bridges.

Each takes the raw tables of all extracts, and of each row the latest version.
"""

from __future__ import annotations

from decimal import Decimal

import pyspark.sql.functions as F
from pyspark.sql import Column, DataFrame, Window

from etl_spark.core.keys import UNKNOWN, with_unknown
from etl_spark.extracts import newest
from etl_spark.pipelines.rental.tables import (
    BRIDGE_FILM_ACTOR,
    BRIDGE_FILM_CATEGORY,
    DIM_ACTOR,
    DIM_FILM,
    DIM_RENTAL_CUSTOMER,
    DIM_STAFF,
    DIM_STORE,
)

UNITS = 10**9
"""Parts into which bridge_film_category divides a film: as many as its weight has decimals for."""


def build_dim_film(raw_film: DataFrame, raw_language: DataFrame) -> DataFrame:
    """dim_film, whose languages are told by name."""
    language = newest(raw_language, "language_id")
    original = language.select(
        F.col("language_id").alias("original_language_id"), F.col("name").alias("original_language")
    )
    films = (
        newest(raw_film, "film_id")
        .join(language.select("language_id", F.col("name").alias("language")), on="language_id", how="left")
        .join(original, on="original_language_id", how="left")
        .withColumnsRenamed({"length": "length_minutes", "rental_duration": "rental_duration_days"})
        .withColumn("special_features", feature_names("special_features"))
        .select(*(name for name in DIM_FILM.column_names if name != "film_key"))
    )
    return with_unknown(films, DIM_FILM, "film_key", "film_id")


def feature_names(features: str) -> Column:
    """The names in `features`, as PostgreSQL writes an array, {"Deleted Scenes",Trailers}, or MariaDB a set; sorted."""
    plain = F.regexp_replace(features, '[{}"]', "")
    names = F.array_join(F.array_sort(F.split(plain, ",")), ", ")
    return F.when(plain != "", names)


def build_dim_actor(raw_actor: DataFrame) -> DataFrame:
    """dim_actor."""
    actors = newest(raw_actor, "actor_id").select("actor_id", "first_name", "last_name", "extract_date")
    return with_unknown(actors, DIM_ACTOR, "actor_key", "actor_id")


def flat_addresses(raw_address: DataFrame, raw_city: DataFrame, raw_country: DataFrame) -> DataFrame:
    """One row per address, with the names of its city and country."""
    cities = newest(raw_city, "city_id").select("city_id", "city", "country_id")
    countries = newest(raw_country, "country_id").select("country_id", "country")
    return (
        newest(raw_address, "address_id")
        .join(cities, on="city_id", how="left")
        .join(countries, on="country_id", how="left")
        .select("address_id", "address", "address2", "district", "postal_code", "phone", "city", "country")
    )


def build_dim_rental_customer(
    raw_customer: DataFrame, raw_address: DataFrame, raw_city: DataFrame, raw_country: DataFrame
) -> DataFrame:
    """dim_rental_customer."""
    customers = (
        newest(raw_customer, "customer_id")
        # The newer shape keeps `active` for those who still read it.
        .withColumn("is_active", F.coalesce("activebool", "active"))
        .join(flat_addresses(raw_address, raw_city, raw_country), on="address_id", how="left")
        .select(*(name for name in DIM_RENTAL_CUSTOMER.column_names if name != "customer_key"))
    )
    return with_unknown(customers, DIM_RENTAL_CUSTOMER, "customer_key", "customer_id")


def build_dim_store(
    raw_store: DataFrame, raw_staff: DataFrame, raw_address: DataFrame, raw_city: DataFrame, raw_country: DataFrame
) -> DataFrame:
    """dim_store."""
    managers = newest(raw_staff, "staff_id").select(
        F.col("staff_id").alias("manager_staff_id"), full_name().alias("manager_name")
    )
    stores = (
        newest(raw_store, "store_id")
        .join(managers, on="manager_staff_id", how="left")
        .join(flat_addresses(raw_address, raw_city, raw_country), on="address_id", how="left")
        .select(*(name for name in DIM_STORE.column_names if name != "store_key"))
    )
    return with_unknown(stores, DIM_STORE, "store_key", "store_id")


def build_dim_staff(
    raw_staff: DataFrame, raw_address: DataFrame, raw_city: DataFrame, raw_country: DataFrame
) -> DataFrame:
    """dim_staff."""
    staff = (
        newest(raw_staff, "staff_id")
        .withColumnRenamed("active", "is_active")
        .join(flat_addresses(raw_address, raw_city, raw_country), on="address_id", how="left")
        .select(*(name for name in DIM_STAFF.column_names if name != "staff_key"))
    )
    return with_unknown(staff, DIM_STAFF, "staff_key", "staff_id")


def full_name() -> Column:
    """First and last name, null where there is neither."""
    name = F.concat_ws(" ", "first_name", "last_name")
    return F.when(name != "", name)


def build_bridge_film_category(raw_film_category: DataFrame, raw_category: DataFrame, dim_film: DataFrame) -> DataFrame:
    """bridge_film_category: equal weights, of which the first have what nine decimals leave over."""
    of_film = Window.partitionBy("film_key")
    count, place = F.count(F.lit(1)).over(of_film), F.row_number().over(of_film.orderBy("category_id"))
    left_over = F.lit(UNITS) % count
    units = F.floor((F.lit(UNITS) - left_over) / count) + F.when(place <= left_over, 1).otherwise(0)
    weight = units.cast("decimal(19,0)") * F.lit(Decimal(1) / UNITS)
    links = latest_of_film(raw_film_category).select("film_id", "category_id")
    categories = newest(raw_category, "category_id").select("category_id", F.col("name").alias("category"))
    return (
        dim_film.select("film_id", "film_key")
        .join(links, on="film_id", how="left")
        .withColumn("category_id", F.coalesce("category_id", F.lit(UNKNOWN)))
        .join(categories, on="category_id", how="left")
        .withColumns({"category": F.coalesce("category", F.lit(UNKNOWN)), "weight": weight})
        .select(*BRIDGE_FILM_CATEGORY.column_names)
    )


def build_bridge_film_actor(raw_film_actor: DataFrame, dim_film: DataFrame, dim_actor: DataFrame) -> DataFrame:
    """bridge_film_actor."""
    return (
        latest_of_film(raw_film_actor)
        .join(dim_film.select("film_id", "film_key"), on="film_id", how="inner")
        .join(dim_actor.select("actor_id", "actor_key"), on="actor_id", how="inner")
        .select(*BRIDGE_FILM_ACTOR.column_names)
    )


def latest_of_film(raw: DataFrame) -> DataFrame:
    """The rows of each film in the latest extract that has any of it: what it had before is gone."""
    latest = F.max("extract_date").over(Window.partitionBy("film_id"))
    return raw.withColumn("latest", latest).where("extract_date = latest").drop("latest")
