"""Waiting for real workers."""

import time

from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.view import RunView

PATIENCE = 60.0  # seconds; loading torch takes 2 here and far longer on a busy machine


def until(registry: RunRegistry, run_id: str, holds) -> RunView:
    """The first view for which `holds(view)`; fails after PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while not holds(view := registry.view(run_id, most=0)):
        assert time.monotonic() < end, f"never came true; last seen: {view}"
        time.sleep(0.01)
    return view
