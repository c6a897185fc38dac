"""The ratio of the edge operator's leading eigenvalue to its threshold, over rules and problems.

    python benchmarks/edge_operator.py [--problems NAME ...] [--seeds N] [--out CSV]

Each run is sampled `SAMPLES` times, evenly, in its second half. A sample takes the eigenvalue of
A = P^-1/2 H (I + rho H/||g||) P^-1/2 at the weights before the update, with the P of that update;
and, under SAM, that of P^-1/2 H P^-1/2, so that one sees what the factor explains. Prints a line a
run, writes them to the file, and prints the median, least and most of the ratio by row of the table
in docs/edge-operator.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.curvature.figure import save_png
from samedge_core.curvature import SharpnessTracker
from samedge_core.curvature.edge_operator import EdgeOperator
from samedge_core.theory.rules import RULES
from samedge_core.training import RunConfig
from samedge_core.training.loop import build_problem
from samedge_core.training.observe import observe
from samedge_core.training.optimizers import Moments, update

SAMPLES = 12
BASE = RunConfig(beta=0.9, beta2=0.99)
PROBLEMS = {
    "chebyshev-mlp": (BASE.replace(problem="chebyshev-mlp", dtype="float64", steps=3000), 0.02),
    "digits-mlp tanh": (BASE.replace(options={"activation": "tanh"}, steps=800), 0.05),
    "digits-mlp ReLU": (BASE.replace(options={"activation": "relu"}, steps=800), 0.05),
    "digits-cnn": (BASE.replace(problem="digits-cnn", steps=400), 0.05),
}
"""By name: the settings, and the least of the three radii (times 1, 2.5 and 5)."""
ETAS = (0.001, 0.002)
OUT = Path(__file__).parent / "results" / "edge_operator.csv"


@dataclass
class Sample:
    """One row of the file."""

    problem: str
    rule: str
    eta: float
    rho: float
    seed: int
    step: int
    loss: float
    ratio: float
    plain: float  # without SAM's factor
    converged: bool


def samples(name: str, config: RunConfig) -> list[Sample]:
    """The samples of one run."""
    problem, hyper, rule = build_problem(config), config.hyperparameters, RULES[config.rule]
    batch, w = problem.full_batch(), problem.init(seed=config.seed)
    moments, threshold = Moments(w.new_zeros(len(w))), float(np.asarray(rule.threshold(hyper)))
    trackers = [SharpnessTracker(seed=config.seed + k) for k in range(2)]
    steps = np.linspace(config.steps / 2, config.steps - 1, SAMPLES).round().astype(int)
    found = []
    for step in range(config.steps):
        sampled = step in steps
        here, operator = observe(problem, w, batch, 1.0) if sampled else (None, None)
        g = here.g if here else problem.gradient(w, batch)
        taken = update(w, g, moments, hyper, lambda w: problem.gradient(w, batch))
        if here and operator:
            reach = float(rule.operator_reach(hyper, here.norm))
            whole, plain = (
                EdgeOperator(operator, taken.preconditioner, reach=s) for s in (reach, 0)
            )
            of_whole = trackers[0].measure(whole, step=0)
            of_plain = trackers[1].measure(plain, step=0) if reach else of_whole
            found.append(
                Sample(
                    problem=name,
                    rule=config.rule,
                    eta=config.eta,
                    rho=config.rho,
                    seed=config.seed,
                    step=step,
                    loss=here.loss,
                    ratio=of_whole.value / threshold,
                    plain=of_plain.value / threshold,
                    converged=of_whole.converged,
                )
            )
        w, moments = taken.w, taken.moments
    return found


def configs(name: str, seeds: int) -> list[RunConfig]:
    """All runs of a problem; rules without a radius are not repeated over it."""
    base, least = PROBLEMS[name]
    found = []
    for rule, eta, seed in product(
        ("adam", "rmsprop", "sam-rmsprop", "sam-adam"), ETAS, range(seeds)
    ):
        for rho in (least, 2.5 * least, 5 * least) if "sam" in rule else (0.0,):
            found.append(base.replace(rule=rule, eta=eta, seed=seed, rho=rho))
    return found


def main() -> None:
    """Run all of it; half an hour on a core."""
    parser = argparse.ArgumentParser(description="The ratio of the edge operator")
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    rows: list[Sample] = []
    for name in asked.problems:
        for config in configs(name, asked.seeds):
            began = time.perf_counter()
            of_run = samples(name, config)
            rows += of_run
            ratios = np.array([row.ratio for row in of_run])
            where = f"eta {config.eta:g} rho {config.rho:<5g} seed {config.seed}"
            found = f"{np.median(ratios):.2f} [{ratios.min():.2f}, {ratios.max():.2f}]"
            took = f"loss {of_run[-1].loss:.1e}, {time.perf_counter() - began:.0f} s"
            sys.stdout.write(f"{name:16} {config.rule:12} {where}: {found} {took}\n")
            pd.DataFrame([vars(row) for row in rows]).to_csv(asked.out, index=False)
    frame = pd.DataFrame([vars(row) for row in rows])
    sys.stdout.write(f"{table(frame).to_string()}\n")
    sys.stdout.write(save_png(draw(frame), asked.out.with_suffix(".png")))


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Median, least and most of the ratio over seeds and samples, and what is left without SAM's
    factor, by problem, rule, eta and rho."""
    by = rows.groupby(["problem", "rule", "eta", "rho"])
    out = by.ratio.agg(["median", "min", "max"]).round(2)
    return out.assign(plain=by.plain.median().round(3), loss=by.loss.median())


def draw(rows: pd.DataFrame) -> go.Figure:
    """Each rule's ratio by problem, and what it would be without SAM's factor; a point a sample."""
    figure = go.Figure()
    named = rows.assign(named=rows.rule.map({name: rule.short for name, rule in RULES.items()}))
    for column, name, colour in (
        ("ratio", "ratio", "#1a4f9c"),
        ("plain", "without SAM's factor", "#c9480a"),
    ):
        shown = named if column == "ratio" else named[named.rho > 0]
        figure.add_box(
            x=[shown.problem, shown.named],
            y=shown[column],
            name=name,
            marker_color=colour,
            boxpoints="outliers",
            marker_size=3,
        )
    figure.add_hline(y=1, line_dash="dash")
    figure.update_layout(
        template="plotly_white",
        boxmode="group",
        width=1100,
        height=460,
        yaxis={"type": "log", "title": "edge value / threshold", "dtick": "D2"},
        legend={"orientation": "h", "y": 1.1},
        margin={"t": 40, "r": 20},
    )
    return figure


if __name__ == "__main__":
    main()
