"""scripts/ as a user meets them: run in a copy of the checkout, with a PATH that holds just what a test puts there."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.default_spark

PROJECT = Path(__file__).parents[1]

JAVA_17 = """echo 'openjdk version "17.0.15" 2025-04-15' >&2"""

OLD_PYTHON = f"""\
[[ $1 == -c ]] || exit 1
exec {shlex.quote(sys.executable)} -c 'import sys; sys.version_info = (3, 8, 18, "final", 0); exec(sys.argv[1])' "$2"
"""

PYTHON_WITHOUT_VENV = f"""\
[[ $1 == -c ]] || exit 1
exec {shlex.quote(sys.executable)} -c 'import sys; sys.modules["ensurepip"] = None; exec(sys.argv[1])' "$2"
"""

BROKEN_SHIM = "echo 'shim: python3: command not found' >&2; exit 127"

# Makes virtual environments in no time, whose python is this same script. $PIP is what its pip does; $SPARK_35 and
# $SPARK_40 are the exit codes of its pytest.
FAKE_PYTHON = """\
[[ $1 == -c ]] || printf '%s\\n' "$*" >>"$CALLS"
case "$1 ${2:-}" in
    "-m venv")
        mkdir -p "$3/bin"
        cp "$0" "$3/bin/python"
        for check in ruff mypy lint-imports; do
            printf '#!/bin/sh\\necho "%s $*" >>"$CALLS"; [ "$FAILS" != %s ]\\n' $check $check >"$3/bin/$check"
            chmod +x "$3/bin/$check"
        done
        ;;
    "-m pip") eval "${PIP:-true}" ;;
    "-m pytest")
        echo "pytest with $PYSPARK_PYTHON"
        case $PYSPARK_PYTHON in *3.5/bin/python) exit "${SPARK_35:-0}" ;; *) exit "${SPARK_40:-0}" ;; esac
        ;;
    "-m etl_spark.submit")
        shift 2
        printf '%s\\0' "$@"
        env >"$CALLS.environment"
        exit 3
        ;;
esac
"""


@dataclass(frozen=True)
class Checkout:
    """A copy of the project's scripts, and an empty folder `bin` before the system's own tools on PATH."""

    folder: Path
    bin: Path
    tools: Path

    def put(self, command: str, script: str) -> None:
        _write_script(self.bin / command, script)

    def start(self, *arguments: str, script: str = "scripts/submit.sh", **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.folder / script, *arguments],
            env={
                "PATH": f"{self.bin}{os.pathsep}{self.tools}",
                "HOME": str(self.bin),
                "CALLS": str(self.bin / "calls"),
                **variables,
            },
            cwd=self.bin,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, script: str = "scripts/submit.sh", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, script=script, **variables) as running:
            stdout, stderr = running.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, running.returncode, stdout, stderr)

    def calls(self, beginning: str = "") -> list[str]:
        """What the fake Pythons were called with, but for `-c`."""
        file = self.bin / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if line.startswith(beginning)]

    def environment(self) -> Mapping[str, str]:
        """The environment variables that `python -m etl_spark.submit` was given."""
        lines = (self.bin / "calls.environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


def _write_script(file: Path, script: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/usr/bin/env bash\n{script}\n")
    file.chmod(0o755)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The system's commands, without any Python, Java or package manager."""
    folder = tmp_path_factory.mktemp("tools")
    left_out = ("python", "java", "pip", "apt", "shellcheck", "chrom")
    for command in [*Path("/bin").iterdir(), *Path("/usr/bin").iterdir()]:
        link = folder / command.name
        if not command.name.startswith(left_out) and not link.is_symlink():
            link.symlink_to(command)
    return folder


@pytest.fixture
def checkout(tmp_path: Path, tools: Path) -> Checkout:
    folder = tmp_path / "check out"
    for name in ("scripts", "requirements", ".ci"):
        shutil.copytree(PROJECT / name, folder / name)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, folder)
    (tmp_path / "bin").mkdir()
    return Checkout(folder, tmp_path / "bin", tools)


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    """With a Java, and a Python that only pretends."""
    checkout.put("java", JAVA_17)
    checkout.put("python3", FAKE_PYTHON)
    return checkout


def assert_one_sentence(run: subprocess.CompletedProcess[str], *words: str) -> None:
    (sentence,) = run.stderr.splitlines()
    assert sentence.startswith("submit.sh: ")
    for word in words:
        assert word in sentence
    assert run.returncode == 1


def test_without_java(checkout: Checkout) -> None:
    checkout.put("python3", FAKE_PYTHON)

    assert_one_sentence(checkout.run("viewing"), "there is no Java", "install Java 17", "JAVA_HOME")


def test_a_java_that_does_not_run_is_none(checkout: Checkout) -> None:
    checkout.put("java", "echo 'Unable to locate a Java Runtime.' >&2; exit 1")

    assert_one_sentence(checkout.run("viewing"), "there is no Java")


@pytest.mark.parametrize("version", ["11.0.22", "1.8.0_392"])
def test_java_too_old(checkout: Checkout, version: str) -> None:
    checkout.put("java", f"""echo 'openjdk version "{version}" 2024-01-16' >&2""")

    assert_one_sentence(checkout.run("viewing"), f"Java {version}, too old", "install Java 17")


def test_java_too_new(checkout: Checkout) -> None:
    checkout.put("java", """echo 'openjdk version "25.0.1" 2025-10-21' >&2""")

    assert_one_sentence(checkout.run("viewing"), "Java 25.0.1, too new", "install Java 17")


def test_java_home_without_java(ready: Checkout) -> None:
    run = ready.run("viewing", JAVA_HOME="/no/such folder")

    assert_one_sentence(run, "JAVA_HOME is /no/such folder", "unset it")


def test_java_of_java_home_goes_before_path(ready: Checkout, tmp_path: Path) -> None:
    ready.put("java", """echo 'openjdk version "11.0.22"' >&2""")
    _write_script(tmp_path / "jdk 21/bin/java", """echo 'openjdk version "21-ea" 2025-09-16' >&2""")

    assert ready.run("viewing", JAVA_HOME=str(tmp_path / "jdk 21")).returncode == 3


@pytest.mark.parametrize("script", [OLD_PYTHON, BROKEN_SHIM])
def test_only_an_unusable_python(checkout: Checkout, script: str) -> None:
    checkout.put("java", JAVA_17)
    for command in ("python3", "python3.11"):
        checkout.put(command, script)

    assert_one_sentence(checkout.run("viewing"), "no Python 3.11 or newer", "set PYTHON")


@pytest.mark.parametrize("first", [OLD_PYTHON, BROKEN_SHIM])
def test_an_unusable_python_is_passed_over(ready: Checkout, first: str) -> None:
    ready.put("python3", first)
    ready.put("python3.11", FAKE_PYTHON)

    assert ready.run("viewing").returncode == 3


def test_python_of_the_environment_goes_first(ready: Checkout, tmp_path: Path) -> None:
    ready.put("python3", OLD_PYTHON)
    _write_script(tmp_path / "py thon/python", FAKE_PYTHON)

    assert ready.run("viewing", PYTHON=str(tmp_path / "py thon/python")).returncode == 3


def test_python_without_its_venv_module(checkout: Checkout) -> None:
    checkout.put("java", JAVA_17)
    checkout.put("python3", PYTHON_WITHOUT_VENV)

    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert_one_sentence(checkout.run("viewing"), "python3 cannot make virtual environments", package)


def test_packages_that_cannot_be_had(checkout: Checkout, tmp_path: Path) -> None:
    """With the real pip, lent to the virtual environment by the Python that runs this test."""
    checkout.put("java", JAVA_17)
    venv.create(checkout.folder / ".venv", symlinks=True)
    (site_packages,) = (checkout.folder / ".venv").glob("lib/*/site-packages")
    (site_packages / "lent.pth").write_text(sysconfig.get_path("purelib"))
    (tmp_path / "no packages").mkdir()

    run = checkout.run(
        "viewing", PIP_NO_INDEX="1", PIP_FIND_LINKS=(tmp_path / "no packages").as_uri(), PIP_CONFIG_FILE=os.devnull
    )

    assert_one_sentence(run, "spark-4.0.txt", "is there a network?", "install.log")
    assert "No matching distribution found" in (checkout.folder / ".venv/install.log").read_text()


def test_a_checkout_that_cannot_be_written(ready: Checkout) -> None:
    ready.put("mkdir", "echo 'mkdir: Permission denied' >&2; exit 1")

    assert_one_sentence(ready.run("viewing"), "cannot write to", ".venv")


def test_arguments_arrive_untouched(ready: Checkout) -> None:
    arguments = ["viewing", "a b", "", "*", "'\"", "$HOME `id`", "back\\slash", "-", "--", "two\nlines", "é"]
    ready.run("--help")

    run = ready.run(*arguments)

    assert run.stdout.split("\0")[:-1] == arguments
    assert (run.stderr, run.returncode) == ("", 3)


def test_no_other_spark_or_python_comes_in(ready: Checkout) -> None:
    ready.run(SPARK_HOME="/other", SPARK_CONF_DIR="/other", PYTHONPATH="/other", PYSPARK_PYTHON="/other")

    given = ready.environment()
    assert {"SPARK_HOME", "SPARK_CONF_DIR", "PYTHONPATH"}.isdisjoint(given)
    python = str(ready.folder / ".venv/bin/python")
    assert (given["PYSPARK_PYTHON"], given["PYSPARK_DRIVER_PYTHON"]) == (python, python)


def test_installs_once_with_the_lock(ready: Checkout) -> None:
    first, second = ready.run("viewing"), ready.run("viewing")

    assert (first.stdout, first.stderr) == ("preparing .venv, once ...\nviewing\0", "")
    assert second.stdout == "viewing\0"
    lock = ready.folder / "requirements/spark-4.0.txt"
    assert ready.calls("-m pip") == [f"-m pip install -c {lock} -e {ready.folder}[spark,generate,aws]"]


@pytest.mark.parametrize("changed", ["setup.py", "requirements/spark-4.0.txt"])
def test_installs_again_when_what_is_needed_has_changed(ready: Checkout, changed: str) -> None:
    ready.run()
    with (ready.folder / changed).open("a") as stream:
        stream.write("# more\n")

    assert ready.run().returncode == 3
    assert (len(ready.calls("-m venv")), len(ready.calls("-m pip"))) == (1, 2)


def test_installs_again_in_another_place(ready: Checkout) -> None:
    ready.run()
    ready.folder.rename(ready.folder.with_name("moved"))
    moved = Checkout(ready.folder.with_name("moved"), ready.bin, ready.tools)

    assert moved.run().returncode == 3
    assert moved.calls("-m pip")[1].endswith(f"-e {moved.folder}[spark,generate,aws]")


@pytest.mark.parametrize("blow", ["exit 1", "kill -9 $PPID"])
def test_an_install_that_broke_off_is_repaired(ready: Checkout, blow: str) -> None:
    broken = ready.run(PIP=f"echo 'Installing collected packages: py4j'; {blow}")
    again = ready.run()

    assert (broken.returncode != 0, again.returncode) == (True, 3)
    assert (len(ready.calls("-m venv")), len(ready.calls("-m pip"))) == (2, 2)


def test_an_install_that_never_began_is_taken_up(ready: Checkout) -> None:
    ready.run(PIP="exit 1")

    assert ready.run().returncode == 3
    assert (len(ready.calls("-m venv")), len(ready.calls("-m pip"))) == (1, 2)


@pytest.mark.parametrize("script", [None, OLD_PYTHON, BROKEN_SHIM])
def test_an_environment_whose_python_is_gone_is_made_anew(ready: Checkout, script: str | None) -> None:
    ready.run()
    python = ready.folder / ".venv/bin/python"
    python.unlink()
    if script:
        _write_script(python, script)

    assert ready.run().returncode == 3
    assert len(ready.calls("-m venv")) == 2


@pytest.mark.skipif(shutil.which("flock") is None, reason="there is no flock on this machine")
def test_two_at_once_install_once(ready: Checkout) -> None:
    with ready.start(PIP="sleep 0.5") as one, ready.start(PIP="sleep 0.5") as other:
        one.communicate(timeout=60)
        other.communicate(timeout=60)

    assert (one.returncode, other.returncode) == (3, 3)
    assert len(ready.calls("-m pip")) == 1


def test_ci_runs_the_checks_then_both_spark_lines(ready: Checkout) -> None:
    run = ready.run("-k", "a b", script=".ci/run")

    assert (run.stderr, run.returncode) == ("", 0)
    assert ready.calls()[-6:] == [
        "ruff check",
        "ruff format --check",
        "mypy ",
        "lint-imports --no-logo",
        "-m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m not default_spark -k a b",
        "-m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -k a b",
    ]
    assert [line for line in run.stdout.splitlines() if line.startswith("pytest")] == [
        f"pytest with {ready.folder}/{lane}/bin/python" for lane in (".venv-spark3.5", ".venv")
    ]
    assert ready.calls("-m pip") == [
        f"-m pip install -c {ready.folder}/requirements/{lock} -e {ready.folder}[{extras}]"
        for lock, extras in (
            ("spark-4.0.txt", "spark,generate,aws,dashboard,browser,forecast,test"),
            ("spark-3.5.txt", "spark,generate,aws,forecast,test"),
        )
    ]


@pytest.mark.parametrize(
    ("arguments", "installs"),
    [
        ("forecast --end-date 2024-06-30", True),
        ("--target standalone --master spark://x:1 forecast", True),
        ("viewing", False),
        ("publish forecast --sink csv", False),
        ("generate forecast", False),
        ("", False),
    ],
)
def test_what_only_the_forecast_needs_is_installed_for_it(ready: Checkout, arguments: str, installs: bool) -> None:
    ready.run(*arguments.split())
    ready.run("viewing")

    extras = "spark,generate,aws,forecast" if installs else "spark,generate,aws"
    lock = ready.folder / "requirements/spark-4.0.txt"
    assert ready.calls("-m pip") == [f"-m pip install -c {lock} -e {ready.folder}[{extras}]"]


def test_the_dashboard_is_installed_beside_what_is_there(ready: Checkout) -> None:
    """And needs no Java; what one script has installed, another one does not take away."""
    assert ready.run("viewing").returncode == 3
    (ready.bin / "java").unlink()

    ready.run("--port", "8600", script="scripts/dashboard.sh")
    ready.run("report", "viewing", "--output", "r.html", script="scripts/dashboard.sh")

    assert ready.calls("-m pip")[1:] == [
        f"-m pip install -c {ready.folder}/requirements/spark-4.0.txt -e {ready.folder}[spark,generate,aws,dashboard]"
    ]
    assert ready.calls("-m etl_spark ") == [
        "-m etl_spark dashboard --port 8600",
        "-m etl_spark report viewing --output r.html",
    ]


@pytest.mark.parametrize(("spark_35", "spark_40", "code"), [(1, 0, 1), (0, 2, 2), (1, 2, 2), (5, 0, 0), (5, 5, 5)])
def test_both_spark_lines_must_pass(ready: Checkout, spark_35: int, spark_40: int, code: int) -> None:
    run = ready.run(script="scripts/test.sh", SPARK_35=str(spark_35), SPARK_40=str(spark_40))

    assert run.returncode == code
    assert run.stdout.splitlines()[-1] == f"pytest with {ready.folder}/.venv/bin/python"


def test_real_data_are_checked_where_they_are(ready: Checkout, tmp_path: Path) -> None:
    script, data = "scripts/check_real_data.sh", tmp_path / "real data"
    for run, words in (
        (ready.run(script=script), "name the folder with the real data"),
        (ready.run(str(data), script=script), "has no folder cdnow"),
        (ready.run("-q", script=script, ETL_SPARK_REAL_DATA=str(data)), "has no folder cdnow"),
    ):
        assert run.returncode == 2
        assert run.stderr.startswith("check_real_data.sh: ")
        assert words in run.stderr
        assert len(run.stderr.splitlines()) == 1
    assert ready.calls() == []
    for folder, next_missing in (("cdnow", "online_retail"), ("online_retail", "pagila")):
        (data / folder).mkdir(parents=True)
        assert f"has no folder {next_missing}" in ready.run(str(data), script=script).stderr
    (data / "pagila").mkdir()
    assert ready.run(str(data), "-k", "a b", script=script).returncode == 0
    assert ready.run("-x", script=script, ETL_SPARK_REAL_DATA=str(data)).returncode == 0
    assert ready.calls("-m pytest") == ["-m pytest tests_real -k a b", "-m pytest tests_real -x"]
    assert [call.split("[")[1] for call in ready.calls("-m pip")] == ["spark,generate,aws,forecast,test]"]


def test_a_failed_check_fails_ci(ready: Checkout) -> None:
    assert ready.run(script="scripts/test.sh", FAILS="mypy").returncode == 1
    assert not ready.calls("-m pytest")


def test_the_environment_of_the_tests_is_enough_for_a_job(ready: Checkout) -> None:
    ready.run(script="scripts/test.sh")

    assert ready.run("viewing").stdout == "viewing\0"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
def test_root_gets_what_debian_can_supply(ready: Checkout) -> None:
    (ready.bin / "java").unlink()
    ready.put("apt-get", f'echo "apt-get $*" >>"$CALLS"; cp "$JAVA_17" {shlex.quote(str(ready.bin))}/java')
    ready.put("java 17", JAVA_17)
    _write_script(ready.folder / "scripts/services.sh", 'echo "services $*" >>"$CALLS"')

    run = ready.run(script="scripts/test.sh", JAVA_17=str(ready.bin / "java 17"))

    assert run.returncode == 0
    assert ready.calls("apt-get") == [
        "apt-get update -qq",
        "apt-get install -qq --no-install-recommends openjdk-17-jre-headless shellcheck chromium chromium-driver",
    ]
    assert ready.calls("services") == ["services install"]
