"""Runs commands of etl-spark one after the other in this process, and so in one JVM.

Each is a line of JSON on standard input: its arguments, and variables to set before it. After each, a line tells how it
ended.
"""

from __future__ import annotations

import json
import os
import sys

from etl_spark.cli import main

ENDED = "ended with "

if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        os.environ.update(asked["environment"])
        code = main(asked["arguments"])
        sys.stderr.flush()
        print(f"{ENDED}{code}", flush=True)
