"""The training loop: a generator of measurements that takes commands between steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.linalg import vector_norm

from samedge_core.curvature import kernels
from samedge_core.curvature.differentiation import recording
from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.fields import ConfigError
from samedge_core.problems.explicit_operator import ExplicitOperator
from samedge_core.problems.memory import memory
from samedge_core.problems.own_data import contents_of
from samedge_core.problems.problem import Batch, Problem
from samedge_core.problems.registry import OWN_PROBLEM, build, made_from
from samedge_core.training import stop
from samedge_core.training.config import FIELDS, RunConfig
from samedge_core.training.fitting import check_fits
from samedge_core.training.history import History, Intervention, Measurement
from samedge_core.training.observe import LossAndGrad, Operator, observe
from samedge_core.training.optimizers import Step, update
from samedge_core.training.over_batches import batch_sharpness
from samedge_core.training.plan import changes_at
from samedge_core.training.progress import with_bar
from samedge_core.training.state import TrainState
from samedge_core.training.stop import Stop

DIVERGED_FACTOR = 1e8  # a catapult may multiply the loss by hundreds and still come back
CONVERGED_FACTOR = 1e-12
HOPS = 10  # measured steps whose share of hops is recorded
# of ||g||, along v1: at edges .1 to 1 was seen, .001 to .06 where a run had come to rest below one
LEAST_HOP = 0.08


def build_problem(config: RunConfig, arithmetic: kernels.Arithmetic | None = None) -> Problem:
    """Return the problem that `config` names; waits for the kernels unless `arithmetic` is "plain".

    Raises:
        ConfigError, DataError: as `registry.build`.
        KernelsError: the kernels can't be compiled.
    """
    arithmetic = arithmetic or ("compiled" if kernels.FOLDER else "plain")
    if arithmetic == "compiled":
        kernels.require(config.dtype)
    problem = build(
        config.problem, config.options, seed=config.seed, dtype=config.dtype, device=config.device
    )
    problem.arithmetic = arithmetic
    return problem


def measurements(
    config: RunConfig,
    problem: Problem,
    state: TrainState,
    *,
    changes: Callable[[int], Iterable[Mapping[str, Any]]] = lambda step: (),
) -> Generator[Measurement | Intervention, None, Stop]:
    """Train from `state` (advanced in place) and yield what happens, in order.

    Before each step, `changes(step)` gives changes of eta, rho, beta or rule; each is in
    force from that step on and is yielded as an Intervention. Then the step's Measurement follows.
    The caller paces and pauses the run by when it asks for the next item. Returns the Stop.

    Raises:
        ConfigError: a change outside its range, unless it is `Changes` already; the state is then
            as before that change.
    """
    while state.step < config.steps:
        for change in changes(state.step):
            intervention = _intervene(state, change)
            if intervention:
                yield intervention
        w = state.w
        row, end = _advance(config, problem, state)
        _add_batch_sharpness(row, config, problem, w)
        yield row
        if end:
            return end
    return stop.step_cap(config.steps)


def run(
    config: RunConfig,
    problem: Problem | None = None,
    on_rows: Callable[[Sequence[Measurement]], None] | None = None,
    *,
    interventions: Iterable[Intervention] = (),
    progress: bool = False,
    arithmetic: kernels.Arithmetic | None = None,
) -> History:
    """Run `config` to its end in this process and return its History.

    Args:
        problem: trained instead of the one that `config` names. Unless it was built from that
            name, the History's config says "own-problem", with the problem's precision and device.
        on_rows: called with each new measurement (in a list) as it is made.
        interventions: changes to make on the way; with those of another run of the same config,
            that run is replayed bit for bit (same machine, number of threads and arithmetic).
        progress: show a bar (tqdm) with the newest loss, sharpness and edge, in a notebook too.
        arithmetic: of the problem that `config` names; "plain" trains by torch's autograd alone,
            slower, with other last digits. A `problem` has its own.

    Raises:
        ConfigError: this machine lacks the device or the memory; or precision or device are set to
            another one than that of `problem`.
        DataError: the data can't be downloaded or can't be used.
    """
    if problem is None:
        check_fits(config, contents_of(config.options), memory())
        problem = build_problem(config, arithmetic)
    else:
        config = _config_of(problem, config)
    history = History(config, problem.arithmetic)
    history.parameters = problem.size
    loop = measurements(
        config, problem, TrainState.initial(config, problem), changes=changes_at(interventions)
    )
    if progress:
        loop = with_bar(loop, history)
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


def _config_of(problem: Problem, config: RunConfig) -> RunConfig:
    """`config` as it holds for a problem passed to `run`, with its precision and device."""
    named = config.problem != OWN_PROBLEM and problem.made_from == made_from(
        config.problem, config.options, seed=config.seed, dtype=config.dtype, device=config.device
    )
    if named:
        return config
    its = {"dtype": str(problem.dtype).removeprefix("torch."), "device": problem.device.type}
    for name, value in its.items():
        asked = getattr(config, name)
        if asked not in (value, FIELDS[name].default):  # a default was not asked for
            raise ConfigError(name, f"{name} must be that of the problem, {value}, got {asked}")
    return config.replace(problem=OWN_PROBLEM, **its)


def _intervene(state: TrainState, change: Mapping[str, Any]) -> Intervention | None:
    made = Intervention.effective(state.step, change, state.hyper)
    if made:
        state.hyper = replace(state.hyper, **made.changes)
        state.cadence.changed(state.step)
    return made


@recording()
def _advance(
    config: RunConfig, problem: Problem, state: TrainState
) -> tuple[Measurement, Stop | None]:
    """Measure at w_t, then take the step to w_t+1."""
    batch = state.batches.next() if state.batches else problem.full_batch()
    measured = state.fixed or batch  # the step may be on another batch
    here = operator = None
    watch = _Stopwatch()
    if state.cadence.due(state.step):
        here, operator = observe(problem, state.w, measured, config.hessian_share)
    apart = watch.lap()
    taken = here if measured is batch else None
    taken = taken or LossAndGrad.of(*problem.loss_and_gradient(state.w, batch))
    here = taken if measured is batch else here
    row = Measurement(state.step, *((here.loss, here.norm) if here else (math.nan, math.nan)))
    if state.first_loss is None:
        state.first_loss, state.first_grad_norm = taken.loss, taken.norm
    if not taken.finite:
        return row, stop.left_range(state.step)
    w = state.w
    if operator is None or here is None:
        state.cadence.saw(state.step, taken.norm)
        _step(problem, state, batch, taken.g)
        return row, _stop(state, taken, w)
    watch.lap()
    estimate = state.tracker.measure(operator, step=state.step)
    row.hopping = _hopping(state, taken, estimate.vectors)
    state.cadence.measured(state.step, estimate.sharpness, taken.norm)
    # SAM's gradient on the measured batch; where that is the step's own, the step has it
    sam_g = None if here is taken else _updated(problem, state, measured, here.g).perturbed_gradient
    row.seconds = watch.lap()
    whole = not config.batch_size and config.hessian_share == 1
    _evaluate(row, problem, state.w, operator if whole else None)
    row.evaluation_seconds = watch.lap()
    step = _step(problem, state, batch, taken.g)
    watch.lap()
    sam_g = step.perturbed_gradient if here is taken else sam_g
    _record(row, estimate, config.top_k, here, sam_g)
    # where the step needs the gradient that came with it, the operator is no cost of measuring
    row.seconds += watch.lap() + (0.0 if here is taken else apart)
    return row, _stop(state, taken, w)


def _add_batch_sharpness(row: Measurement, config: RunConfig, problem: Problem, w: Tensor) -> None:
    every = config.batch_sharpness_every
    if not every or row.step % every:
        return
    watch, seed = _Stopwatch(), (config.seed + 4, row.step)  # apart from those of `TrainState`
    found = batch_sharpness(
        problem, w, config.batch_size, batches=config.batch_sharpness_batches, seed=seed
    )
    row.batch_sharpness, row.batch_sharpness_error = found.mean, found.error
    row.batch_seconds = watch.lap()


class _Stopwatch:
    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap."""
        last, self._last = self._last, time.perf_counter()
        return self._last - last


def _updated(problem: Problem, state: TrainState, batch: Batch | None, g: Tensor) -> Step:
    return update(state.w, g, state.velocity, state.hyper, lambda w: problem.gradient(w, batch))


def _step(problem: Problem, state: TrainState, batch: Batch | None, g: Tensor) -> Step:
    taken = _updated(problem, state, batch, g)
    state.w, state.velocity, state.previous = taken.w, taken.velocity, g
    state.step += 1
    return taken


def _evaluate(row: Measurement, problem: Problem, w: Tensor, whole: Operator | None) -> None:
    if problem.classes:
        explicit = whole if isinstance(whole, ExplicitOperator) else None
        row.accuracy = problem.evaluate(w, explicit).accuracy
    row.held_out_loss, row.held_out_accuracy = problem.evaluate_held_out(w)


def _record(
    row: Measurement, estimate: EigenEstimate, top_k: int, here: LossAndGrad, sam_g: Tensor | None
) -> None:
    row.lambda_max = estimate.value
    row.residual = estimate.residual
    row.converged = estimate.converged
    row.hvps = estimate.products
    row.others = tuple(float(v) for v in estimate.values[1:])
    vectors = estimate.vectors
    row.align_grad, row.align_grad_k = _alignments(here.g, here.norm, vectors, top_k)
    if sam_g is not None:
        norm = float(vector_norm(sam_g))
        row.align_sam, row.align_sam_k = _alignments(sam_g, norm, vectors, top_k)


def _alignments(g: Tensor, norm: float, vectors: Tensor, top_k: int) -> tuple[float, float]:
    """|<g, v1>|/||g|| for g of this norm, and the same for the projection on the leading subspace
    (NaN for top_k 1, where that subspace was not asked for); NaN at g = 0, and without vectors."""
    if norm == 0 or not len(vectors):
        return math.nan, math.nan
    shares = [share / norm for share in (vectors @ g).tolist()]  # floats cost less than tensors
    return abs(shares[0]), math.hypot(*shares[:top_k]) if top_k > 1 else math.nan


def _hopping(state: TrainState, taken: LossAndGrad, vectors: Tensor) -> float:
    """The share of hops among the last `HOPS` measured steps, NaN before there is one to judge.

    A hop crosses the valley: along v1 (the first of `vectors`) the gradient has another sign than
    one step before. It also counts for something: it is a good part of the gradient, or (several
    directions hop, of which v1 is one) the gradient as a whole has turned back. The sign alone also
    changes where a hop dies away beside a gradient that falls smoothly.
    """
    before = state.previous
    if before is not None and len(vectors):
        along, was = float(vectors[0] @ taken.g), float(vectors[0] @ before)
        seen = abs(along - was) >= 2 * LEAST_HOP * taken.norm
        hop = min(along, was) < 0 < max(along, was) and (seen or float(taken.g @ before) < 0)
        state.hops = (*state.hops, hop)[-HOPS:]
    return sum(state.hops) / len(state.hops) if state.hops else math.nan


def _stop(state: TrainState, taken: LossAndGrad, w: Tensor) -> Stop | None:
    """The Stop if the step taken from w (P,) was the last of a run that diverged or converged.

    One mini-batch decides neither: among 2k - 1 in a row are all of an epoch of k.
    """
    assert state.first_loss is not None
    assert state.first_grad_norm is not None
    step, least = state.step - 1, CONVERGED_FACTOR * state.first_grad_norm
    diverged = taken.loss > DIVERGED_FACTOR * max(1.0, state.first_loss)
    # velocity or SAM's hop may move w where there is no gradient; the factor 2 is for rounding
    still = taken.norm <= least and float(vector_norm(state.w - w)) <= 2 * state.hyper.eta * least
    state.diverged = state.diverged + 1 if diverged else 0
    state.converged = state.converged + 1 if still else 0
    enough = 2 * state.batches.epoch - 1 if state.batches else 1
    whole = ", and that of all batches of an epoch before" if state.batches else ""
    if state.diverged >= enough:
        return stop.diverged(step, taken.loss, whole)
    if state.converged >= enough:
        return stop.converged(step, taken.norm, whole)
    return None
