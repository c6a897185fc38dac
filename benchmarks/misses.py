"""How often the tracker reads low without saying so: small runs that are hard on it, every step
compared with a cold search.

    .venv/bin/python benchmarks/misses.py               # 65 runs of 150 steps: about 5 minutes
    .venv/bin/python benchmarks/misses.py --seeds 0

Networks of a few hundred weights at large step sizes: ReLU kinks, depth, the cross-entropy, a
Hessian with eigenvalues of both signs at the top. A cold search can miss, too: it is a lower bound.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from samedge_core.curvature import sharpness
from samedge_core.training import Measurement, RunConfig
from samedge_core.training.loop import build_problem, measurements
from samedge_core.training.state import TrainState

PROMISED = 1e-3
STEPS = 150


def _mlp(rule: str, eta: float, rho: float, seed: int, **options: object) -> RunConfig:
    options = {"n": 100, "width": 20, **options}
    return RunConfig(
        problem="digits-mlp", options=options, rule=rule, eta=eta, rho=rho, seed=seed, steps=STEPS
    )


RUNS = (
    _mlp("sam", 2.0, 0.1, 0),
    _mlp("sam", 1.0, 0.05, 1),
    _mlp("gd", 3.0, 0.0, 0),
    _mlp("gd", 3.0, 0.0, 2),
    _mlp("gd", 3.0, 0.0, 1, activation="tanh"),
    _mlp("sam", 2.0, 0.1, 3, depth=4),
    _mlp("gd", 2.0, 0.0, 4, depth=4),
    _mlp("sam", 0.5, 0.1, 5, loss="cross-entropy"),
    _mlp("gd", 1.0, 0.0, 6, loss="cross-entropy"),
    _mlp("sam", 3.0, 0.03, 7, activation="tanh"),
    RunConfig(problem="chebyshev-mlp", rule="gd", eta=0.3, steps=STEPS),
    RunConfig(problem="chebyshev-mlp", rule="sam", eta=0.2, rho=0.05, steps=STEPS),
    RunConfig(problem="digits-cnn", options={"n": 30}, rule="sam", eta=1.0, rho=0.05, steps=STEPS),
)


@dataclass(frozen=True)
class Outcome:
    """Of one run: relative errors where it claims to have converged, and mean products a step."""

    config: RunConfig
    errors: dict[int, float]
    unconverged: int
    products: float

    @property
    def missed(self) -> dict[int, float]:
        return {step: error for step, error in self.errors.items() if error > PROMISED}


def compare(config: RunConfig) -> Outcome:
    """Run `config` with the sharpness at every step, and search it cold at the same weights."""
    torch.set_num_threads(1)
    problem = build_problem(config)
    state = TrainState.initial(config, problem)
    w, errors, products = state.w, {}, []
    for row in measurements(config, problem, state):
        if isinstance(row, Measurement):
            if row.converged:
                cold = sharpness(lambda w: problem.loss(w, None), w, seed=row.step).sharpness
                errors[row.step] = 1 - abs(row.lambda_max) / cold
            products.append(row.hvps)
            w = state.w
    return Outcome(
        config, errors, len(products) - len(errors), sum(products[1:]) / (len(products) - 1)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 10, 20, 30, 40],
        help="added to the seeds of the runs",
    )
    seeds = parser.parse_args().seeds
    configs = [c.replace(seed=c.seed + more) for more, c in itertools.product(seeds, RUNS)]
    steps = missed = 0
    products = []
    with ProcessPoolExecutor() as pool:
        for outcome in pool.map(compare, configs):
            steps += len(outcome.errors)
            missed += len(outcome.missed)
            products.append(outcome.products)
            if outcome.missed:
                c = outcome.config
                where = ", ".join(f"step {s}: {e:.1e}" for s, e in outcome.missed.items())
                print(f"{c.problem} {c.options} {c.rule} {c.eta} {c.rho} seed {c.seed}: {where}")
    mean = sum(products) / len(products)
    print(f"missed {missed} of {steps:,} steps; {mean:.2f} products a step")


if __name__ == "__main__":
    main()
