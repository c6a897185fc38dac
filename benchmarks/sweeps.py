"""How fast the cells of a sweep are computed, without a scheduler: ensembles and cells alone.

    .venv/bin/python -m benchmarks.sweeps            # everything whole: 10 to 20 minutes
    .venv/bin/python -m benchmarks.sweeps --quick    # a share of the cells: 3 minutes
    .venv/bin/python -m benchmarks.sweeps --only throughput

Times of the processor stand beside those of the clock: on a machine that does other things too,
only the former, and ratios of neighbours in time, say something.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core, before torch is loaded

import numpy as np

from samedge_core.sweeps.ensembles import groups, together
from samedge_core.sweeps.sweep import Axis, Sweep
from samedge_core.sweeps.tasks import compute
from samedge_core.training.config import RunConfig

CHEBYSHEV = RunConfig("chebyshev-mlp", rule="sam", eta=0.1, rho=0.02, steps=2000)
DIGITS = RunConfig("digits-mlp", rule="sam", eta=0.5, rho=0.05, steps=500)
REPEATS = 15


def diagram(base: RunConfig, side: int, samples: int) -> Sweep:
    """side x side cells over eta and rho."""
    eta = Axis.span(base, "eta", 0.02, 0.6, side, log=True)
    return Sweep(base, (eta, Axis.span(base, "rho", 0.002, 0.2, side, log=True)), (0,), samples)


class Spent(NamedTuple):
    """Seconds of the clock and of all processors, and steps of all cells."""

    wall: float
    cpu: float
    steps: int

    def __str__(self) -> str:
        each = 1e6 * self.cpu / self.steps
        return f"{self.wall:.1f} s, {self.cpu:.1f} s of processors, {each:.2f} us of them a step"


def spent(configs: list[RunConfig], samples: int, workers: int) -> Spent:
    """What `workers` processes take for these cells, once they are ready."""
    tasks = [[configs[i].to_values() for i in part] for part in _tasks(configs, workers)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        list(pool.map(_ready, [configs[0].to_values()] * workers))
        began = time.perf_counter()
        done = list(pool.map(_task, tasks, [samples] * len(tasks)))
        wall = time.perf_counter() - began
    return Spent(wall, sum(cpu for cpu, _ in done), sum(steps for _, steps in done))


def _tasks(configs: list[RunConfig], workers: int) -> list[list[int]]:
    """Groups; halved where there are fewer than workers."""
    found = groups(configs)
    cut = 1 if len(found) >= workers else workers
    return [part.tolist() for group in found for part in np.array_split(group, cut)]


def _task(values: list[dict], samples: int) -> tuple[float, int]:
    began = time.process_time()
    rows = compute(values, samples)
    return time.process_time() - began, sum(max(1, row["steps"]) for row in rows)


def _ready(values: dict) -> None:
    """Load what a task needs, as a worker's first one does."""
    compute([{**values, "steps": 2}], 2)
    time.sleep(1)  # so that each process of the pool takes one of these


def throughput() -> None:
    """Cells together against one by one: in turn, in this process, the sharpness as often."""
    from samedge_core.sweeps.ensembles.advance import Ensemble

    cells = diagram(CHEBYSHEV, 17, 40).cells  # as many as `groups` lets advance together
    alone = _alone(CHEBYSHEV.replace(measure_every=50, steps=10_000_000))
    found: dict[str, list[float]] = {"together": [], "one by one": []}
    for _ in range(REPEATS):
        ensemble = Ensemble([cell.config for cell in cells], 40)
        for _ in range(5):
            ensemble.advance()
        began, steps = time.process_time(), 0
        for _ in range(100):  # two samples
            steps += len(ensemble.cells)
            ensemble.advance()
        found["together"].append((time.process_time() - began) / steps)
        began = time.process_time()
        for _ in range(500):
            next(alone)
        found["one by one"].append((time.process_time() - began) / 500)
    for name, seconds in found.items():
        low, middle, high = 1 / np.quantile(seconds, (0.75, 0.5, 0.25))
        print(f"{name}: {middle:,.0f} SAM steps a second of a core ({low:,.0f} to {high:,.0f})")
    ratios = np.array(found["one by one"]) / np.array(found["together"])
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    print(f"ratio of neighbours in time: {middle:.1f} ({low:.1f} to {high:.1f})")


def _alone(config: RunConfig) -> Iterator[object]:
    from samedge_core.training.loop import build_problem, measurements
    from samedge_core.training.state import TrainState

    problem = build_problem(config)
    loop = measurements(config, problem, TrainState.initial(config, problem))
    for _ in range(500):
        next(loop)
    return loop


def whole(base: RunConfig, side: int, samples: int, share: int) -> None:
    """A diagram on two processes, or 1/`share` of its cells, which are spread over all of it."""
    configs = [cell.config for cell in diagram(base, side, samples).cells]
    some = configs[share // 2 :: share] if share > 1 else configs
    took = spent(some, samples, 2)
    print(f"{side} x {side} cells of {base.problem}, {base.steps:,} steps, {samples} samples:")
    print(f"  {len(some):,} cells measured, on 2 processes: {took}")
    if share > 1:
        print(f"  extrapolated to {len(configs):,} cells: {took.wall * share:.0f} s")


def scaling(base: RunConfig, cells: int, samples: int) -> None:
    """One process against two, the same cells; ensembles of one size in both."""
    side = int(cells**0.5)
    configs = [cell.config for cell in diagram(base, side, samples).cells]
    kind = "ensembles" if together(base) else "cells alone"
    one, two = spent(configs, samples, 1), spent(configs, samples, 2)
    print(f"{kind} of {base.problem}, {len(configs)} cells: one process {one.wall:.1f} s,")
    print(f"  two {two.wall:.1f} s: {one.wall / two.wall:.2f} times as fast")
    print(f"  by time of processors a step: {2 * one.cpu / two.cpu:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a share of the cells")
    names = ("throughput", "chebyshev", "digits", "scaling")
    parser.add_argument("--only", choices=names, help="one part")
    arguments = parser.parse_args()
    parts = [arguments.only] if arguments.only else names
    if "throughput" in parts:
        throughput()
    if "chebyshev" in parts:
        whole(CHEBYSHEV, 64, 40, 8 if arguments.quick else 1)
    if "digits" in parts:
        whole(DIGITS, 16, 20, 16 if arguments.quick else 1)
    if "scaling" in parts:
        scaling(CHEBYSHEV.replace(steps=1000), 1024, 20)
        scaling(DIGITS.replace(steps=200), 16, 8)


if __name__ == "__main__":
    main()
