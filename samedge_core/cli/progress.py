"""How a run goes, on standard error: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from samedge_core.training.costs import Costs
from samedge_core.training.history import History, Measurement

BAR_SECONDS, LINE_SECONDS = 0.2, 10.0

OnRow = Callable[[Measurement], None]


@contextmanager
def progress(history: History, costs: Costs, *, quiet: bool = False) -> Iterator[OnRow]:
    """Yields what is to be called with each row, after it was appended to `history`."""
    if quiet:
        yield lambda row: None
    elif sys.stderr.isatty():
        with _bar(history) as bar:
            yield _in_bar(history, costs, bar)
    else:
        yield _in_lines(history, costs)


def _bar(history: History) -> tqdm:
    done, cap = history.last_step + 1, history.config.steps
    return tqdm(initial=done, total=cap, unit="step", dynamic_ncols=True, file=sys.stderr)


def _in_bar(history: History, costs: Costs, bar: tqdm) -> OnRow:
    due = _every(BAR_SECONDS)

    def on_row(row: Measurement) -> None:
        if due():
            bar.set_postfix_str(_figures(history, costs), refresh=False)
        bar.update()

    return on_row


def _in_lines(history: History, costs: Costs) -> OnRow:
    due = _every(LINE_SECONDS)

    def on_row(row: Measurement) -> None:
        if due():
            line = f"step {row.step + 1:,} of {history.config.steps:,}: {_figures(history, costs)}"
            print(line, file=sys.stderr, flush=True)

    return on_row


def _every(seconds: float) -> Callable[[], bool]:
    """Whether `seconds` have passed since it last was so; at once the first time."""
    last = -seconds

    def due() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < seconds:
            return False
        last = now
        return True

    return due


def _figures(history: History, costs: Costs) -> str:
    """Loss, sharpness and edge at the newest measured step, and what measuring costs."""
    row = history.latest()
    if not row:
        return "not measured yet"
    parts = [f"{name} {row[name]:.4g}" for name in ("loss", "sharpness", "edge")]
    return ", ".join([*parts, *filter(None, [costs.recent().words])])
