"""What a cluster is given: the same bytes for the same code, and nothing of this machine in them."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from etl_spark.core.step import Pipeline
from etl_spark.pipelines import PIPELINES
from etl_spark.submit import package
from etl_spark.submit.package import LOCKS, PACKAGES, ROOT, Package, Python
from tests.places import ROOT as CHECKOUT

pytestmark = pytest.mark.default_spark

LOCK = ROOT / "requirements" / LOCKS["4.0"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def environment(cache: Path) -> bytes:
    """Made by the real pip."""
    return package.environment(LOCK, Python(), PACKAGES, cache)


def test_the_code_is_the_package_with_its_configuration_and_the_users(tmp_path: Path) -> None:
    place, mapping = tmp_path / "my place.toml", tmp_path / "shop.toml"
    place.write_text("# mine\n")
    mapping.write_text("# a mapping\n")
    first = package.code(place, mapping)
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        names = archive.namelist()
        assert archive.read("conf/place.toml") == b"# mine\n"
        assert archive.read("conf/flat/mapping.toml") == b"# a mapping\n"
        assert archive.read("etl_spark/cli.py") == (CHECKOUT / "src/etl_spark/cli.py").read_bytes()
    assert {"conf/viewing.toml", "conf/flat/online_retail.toml", "etl_spark/__init__.py"} <= set(names)
    assert [name for name in names if not name.startswith(("etl_spark/", "conf/")) or "__pycache__" in name] == []
    place.touch()
    assert package.code(place, mapping) == first
    place.write_text("# changed\n")
    assert package.code(place, mapping) != first


def test_the_zip_alone_has_what_a_job_is_configured_by(tmp_path: Path) -> None:
    place = tmp_path / "place.toml"
    place.write_text('output = "s3://bucket/output"\n[viewing]\nsource = "s3://bucket/logs"\n')
    code = tmp_path / "etl_spark.zip"
    code.write_bytes(package.code(place, None))
    script = (
        "from etl_spark import config; from etl_spark.pipelines import PIPELINES; import etl_spark;"
        "found = config.load('viewing', PIPELINES['viewing'].settings, pipelines=PIPELINES,"
        " file=config.conf_file('place.toml'));"
        "print(etl_spark.__file__, found.settings.source, found.settings.layout,"
        " config.configured_output(config.conf_file('place.toml')))"
    )
    # -I: neither the folder nor PYTHONPATH, by which the checkout would be found.
    run = f"import sys; sys.path.insert(0, {str(code)!r}); exec({script!r})"
    printed = subprocess.check_output([sys.executable, "-I", "-c", run], text=True, cwd=tmp_path)
    assert printed.split() == [f"{code}/etl_spark/__init__.py", "s3://bucket/logs", "%Y%m%d.json", "s3://bucket/output"]


def test_the_environment_works_in_any_folder_and_knows_none_of_this_machine(tmp_path: Path, environment: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(environment)) as archive:
        members = archive.getmembers()
        archive.extractall(tmp_path / "any where", filter="data")
    assert {(one.mtime, one.uid, one.mode, one.uname) for one in members} == {(0, 0, 0o644, "")}
    assert not [one.name for one in members if one.name.startswith("bin/") or one.name.endswith((".pyc", "RECORD"))]
    imports = (
        "import sys; sys.path[:0] = [sys.argv[1]]; import dacite, findspark, pymysql, sqlalchemy, boto3, botocore;"
        "import scipy.optimize, scipy.special, textblob.en; "
    )
    packages = "(dacite, findspark, pymysql, sqlalchemy, boto3, scipy, textblob)"
    files = f"print([one.__file__.startswith(sys.argv[1]) for one in {packages}])"
    # -S: without this environment's own packages.
    command = [sys.executable, "-I", "-S", "-c", imports + files, str(tmp_path / "any where")]
    assert subprocess.check_output(command, text=True, cwd=tmp_path).strip() == str([True] * len(PACKAGES))


def test_the_environment_is_made_once_for_a_lock_and_a_python(cache: Path, environment: bytes) -> None:
    made = sorted(cache.iterdir())
    assert [file.read_bytes() for file in made] == [environment]
    before = made[0].stat().st_mtime_ns
    assert package.environment(LOCK, Python(), PACKAGES, cache) == environment
    assert made[0].stat().st_mtime_ns == before


def test_what_one_job_alone_needs_goes_with_that_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(lock: Path, python: Python, packages: tuple[str, ...], folder: Path) -> None:
        folder.mkdir()
        (folder / "installed").write_text(" ".join(packages))

    monkeypatch.setattr(package, "_install", install)
    place = tmp_path / "place.toml"
    place.touch()
    for _ in range(2):  # The second time from the cache.
        for requires in ((), ("statsforecast",)):
            files = package.build(
                "4.0", Python(), requires=requires, place=place, mapping=None, cache=tmp_path / "cache"
            ).files
            with tarfile.open(fileobj=io.BytesIO(files[package.ENVIRONMENT])) as archive:
                content = archive.extractfile("installed")
                assert content
                assert content.read().decode().split() == [*PACKAGES, *requires]


@pytest.mark.parametrize("pipeline", [one for one in PIPELINES.values() if one.requires], ids=lambda one: one.name)
def test_the_extra_of_a_jobs_name_installs_what_it_alone_needs(pipeline: Pipeline) -> None:
    setup = (CHECKOUT / "setup.py").read_text()
    (extra,) = re.findall(rf'"{pipeline.name}": \[(.*)\],', setup)
    assert sorted(re.findall(r'"([\w-]+)', extra)) == sorted(pipeline.requires)
    for lock in LOCKS.values():
        locked = (CHECKOUT / "requirements" / lock).read_text()
        assert [name for name in pipeline.requires if f"\n{name}==" not in locked] == []


def test_the_same_files_are_packed_alike_wherever_and_in_whatever_order(tmp_path: Path) -> None:
    packed = []
    for folder, names in ((tmp_path / "a", ["x/1.py", "y.py"]), (tmp_path / "b", ["y.py", "x/1.py", "bin/tool"])):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
            (folder / name).chmod(0o600)
        packed.append(package.packed(folder))
    assert packed[0] == packed[1]


def test_a_package_is_told_by_the_contents_of_its_files() -> None:
    one = Package({"a": b"1", "b": b"2"})
    assert one.hash == Package({"b": b"2", "a": b"1"}).hash
    assert len({one.hash, Package({"a": b"1", "b": b"3"}).hash, Package({"a": b"1", "c": b"2"}).hash}) == 3
