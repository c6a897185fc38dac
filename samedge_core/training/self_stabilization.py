"""The portrait of GD's self-stabilisation over some steps of a run. Needs torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from samedge_core.fields import ConfigError
from samedge_core.problems.problem import Problem
from samedge_core.training.config import RunConfig
from samedge_core.training.observe import observe
from samedge_core.training.portrait import MOST_STEPS, STEPS, Portrait, why_not
from samedge_core.training.state import TrainState

NEAR = 0.25  # power of the precision: rounding and the fourth derivative then cost alike


class _Iterate(NamedTuple):
    """w, its gradient, the leading eigenvector (P,) each, and the sharpness."""

    w: Tensor
    g: Tensor
    v: Tensor
    sharpness: float


def portrait(
    config: RunConfig,
    problem: Problem,
    state: TrainState,
    *,
    steps: int = STEPS,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Portrait:
    """Return how GD's hop and its sharpness drive each other over these steps from `state` on,
    which stays as it is. Measures every step, and takes two gradients more.

    Args:
        on_progress: called with the steps taken, and how many there are.

    Raises:
        ConfigError (a ValueError): fewer than 2 steps or more than MOST_STEPS; or no GD with the
            full batch at one step size.
        FloatingPointError: loss or curvature leave the finite range.

    >>> from samedge_core.training.loop import build_problem
    >>> config = RunConfig(problem="two-weight", rule="gd", eta=0.1)
    >>> problem = build_problem(config, "plain")
    >>> portrait(config, problem, TrainState.initial(config, problem), steps=20).died
    True
    """
    if not 2 <= steps <= MOST_STEPS:
        raise ConfigError("steps", f"a portrait takes 2 to {MOST_STEPS:,} steps, got {steps:,}")
    full, constant = state.batches is None, state.schedule.constant
    if why := why_not(state.in_force, batches=not full, constant=constant):
        raise ConfigError("rule", why)
    at, eta = TrainState.unpack(state.pack(), config, problem), state.hyper.eta
    rows, turns, before = [], [], None
    for done in range(steps + 1):
        here, operator = observe(problem, at.w, problem.full_batch(), 1.0)
        found = at.tracker.measure(operator, step=at.step)
        if not here.finite or not len(found.vectors):
            raise FloatingPointError(f"the run leaves the finite range at step {at.step:,}")
        now = _Iterate(at.w, here.g, found.vectors[0].clone(), found.value)
        if before:
            turns.append(float(now.v @ before.v))
            now = now._replace(v=now.v if turns[-1] >= 0 else -now.v)
            rows.append(_sample(problem, before, now, (-1) ** done))
            on_progress(done, steps)
        before, at.w, at.step = now, at.w - eta * here.g, at.step + 1
    x, sharpness, alpha, b = np.array(rows).T
    return Portrait(state.step, eta, x, sharpness, alpha, b, np.abs(turns))


def _sample(
    problem: Problem, first: _Iterate, second: _Iterate, sign: int
) -> tuple[float, float, float, float]:
    """x, S, alpha and b between two iterates, where the hop cancels.

    With the mean g~ of their gradients, which is grad L + x^2/2 grad S there, and the mean g_h of
    those at h to both sides along v, which is grad L + h^2/2 grad S, both gradients are known. The
    v of one iterate alone, bent by the hop, would give another sign of the x^2 term.
    """
    middle, v = (first.w + second.w) / 2, first.v + second.v
    v = v / v.norm()
    x, batch = float((first.w - second.w) @ v) / 2, problem.full_batch()
    near = torch.finfo(v.dtype).eps ** NEAR * max(1.0, float(middle.norm())) / math.sqrt(len(v))
    h, mean = max(2 * abs(x), near), (first.g + second.g) / 2
    sides = problem.gradient(middle + h * v, batch) + problem.gradient(middle - h * v, batch)
    of_s = (sides - 2 * mean) / (h**2 - x**2)
    across = of_s - (of_s @ v) * v
    alpha = -float((mean - x**2 / 2 * of_s) @ across)
    return sign * x, (first.sharpness + second.sharpness) / 2, alpha, float(across @ across)
