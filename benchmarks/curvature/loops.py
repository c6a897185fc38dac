"""The cost of whole training steps, bare and with the sharpness at every step."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass

from benchmarks.curvature.cases import BARE
from benchmarks.curvature.timing import timed
from benchmarks.curvature.window import Window
from samedge_core.curvature import SharpnessTracker
from samedge_core.training.loop import measurements
from samedge_core.training.state import TrainState

__all__ = ["LoopCost", "time_loops"]


@dataclass(frozen=True)
class LoopCost:
    """Milliseconds of one training step (median of the repetitions).

    Attributes:
        bare: without any measurement.
        gradient: one plain torch gradient, timed between the repetitions.
        measured: by top_k, with the library measuring the sharpness at every step.
        ratios: by top_k, measured / bare (median over repetitions, which compare neighbours).
    """

    bare: float
    gradient: float
    measured: dict[int, float]
    ratios: dict[int, float]


def time_loops(window: Window, repetitions: int, kinds: tuple[int, ...] = (1, 2)) -> LoopCost:
    """Train through the window from copies of one state, the variants in turn."""
    bare: list[float] = []
    gradient: list[float] = []
    measured: dict[int, list[float]] = {top_k: [] for top_k in kinds}
    for _ in range(repetitions):
        gradient.append(_gradient(window))
        bare.append(_loop(window, 1, BARE))
        for top_k in kinds:
            measured[top_k].append(_loop(window, top_k, 1))
    return LoopCost(
        bare=statistics.median(bare),
        gradient=statistics.median(gradient),
        measured={k: statistics.median(values) for k, values in measured.items()},
        ratios={
            k: statistics.median(m / b for m, b in zip(values, bare, strict=True))
            for k, values in measured.items()
        },
    )


def _loop(window: Window, top_k: int, every: int) -> float:
    """Milliseconds a step, without the first: its measurement is the cold one."""
    case, problem = window.case, window.subject.problem
    config = case.config.replace(top_k=top_k, measure_every=every, steps=case.start + case.steps)
    state = TrainState.unpack(window.packed, config, problem)
    # what it carries is from step 0: start cold, as the rounds do
    state.tracker = SharpnessTracker(top_k=top_k, seed=config.seed + 2)
    loop = measurements(config, problem, state)
    next(loop)
    steps, ms = timed(lambda: sum(1 for _ in loop))
    return ms / steps


def _gradient(window: Window, calls: int = 20) -> float:
    plain = window.subject.plain
    plain.load(next(iter(window.weights.values())))
    for _ in range(2):
        plain.gradient()
    _, ms = timed(lambda: [plain.gradient() for _ in itertools.repeat(None, calls)])
    return ms / calls
