#!/usr/bin/env bash
# Runs a job, here or on a cluster, from any folder of a machine with Python 3.11 and Java 17: ./scripts/submit.sh --help
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"

require_java
extras=spark,generate,aws
# Behind options of the target, any argument may be the job.
if [[ ${1:-} == forecast || (${1:-} == -* && " $* " == *" forecast "*) ]]; then extras+=,forecast; fi
prepare_venv .venv spark-4.0.txt "$extras"
use_venv .venv
# A file of the current folder named like a module (json.py, etl_spark/) must not be imported in its place.
export PYTHONSAFEPATH=1
exec "$root/.venv/bin/python" -m etl_spark.submit "$@"
