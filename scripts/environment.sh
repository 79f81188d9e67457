# shellcheck shell=bash
# For the scripts beside it: which Java and Python to use, the virtual environments in the checkout, Debian's packages.

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

# Another project's Spark or modules would take the place of the ones installed here.
unset SPARK_HOME SPARK_CONF_DIR PYTHONPATH PYTHONHOME

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

require_java() {
    local java=java said version='version "(([0-9]+)[^"]*)"'
    if [[ -n ${JAVA_HOME:-} ]]; then java=$JAVA_HOME/bin/java; fi
    if ! said=$("$java" -version 2>&1 </dev/null) || ! [[ $said =~ $version ]]; then
        if [[ -n ${JAVA_HOME:-} ]]; then
            fail "JAVA_HOME is $JAVA_HOME, and no Java runs there: set it to a Java 17, or unset it"
        fi
        fail "there is no Java: install Java 17 (Debian, Ubuntu: openjdk-17-jre-headless), or set JAVA_HOME to one"
    fi
    if ((BASH_REMATCH[2] < 17)); then
        fail "$java is Java ${BASH_REMATCH[1]}, too old for Spark: install Java 17, or set JAVA_HOME to one"
    fi
    if ((BASH_REMATCH[2] >= 24)); then
        fail "$java is Java ${BASH_REMATCH[1]}, too new for Spark 4.0: install Java 17, or set JAVA_HOME to one"
    fi
}

# Tried, not looked up: a version manager leaves commands on PATH that only print an error.
is_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        if is_python "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "there is no Python 3.11 or newer on PATH: install one, or set PYTHON to one"
}

# The Debian package that $1, a Python, lacks for making virtual environments; nothing where it can.
missing_venv_package() {
    "$1" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1 ||
        "$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])' </dev/null
}

# For a container, where one is root: what Debian can supply.
install_packages() {
    echo "installing $* ..."
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update -qq && apt-get install -qq --no-install-recommends "$@"; } </dev/null; then
        fail "apt-get could not install $*: is there a network?"
    fi
}

# Makes the virtual environment $1 with this package and its extras $3, under the lock $2, where that is not done yet.
# Extras that another script has put there stay.
prepare_venv() {
    local venv=$root/$1 lock=$root/requirements/$2 extras wanted
    extras=$(with_installed "$3")
    # The folder too: in a copy or after a move, the environment would run the code of the old place.
    wanted=$(printf '%s\n' "$root" && cksum <"$root/setup.py" && cksum <"$lock" && printf '%s\n' "$extras")
    if is_prepared; then return; fi
    echo "preparing $1, once ..."
    (
        if command -v flock >/dev/null; then flock 9; fi
        if ! is_prepared; then
            install_package
        fi
    ) 9<"$lock"
}

# .venv/installed says what was installed, its last line which extras, and is empty while that goes on.
is_prepared() {
    [[ -s $venv/installed && $(<"$venv/installed") == "$wanted" ]] && is_python "$venv/bin/python"
}

# The extras that are there, and of $1 those that are not.
with_installed() {
    local extra all=$1
    if [[ -s $venv/installed ]]; then
        all=$(tail -n 1 "$venv/installed")
        for extra in ${1//,/ }; do
            if [[ ,$all, != *",$extra,"* ]]; then all+=,$extra; fi
        done
    fi
    printf '%s\n' "$all"
}

install_package() {
    local log=$venv/install.log
    if [[ -f $venv/installed && ! -s $venv/installed ]] || ! is_python "$venv/bin/python"; then
        make_venv
    fi
    : >"$venv/installed"
    if ! PIP_RETRIES=2 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip install \
        -c "$lock" -e "${root}[$extras]" </dev/null >"$log" 2>&1; then
        # Until pip says this, it has changed nothing: the next call need not start anew.
        grep -q '^Installing collected packages' "$log" || rm -f "$venv/installed"
        fail "the packages of $lock could not be installed: is there a network? pip's own words are in $log"
    fi
    printf '%s\n' "$wanted" >"$venv/installed"
}

make_venv() {
    local python package
    python=$(find_python)
    package=$(missing_venv_package "$python")
    if [[ -n $package ]]; then
        fail "$python cannot make virtual environments: install its venv module (Debian, Ubuntu: $package)"
    fi
    if ! { rm -rf "$venv" && mkdir "$venv" && : >"$venv/installed"; } 2>/dev/null; then
        fail "cannot write to $venv: the checkout must be in a folder of your own"
    fi
    "$python" -m venv "$venv" </dev/null >"$log" 2>&1 || fail "$python could not make $venv: why is in $log"
}

# Spark starts its Python workers by these; otherwise they would be whatever python3 is first on PATH.
use_venv() {
    export PYSPARK_PYTHON=$root/$1/bin/python PYSPARK_DRIVER_PYTHON=$root/$1/bin/python
}
