"""A real server, a real Chromium, and the live lab as a person uses it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.error import URLError

import psutil
import pytest
from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)
from playwright.sync_api import Error as PlaywrightError

from pages.parts.frame.parts import HOW_TO_GO_ON
from pages.parts.lab import welcome
from tests.browser.reading import ARTEFACTS, PATIENCE, READ_MARKS, ROOT, last, line, traces, until
from tests.problems import originals

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WINDOW: ViewportSize = {"width": 1400, "height": 900}
# at once: a run may end between a look at the button and a click
PAUSE = """() => [...document.querySelectorAll(".st-key-primary button")]
  .filter((button) => button.textContent.includes("Pause"))
  .map((button) => button.click()).length"""
BLANK = "about:blank"
FORK_SERVER = "samedge_core.worker.fork_server"


class Lab:
    """The live lab in a browser page."""

    def __init__(self, page: Page, server: psutil.Process) -> None:
        self.page = page
        self._server = server

    def button(self, name: str) -> Locator:
        """The button of exactly this name; Streamlit adds the key to it."""
        return self.page.get_by_role("button", name=re.compile(rf"^{name}( Shortcut .)?$"))

    def press(self, name: str) -> None:
        self.button(name).click()

    def traces(self, chart: str = "Sharpness", *needed: str) -> dict[str, dict[str, list]]:
        return traces(self.page, chart, *needed)

    def line(self, name: str, chart: str = "Sharpness") -> dict[str, list]:
        return line(self.page, chart, name)

    def last_step(self, trace: str = "sharpness") -> int:
        step = last(self.page, "Sharpness", trace)
        return -1 if step is None else int(step)

    def marks(self) -> list[str]:
        """Labels of the interventions, as the chart has them; Plotly may draw one twice."""
        return self.page.evaluate(READ_MARKS)

    def until(self, holds: Callable[[], object], what: str) -> None:
        until(self.page, holds, what)

    def until_step(self, step: int, trace: str = "sharpness") -> None:
        self.until(lambda: self.last_step(trace) >= step, f"{trace} at step {step}")

    def pause(self) -> None:
        """Pause the run, and wait as `until_paused` does."""
        self.press("Pause")
        self.until_paused()

    def until_paused(self) -> None:
        """Wait until the run has paused and all of it is drawn: charts read next belong together.
        The page says "Pausing" while the worker still takes steps."""
        said = self.page.get_by_text(re.compile(r"Paused · step [\d,]+ of"))

        def drawn() -> bool:
            found = re.search(r"step ([\d,]+) of", said.first.inner_text() if said.count() else "")
            return bool(found) and int(found[1].replace(",", "")) == self.last_step() + 1

        self.until(drawn, "a paused run, drawn to its last step")
        self.until(self.button("Resume").is_visible, "a button to go on with")

    def set_exact(self, label: str, value: str) -> None:
        box = self.page.get_by_label(f"{label}, exact")
        box.fill(value)
        box.press("Enter")

    def put_cursor(self, step: int) -> None:
        box = self.page.get_by_role("spinbutton", name="step")
        box.fill(str(step))
        box.press("Enter")
        ready = self.page.get_by_role("button", name=f"Continue from step {step}")
        self.until(ready.count, f"the buttons of step {step}")

    def workers(self) -> list[psutil.Process]:
        # a driver of sweeps or the process of a map may stand beside it
        children = self._server.children()
        (copied,) = [one for one in children if FORK_SERVER in one.cmdline()]
        return copied.children()

    def screenshot(self, name: str) -> None:
        self.page.screenshot(path=ARTEFACTS / f"{name}.png")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[tuple[str, psutil.Process]]:
    data = tmp_path_factory.mktemp("data")
    originals.write_mnist(data, 1000, 50)
    # a closed page holds its workers until its lease ends; the next tests must not wait for them
    environ = {"SAMEDGE_MAX_WORKERS": "8", "SAMEDGE_END_AFTER": "15", "SAMEDGE_DATA": str(data)}
    with serve("app.py", "server.log", environ) as served:
        yield served


@contextmanager
def serve(
    script: str | Path, log_name: str, environ: dict[str, str]
) -> Iterator[tuple[str, psutil.Process]]:
    """A Streamlit server of `script`, which may lie outside of the repository: its address, and
    its process."""
    ARTEFACTS.mkdir(exist_ok=True)
    url = f"http://127.0.0.1:{_free_port()}"
    options = ["--server.port", url.rsplit(":", 1)[1], "--server.headless", "true"]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *options]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    with (ARTEFACTS / log_name).open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environ)
        try:
            _wait_for(f"{url}/_stcore/health")
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


def _wait_for(url: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url):
                return
        except URLError:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[BrowserContext]:
    """A browser that keeps the scripts it has compiled: a page that finds none takes a third
    more of the processor."""
    # the first is Chromium without its own windows and menus, which take a seventh of the time
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    assert path, "the browser tests need Chromium; `make test` installs it"
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as driver:
        browser = driver.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=path,
            args=FLAGS,
            viewport=WINDOW,
            reduced_motion="reduce",
        )
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    """Where a test fails: a picture of each page, and what it says."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if browser and report.when == "call" and report.failed:
        for number, page in enumerate(page for page in browser.pages if page.url != BLANK):
            name = re.sub(r"\W+", "-", f"{item.name}-{number}")
            try:
                page.screenshot(path=ARTEFACTS / f"{name}.png")
                text = page.locator("body").inner_text()  # all: the page itself may have broken
            except PlaywrightError as error:  # it may have crashed, which must not end the tests
                text = f"can't be read: {error}"
            report.sections.append((f"the page, see {ARTEFACTS.name}/{name}.png", text))
    return report


class _Visit:
    """A fresh visit in a tab; console errors are added to `faults`."""

    def __init__(self, browser: BrowserContext, faults: list[str]) -> None:
        # a new tab compiles all scripts again, which takes as long as all else that opening takes
        unused = (page for page in browser.pages if page.url == BLANK)
        self.page = next(unused, None) or browser.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self._faults = faults
        self._listeners = {"pageerror": self._broke, "console": self._said}
        for event, listener in self._listeners.items():
            self.page.on(cast(Any, event), listener)

    def end(self) -> None:
        """Leave the tab for the next visit, with nothing in it."""
        if self.page.is_closed():
            return
        failed = self.page.get_by_text(HOW_TO_GO_ON)
        self._faults.extend(failed.all_inner_texts())
        self.page.evaluate("sessionStorage.clear()")
        self.page.goto(BLANK)
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)

    def _broke(self, error: PlaywrightError) -> None:
        self._faults.append(str(error))

    def _said(self, message: ConsoleMessage) -> None:
        # Streamlit itself looks for its server below a deep link first
        if message.type == "error" and "/_stcore/" not in message.location.get("url", ""):
            self._faults.append(message.text)


@contextmanager
def visiting(browser: BrowserContext) -> Iterator[Callable[..., Page]]:
    """`visit(url, viewport=, color_scheme=, first=, moving=)`: as in a browser that has never been
    there; unless it is the `first` visit, with the cookie of one that has seen a run; asking for
    less motion, unless `moving`. A console error fails the test."""
    visits, faults = [], []

    def visit(
        url: str,
        *,
        viewport: ViewportSize = WINDOW,
        color_scheme: Any = "light",
        first: bool = False,
        moving: bool = False,
    ) -> Page:
        visits.append(_Visit(browser, faults))
        page = visits[-1].page
        page.set_viewport_size(viewport)
        motion = "no-preference" if moving else "reduce"  # a tab is used again
        page.emulate_media(color_scheme=color_scheme, reduced_motion=motion)
        stored = {"origin": url, "storageTypes": "cookies,local_storage,indexeddb,cache_storage"}
        browser.new_cdp_session(page).send("Storage.clearDataForOrigin", stored)
        if not first:
            browser.add_cookies([{"name": welcome.COOKIE, "value": "1", "url": url}])
        page.goto(url)
        return page

    yield visit
    for one in visits:
        one.end()
    assert faults == []


@pytest.fixture
def open_page(server, browser: BrowserContext) -> Iterator[Callable[..., Page]]:
    """`open_page(path, **options)`: a fresh visit to any page, as `visiting` says."""
    url, _ = server
    with visiting(browser) as visit:
        yield lambda path, **options: visit(f"{url}/{path}", **options)


@pytest.fixture
def open_lab(server, browser: BrowserContext) -> Iterator[Callable[..., Lab]]:
    """`open_lab(query, **options)`: a fresh visit to the live lab, as `visiting` says."""
    url, process = server
    pages = []

    def open_(query: str = "", **options) -> Lab:
        page = visit(f"{url}/{query}", **options)
        pages.append(page)
        page.locator('[role=figure][aria-label="Alignment"]').wait_for()
        return Lab(page, process)

    with visiting(browser) as visit:
        yield open_
        for page in (page for page in pages if not page.is_closed()):
            if page.evaluate(PAUSE):
                page.wait_for_timeout(300)
