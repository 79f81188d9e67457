#!/usr/bin/env bash
# All checks, then the tests on Spark 3.5 (but for the longest) and on 4.0; arguments go to both pytest runs:
# ./scripts/test.sh -k profile
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"

install_missing_packages() {
    local python package packages=()
    if [[ -z ${JAVA_HOME:-} ]] && ! (require_java) 2>/dev/null; then
        packages+=(openjdk-17-jre-headless)
    fi
    if python=$(find_python 2>/dev/null); then
        package=$(missing_venv_package "$python")
        if [[ -n $package ]]; then packages+=("$package"); fi
    fi
    if ! command -v shellcheck >/dev/null; then
        packages+=(shellcheck)
    fi
    # The browser in which the dashboard is tried.
    if ! command -v chromium >/dev/null; then packages+=(chromium); fi
    if ! command -v chromedriver >/dev/null; then packages+=(chromium-driver); fi
    if ((${#packages[@]} > 0)); then install_packages "${packages[@]}"; fi
}

# Two workers, each with a Spark and with servers of its own, since one leaves a core idle for much of the time. A file's
# tests stay together, as they share what the first of them has made. The files are begun in the order of
# tests/conftest.py, the longest first: xdist's own, by the number of tests, would end with one worker alone at the
# clusters.
test_on() (
    use_venv "$1"
    "$1/bin/python" -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "${@:2}"
)

cd -- "$root"
if ((EUID == 0)) && command -v apt-get >/dev/null; then
    install_missing_packages
    "$root/scripts/services.sh" install
fi
require_java
prepare_venv .venv spark-4.0.txt spark,generate,aws,dashboard,browser,forecast,test
prepare_venv .venv-spark3.5 spark-3.5.txt spark,generate,aws,forecast,test

.venv/bin/ruff check
.venv/bin/ruff format --check
.venv/bin/mypy
.venv/bin/lint-imports --no-logo
if command -v shellcheck >/dev/null; then
    shellcheck scripts/*.sh .ci/run
else
    echo "shellcheck is not installed: the scripts are not checked"
fi

# What is long and alike on every line runs on the default line only. 5: of the tests asked for, this leaves none.
other=0 code=0
test_on .venv-spark3.5 -m "not default_spark" "$@" || other=$?
if ((other == 5)); then other=0; fi
test_on .venv "$@" || code=$?
exit "$((code ? code : other))"
