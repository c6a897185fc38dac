"""Readers of what the charts show, and waiting for it."""

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page

from samedge_core.experiments.presets import PRESETS
from samedge_core.sharing import links

ROOT = Path(__file__).resolve().parents[2]
ARTEFACTS = ROOT / "test-artifacts"
PATIENCE = 180.0  # seconds; three workers on two busy cores, all at low priority, may need half
# A busy server may have the charts mounted anew; until they are drawn there is nothing to read.
_FIND_CHART = """async (name) => {
  const find = () => document.querySelector(`[role=figure][aria-label="${name}"]`);
  const end = performance.now() + 10_000;
  while (!find()?.data && performance.now() < end) await new Promise(requestAnimationFrame);
  return find();
}"""
READ_TRACES = f"""async (name) => {{
  const chart = await ({_FIND_CHART})(name);
  return Object.fromEntries((chart?.data ?? []).map(
    ({{ name, x, y }}) => [name, {{ x: Array.from(x ?? []), y: Array.from(y) }}]));
}}"""

_READ_LAST = f"""async ([figure, name]) => {{
  const trace = (await ({_FIND_CHART})(figure))?.data?.find((trace) => trace.name === name);
  return Array.from(trace?.x ?? []).at(-1) ?? null;
}}"""

READ_MARKS = f"""async () => {{
  const chart = await ({_FIND_CHART})("Sharpness");
  return (chart.layout.annotations ?? []).map((mark) => mark.text).filter((text) => text);
}}"""


def endless(preset: str) -> str:
    """The query of a preset whose run does not end while a test looks at it."""
    return f"?{urlencode(links.to_query(PRESETS[preset].config.replace(steps=100_000), ()))}"


def traces(page: Page, figure: str, *needed: str) -> dict[str, dict[str, list]]:
    """x and y of all traces of a chart, by name, from one reading that has all of `needed`."""
    found = {}

    def complete() -> bool:
        nonlocal found
        found = page.evaluate(READ_TRACES, figure)
        return set(needed) <= found.keys()

    until(page, complete, f"{needed} in {figure}")
    return found


def last(page: Page, figure: str, name: str) -> float | None:
    """The last x of a trace, if it has any: all of them take the browser as long as a redraw."""
    return page.evaluate(_READ_LAST, [figure, name])


def line(page: Page, figure: str, name: str) -> dict[str, list]:
    """x and y of one trace of a chart, once it is there."""
    return traces(page, figure, name)[name]


def until(page: Page, holds: Callable[[], object], what: str) -> None:
    """Wait until `holds()`; else fail with `what` was waited for."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"never came true: {what}")
        page.wait_for_timeout(150)
