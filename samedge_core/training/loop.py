"""The training loop: a generator of measurements that takes commands between steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor
from torch.linalg import vector_norm

from samedge_core.curvature import kernels
from samedge_core.curvature.differentiation import recording
from samedge_core.curvature.edge_operator import EdgeOperator
from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.fields import ConfigError
from samedge_core.problems.compiled.operator import CompiledOperator
from samedge_core.problems.memory import memory
from samedge_core.problems.own_data import contents_of
from samedge_core.problems.problem import Batch, Problem
from samedge_core.problems.registry import OWN_PROBLEM, build, made_from
from samedge_core.theory.rules import RULES
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
        state.change(replace(state.hyper, **made.changes))
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
    w, rule = state.w, RULES[state.hyper.rule]
    if operator is None or here is None:
        state.cadence.saw(state.step, taken.norm)
        _take(state, _updated(problem, state, batch, taken.g), taken.g)
        return row, _stop(state, taken, w)
    # the edge operator divides by what this step divides by
    step = _updated(problem, state, batch, taken.g) if rule.preconditioned else None
    watch.lap()
    leading = _measure(config, row, state, operator, here.norm, step)
    row.hopping = _hopping(state, taken, leading)
    state.cadence.measured(state.step, row.leading, taken.norm)
    # SAM's gradient on the measured batch; where that is the step's own, the step has it
    sam_g = None if here is taken else _updated(problem, state, measured, here.g).perturbed_gradient
    row.seconds = watch.lap()
    whole = not config.batch_size and config.hessian_share == 1
    _evaluate(row, problem, state.w, operator if whole else None)
    row.evaluation_seconds = watch.lap()
    step = step or _updated(problem, state, batch, taken.g)
    _take(state, step, taken.g)
    watch.lap()
    sam_g = step.perturbed_gradient if here is taken else sam_g
    _record_alignments(row, leading, config.top_k, here, sam_g)
    # where the step needs the gradient that came with it, the operator is no cost of measuring
    row.seconds += watch.lap() + (0.0 if here is taken else apart)
    return row, _stop(state, taken, w)


class _Leading(NamedTuple):
    """The leading eigenvectors (k, P) of H or of an edge operator, and the coordinates in which
    they are: of gradients (P,) there."""

    vectors: Tensor
    coordinates: Callable[[Tensor], Tensor]


def edge_operator(
    state: TrainState, hessian: Operator, grad_norm: float, step: Step
) -> EdgeOperator:
    """The edge operator of the rule in force, from H, ||g|| and the update at w."""
    reach = float(RULES[state.hyper.rule].operator_reach(state.in_force, grad_norm))
    scale = 1 + reach * state.curvatures[state.step % 2]
    return EdgeOperator(hessian, step.preconditioner, reach=reach, scale=scale)


def _measure(
    config: RunConfig,
    row: Measurement,
    state: TrainState,
    hessian: Operator,
    grad_norm: float,
    step: Step | None,
) -> _Leading:
    """Record the leading eigenvalues of H; or, with the step of a preconditioned rule, that of its
    edge operator, and those of H where they are wanted too."""
    if step is None:
        estimate = state.tracker.measure(hessian, step=state.step)
        _record(row, estimate)
        return _Leading(estimate.vectors, lambda g: g)
    operator = edge_operator(state, hessian, grad_norm, step)
    estimate = operator.unscaled(state.edge_tracker.measure(operator, step=state.step))
    row.edge_value, row.edge_residual = estimate.value, estimate.residual
    row.converged, row.hvps = estimate.converged, estimate.products * operator.products_each
    if operator.products_each > 1 and len(estimate.vectors):
        row.plain_value, row.hvps = operator.plain(estimate.vectors[0]), row.hvps + 1
        if row.plain_value:
            # value = plain (1 + s curvature): for the next s, at the step after the next
            found = max(0.0, (row.edge_value / row.plain_value - 1) / operator.reach)
            even, odd = state.curvatures
            state.curvatures = (even, found) if state.step % 2 else (found, odd)
    if config.sharpness_every and state.step >= state.sharpness_at:
        state.sharpness_at = state.step + config.sharpness_every
        of_operator = row.hvps
        of_hessian = state.tracker.measure(hessian, step=state.step)
        _record(row, of_hessian)
        row.converged = row.converged and estimate.converged
        row.hvps += of_operator
    return _Leading(estimate.vectors, operator.to_weights)


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
    return update(state.w, g, state.moments, state.in_force, lambda w: problem.gradient(w, batch))


def _take(state: TrainState, step: Step, g: Tensor) -> None:
    state.w, state.previous = step.w, g
    state.keep(step.moments)
    state.step += 1


def _evaluate(row: Measurement, problem: Problem, w: Tensor, whole: Operator | None) -> None:
    if problem.classes:
        explicit = whole if isinstance(whole, CompiledOperator) else None
        row.accuracy = problem.evaluate(w, explicit).accuracy
    row.held_out_loss, row.held_out_accuracy = problem.evaluate_held_out(w)


def _record(row: Measurement, estimate: EigenEstimate) -> None:
    row.lambda_max = estimate.value
    row.residual = estimate.residual
    row.converged = estimate.converged
    row.hvps = estimate.products
    row.others = tuple(float(v) for v in estimate.values[1:])


def _record_alignments(
    row: Measurement, leading: _Leading, top_k: int, here: LossAndGrad, sam_g: Tensor | None
) -> None:
    vectors, g = leading.vectors, leading.coordinates(here.g)
    norm = here.norm if g is here.g else float(vector_norm(g))
    row.align_grad, row.align_grad_k = _alignments(g, norm, vectors, top_k)
    if sam_g is not None:
        sam_g = leading.coordinates(sam_g)
        norm = float(vector_norm(sam_g))
        row.align_sam, row.align_sam_k = _alignments(sam_g, norm, vectors, top_k)


def _alignments(g: Tensor, norm: float, vectors: Tensor, top_k: int) -> tuple[float, float]:
    """|<g, v1>|/||g|| for g of this norm, and the same for the projection on the leading subspace
    (NaN for top_k 1, where that subspace was not asked for); NaN at g = 0, and without vectors."""
    if norm == 0 or not len(vectors):
        return math.nan, math.nan
    shares = [share / norm for share in (vectors @ g).tolist()]  # floats cost less than tensors
    return abs(shares[0]), math.hypot(*shares[:top_k]) if top_k > 1 else math.nan


def _hopping(state: TrainState, taken: LossAndGrad, leading: _Leading) -> float:
    """The share of hops among the last `HOPS` measured steps, NaN before there is one to judge.

    A hop crosses the valley: along v1 (the first of the vectors) the gradient has another sign than
    one step before. It also counts for something: it is a good part of the gradient, or (several
    directions hop, of which v1 is one) the gradient as a whole has turned back. The sign alone also
    changes where a hop dies away beside a gradient that falls smoothly.
    """
    if state.previous is not None and len(leading.vectors):
        g, before = (leading.coordinates(one) for one in (taken.g, state.previous))
        norm = taken.norm if g is taken.g else float(vector_norm(g))
        along, was = float(leading.vectors[0] @ g), float(leading.vectors[0] @ before)
        seen = abs(along - was) >= 2 * LEAST_HOP * norm
        hop = min(along, was) < 0 < max(along, was) and (seen or float(g @ before) < 0)
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
    moved = float(vector_norm(state.w - w))
    still = taken.norm <= least and moved <= 2 * state.hyper.eta * least
    state.diverged = state.diverged + 1 if diverged else 0
    state.converged = state.converged + 1 if still else 0
    enough = 2 * state.batches.epoch - 1 if state.batches else 1
    whole = ", and that of all batches of an epoch before" if state.batches else ""
    if state.diverged >= enough:
        return stop.diverged(step, taken.loss, whole)
    if state.converged >= enough:
        return stop.converged(step, taken.norm, whole)
    return None
