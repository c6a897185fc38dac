"""How many workers there is memory for."""

from __future__ import annotations

import os
from pathlib import Path

# Measured on Linux, proportional shares: 165 MB for the server, 170 MB for what workers are copies
# of and 180 MB for a worker of the first preset. The paper's own sizes take several times as much.
SMALL = 3e9  # bytes; hosts that share a machine give 1 to 2.7 GB

# of the container, where it has limits, by the second and the first version of control groups
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def room() -> tuple[int, int]:
    """Runs at a time, and idle workers kept warm: one and none where memory is scarce."""
    return (1, 0) if memory() < SMALL else (max(4, os.cpu_count() or 1), 2)


def memory() -> float:
    """Bytes that this machine has, or its container may have; infinity where that isn't told."""
    found = [float("inf")]
    if hasattr(os, "sysconf"):  # not on Windows
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in LIMITS:
        if file.is_file() and (text := file.read_text().strip()).isdecimal():
            found.append(int(text))
    return min(found)
