"""Waiting for real workers, and comparing what they record."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil

from samedge_core.store import Store
from samedge_core.store.settings import StoreSettings
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import RunView

PATIENCE = 180.0  # seconds; loading torch takes 5 here and far longer on a busy machine

T = TypeVar("T")


def sooner_or_later(found: Callable[[], T], last: Callable[[], object] = lambda: None) -> T:
    """The first of what is `found` that is not nothing; fails after PATIENCE seconds, with what was
    seen `last`."""
    end = time.monotonic() + PATIENCE
    while not (it := found()):
        assert time.monotonic() < end, f"never came true; last seen: {last() or it}"
        time.sleep(0.01)
    return it


def recording(home: Path, workers: int) -> RunRegistry:
    """A registry that records in this folder."""
    store = Store(StoreSettings.at(home))
    return RunRegistry(Settings(max_workers=workers, spares=1), store)


def until(registry: RunRegistry, run_id: str, holds: Callable[[RunView], object]) -> RunView:
    """The first view for which `holds(view)`; fails after PATIENCE seconds."""

    def look() -> RunView:
        return registry.view(run_id, most=0)

    view = sooner_or_later(lambda: view if holds(view := look()) else None, look)
    assert view is not None
    return view


def still_running(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those of the processes that have not ended after so many seconds. A zombie has ended: whether
    its parent has heard of that is another question, on a busy machine above all."""
    end, left = time.monotonic() + seconds, list(processes)
    while (left := [one for one in left if _runs(one)]) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def same_history(left, right) -> bool:
    """To the bit, in all columns."""
    a, b = left.columns(), right.columns()
    return a.keys() == b.keys() and all(
        np.array_equal(a[k], b[k], equal_nan=a[k].dtype.kind == "f") for k in a
    )
