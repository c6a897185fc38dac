"""Predictions against the runs that they predict: `python benchmarks/prediction.py [preset ...]`.

Every preset with GD or SAM from three seeds, and chebyshev-mlp from five at three radii. A row of
the file is one flow of one run: how far the sharpness is off at the midpoints of consecutive
iterates (every `EVERY` steps) and the loss over both, at the median and at most; what the mean of
two recorded rows makes of these midpoints; and what run and flow cost. Half an hour; with
`--ablations` the other flows of the first seed, too, and an hour. `--missing` goes on with what the
file lacks; stop it when you like. `--report` prints the table of
docs/prediction.md from the file and draws its figure.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Set
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.curvature.figure import save_png
from samedge_core.curvature import EigenEstimate, SharpnessTracker
from samedge_core.experiments.comparisons import COMPARISONS
from samedge_core.experiments.presets import PRESETS
from samedge_core.prediction import predict as predicting
from samedge_core.prediction.flows import FIRST, HopFlow
from samedge_core.prediction.predict import predict
from samedge_core.prediction.prediction import Prediction
from samedge_core.problems.problem import Problem
from samedge_core.training import History, Measurement, RunConfig
from samedge_core.training.loop import build_problem, measurements
from samedge_core.training.observe import observe
from samedge_core.training.state import TrainState

EVERY = 5
LEAST_LOSS = 1e-6  # of the first loss: below it, the loss is held against that
SEEDS, RADII, MOST_STEPS = 5, (0.01, 0.02, 0.04), 1000
OUT = Path(__file__).parent / "results" / "prediction.csv"
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "prediction.png"


class OneDirection(HopFlow):
    """The hop along the leading eigenvector alone."""

    _v: Tensor | None = None

    def see(self, estimate: EigenEstimate, ratio: float) -> bool:
        self._v = estimate.vectors[0]
        return super().see(estimate, ratio)

    def advance(self, eta: float, steps: int, ratio: float) -> int:
        taken = super().advance(eta, steps, ratio)
        if self._v is not None and self._begun >= FIRST:
            self.hop = (self._v @ self.hop) * self._v
        return taken


class NoHop(HopFlow):
    """The centre alone, by the same steps."""

    def see(self, estimate: EigenEstimate, ratio: float) -> bool:
        return False

    def advance(self, eta: float, steps: int, ratio: float) -> int:
        self.hop, self._known = torch.zeros_like(self.hop), None
        return super().advance(eta, steps, ratio)


STEPS_OF = {
    "hop": 1,
    "hop 10": 10,
}  # between rows, of the flows that are told from one another by it
OTHERS = ("one direction", "no hop", "ode")
HEADER = (
    *("preset", "run", "seeds", "sharpness: median [most]", "loss: median [most]"),
    *("level at the end", "rows every 10", "cosine", "plain steps", "mean of rows"),
    *("time / the run's", *OTHERS),
)
DRAWN = {"sam-chebyshev": 1000, "sam-digits-relu": 300, "sam-cnn": 200, "gd-chebyshev": 1500}
LOOKS = (
    {"color": "#8a8f98", "width": 4},
    {"color": "#c9480a", "width": 2, "dash": "dash"},
    {"color": "#1a4f9c", "width": 1.5, "dash": "dot"},
)
ABLATIONS = {"one direction": OneDirection, "no hop": NoHop}


@dataclass
class Row:
    """One row of the file; errors and costs as the module says, seconds of the processor."""

    preset: str
    run: str
    seed: int
    steps: int
    flow: str
    sharpness: float
    sharpness_most: float
    loss: float
    loss_most: float
    mean_of_rows: float
    late: float  # of the sharpness, in the second half
    level: float  # of its mean there
    cosine: float
    least_cosine: float
    plain: float  # share of plain steps after the first ten
    gradients: float  # a step, as the rest
    products: float
    seconds: float
    run_gradients: float
    run_products: float
    run_seconds: float


@dataclass
class Run:
    """A finished run, and sharpness and steps at the midpoints that were measured."""

    history: History
    steps: list[int]
    midpoints: np.ndarray
    seconds: float


def measured(config: RunConfig, problem: Problem) -> Run:
    """Run `config`; the midpoints are measured apart, on all the data."""
    state, history = TrainState.initial(config, problem), History(config)
    loop, tracker = measurements(config, problem, state), SharpnessTracker(seed=config.seed + 9)
    steps, found, seconds = [], [], 0.0
    while True:
        w, began = state.w, time.process_time()
        try:
            row = next(loop)
        except StopIteration:
            return Run(history, steps, np.array(found), seconds)
        seconds += time.process_time() - began
        assert isinstance(row, Measurement)
        history.append(row)
        if row.step % EVERY == 0:
            _, operator = observe(problem, (w + state.w) / 2, problem.full_batch(), 1.0)
            found.append(tracker.measure(operator, step=0).sharpness)
            steps.append(row.step)


def compared(
    preset: str, run: str, config: RunConfig, done: Run, flow: str, problem: Problem
) -> Row:
    """The row of one flow."""
    began = time.process_time()
    predicting._FLOWS["hop"] = ABLATIONS.get(flow, HopFlow)
    name = "ode" if flow == "ode" else "hop"
    made = predict(config, flow=name, every=STEPS_OF.get(flow, EVERY), problem=problem)
    predicting._FLOWS["hop"] = HopFlow
    assert made.outcome is not None
    seconds, columns, n = time.process_time() - began, done.history.columns(), config.steps
    frame = made.to_frame().set_index("step")
    # of the last row of a run there is no midpoint of recorded rows
    steps = frame.index.intersection(done.steps[:-1])
    frame, true = frame.loc[steps], pd.Series(done.midpoints, done.steps)[steps]
    mean = {
        of: pd.Series((columns[of][:-1] + columns[of][1:])[steps] / 2, steps)
        for of in ("loss", "sharpness")
    }
    off, late = frame.sharpness / true - 1, steps >= n / 2
    least = LEAST_LOSS * columns["loss"][0]
    of_loss = (frame.loss - mean["loss"]) / mean["loss"].clip(lower=least)
    return Row(
        preset=preset,
        run=run,
        seed=config.seed,
        steps=n,
        flow=flow,
        sharpness=_size(off),
        sharpness_most=_size(off, 1),
        loss=_size(of_loss),
        loss_most=_size(of_loss, 1),
        mean_of_rows=_size(mean["sharpness"] / true - 1),
        late=_size(off[late]),
        level=float(frame.sharpness[late].mean() / true[late].mean() - 1),
        cosine=made.median_cosine,
        least_cosine=_least_cosine(made),
        plain=_plain(made) / n,
        gradients=made.outcome.gradients / n,
        products=made.outcome.products / n,
        seconds=seconds / n,
        run_gradients=float(columns["evals"][-1] / len(columns["evals"])),
        run_products=float(columns["hvps"].mean()),
        run_seconds=done.seconds / n,
    )


def _size(errors: pd.Series, share: float = 0.5) -> float:
    """A quantile of their sizes, the median or the largest; infinite where the flow has ended in
    no number."""
    sizes = errors.abs().replace(np.nan, np.inf)
    return float(np.quantile(sizes, share, method="lower")) if len(sizes) else np.nan


def _least_cosine(made: Prediction) -> float:
    cosines = [p.cosine for p in made.points if p.step >= made.begin + 2 * FIRST]
    return float(np.nanmin(cosines)) if np.isfinite(cosines).any() else np.nan


def _plain(made: Prediction) -> int:
    broken = {item.key: item.broken for item in made.assumptions}.get("domain", ())
    return sum(last - first + 1 for first, last in broken)


def runs(names: list[str], seeds: int, most: int) -> Iterator[tuple[str, str, RunConfig]]:
    """Preset, what tells its run from the others, and settings."""
    for name in names:
        preset = PRESETS[name]
        kind = preset.comparison
        made = COMPARISONS[kind].configs(preset.config) if kind else [preset.config]
        for config in made:
            label = f"{kind} {getattr(config, kind)}" if kind else ""
            small = preset.config.problem not in ("digits-mlp", "digits-cnn")
            steps = config.steps if small else min(config.steps, most)
            for k in range(seeds):
                changed = config.replace(seed=config.seed + k, steps=steps)
                yield name, label, changed.replace(cadence="every", measure_every=1)


def chebyshev() -> Iterator[tuple[str, str, RunConfig]]:
    """Five seeds at three radii."""
    base = PRESETS["sam-chebyshev"].config
    for rho in RADII:
        for seed in range(SEEDS):
            yield "chebyshev-mlp", f"rho {rho}", base.replace(rho=rho, seed=seed)


def there(out: Path) -> set[tuple[str, ...]]:
    """Preset, run, seed and flow of each row of the file."""
    table = pd.read_csv(out, dtype=str).fillna({"run": ""})
    return {*table[["preset", "run", "seed", "flow"]].itertuples(index=False, name=None)}


def measure(
    found: Iterator[tuple[str, str, RunConfig]],
    out: Path,
    ablations: bool,
    known: Set[tuple[str, ...]],
) -> None:
    """Append the rows of these runs that are not `known` to the file as they are made; ablations of
    the first seed."""
    seen = set()
    for name, label, config in found:
        first = (name, label) not in seen
        seen.add((name, label))
        others = ("ode", *ABLATIONS) if ablations and first else ()
        of_run = name, label, str(config.seed)
        flows = [flow for flow in (*STEPS_OF, *others) if (*of_run, flow) not in known]
        if not flows:
            continue
        problem = build_problem(config)
        done = measured(config, problem)
        for flow in flows:
            row = compared(name, label, config, done, flow, problem)
            frame = pd.DataFrame([asdict(row)]).round(7)
            frame.to_csv(out, mode="a", header=not out.exists(), index=False)
            sys.stdout.write(
                f"{name} {label} seed {config.seed} {flow}: {100 * row.sharpness:.3f} % "
                f"(most {100 * row.sharpness_most:.2f}), loss {100 * row.loss:.3f} %, "
                f"{1e3 * row.seconds:.2f} against {1e3 * row.run_seconds:.2f} ms a step\n"
            )
            sys.stdout.flush()


def report(out: Path) -> str:
    """The table of docs/prediction.md, in per cent; of several seeds the median and the most."""
    table = pd.read_csv(out).fillna({"run": ""})
    lines = [f"| {' | '.join(HEADER)} |", "|---|---|" + "---:|" * (len(HEADER) - 2)]
    for preset, run in table[["preset", "run"]].drop_duplicates().itertuples(index=False):
        rows = table[(table.preset == preset) & (table.run == run)]
        by_flow = dict(iter(rows.groupby("flow")))
        hop = by_flow["hop"]
        others = [by_flow[name].sharpness.iloc[0] if name in by_flow else None for name in OTHERS]
        cells = [
            str(preset),
            str(run),
            str(len(hop)),
            f"{_percent(hop.sharpness.median())} [{_percent(hop.sharpness_most.max())}]",
            f"{_percent(hop.loss.median())} [{_percent(hop.loss_most.max())}]",
            _percent(hop.level.abs().median()),
            _percent(by_flow["hop 10"].sharpness.median()) if "hop 10" in by_flow else "",
            f"{hop.cosine.median():.2f}",
            f"{100 * hop.plain.max():.2g}",
            _percent(hop.mean_of_rows.median()),
            f"{(hop.seconds.sum() / hop.run_seconds.sum()):.1f}",
            *("" if value is None else _percent(value) for value in others),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(value: float) -> str:
    """Two digits, and no more than thousandths."""
    percent = 100 * float(value)
    return f"{percent:.3f}" if percent < 0.01 else f"{percent:.2g}" if percent < 100 else ">100"


def figure() -> go.Figure:
    """Sharpness of four runs at midpoints, as predicted, and by the ODE."""
    drawn = make_subplots(rows=2, cols=2, subplot_titles=[PRESETS[n].title for n in DRAWN])
    for i, (name, steps) in enumerate(DRAWN.items()):
        config = PRESETS[name].config.replace(steps=steps)
        problem = build_problem(config)
        done, every = measured(config, problem), max(EVERY, steps // 60)
        found = {
            "the run, at midpoints": (done.steps, done.midpoints),
            "predicted": _curve(predict(config, problem=problem)),
            "the ODE without a hop": _curve(
                predict(config, flow="ode", every=every, problem=problem)
            ),
        }
        for (label, (x, y)), look in zip(found.items(), LOOKS, strict=True):
            where = {"row": i // 2 + 1, "col": i % 2 + 1}
            drawn.add_scatter(x=x, y=y, name=label, line=look, showlegend=i == 0, **where)
    drawn.update_traces(mode="lines")
    drawn.update_xaxes(title_text="step", row=2)
    drawn.update_yaxes(title_text="sharpness", rangemode="tozero", col=1)
    legend = {"orientation": "h", "y": 1.12}
    drawn.update_layout(template="plotly_white", width=1100, height=720, legend=legend)
    return drawn


def _curve(made: Prediction) -> tuple[np.ndarray, np.ndarray]:
    columns = made.columns()
    return columns["step"], columns["sharpness"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("presets", nargs="*", metavar="preset")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=MOST_STEPS, help="of digits and CNN at most")
    parser.add_argument("--ablations", action="store_true", help="the other flows, too")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--missing", action="store_true", help="only what the file lacks")
    parser.add_argument("--report", action="store_true", help="print the table, draw the figure")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.report:
        sys.stdout.write(report(arguments.out) + "\n" + save_png(figure(), PICTURE))
        return
    own = [name for name, preset in PRESETS.items() if preset.config.rule in ("gd", "sam")]
    names = arguments.presets or ["chebyshev-mlp", *own]
    known = there(arguments.out) if arguments.missing and arguments.out.exists() else set()
    wanted = runs([n for n in names if n in PRESETS], arguments.seeds, arguments.steps)
    if "chebyshev-mlp" in names:
        wanted = itertools.chain(chebyshev(), wanted)
    measure(wanted, arguments.out, arguments.ablations, known)


if __name__ == "__main__":
    main()
