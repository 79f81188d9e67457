"""Starts the Streamlit application, for this machine alone unless it is told otherwise."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

from etl_spark.dashboard.results import RESULTS_VARIABLE, URL_VARIABLE, Place

_OPTIONS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    # It would show the docstring of a variable.
    "runner.magicEnabled": "false",
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.toolbarMode": "viewer",
    "global.developmentMode": "false",
    "theme.baseRadius": "6px",
    "theme.light.primaryColor": "#0072B2",
    "theme.dark.primaryColor": "#56B4E9",
    "theme.metricValueFontSize": "1.6rem",
}


def serve(place: Place, *, address: str, port: int) -> NoReturn:
    """Becomes the server, until it is interrupted.

    Raises UsageError where the URL has no login.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise ModuleNotFoundError(name="streamlit")
    place.open()
    told = {RESULTS_VARIABLE: str(place.folder or ""), URL_VARIABLE: place.url, "PYTHONSAFEPATH": "1"}
    options = {**_OPTIONS, "server.address": address, "server.port": str(port)}
    print(f"Results of {place.url or place.folder}, on http://{_host(address)}:{port} (Ctrl-C ends it)", flush=True)
    app = Path(__file__).with_name("server.py")
    command = [sys.executable, "-m", "streamlit", "run", str(app)]
    command += [f"--{name}={value}" for name, value in options.items()]
    os.execve(sys.executable, command, {**os.environ, **told})


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
