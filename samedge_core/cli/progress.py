"""How a run goes, on standard error: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from samedge_core.training.costs import Costs
from samedge_core.training.history import History, Measurement
from samedge_core.training.progress import OnRow, bar, every, figures

LINE_SECONDS = 10.0


@contextmanager
def progress(history: History, costs: Costs, *, quiet: bool = False) -> Iterator[OnRow]:
    """Yield the function that each row is handed to, after it was appended to `history`."""
    if quiet:
        yield lambda row: None
    elif sys.stderr.isatty():
        with bar(history, costs) as on_row:
            yield on_row
    else:
        yield _in_lines(history, costs)


def _in_lines(history: History, costs: Costs) -> OnRow:
    due = every(LINE_SECONDS)

    def on_row(row: Measurement) -> None:
        if due():
            line = f"step {row.step + 1:,} of {history.config.steps:,}: {figures(history, costs)}"
            print(line, file=sys.stderr, flush=True)

    return on_row
