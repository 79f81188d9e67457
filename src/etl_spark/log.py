"""What the program says while it runs: one JSON object a line, or plain lines where a person is watching."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

LOGGER = logging.getLogger("etl_spark")


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, run_id, message, and error with the stack trace of a bug."""

    def __init__(self, run_id: str, hidden: Callable[[str], str] = str) -> None:
        super().__init__()
        self._run_id, self._hidden = run_id, hidden

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "run_id": self._run_id,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return self._hidden(json.dumps(line, ensure_ascii=False))


def set_up(run_id: str, file: Path, hidden: Callable[[str], str] = str) -> None:
    """Progress goes to standard error, plain on a terminal and as JSON elsewhere; everything goes to `file` as JSON.

    What must not be told is taken out of the lines of JSON by `hidden`.
    """
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(logging.Formatter("%(message)s") if sys.stderr.isatty() else JsonLines(run_id, hidden))
    # A bug's stack trace belongs in the file: what is shown is one line, printed when the run ends.
    terminal.addFilter(lambda record: record.levelno < logging.ERROR)
    everything = logging.FileHandler(file, encoding="utf-8")
    everything.setFormatter(JsonLines(run_id, hidden))
    for handler in LOGGER.handlers[:]:
        LOGGER.removeHandler(handler)
        handler.close()
    # pyspark 4 prints every failed query with its stack trace, and py4j what fails in a batch of a stream: it is logged
    # where it is caught, if it is a bug.
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger", "py4j.clientserver"):
        logging.getLogger(name).disabled = True
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    LOGGER.addHandler(terminal)
    LOGGER.addHandler(everything)
