"""How many cells a second the driver of a sweep can hand out: `python -m benchmarks.driving`.

10,000 cells that only sleep, on 8 workers of this machine. With long cells the workers are the
limit, with short ones the driver; about a minute on a quiet machine.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from samedge_core.sweeps import driver
from samedge_core.sweeps.rows import Row
from samedge_core.sweeps.store import Sweeps
from samedge_core.sweeps.sweep import Axis, Sweep
from samedge_core.training.config import RunConfig

WORKERS, SIDE = 8, 100
BASE = RunConfig(problem="two-weight", rule="sam")
# seconds of a cell, and cells a task; 0 where the driver chooses
CASES = ((0.0, 1), (0.0, 10), (0.0, 100), (0.01, 0), (0.05, 0))


def main() -> None:
    """Measure and print."""
    print("a cell   in a task   cells/s   tasks/s   driver and scheduler, of a core")
    for seconds, size in CASES:
        cells, used, wall, tasks = _drive(seconds, size)
        together = f"{size}" if size else f"{cells / tasks:.0f}"
        share = 100 * used / wall
        print(
            f"{1000 * seconds:3.0f} ms {together:>11} {cells / wall:9.0f} {tasks / wall:9.0f} "
            f"{share:16.1f} %",
            flush=True,
        )


def compute(values: list[dict], samples: int) -> list[dict]:
    """Rows of cells that sleep as long as their problem's `b` says."""
    found = []
    for one in values:
        seconds = one["options"]["b"]
        time.sleep(seconds)
        fate = "diverged" if one["eta"] > 0.5 else "converged"
        found.append(Row(-1, fate, 1, seconds=max(seconds, 1e-6)).to_values())
    return found


def _drive(seconds: float, size: int) -> tuple[int, float, float, int]:
    """Cells, seconds of the driver's processor, seconds and tasks, from the first row on."""
    base = BASE.replace(options={"b": seconds})
    axes = [Axis.span(base, name, 0.1, 1, SIDE) for name in ("eta", "rho")]
    started: list[tuple[float, float]] = []
    tasks: list[int] = []
    send, most, growth = driver._Driver._send, driver.MOST_IN_TASK, driver._GROWTH
    least_size = driver._least_size

    def counted(self: driver._Driver, cells: list[int]) -> None:
        tasks.append(len(cells))
        send(self, cells)

    driver._Driver._send = counted
    if size:
        driver.MOST_IN_TASK = driver._GROWTH = size
        driver._least_size = lambda sweep: size
    with tempfile.TemporaryDirectory() as folder:
        recorded = Sweeps(Path(folder)).create(Sweep(base, axes))

        def on_row(row: Row) -> None:
            if len(started) < 2:
                started.append((time.process_time(), time.perf_counter()))
            started[1:] = [(time.process_time(), time.perf_counter())]

        driver.drive(recorded, workers=WORKERS, on_row=on_row, compute=compute)
    driver._Driver._send, driver.MOST_IN_TASK, driver._GROWTH = send, most, growth
    driver._least_size = least_size
    (used_0, wall_0), (used_1, wall_1) = started
    return SIDE**2, used_1 - used_0, wall_1 - wall_0, len(tasks)


if __name__ == "__main__":
    main()
