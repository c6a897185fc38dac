"""Cells that sleep instead of training: the problem is two-weight, `b` the seconds of a cell; one
whose `a` is KILLS ends its worker."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from samedge_core.sweeps.rows import Row
from samedge_core.sweeps.store import Sweeps
from samedge_core.sweeps.sweep import Sweep
from samedge_core.training.config import RunConfig

KILLS = 9.0
ETAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


def sweep(seconds: float = 0.02, *, a: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0)) -> Sweep:
    """6 x 4 cells by default."""
    base = RunConfig(problem="two-weight", rule="gd", options={"b": seconds})
    return Sweep(base, {"eta": ETAS, "a": a})


def compute(values: list[dict[str, Any]], samples: int) -> list[dict[str, Any]]:
    """A row a configuration, told by its settings alone."""
    return [_row(one["eta"], **one["options"]).to_values() for one in values]


def slow(values: list[dict[str, Any]], samples: int) -> list[dict[str, Any]]:
    """The same, later."""
    time.sleep(0.3)
    return compute(values, samples)


def _row(eta: float, a: float, b: float) -> Row:
    if a == KILLS and eta == ETAS[2]:
        os._exit(1)
    time.sleep(b)
    fate = "diverged" if eta * a > 1 else "converged"
    return Row(-1, fate, 10, loss=eta * a, seconds=b, what=f"at eta {eta:g}")


def rows_of(sweep: Sweep) -> list[Row]:
    """What a driver is to find, cell by cell."""
    found = []
    for cell in sweep.cells:
        row = Row.from_values(compute([cell.config.to_values()], sweep.samples)[0])
        found.append(Row(**{**row.__dict__, "cell": cell.index}))
    return found


def main() -> None:
    """Drive the sweep of the home and id in the arguments, as a program of its own."""
    from samedge_core.sweeps import driver

    home, id = sys.argv[1:]
    driver.TASK_SECONDS = 0.0  # a cell a task
    driver._least_size = lambda sweep: 1
    driver.drive(Sweeps(Path(home))[id], workers=2, compute=compute)
