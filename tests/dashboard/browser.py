"""A headless Chromium that looks at a dashboard, as a person does: opens pages, sets filters, reads what is shown."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

_BUSY = """
const app = document.querySelector('[data-testid=stApp]');
return !document.querySelector('[data-testid=stMain]') || !app
    || app.getAttribute('data-test-script-state') !== 'notRunning'
    || document.querySelectorAll('[data-testid=stSkeleton], [data-stale=true]').length > 0;
"""
_PLOTS = """
const plots = [...document.querySelectorAll('.js-plotly-plot')].filter(one => one.offsetParent);
return plots.map(one => {
    const card = one.closest('[data-testid=stVerticalBlock]');
    return [card.innerText.split('\\n')[0], one.data.map(trace => ({
        name: trace.name, y: Array.from(trace.y), x: Array.from(trace.x),
        z: trace.z && trace.z.map(row => Array.from(row)),
        labels: trace.customdata ? Array.from(trace.customdata) : null,
    }))];
});
"""
_METRICS = """
const part = (card, name) => card.querySelector(`[data-testid=stMetric${name}]`).innerText.trim();
return [...document.querySelectorAll('[data-testid=stMetric]')].filter(card => card.offsetParent)
    .map(card => [part(card, 'Label'), part(card, 'Value')]);
"""
_CLICK = """
const [selector, text] = arguments;
const found = [...document.querySelectorAll(selector)].find(one => one.innerText.trim() === text);
if (found) { found.scrollIntoView({block: 'center'}); }
return found;
"""
_SECONDS = 60


class Browser:
    """Looks at the dashboard at `address`."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver, self.address = driver, address

    def open(self, page: str) -> float:
        """Seconds until the page stands still."""
        began = time.monotonic()
        self.driver.get(f"{self.address}/{page}")
        return self._settle(began)

    def _settle(self, began: float, calm: float = 0.3) -> float:
        """Waits until nothing has moved for `calm` seconds; returns when it began to stand still."""
        still: float | None = None
        while time.monotonic() - began < _SECONDS:
            now = time.monotonic()
            if self.driver.execute_script(_BUSY):
                still = None
            elif still is None:
                still = now
            elif now - still >= calm:
                return still - began
            time.sleep(0.03)
        raise TimeoutError(f"{self.driver.current_url} does not come to rest")

    def go(self, page: str) -> float:
        """By the list of pages."""
        return self.after(
            self.driver.find_element(By.CSS_SELECTOR, f"[data-testid=stSidebarNavLink][href$='/{page}']").click
        )

    def after(self, act: Callable[[], object]) -> float:
        """Seconds from the act until the page stands still again."""
        began = time.monotonic()
        act()
        return self._settle(began)

    def widget(self, key: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, f".st-key-{key}")

    def choose(self, key: str, option: str) -> float:
        """Chooses in a list, beside what is chosen already."""
        self.find_option(key, option)
        return self.after(self._visible("[role=option]", option).click)

    def find_option(self, key: str, option: str) -> None:
        """Types until the list offers it: a field that is drawn anew while one types forgets what was typed."""
        for _ in range(5):
            field = self.widget(key).find_element(By.CSS_SELECTOR, "input")
            with suppress(StaleElementReferenceException):
                field.send_keys(Keys.CONTROL, "a")
                field.send_keys(option)
                with suppress(TimeoutError):
                    self._visible("[role=option]", option, seconds=2)
                    return

    def _visible(self, selector: str, text: str, *, seconds: float = 10) -> WebElement:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.driver.execute_script(_CLICK, selector, text)
            if isinstance(found, WebElement):
                return found
            time.sleep(0.05)
        raise TimeoutError(f"there is no {selector} that says {text}")

    def slide(self, key: str, steps: int) -> float:
        """Moves a slider, to the right where `steps` is more than 0."""
        thumb = self.widget(key).find_element(By.CSS_SELECTOR, "input[type=range]")
        return self.after(lambda: thumb.send_keys((Keys.ARROW_RIGHT if steps > 0 else Keys.ARROW_LEFT) * abs(steps)))

    def type(self, key: str, text: str) -> float:
        field = self.widget(key).find_element(By.CSS_SELECTOR, "input")
        field.send_keys(text)
        return self.after(lambda: field.send_keys(Keys.ENTER))

    def set_day(self, key: str, which: str, parts: Mapping[str, str]) -> float:
        """Types parts (year, month, day) of the `start` or the `end` of a range of days."""
        for part, digits in parts.items():
            self.widget(key).find_element(By.CSS_SELECTOR, f"[data-range-field={which}] [data-type={part}]").send_keys(
                digits
            )
        # It is taken once one goes on to something else.
        return self.after(self.driver.find_element(By.CSS_SELECTOR, "h2").click)

    def press(self, selector: str, text: str) -> float:
        """Clicks on what says `text`."""
        return self.after(self._visible(selector, text).click)

    def metrics(self) -> dict[str, str]:
        """The cards that are seen, name to value."""
        return dict(self.driver.execute_script(_METRICS))

    def plots(self) -> dict[str, list[dict[str, Any]]]:
        """The traces of the charts that are seen, as the browser has them, by the title above them."""
        return dict(self.driver.execute_script(_PLOTS))

    def bars(self, title: str) -> dict[str, float]:
        """The bars of a chart, by what stands beside them."""
        (trace,) = self.plots()[title]
        values = trace["x"] if trace["y"] == list(range(len(trace["y"]))) else trace["y"]
        return dict(zip(trace["labels"], values, strict=True))

    def received(self) -> int:
        """Bytes that came to it since this was asked last; of one that was made to tell (`performance`)."""
        count = 0
        for entry in self._log("performance"):
            message = json.loads(entry["message"])["message"]
            match message["method"]:
                case "Network.dataReceived":
                    count += message["params"]["encodedDataLength"]
                case "Network.webSocketFrameReceived":
                    # What is binary is written as base64 here.
                    count += len(message["params"]["response"]["payloadData"]) * 3 // 4
        return count

    def _log(self, kind: str) -> list[dict[str, Any]]:
        """What was written since this was asked last."""
        return list(self.driver.get_log(kind))  # type: ignore[no-untyped-call]

    def text(self) -> str:
        return self.driver.find_element(By.CSS_SELECTOR, "[data-testid=stMain]").text

    def title(self) -> str:
        return str(self.driver.title)

    def query(self) -> str:
        """The filters in the URL."""
        return str(self.driver.current_url).partition("?")[2]

    def complaints(self) -> list[str]:
        """What stands in the console, and the boxes of exceptions on the page."""
        console = [str(entry["message"]) for entry in self._log("browser") if entry["level"] == "SEVERE"]
        boxes = [box.text for box in self.driver.find_elements(By.CSS_SELECTOR, "[data-testid=stException]")]
        return console + boxes


@contextmanager
def chromium(downloads: Path, *, performance: bool = False) -> Iterator[webdriver.Chrome]:
    """A browser without a window, and without a memory. With `performance`, it tells what came to it."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    assert all(found.values()), "install chromium and chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = str(found["chromium"])
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1400,1000",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    logs = {"browser": "ALL"} | ({"performance": "ALL"} if performance else {})
    options.set_capability("goog:loggingPrefs", logs)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(found["chromedriver"])))
    try:
        yield driver
    finally:
        driver.quit()


@dataclass(frozen=True)
class Served:
    """Where a dashboard is, and the process that it is."""

    address: str
    process_id: int


@contextmanager
def serving(arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """An `etl-spark dashboard` with these arguments, which is ended in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "etl_spark", "dashboard", "--port", str(port), *arguments]
    with log.open("w") as said:
        process = subprocess.Popen(
            command, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process, log)
        yield Served(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with urlopen(url) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(log.read_text())


def number(text: str) -> float:
    """That of a card: 1,069 or 90,389.9 or 59.5 %."""
    return float(re.sub(r"[^0-9.-]", "", text))
