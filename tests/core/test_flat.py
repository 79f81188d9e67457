"""The mapping of a flat file: where it is found, what the job says for it, and one sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl_spark import config
from etl_spark.core.errors import UsageError
from etl_spark.core.flat import Numbers, Told
from etl_spark.core.settings import ExtractSettings
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.sales.settings import SalesMapping, SalesSettings
from tests.places import ROOT

REQUIRED = """
order_id = "No"
order_date = "Date"
quantity = "Pieces"
price_per_item = "Price"
"""


def load(mapping: Path | str | None, *, file: Path | None = None, source: str = "lines.csv") -> SalesSettings:
    named = None if mapping is None else str(mapping)
    found = config.load("sales", SalesSettings, pipelines=PIPELINES, file=file, source=source, mapping=named).settings
    assert isinstance(found, SalesSettings)
    return found


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    file = tmp_path / "kasse.toml"
    file.write_text(f"[columns]\n{REQUIRED}")
    return file


def test_without_a_mapping_there_is_none_and_the_rules_are_as_ever() -> None:
    found = load(None)
    assert found.mapping is None
    same = ExtractSettings(
        source="x",
        max_rejected_share=found.max_rejected_share,
        export_also=found.export_also,
        date_formats=found.date_formats,
        csv=found.csv,
        jdbc=found.jdbc,
    )
    assert found.rules_version == same.rules_version


def test_every_shipped_mapping_is_sound_and_known_by_its_name() -> None:
    names = [file.stem for file in (ROOT / "conf" / "flat").glob("*.toml")]
    assert "online_retail" in names
    for name in names:
        assert isinstance(load(name).mapping, SalesMapping)


def test_a_mapping_has_the_formats_of_its_file_and_the_jobs_where_it_says_none(mapping: Path) -> None:
    found = load(mapping)
    assert (found.csv, found.date_formats) == (load(None).csv, load(None).date_formats)
    mapping.write_text(f'date_formats = ["dd.MM.yyyy"]\n[csv]\ndelimiter = ";"\n[columns]\n{REQUIRED}')
    found = load(mapping)
    assert found.date_formats == ("dd.MM.yyyy",)
    assert (found.csv.delimiter, found.csv.encoding) == (";", "UTF-8")
    assert found.mapping is not None
    assert (found.mapping.csv, found.mapping.date_formats) == (found.csv, found.date_formats)
    assert (found.mapping.numbers, found.mapping.repeated_lines) == (Numbers(), "keep")
    assert found.mapping.columns["quantity"] == Told(column="Pieces")


def test_a_place_can_name_the_mapping_relative_to_itself_and_the_command_line_another(
    mapping: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place.toml"
    place.write_text('[sales]\nmapping = "kasse.toml"\n')
    assert load(None, file=place).mapping == load(mapping).mapping
    assert load("online_retail", file=place).mapping == load("online_retail").mapping
    place.write_text('[sales]\nmapping = "online_retail"\n')
    assert load(None, file=place).mapping == load("online_retail").mapping


@pytest.mark.parametrize(
    "change",
    [
        'repeated_lines = "drop"\n[columns]' + REQUIRED,
        "[columns]" + REQUIRED + 'customer_id = "Who"\n',
        "[columns]" + REQUIRED.replace('"Price"', "{ column = 'Price', remove = 'x' }"),
        '[numbers]\nthousands_sign = ","\n[columns]' + REQUIRED,
        'date_formats = ["dd.MM.yyyy"]\n[columns]' + REQUIRED,
    ],
)
def test_a_mapping_is_part_of_the_rules(mapping: Path, change: str) -> None:
    before = load(mapping).rules_version
    assert before == load(mapping).rules_version != load(None).rules_version
    mapping.write_text(change)
    assert load(mapping).rules_version != before


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[columns", "is not TOML"),
        ("", "[columns] is missing"),
        ("columns = 3", "[columns] is missing"),
        (f"[columns]{REQUIRED}prise = 'x'", "columns.prise: there is no such logical column, there are customer_id, "),
        (f"[columns]{REQUIRED}line_repeated = 'x'", "columns.line_repeated: there is no such logical column"),
        (f"column = 1\n[columns]{REQUIRED}", "unknown keys: column"),
        (f"[numbers]\ndecimal = ','\n[columns]{REQUIRED}", "unknown keys: decimal"),
        (f"[columns]{REQUIRED}customer_id = {{ colum = 'x' }}", "unknown keys: colum"),
        (f"[columns]{REQUIRED}customer_id = 3", "columns"),
        (f"[columns]{REQUIRED}customer_id = {{ column = 3 }}", "column"),
        (f"[columns]{REQUIRED}customer_id = {{ columns = 'x' }}", "columns"),
        (f"[columns]{REQUIRED}customer_id = {{ column = 'x', value = 'y' }}", "columns.customer_id: is told by one of"),
        (f"[columns]{REQUIRED}customer_id = {{ remove = 'x' }}", "columns.customer_id: is told by one of"),
        (f"[columns]{REQUIRED}customer_id = ' '", "columns.customer_id: the name of a column is missing"),
        (f"[columns]{REQUIRED}customer_id = {{ column = 'x', remove = '(' }}", "columns.customer_id: '(' is not a reg"),
        (f"[columns]{REQUIRED}category = {{ value = 'x', remove = 'y' }}", "columns.category: a fixed value is taken"),
        (f"[columns]{REQUIRED}country = 'x'", "columns.country: says nothing without a customer_id"),
        (f"[columns]{REQUIRED}category = 'x'", "columns.category: says nothing without a product_id"),
        ("[columns]\n" + REQUIRED.replace("order_id", "order_item_id"), "columns.order_id is missing"),
        ("[columns]\n" + REQUIRED.replace("order_date", "name"), "columns.order_date is missing"),
        ("[columns]\n" + REQUIRED.replace("quantity", "name"), "columns.quantity is missing"),
        ("[columns]\n" + REQUIRED.replace("price_per_item", "price"), "columns.price: says nothing without a product"),
        ("[columns]\n" + REQUIRED.replace("price_per_item", "customer_id"), "columns.price_per_item is missing: name"),
        (f"repeated_lines = 'count'\n[columns]{REQUIRED}", "repeated_lines"),
        (f"date_formats = 'dd.MM.yyyy'\n[columns]{REQUIRED}", "date_formats"),
        (f"date_formats = ['dd.mm.yyyy']\n[columns]{REQUIRED}", "'dd.mm.yyyy' is no pattern of a day"),
        (f"date_formats = ['DD.MM.YYYY']\n[columns]{REQUIRED}", "'DD.MM.YYYY' is no pattern of a day"),
        (f"[csv]\ndelimiter = ';;'\n[columns]{REQUIRED}", "csv.delimiter is one character"),
        (f"[numbers]\ndecimal_sign = ';'\n[columns]{REQUIRED}", "numbers.decimal_sign is '.' or ','"),
        (f"[numbers]\nthousands_sign = '.'\n[columns]{REQUIRED}", "the thousands sign is the decimal sign"),
        (f"[numbers]\nthousands_sign = '12'\n[columns]{REQUIRED}", "numbers.thousands_sign is one sign"),
        (f"[numbers]\ncurrencies = ['(£)']\n[columns]{REQUIRED}", "numbers.currencies are signs or names"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(mapping: Path, text: str, complaint: str) -> None:
    mapping.write_text(text)
    with pytest.raises(UsageError) as error:
        load(mapping)
    assert str(mapping) in str(error.value)
    assert complaint in str(error.value)


def test_a_line_total_does_instead_of_a_price(mapping: Path) -> None:
    mapping.write_text("[columns]\n" + REQUIRED.replace("price_per_item", "line_item_total"))
    assert load(mapping).mapping is not None


def test_a_mapping_that_is_not_there_or_does_not_fit(tmp_path: Path, mapping: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the configuration .*nowhere\.toml: No such file"):
        load(tmp_path / "nowhere.toml")
    with pytest.raises(UsageError, match=r"there is no flat/nowhere\.toml in"):
        load("nowhere")
    with pytest.raises(UsageError, match="mapping is for a flat file, and the source is a database"):
        load(mapping, source="jdbc:postgresql://localhost/shop")
    place = tmp_path / "place.toml"
    place.write_text("[sales]\nmapping = 3\n")
    with pytest.raises(UsageError, match=r"place\.toml: mapping is a file"):
        load(None, file=place)
    place.write_text('[viewing]\nsource = "x"\nmapping = "online_retail"\n')
    with pytest.raises(UsageError, match=r"\[viewing\] takes no mapping"):
        config.load("viewing", PIPELINES["viewing"].settings, pipelines=PIPELINES, file=place)
