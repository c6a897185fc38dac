"""The inspection of one step of a run, from a replay of its steps. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.curvature.lanczos_quadrature import spectrum
from samedge_core.curvature.operator import LinearOperator
from samedge_core.problems.batches import Batch
from samedge_core.problems.pictures import pictures
from samedge_core.problems.problem import ModuleProblem, Problem
from samedge_core.training.config import RunConfig
from samedge_core.training.edge_test import ForkChange
from samedge_core.training.fork_test import edge_test
from samedge_core.training.history import Intervention
from samedge_core.training.inspection import Along, Fit, Input, Inputs, Inspection, Place, Slice
from samedge_core.training.observe import LossAndGrad, observe
from samedge_core.training.optimizers import update
from samedge_core.training.over_batches import batch_sharpness
from samedge_core.training.replay import replay_to
from samedge_core.training.slices import POINTS, loss_along
from samedge_core.training.state import TrainState

LOOKED_AT, SHOWN = 500, 12  # training examples

Progress = Callable[[str, int, int], None]


def inspection_at(
    config: RunConfig,
    problem: Problem,
    state: TrainState,
    step: int,
    *,
    replay: Iterable[Intervention] = (),
    with_spectrum: bool = True,
    seconds: float | None = None,
    batches: int = 0,
    test: ForkChange | None = None,
    on_progress: Progress = lambda what, done, total: None,
) -> Inspection:
    """Return the inspection at `step` of the run of which `state` is an earlier state.

    `state` is advanced to `step`, before its update and with the changes made there in force, so
    that the run can go on from it.

    Args:
        replay: interventions of the whole run, to repeat at their steps.
        seconds: about how long the spectrum may take.
        batches: over how many mini-batches the batch sharpness is measured; 0: not at all.
        test: the change of an edge test, where one is to be made.
        on_progress: called with the stage ("replay", "slices", "spectrum", "batches", "test"), how
            much of it is done, and how much there is. Raise something in it to cancel.

    Raises:
        ConfigError: `batches` with the full batch, or a `test` that the settings don't allow.
        FloatingPointError: loss, gradient or curvature at that step are not finite.
        ValueError: `step` lies before `state`, or the run ends before it.
    """
    first = state.step
    on_progress("replay", 0, max(0, step - first))
    replay_to(
        config,
        problem,
        state,
        step,
        replay,
        on_row=lambda row: on_progress("replay", row.step + 1 - first, step - first),
    )
    # a copy: the inspection takes a batch and advances the tracker
    now = TrainState.unpack(state.pack(), config, problem)
    batch = now.batches.next() if now.batches else problem.full_batch()
    seen = now.fixed or batch
    here, operator, estimate = _measure(config, problem, now, seen, step)
    taken = here if seen is batch else LossAndGrad.of(*problem.loss_and_gradient(now.w, batch))
    points = _points(problem, now, batch, taken.g)
    unit = here.g / here.g.norm()  # NaN at g = 0
    v1 = estimate.vectors[0]
    lines: dict[Along, Tensor] = {"v1": v1 if torch.dot(v1, here.g) >= 0 else -v1}
    if here.norm:
        lines["g"] = unit
    slices = _slices(problem, now.w, seen, here, operator, lines, points, on_progress)
    density = None
    if with_spectrum:
        report = partial(on_progress, "spectrum")
        density = spectrum(operator, seed=config.seed, seconds=seconds, on_progress=report)
    over_batches = None
    if batches:
        report, size = partial(on_progress, "batches"), config.batch_size
        over_batches = batch_sharpness(
            problem, state.w, size, batches=batches, seed=step, on_progress=report
        )
    tested = None
    if test:
        tested = edge_test(config, problem, state, test, on_progress=partial(on_progress, "test"))
    return Inspection(
        step=step,
        hyper=now.in_force,
        loss=here.loss,
        grad_norm=here.norm,
        eigenvalues=estimate.values,
        residuals=estimate.residuals,
        converged=estimate.converged,
        alignments=(estimate.vectors @ unit).abs().cpu().double().numpy(),
        slices=slices,
        inputs=_inputs(config, problem, now.w),
        spectrum=density,
        fit=_fit(problem, now.w, points["next"], v1),
        batch_sharpness=over_batches,
        edge_test=tested,
    )


def _measure(
    config: RunConfig, problem: Problem, state: TrainState, batch: Batch | None, step: int
) -> tuple[LossAndGrad, LinearOperator, EigenEstimate]:
    """Loss, gradient and curvature at the weights; advances the tracker."""
    here, operator = observe(problem, state.w, batch, config.hessian_share)
    if not here.finite:
        raise FloatingPointError(f"the loss has left the finite range at step {step:,}")
    estimate = state.tracker.measure(operator, step=step)
    if not len(estimate.vectors):
        raise FloatingPointError(f"the curvature is not finite at step {step:,}")
    return here, operator, estimate


def _points(
    problem: Problem, state: TrainState, batch: Batch | None, g: Tensor
) -> dict[Place, Tensor]:
    """The perturbed point of the rule, if it has one, and the next iterate, (P,) each."""
    points: dict[Place, Tensor] = {}

    def gradient(w: Tensor) -> Tensor:
        points["perturbed"] = w
        return problem.gradient(w, batch)

    points["next"] = update(state.w, g, state.moments, state.in_force, gradient).w
    return points


def _slices(
    problem: Problem,
    w: Tensor,
    batch: Batch | None,
    here: LossAndGrad,
    operator: LinearOperator,
    lines: dict[Along, Tensor],
    points: dict[Place, Tensor],
    on_progress: Progress,
) -> tuple[Slice, ...]:
    terms, done = problem.terms(batch), 0

    def loss(at: Tensor) -> float:
        with torch.no_grad():
            return float(sum(term(at) for term in terms))

    def progress() -> None:
        nonlocal done
        done += 1
        on_progress("slices", done, POINTS * len(lines))

    return tuple(
        loss_along(
            along,
            direction,
            w=w,
            loss=loss,
            value=here.loss,
            g=here.g,
            operator=operator,
            points=points,
            on_progress=progress,
        )
        for along, direction in lines.items()
    )


def _fit(problem: Problem, w: Tensor, after: Tensor, v1: Tensor) -> Fit | None:
    """The function that a network of one input and one output computes, else None."""
    domain = problem.domain()
    if domain is None or domain.classes:
        return None
    data, step = domain.examples, after - w
    order = data.x[:, 0].argsort()
    x, y, at = data.x[order, 0], data.y[order, 0], domain.inputs[:, 0]

    def computed(w: Tensor) -> Tensor:
        return domain.compute(w)[:, 0]

    with torch.no_grad():
        moved = torch.func.jvp(computed, (w,), (torch.dot(step, v1) * v1,))
        parts = (x, y, at, moved[0], computed(after) - moved[0], moved[1])
    return Fit(*(part.cpu().double().numpy() for part in parts))


def _inputs(config: RunConfig, problem: Problem, w: Tensor) -> Inputs | None:
    """SHOWN of the first LOOKED_AT examples, wrongly classified ones first; None without images."""
    shown = pictures(config.problem, config.options, LOOKED_AT)
    data = problem.full_batch()
    if shown is None or data is None or not isinstance(problem, ModuleProblem):
        return None
    likely = config.options["loss"] == "cross-entropy"
    with torch.no_grad():
        outputs = problem.predict(w, data.x[: len(shown)])  # (n, classes)
        scores = outputs.softmax(1) if likely else outputs
    scores, labels = scores.cpu().double().numpy(), data.y[: len(shown)].cpu().numpy()
    predicted = scores.argmax(1)
    wrong = predicted != labels
    chosen = np.argsort(~wrong, kind="stable")[:SHOWN]
    classes = labels[chosen], predicted[chosen]
    parts = (chosen, *classes, *(scores[chosen, of] for of in reversed(classes)))
    examples = zip(*(part.tolist() for part in parts), strict=True)
    kind = "probability" if likely else "output"
    found = tuple(Input(i, shown[i], *rest) for i, *rest in examples)
    return Inputs(kind, len(shown), int(wrong.sum()), found)
