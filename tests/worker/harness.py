"""Waiting for real workers, and comparing what they record."""

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.view import RunView

PATIENCE = 60.0  # seconds; loading torch takes 5 here and far longer on a busy machine

T = TypeVar("T")


def sooner_or_later(found: Callable[[], T], last: Callable[[], object] = lambda: None) -> T:
    """The first of what is `found` that is not nothing; fails after PATIENCE seconds, with what was
    seen `last`."""
    end = time.monotonic() + PATIENCE
    while not (it := found()):
        assert time.monotonic() < end, f"never came true; last seen: {last() or it}"
        time.sleep(0.01)
    return it


def until(registry: RunRegistry, run_id: str, holds: Callable[[RunView], object]) -> RunView:
    """The first view for which `holds(view)`; fails after PATIENCE seconds."""

    def look() -> RunView:
        return registry.view(run_id, most=0)

    view = sooner_or_later(lambda: view if holds(view := look()) else None, look)
    assert view is not None
    return view


def same_history(left, right) -> bool:
    """To the bit, in all columns."""
    a, b = left.columns(), right.columns()
    return a.keys() == b.keys() and all(
        np.array_equal(a[k], b[k], equal_nan=a[k].dtype.kind == "f") for k in a
    )
