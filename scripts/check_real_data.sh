#!/usr/bin/env bash
# Checks the jobs on real data, beside CI: ./scripts/check_real_data.sh FOLDER, or FOLDER in ETL_SPARK_REAL_DATA; more arguments go to pytest.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"

# What FOLDER must have; tests_real/ has a test file for each.
data_sets=(cdnow online_retail pagila)

refuse() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

data=${ETL_SPARK_REAL_DATA:-}
if (($# > 0)) && [[ $1 != -* ]]; then
    data=$1
    shift
fi
if [[ -z $data ]]; then
    refuse "name the folder with the real data, as the first argument or in ETL_SPARK_REAL_DATA"
fi
for data_set in "${data_sets[@]}"; do
    if [[ ! -d $data/$data_set ]]; then
        refuse "the real data are not there: $data has no folder $data_set"
    fi
done
ETL_SPARK_REAL_DATA=$(CDPATH='' cd -- "$data" && pwd -P)
export ETL_SPARK_REAL_DATA

cd -- "$root"
require_java
prepare_venv .venv spark-4.0.txt spark,generate,aws,forecast,test
use_venv .venv
.venv/bin/python -m pytest tests_real "$@"
