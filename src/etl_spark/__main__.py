"""`python -m etl_spark` is the same command as `etl-spark`."""

import sys

from etl_spark.cli import main

if __name__ == "__main__":
    sys.exit(main())
