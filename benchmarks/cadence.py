"""What measurements at an adaptive cadence cost and miss: presets with the sharpness at every step,
at the adaptive ones, and at none.

    .venv/bin/python benchmarks/cadence.py [preset ...] [--seed S] [--repeat N]    # all: minutes

Training does not depend on when the sharpness is measured, so that the run with every step says
what the adaptive one has left out. `follow` says which steps a rule measures where the sharpness at
every step is known: new rules are tried on recorded runs in milliseconds.

Columns, each for the whole run / its second half: CPU time over that of the bare run (with the
evaluation of the accuracy, as in a run; median of the repetitions); share of steps measured;
products a step; and how far (95th percentile, worst) the sharpness is off from straight lines
between measurements of the same parity, and from one line through all of them, over all steps, in
per cent.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.preset_accuracy import runs
from samedge_core.experiments.presets import PRESETS
from samedge_core.problems.problem import Problem
from samedge_core.training import Measurement, RunConfig
from samedge_core.training.cadence import Cadence
from samedge_core.training.loop import build_problem, measurements
from samedge_core.training.state import TrainState

Numbers = NDArray[np.float64]
BARE = 100_000  # steps from one measurement to the next: only the first is made
HEADER = "| preset | time / bare | measured | products | 95 % | worst | 95 %, one line |"


def follow(sharpness: Numbers, norms: Numbers) -> NDArray[np.int64]:
    """The steps that are measured where sharpness and gradient norm (n,) are known at each."""
    cadence, measured = Cadence(RunConfig(cadence="adaptive")), []
    for step, (value, norm) in enumerate(zip(sharpness.tolist(), norms.tolist(), strict=True)):
        if cadence.due(step):
            cadence.measured(step, value, norm)
            measured.append(step)
        else:
            cadence.saw(step, norm)
    return np.array(measured)


def errors(sharpness: Numbers, measured: NDArray[np.int64], *, parities: int = 2) -> Numbers:
    """Relative errors (n,) of straight lines between the measured steps of each parity; of one line
    through all of them with `parities` 1."""
    read, steps = np.empty(len(sharpness)), np.arange(len(sharpness))
    for parity in range(parities):
        known = measured[measured % parities == parity]
        read[parity::parities] = np.interp(steps[parity::parities], known, sharpness[known])
    return np.abs(read / sharpness - 1)


def train(config: RunConfig, problem: Problem) -> tuple[list[Measurement], Numbers]:
    """The rows of a run, and the CPU seconds of each step."""
    loop = measurements(config, problem, TrainState.initial(config, problem))
    rows, seconds, last = [], [], time.process_time()
    for row in loop:
        now = time.process_time()
        rows.append(row)
        seconds.append(now - last)
        last = now
    return rows, np.array(seconds)


def line(name: str, config: RunConfig, repeat: int) -> str:
    """One row of the table."""
    problem = build_problem(config)
    every = np.abs([row.lambda_max for row in train(config, problem)[0]])
    bare, adaptive = config.replace(measure_every=BARE), config.replace(cadence="adaptive")
    taken: list[tuple[Numbers, Numbers]] = []
    rows: list[Measurement] = []
    for _ in range(repeat):
        without = train(bare, problem)[1]
        rows, seconds = train(adaptive, problem)
        taken.append((without, seconds))
    products = np.array([row.hvps for row in rows])
    measured = np.flatnonzero(products)
    off, plain = errors(every, measured), errors(every, measured, parities=1)
    cells = [
        lambda part: f"{np.median([b[part].sum() / a[part].sum() for a, b in taken]):.2f}",
        lambda part: f"{np.mean(products[part] > 0):.2f}",
        lambda part: f"{products[part].mean():.2f}",
        lambda part: f"{100 * np.percentile(off[part], 95):.2f}",
        lambda part: f"{100 * off[part].max():.1f}",
        lambda part: f"{100 * np.percentile(plain[part], 95):.1f}",
    ]
    # the first measurement is a cold one, in the bare run too
    parts = slice(1, None), slice(len(every) // 2, None)
    return f"| {name} | {' | '.join(' / '.join(map(cell, parts)) for cell in cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    full = [name for name, preset in PRESETS.items() if not preset.config.batch_size]
    parser.add_argument("presets", nargs="*", metavar="preset", help=", ".join(full))
    parser.add_argument("--seed", type=int, help="instead of the presets' own seed")
    parser.add_argument("--repeat", type=int, default=3, help="times that each run is timed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sys.stdout.write(f"{HEADER}\n{'|---' * 7}|\n")
    for name, config in runs(arguments.presets or full):
        seeded = config if arguments.seed is None else config.replace(seed=arguments.seed)
        sys.stdout.write(f"{line(name, seeded, arguments.repeat)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
