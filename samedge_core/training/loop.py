"""The training loop: a generator of measurements that takes commands between steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from samedge_core.curvature.operator import HessianOperator
from samedge_core.curvature.tracker import EigenEstimate
from samedge_core.optimizers import update
from samedge_core.problems.problem import Batch, Problem
from samedge_core.problems.registry import build
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, Intervention, Measurement, check_changes
from samedge_core.training.state import TrainState
from samedge_core.training.stop import Stop, StopReason

__all__ = ["Changes", "build_problem", "measurements", "run"]

DIVERGED_FACTOR = 1e8  # a catapult may multiply the loss by hundreds and still come back
CONVERGED_FACTOR = 1e-12

Changes = Mapping[str, Any]


def build_problem(config: RunConfig) -> Problem:
    """The problem that `config` names."""
    return build(config.problem, config.options, seed=config.seed, dtype=config.dtype)


def measurements(
    config: RunConfig,
    problem: Problem,
    state: TrainState,
    *,
    changes: Callable[[int], Iterable[Changes]] = lambda step: (),
) -> Generator[Measurement | Intervention, None, Stop]:
    """Train from `state` (advanced in place) and yield what happens, in order.

    Before each step, `changes(step)` is asked for changes of eta, rho, beta or rule; each is in
    force from that step on and is yielded as an Intervention. Then the step's Measurement follows.
    The caller paces and pauses the run by when it asks for the next item. Returns the Stop.

    Raises:
        ConfigError: a change outside its range; the state is then as before that change.
    """
    while state.step < config.steps:
        for change in changes(state.step):
            intervention = _intervene(state, change)
            if intervention:
                yield intervention
        row = _advance(config, problem, state)
        yield row
        stop = _stop(row, state)
        if stop:
            return stop
    return Stop(StopReason.STEP_CAP, state.step, f"the step cap of {config.steps:,} is reached")


def run(
    config: RunConfig,
    problem: Problem | None = None,
    on_rows: Callable[[Sequence[Measurement]], None] | None = None,
    *,
    interventions: Iterable[Intervention] = (),
) -> History:
    """Run `config` to its end in this process and return its History.

    Args:
        problem: trained instead of the one that `config` names.
        on_rows: called with each new measurement (in a list) as it is made.
        interventions: changes to make on the way; with those of another run of the same config,
            that run is replayed bit for bit (same machine, same number of threads).
    """
    problem = problem or build_problem(config)
    history = History(config)
    planned: dict[int, list[Changes]] = {}
    for item in interventions:
        planned.setdefault(item.step, []).append(item.changes)
    loop = measurements(
        config,
        problem,
        TrainState.initial(config, problem),
        changes=lambda step: planned.get(step, ()),
    )
    while history.stop is None:
        try:
            item = next(loop)
        except StopIteration as end:
            history.stop = end.value
            break
        if isinstance(item, Intervention):
            history.intervene(item)
        else:
            history.append(item)
            if on_rows:
                on_rows([item])
    return history


def _intervene(state: TrainState, change: Changes) -> Intervention | None:
    change = check_changes(change)
    before = {name: getattr(state.hyper, name) for name in change}
    new = {name: value for name, value in change.items() if value != before[name]}
    if not new:
        return None
    state.hyper = replace(state.hyper, **new)
    return Intervention(state.step, new, {name: before[name] for name in new})


def _advance(config: RunConfig, problem: Problem, state: TrainState) -> Measurement:
    """Measure at w_t, then take the step to w_t+1."""
    batch = state.batches.next() if state.batches else problem.full_batch()
    measured = state.step % config.measure_every == 0
    operator = None
    if measured:
        operator = HessianOperator(lambda w: problem.loss(w, batch), state.w)
        loss, g = operator.value, operator.g
    else:
        loss, g = problem.loss_and_gradient(state.w, batch)
    row = Measurement(step=state.step, loss=float(loss), grad_norm=float(g.norm()))
    if state.first_loss is None:
        state.first_loss, state.first_grad_norm = row.loss, row.grad_norm
    if not (math.isfinite(row.loss) and math.isfinite(row.grad_norm)):
        return row
    estimate = state.tracker.measure(operator) if operator else None
    if estimate:
        row.accuracy = problem.evaluate(state.w).accuracy
    uphill = _step(problem, state, batch, g)
    if estimate:
        _record(row, estimate, config.top_k, g, uphill)
    return row


def _step(problem: Problem, state: TrainState, batch: Batch | None, g: Tensor) -> Tensor | None:
    taken = update(state.w, g, state.velocity, state.hyper, lambda w: problem.gradient(w, batch))
    state.w, state.velocity = taken.w, taken.velocity
    state.step += 1
    return taken.uphill_gradient


def _record(
    row: Measurement, estimate: EigenEstimate, top_k: int, g: Tensor, uphill: Tensor | None
) -> None:
    row.lambda_max = estimate.value
    row.residual = estimate.residual
    row.converged = estimate.converged
    row.hvps = estimate.products
    row.seconds = estimate.seconds
    row.others = tuple(float(v) for v in estimate.values[1:])
    row.align_grad, row.align_grad_k = _alignments(g, estimate.vectors, top_k)
    if uphill is not None:
        row.align_sam, row.align_sam_k = _alignments(uphill, estimate.vectors, top_k)


def _alignments(g: Tensor, vectors: Tensor, top_k: int) -> tuple[float, float]:
    """|<g, v1>|/||g||, and the same for the projection on the leading subspace (NaN for top_k 1,
    where that subspace was not asked for); NaN at g = 0."""
    norm = g.norm()
    if norm == 0:
        return math.nan, math.nan
    shares = (vectors @ g) / norm
    leading = float(torch.abs(shares[0]))
    return leading, float(shares[:top_k].norm()) if top_k > 1 else math.nan


def _stop(row: Measurement, state: TrainState) -> Stop | None:
    assert state.first_loss is not None
    assert state.first_grad_norm is not None
    if not (math.isfinite(row.loss) and math.isfinite(row.grad_norm)):
        what = f"diverged: the loss left the finite range at step {row.step:,}"
        return Stop(StopReason.DIVERGED, row.step, what)
    if row.loss > DIVERGED_FACTOR * max(1.0, state.first_loss):
        what = f"diverged: the loss is {row.loss:.3g} at step {row.step:,}"
        return Stop(StopReason.DIVERGED, row.step, what)
    if row.grad_norm <= CONVERGED_FACTOR * state.first_grad_norm:
        what = f"converged: the gradient norm is {row.grad_norm:.3g} at step {row.step:,}"
        return Stop(StopReason.CONVERGED, row.step, what)
    return None
