"""The edge test: does a fork with twice the step size or half the batch catapult? Needs torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from samedge_core.fields import ConfigError
from samedge_core.problems.problem import Problem
from samedge_core.training.config import FIELDS, RunConfig
from samedge_core.training.edge_test import CHANGES, STEPS, EdgeTest, ForkChange
from samedge_core.training.loop import measurements
from samedge_core.training.state import TrainState
from samedge_core.training.stop import Stop, StopReason


def edge_test(
    config: RunConfig,
    problem: Problem,
    state: TrainState,
    change: ForkChange = "eta",
    *,
    steps: int = STEPS,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> EdgeTest:
    """Return what a fork of the run at `state` does, with one change, beside the run without it.

    Both take `steps` from `state`, which stays as it is, with what is in force there; the fork with
    twice the step size sees the same batches, that with half the batch an order of its own.

    Args:
        change: "eta", twice the step size; or "batch", half the batch (of the data, where the batch
            is the full one).
        on_progress: called with the steps taken of both together, and how many there are.

    Raises:
        ConfigError (a ValueError): the step size can't be doubled or the batch not halved; an
            unknown change; fewer than one step.
        ValueError: the unforked run has a loss below 0, or diverges.

    >>> from samedge_core.training.loop import build_problem
    >>> config = RunConfig(problem="two-weight", rule="gd", eta=0.1)
    >>> problem = build_problem(config, "plain")
    >>> edge_test(config, problem, TrainState.initial(config, problem), steps=20).catapult
    False
    """
    if change not in CHANGES or steps < 1:
        allowed = f"one of {', '.join(CHANGES)} over 1 step at least"
        raise ConfigError("change", f"an edge test is {allowed}, got {change!r} over {steps}")
    # nothing is measured in either: the loss is asked for, at every step
    bare = config.replace(cadence="every", measure_every=FIELDS["measure_every"].high)
    bare = bare.replace(batch_sharpness_every=0).capped(state.step + steps)
    packed = state.pack()
    forked = TrainState.unpack(packed, bare, problem)
    if change == "eta":
        before, after = state.hyper.eta, FIELDS["eta"].check(2 * state.hyper.eta)
        forked.hyper = replace(forked.hyper, eta=after)
    else:
        before, after = _halved(config, problem)
        forked.batches = problem.batches(seed=config.seed + 1, batch_size=after)

    def losses(of: TrainState, done: int) -> tuple[NDArray[np.float64], Stop | None]:
        return _losses(bare, problem, of, lambda i: on_progress(done + i, 2 * steps))

    unforked, end = losses(TrainState.unpack(packed, bare, problem), 0)
    if (end and end.reason is StopReason.DIVERGED) or not (unforked >= 0).all():
        lost = "an edge test takes a run whose loss stays >= 0 and does not diverge by itself, got "
        raise ValueError(f"{lost}{unforked[-1]:g} at step {state.step + len(unforked) - 1:,}")
    return EdgeTest(state.step, change, before, after, unforked, losses(forked, steps)[0])


def _halved(config: RunConfig, problem: Problem) -> tuple[int, int]:
    data = problem.full_batch()
    size = config.batch_size or (len(data.x) if data else 0)
    if size < 2:
        raise ConfigError("batch_size", f"half a batch takes 2 examples at least, got {size}")
    return size, size // 2


def _losses(
    config: RunConfig, problem: Problem, state: TrainState, on_step: Callable[[int], None]
) -> tuple[NDArray[np.float64], Stop | None]:
    """The loss before each update and after the last, to the first that is not finite, and the Stop
    if the run ends."""
    found, loop = [problem.evaluate(state.w).loss], measurements(config, problem, state)
    while math.isfinite(found[-1]):
        try:
            next(loop)  # a Measurement: nothing is changed on the way
        except StopIteration as end:
            return np.array(found), end.value
        found.append(problem.evaluate(state.w).loss)
        on_step(len(found) - 1)
    return np.array(found), None
