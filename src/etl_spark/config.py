"""The configuration: conf/<pipeline>.toml for what holds everywhere, and one file for the place where a run is."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dacite

from etl_spark.core.errors import UsageError
from etl_spark.core.sinks import WAREHOUSES

if TYPE_CHECKING:
    from etl_spark.core.flat import FlatMapping

SECRET_NAME = re.compile(r"(ssm:)?[\w/+=.@:!-]+")
"""The name or ARN of a secret, or that of a parameter behind ssm:."""

_ABOUT_THE_PLACE = ("spark", "sinks", "secrets", "catalog", "submit")
"""The tables of a place's file that are not of a pipeline."""

_STREAMS = ("social",)
"""The tables of a place's file that are of a stream."""


@dataclass(frozen=True)
class Credentials:
    """Who logs in, and with what: never shown, and never an argument of a command."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Config:
    """`settings` is an instance of the pipeline's settings class, `spark` the session's options by name.

    `sinks` are the configured warehouses, and `secrets` the names of secrets at AWS, by the name of a source or sink.
    `glue_database` is where the tables are registered, empty for nowhere. `submit` is what the file says of clusters.
    """

    settings: Any
    spark: Mapping[str, str]
    sinks: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    glue_database: str = ""
    submit: Mapping[str, Any] = field(default_factory=dict)

    def credentials(self, name: str) -> Credentials:
        """Those of the source or sink `name`: of the environment, else of the secret whose name is there or here.

        Raises UsageError where there are none.
        """
        variables = tuple(f"ETL_SPARK_{name.upper()}_{part}" for part in ("USER", "PASSWORD"))
        missing = [variable for variable in variables if variable not in os.environ]
        if not missing:
            user, password = (os.environ[variable] for variable in variables)
            return Credentials(user, password)
        secret = os.environ.get(f"ETL_SPARK_{name.upper()}_SECRET") or self.secrets.get(name)
        if not secret:
            raise UsageError(f"set {' and '.join(missing)} in the environment, to log in to {name}")
        # AWS' client is there only where it is needed.
        from etl_spark.secret import read_secret

        return Credentials(*read_secret(secret))


def load(
    pipeline: str,
    settings: type,
    *,
    pipelines: Collection[str],
    file: Path | None = None,
    source: str | None = None,
    mapping: str | None = None,
    given: Mapping[str, int] | None = None,
    reads: bool = True,
) -> Config:
    """The configuration of `pipeline`: its conf file, then `file` (conf/local.toml where None), `source` and `mapping`.

    Settings that are `given` take the place of all of these.

    Tables are merged key by key, any other value is replaced. A relative source, or place, in a file is relative to
    that file. Of a `mapping`, the file of one or the name of a shipped one, come the formats of dates and of CSV, if it
    has them. What `reads` no source needs none. Raises UsageError, naming file and key, for what cannot be read, is not
    known, or does not fit.
    """
    # What a job reads is told in Spark's types. Who asks for a place or for credentials alone needs no Spark.
    from etl_spark.core.flat import FlatSettings

    place = file or conf_file("local.toml")
    local = _read(place)
    strangers = sorted(set(local) - {"output", *_ABOUT_THE_PLACE, *_STREAMS, *pipelines})
    if strangers:
        raise UsageError(f"{place}: nothing is known of '{strangers[0]}'")
    sections = {name: local.get(name, {}) for name in (*_ABOUT_THE_PLACE, pipeline)}
    for name, section in sections.items():
        if not isinstance(section, dict):
            raise UsageError(f"{place}: '{name}' must be a table, [{name}]")
    values = _merge(_read(conf_file(f"{pipeline}.toml")), sections[pipeline])
    if not reads:
        values["source"] = ""
    elif source:
        values["source"] = source
    elif isinstance(values.get("source"), str):
        values["source"] = _resolve(values["source"], place.parent)
    for table in values.values():
        if isinstance(table, dict) and isinstance(table.get("place"), str):
            table["place"] = _resolve(table["place"], place.parent) if table["place"] else ""
    values |= given or {}
    spark = spark_options(sections["spark"], place)
    named = mapping or values.pop("mapping", None)
    if named and issubclass(settings, FlatSettings):
        found = _mapping(settings.mapping_type, named, values, place, None if mapping else place.parent)
        values |= {"mapping": found, "date_formats": found.date_formats, "csv": found.csv}
    elif named:
        raise UsageError(f"{place}: [{pipeline}] takes no mapping, its source is no flat file")
    return Config(
        _build(settings, values, f"{place}: [{pipeline}]"),
        spark,
        _sinks(sections["sinks"], place),
        _secrets(sections["secrets"], place, {*pipelines, *WAREHOUSES}),
        _glue_database(sections["catalog"], place),
        sections["submit"],
    )


def configured_output(file: Path | None) -> str:
    """Where `file` (conf/local.toml where None) says that results go; what cannot be read is for load() to say."""
    try:
        output = _read(file or conf_file("local.toml")).get("output", "output")
    except UsageError:
        return "output"
    return output if isinstance(output, str) else "output"


def _secrets(section: Mapping[str, Any], place: Path, known: Collection[str]) -> dict[str, str]:
    for name, secret in section.items():
        if name not in known:
            raise UsageError(f"{place}: [secrets] '{name}' is no source or sink")
        if not isinstance(secret, str) or not SECRET_NAME.fullmatch(secret):
            raise UsageError(f"{place}: [secrets] {name} is the name of a secret, or ssm:NAME of a parameter")
    return dict(section)


def _glue_database(section: Mapping[str, Any], place: Path) -> str:
    name = section.get("glue_database", "")
    if set(section) - {"glue_database"} or not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]*", name):
        raise UsageError(f"{place}: [catalog] has a glue_database and nothing else, in small letters, digits and _")
    return name


def _sinks(section: Mapping[str, Any], place: Path) -> dict[str, Any]:
    strangers = sorted(set(section) - set(WAREHOUSES))
    if strangers:
        raise UsageError(f"{place}: there is no sink '{strangers[0]}', there are {', '.join(WAREHOUSES)}")
    for name, values in section.items():
        if not isinstance(values, dict):
            raise UsageError(f"{place}: '{name}' must be a table, [sinks.{name}]")
    return {name: _build(WAREHOUSES[name], values, f"{place}: [sinks.{name}]") for name, values in section.items()}


def _mapping(
    mapping_type: type[FlatMapping], named: Any, job: Mapping[str, Any], place: Path, folder: Path | None
) -> FlatMapping:
    """The mapping `named` there; a path is relative to `folder`, or else the current one. It need not repeat `job`."""
    if not isinstance(named, str):
        raise UsageError(f"{place}: mapping is a file, or the name of one in conf/flat")
    file = mapping_file(named, folder)
    values = _merge({name: job[name] for name in ("date_formats", "csv") if name in job}, _read(file))
    if not isinstance(values.get("columns"), dict):
        raise UsageError(f"{file}: [columns] is missing, or no table")
    values["columns"] = {
        name: {"column": told} if isinstance(told, str) else told for name, told in values["columns"].items()
    }
    found: FlatMapping = _build(mapping_type, values, f"{file}:")
    return found


def mapping_file(named: str, folder: Path | None = None) -> Path:
    """The file of a mapping: that name in conf/flat, or a path, relative to `folder`."""
    is_name = re.fullmatch(r"[\w-]+", named)
    return conf_file(f"flat/{named}.toml") if is_name else (folder or Path()) / named


def _build(of_type: type, values: Mapping[str, Any], where: str) -> Any:
    try:
        return dacite.from_dict(of_type, _tuples(values), dacite.Config(strict=True))
    except dacite.UnexpectedDataError as error:
        raise UsageError(f"{where} has unknown keys: {', '.join(sorted(error.keys))}") from None
    except (dacite.DaciteError, UsageError) as error:
        raise UsageError(f"{where} {error}") from None


def conf_file(name: str) -> Path:
    """A file of the project's own conf/ folder. Raises UsageError where there is none."""
    folders = _conf_folders()
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"there is no {name} in {' or '.join(str(folder) for folder in folders)}")


@cache
def _conf_folders() -> tuple[Path, ...]:
    """Where conf/ may be: in the zip that a cluster was given, in a checkout, and where an installed package has it."""
    root = Path(__file__).parents[1]
    if zipfile.is_zipfile(root):
        folder = Path(tempfile.mkdtemp(prefix="etl_spark-"))
        with zipfile.ZipFile(root) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith("conf/")])
        return (folder / "conf",)
    return root.parent / "conf", Path(sys.prefix) / "share" / "etl_spark" / "conf"


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the configuration {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _tuples(value: Any) -> Any:
    """TOML's arrays as tuples, so that a frozen object is frozen all the way down."""
    match value:
        case dict():
            return {key: _tuples(item) for key, item in value.items()}
        case list():
            return tuple(_tuples(item) for item in value)
        case _:
            return value


def _resolve(uri: str, folder: Path) -> str:
    """A path relative to `folder`; a URI with a scheme and an absolute path are left as they are."""
    has_scheme = ":" in uri.partition("/")[0]
    return uri if has_scheme else str((folder.resolve() / uri).resolve())


def spark_options(section: Mapping[str, Any], place: Path) -> dict[str, str]:
    """Spark's options as text. Raises UsageError for a secret: an option can be read in the list of processes."""
    secrets = [name for name in section if re.search(r"secret|password|token|access\.key|credential$", name, re.I)]
    if secrets:
        raise UsageError(f"{place}: {secrets[0]} is a secret, which belongs into the environment")
    nested = [name for name, value in section.items() if isinstance(value, dict | list)]
    if nested:
        raise UsageError(f'{place}: write the names under [spark] in quotes, "{nested[0]}...." = ...')
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in section.items()}
