"""The configuration: layers, checks, and one clear sentence for whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl_spark.cli import parse
from etl_spark.config import Config, conf_file, configured_output, load
from etl_spark.core.errors import UsageError
from etl_spark.pipelines import PIPELINES
from etl_spark.pipelines.viewing.settings import Segment, ViewingSettings
from tests.places import SAMPLE


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "place.toml"


def load_viewing(file: Path | None = None, source: str | None = None) -> Config:
    return load("viewing", ViewingSettings, pipelines=PIPELINES, file=file, source=source)


def test_what_is_shipped_reads_the_sample_on_this_machine() -> None:
    found = load_viewing()
    assert found.settings.source == str(SAMPLE / "viewing")
    assert found.spark["spark.master"] == "local[*]"
    assert found.settings.segments[0] == Segment("At Risk", 7)
    assert found.settings.rules.categories["Movie"] == ("MOVIE", "VOD", "FIMS", "BHD")


def test_a_file_takes_the_place_of_local_key_by_key(file: Path, tmp_path: Path) -> None:
    file.write_text(
        '[viewing]\nsource = "logs"\nmax_rejected_share = 1\n[viewing.rules.categories]\nTV = ["X"]\n'
        '[spark]\n"spark.a" = true\n"spark.b" = 3\n'
    )
    found = load_viewing(file)
    assert found.settings.source == str(tmp_path / "logs")
    assert found.settings.max_rejected_share == 1
    assert found.settings.rules.categories["TV"] == ("X",)
    assert found.settings.rules.categories["Child"] == ("CHILD",)
    assert found.spark == {"spark.a": "true", "spark.b": "3"}


def test_the_command_lines_source_is_taken_as_it_is(file: Path) -> None:
    file.write_text('[viewing]\nsource = "logs"\n')
    assert load_viewing(file, source="s3a://bucket/logs").settings.source == "s3a://bucket/logs"
    file.write_text('[viewing]\nsource = "s3a://bucket/logs"\n')
    assert load_viewing(file).settings.source == "s3a://bucket/logs"


def test_rules_have_a_version_of_their_own(file: Path) -> None:
    file.write_text('[viewing]\nsource = "logs"\nmax_rejected_share = 0.5\n')
    same = load_viewing(file).settings.rules_version
    assert same == load_viewing().settings.rules_version
    file.write_text('[viewing]\nsource = "logs"\n[viewing.rules]\nmax_seconds = 100\n')
    assert load_viewing(file).settings.rules_version != same


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[viewing", "is not TOML"),
        ("[viewng]", "nothing is known of 'viewng'"),
        ("viewing = 1", "'viewing' must be a table"),
        ("[viewing]\nsorce = 'x'", "unknown keys: sorce"),
        ("[viewing]", "source"),
        ("[viewing]\nsource = 3", "source"),
        ("[viewing]\nsource = 's3a://k:canary@b'", "user and a password"),
        ("[viewing]\nsource = 'x'\nlayout = '%Y%m.json'", "must name the day by %Y, %m and %d"),
        ("[viewing]\nsource = 'x'\nlayout = '%Y%m%d%H.json'", "must name the day by %Y, %m and %d"),
        ("[viewing]\nsource = 'x'\nmax_rejected_share = 10", "is a share of 1, not 10"),
        ("[viewing]\nsource = 'x'\nexport_also = 'viewing_daily'", "export_also"),
        ("[viewing]\nsource = 'x'\n[viewing.rules]\ncontract_pattern = '['", "not a regular expression"),
        ("[viewing]\nsource = 'x'\n[viewing.rules]\nmax_seconds = 0", "must be at least 1"),
        ("[viewing]\nsource = 'x'\n[viewing.rules.categories]\nNews = ['N']", "the categories are TV, Movie"),
        ("[viewing]\nsource = 'x'\n[viewing.rules.categories]\nTV = ['VOD']", "in more than one category: VOD"),
        ("[viewing]\nsource = 'x'\n[viewing.rules.categories]\nTV = 'VOD'", "categories"),
        ("[viewing]\nsource = 'x'\n[[viewing.segments]]\nname = 'A'\nbelow_days = 3", "the last must have none"),
        (
            "[viewing]\nsource = 'x'\n[[viewing.segments]]\nname = 'A'\nbelow_days = 3\n"
            "[[viewing.segments]]\nname = 'B'\nbelow_days = 2\n[[viewing.segments]]\nname = 'C'",
            "rising order",
        ),
        ("[viewing]\nsource = 'x'\n[sinks]\noracle = {}", "there is no sink 'oracle', there are mysql"),
        ("[viewing]\nsource = 'x'\n[sinks]\nmysql = 'jdbc:mysql://h/d'", "'mysql' must be a table, [sinks.mysql]"),
        ("[viewing]\nsource = 'x'\n[sinks.mysql]\nurl = 'jdbc:postgresql://h/d'", "KIND being mysql or mariadb"),
        ("[viewing]\nsource = 'x'\n[sinks.mysql]\nurl = 'jdbc:mysql://u:canary@h/d'", "a database is named jdbc:"),
        ("[viewing]\nsource = 'x'\n[sinks.mysql]\nurl = 'jdbc:mysql://h/d?password=canary'", "are not allowed"),
        ("[viewing]\nsource = 'x'\n[sinks.mysql]\nurl = 'jdbc:mysql://h/d'\npassword = 'canary'", "unknown keys"),
        *(
            (f"[viewing]\nsource = 'x'\n[sinks.redshift]\nurl = 'jdbc:redshift://h/d'\n{rest}", complaint)
            for rest, complaint in (
                ("", "COPY reads from S3: temporary ="),
                ("temporary = 's3a://b/x y'", "COPY reads from S3: temporary ="),
                ("temporary = 's3a://bucket/x'", "COPY reads as a role: iam_role ="),
                ("temporary = 's3://bucket'\niam_role = \"x' NULL AS '\"", "COPY reads as a role: iam_role ="),
                ("temporary = 's3://bucket'\niam_role = 'default'\nregion = \"'\"", "is no region"),
                ("temporary = 's3://bucket'\niam_role = 'default'\nregion = 'x'", "leave region out, or format"),
                ("way = 'jdbc'\nbatch_size = 0", "batch_size must be at least 1"),
                ("way = 'unload'", "way"),
            )
        ),
        ("[viewing]\nsource = 'x'\n[sinks.redshift]\nurl = 'jdbc:postgresql://h/d'", "KIND being redshift"),
        (
            "[viewing]\nsource = 'x'\n[spark]\n'spark.hadoop.fs.s3a.secret.key' = 'canary'",
            "belongs into the environment",
        ),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(file: Path, text: str, complaint: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as error:
        load_viewing(file)
    assert str(file) in str(error.value)
    assert complaint in str(error.value)
    assert "canary" not in str(error.value)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the configuration .*place\.toml: No such file"):
        load_viewing(file)


def test_the_output_may_stand_in_the_file_of_the_place(file: Path) -> None:
    assert configured_output(None) == "output"
    file.write_text('output = "s3://bucket/output"\n[viewing]\nsource = "logs"\n')
    assert configured_output(file) == "s3://bucket/output"
    assert load_viewing(file).settings.source.endswith("/logs")
    # What is wrong with a file is said where it is read as a whole.
    file.write_text("[viewing")
    assert configured_output(file) == "output"


@pytest.mark.parametrize("name", ["local", "emr"])
def test_a_shipped_file_is_told_by_its_name(name: str) -> None:
    options = parse(["viewing", "--start-date", "2022-04-01", "--end-date", "2022-04-01", "--config", name])
    assert options.config == conf_file(f"{name}.toml")
    assert load_viewing(options.config).settings.source


def test_a_runs_id_ends_in_its_key() -> None:
    days = ["--start-date", "2022-04-01", "--end-date", "2022-04-01"]
    assert parse(["publish", "viewing", *days, "--sink", "csv", "--run-key", "abc123"]).run_key == "abc123"
    with pytest.raises(UsageError, match="'A/b' is not 6 to 32 small letters and digits"):
        parse(["viewing", *days, "--run-key", "A/b"])
