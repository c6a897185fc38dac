"""How many workers there is memory for."""

from __future__ import annotations

import os

from samedge_core.problems.memory import memory

# Measured on Linux, proportional shares: 165 MB for the server, 170 MB for what workers are copies
# of and 180 MB for a worker of the first preset. The paper's own sizes take several times as much.
SMALL = 3e9  # bytes; hosts that share a machine give 1 to 2.7 GB
TOGETHER = 0.8  # of the memory; the server and what workers are copies of take the rest


def room() -> tuple[int, int]:
    """Runs at a time, and idle workers kept warm: one and none where memory is scarce."""
    return (1, 0) if memory() < SMALL else (max(4, os.cpu_count() or 1), 2)


def share(workers: int) -> float:
    """Bytes that one of so many runs may take, so that none takes the machine down by itself."""
    return memory() * (TOGETHER if workers == 1 else 0.5)


def together() -> float:
    """Bytes that all runs may take at a time; a run for which there is no room beside the others
    waits for them."""
    return memory() * TOGETHER
