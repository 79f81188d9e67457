"""`python -m etl_spark.submit` is what scripts/submit.sh calls."""

import sys

from etl_spark.submit.command import main

sys.exit(main())
