"""Replay presets and compare every K-th measured sharpness with ARPACK in float64.

    python benchmarks/preset_accuracy.py [preset ...] [--every K] [--seed S] [--top-k N]

Prints one row a run (a comparing preset makes two): what the tracker cost, how far it was off, and
whether the run shows what its preset claims. `--every 0` leaves ARPACK out; `--worst N` lists the
N steps with the largest errors.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from samedge_core.analysis.summary import summarise
from samedge_core.curvature import HessianOperator
from samedge_core.experiments.comparisons import COMPARISONS
from samedge_core.experiments.paper import ALL_PRESETS
from samedge_core.experiments.presets import PRESETS
from samedge_core.problems.problem import Batch, Problem
from samedge_core.training import History, Intervention, RunConfig
from samedge_core.training.loop import build_problem, measurements
from samedge_core.training.state import TrainState

DENSE_BELOW = 25  # ARPACK needs room for its Krylov space
HEADER = (
    "preset",
    "seed",
    "steps",
    "CPU s",
    "ms/step",
    "HVPs",
    "worst error",
    "median error",
    "not converged",
    "sharpness",
    "edge",
    "deviation",
    "in edge phase",
    "accuracy",
)


@dataclass
class Replay:
    """A finished run, its CPU seconds without ARPACK, and the errors by step."""

    history: History
    seconds: float
    errors: dict[int, float]


def reference_sharpness(twin: Problem, w: Tensor, batch: Batch | None, seed: int) -> float:
    """||H||_op at w, by ARPACK (tol 1e-8, random start) on float64 Hessian-vector products."""
    operator = HessianOperator(twin.terms(batch), w.double())
    size = operator.size
    if size < DENSE_BELOW:
        columns = [operator.matvec(e) for e in torch.eye(size, dtype=torch.float64)]
        return float(np.abs(np.linalg.eigvalsh(torch.stack(columns).numpy())).max())
    linear = LinearOperator(
        (size, size),
        matvec=lambda v: operator.matvec(torch.from_numpy(v.reshape(-1).copy())).numpy(),
        dtype=np.float64,
    )
    start = np.random.default_rng(seed).standard_normal(size)
    value = eigsh(linear, k=1, which="LM", tol=1e-8, v0=start, return_eigenvectors=False)
    return float(abs(value[0]))


def replay(config: RunConfig, every: int) -> Replay:
    """Run `config`; at every `every`-th measured step compare with ARPACK (never when 0)."""
    problem, twin = build_problem(config), build_problem(config.replace(dtype="float64"))
    state = TrainState.initial(config, problem)
    # the same order of batches in float64: equal seeds draw equal indices
    twin_batches = twin.batches(seed=config.seed + 1, batch_size=config.batch_size)
    history, seconds, errors, measured = History(config), 0.0, {}, 0
    loop = measurements(config, problem, state)
    while history.stop is None:
        w = state.w  # w_t: a step replaces the tensor, it does not write into it
        start = time.process_time()
        try:
            row = next(loop)
        except StopIteration as end:
            history.stop = end.value
            break
        seconds += time.process_time() - start
        assert not isinstance(row, Intervention)
        history.append(row)
        batch = twin_batches.next() if twin_batches else twin.full_batch()
        batch = state.fixed or batch
        if not np.isfinite(row.lambda_max):
            continue
        if every and measured % every == 0:
            true = reference_sharpness(twin, w, batch, seed=row.step)
            errors[row.step] = abs(abs(row.lambda_max) - true) / true
        measured += 1
    return Replay(history, seconds, errors)


def summary(name: str, made: Replay) -> tuple[str, ...]:
    """The cells of one row of the table."""
    columns = made.history.columns()
    n = len(made.history)
    measured = np.isfinite(columns["sharpness"])
    sharpness, edge = columns["sharpness"][measured], columns["edge"][measured]
    late = columns["step"][measured] >= n / 2
    deviation = np.median(np.abs(sharpness / edge - 1)[late]) if late.any() else np.nan
    errors = np.array(list(made.errors.values()) or [np.nan])
    accuracy = columns["accuracy"][measured][-1]
    return (
        name,
        str(made.history.config.seed),
        f"{n:,}",
        f"{made.seconds:.0f}",
        f"{1e3 * made.seconds / n:.1f}",
        f"{columns['hvps'][measured].mean():.1f}",
        f"{errors.max():.1e}",
        f"{np.median(errors):.1e}",
        f"{100 * (1 - columns['converged'][measured].mean()):.1f} %",
        _from_to(sharpness),
        _from_to(edge),
        f"{deviation:.3f}",
        f"{summarise(made.history).deviation:.3f}",
        "" if np.isnan(accuracy) else f"{accuracy:.3f}",
    )


def _from_to(values: np.ndarray) -> str:
    """Start → end, the end as the median of the last 50: single steps oscillate at the edge."""
    return f"{values[0]:.2f} → {np.median(values[-50:]):.2f}"


def runs(names: list[str]) -> Iterator[tuple[str, RunConfig]]:
    """Each preset's run or, of a comparison, all."""
    for name in names:
        preset = ALL_PRESETS[name]
        if preset.comparison is None:
            yield name, preset.config
            continue
        for config in COMPARISONS[preset.comparison].configs(preset.config):
            yield f"{name}: {preset.comparison} {getattr(config, preset.comparison)}", config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("presets", nargs="*", metavar="preset", help=", ".join(ALL_PRESETS))
    parser.add_argument("--every", type=int, default=20, help="compare at every K-th measured step")
    parser.add_argument("--seed", type=int, help="instead of the presets' own seed")
    parser.add_argument("--top-k", type=int, help="eigenvalues measured (the first is compared)")
    parser.add_argument("--worst", type=int, default=0, help="list this many worst steps")
    arguments = parser.parse_args()
    unknown = set(arguments.presets) - set(ALL_PRESETS)
    if unknown:
        parser.error(f"no preset {', '.join(sorted(unknown))}; there are: {', '.join(ALL_PRESETS)}")
    torch.set_num_threads(1)
    changes = {"seed": arguments.seed, "top_k": arguments.top_k}
    changes = {name: value for name, value in changes.items() if value is not None}
    write = sys.stdout.write
    write(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}\n")
    for name, config in runs(arguments.presets or list(PRESETS)):
        made = replay(config.replace(**changes), arguments.every)
        write(f"| {' | '.join(summary(name, made))} |\n")
        by_error = sorted(made.errors.items(), key=lambda item: -item[1])
        for step, error in by_error[: arguments.worst]:
            write(f"    step {step}: {error:.2e}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
