"""Progress of a run: a bar for terminals and notebooks, and its newest figures in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from samedge_core.theory.rules import RULES
from samedge_core.training.costs import Costs
from samedge_core.training.history import History, Measurement

BAR_SECONDS = 0.2

OnRow = Callable[[Measurement], None]
Item = TypeVar("Item")
End = TypeVar("End")


@contextmanager
def bar(history: History, costs: Costs | None = None) -> Iterator[OnRow]:
    """Show a tqdm bar up to the step cap; yields the function to call with each row once it is in
    `history`. A notebook with ipywidgets draws the bar as a widget."""
    from tqdm.auto import tqdm  # on first use: only where a bar is drawn

    done, cap, due = history.last_step + 1, history.config.steps, every(BAR_SECONDS)
    with tqdm(initial=done, total=cap, unit="step", dynamic_ncols=True) as shown:

        def on_row(row: Measurement) -> None:
            if due():
                shown.set_postfix_str(figures(history, costs), refresh=False)
            shown.update()

        yield on_row
        shown.set_postfix_str(figures(history, costs))


def with_bar(items: Generator[Item, None, End], history: History) -> Generator[Item, None, End]:
    """The same items and return value, and a bar that moves with each measurement among them."""
    with bar(history) as on_row:
        while True:
            try:
                item = next(items)
            except StopIteration as end:
                return end.value
            yield item
            if isinstance(item, Measurement):
                on_row(item)


def every(seconds: float) -> Callable[[], bool]:
    """Return a function that is true at first, then whenever `seconds` have passed since then."""
    last = -seconds

    def due() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < seconds:
            return False
        last = now
        return True

    return due


def figures(history: History, costs: Costs | None = None) -> str:
    """Loss, sharpness and edge (or edge value and threshold) at the newest measured step, and what
    measuring costs."""
    row = history.latest()
    if not row:
        return "not measured yet"
    rule = RULES[row["rule"]]
    parts = [f"{name} {row[column]:.4g}" for name, column in rule.measured.items()]
    parts.insert(0, f"loss {row['loss']:.4g}")
    return ", ".join([*parts, *filter(None, [costs.recent().words if costs else ""])])
