#!/usr/bin/env bash
# Shows results in a browser, or writes them as a report: ./scripts/dashboard.sh --help, ./scripts/dashboard.sh report --help
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"

# Of what submit.sh has installed, nothing is taken away. No Java is needed: no Spark is started.
prepare_venv .venv spark-4.0.txt spark,generate,aws,dashboard
export PYTHONSAFEPATH=1
command=dashboard
if [[ ${1:-} == report || ${1:-} == dashboard ]]; then
    command=$1
    shift
fi
exec "$root/.venv/bin/python" -m etl_spark "$command" "$@"
