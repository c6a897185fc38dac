"""The inspection of one step of a run, from a replay of its steps. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from samedge_core.curvature.edge_operator import EdgeOperator
from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.curvature.lanczos_quadrature import spectrum
from samedge_core.curvature.operator import LinearOperator
from samedge_core.curvature.plain_tracker import PlainTracker
from samedge_core.curvature.spectral_density import Spectrum
from samedge_core.curvature.tracker import SharpnessTracker
from samedge_core.problems.batches import Batch
from samedge_core.problems.pictures import pictures
from samedge_core.problems.problem import ModuleProblem, Problem
from samedge_core.training.batch_sharpness import BatchSharpness
from samedge_core.training.config import RunConfig
from samedge_core.training.edge_test import EdgeTest, ForkChange
from samedge_core.training.fork_test import edge_test
from samedge_core.training.history import Intervention
from samedge_core.training.inspection import Along, Fit, Input, Inputs, Inspection, Place, Slice
from samedge_core.training.loop import edge_operator
from samedge_core.training.observe import LossAndGrad, Operator, observe
from samedge_core.training.optimizers import Step, update
from samedge_core.training.over_batches import batch_sharpness
from samedge_core.training.portrait import Portrait
from samedge_core.training.replay import replay_to
from samedge_core.training.self_stabilization import portrait
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
    portrait_steps: int = 0,
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
        portrait_steps: over how many steps from this one on the portrait of self-stabilisation is
            measured; 0: not at all.
        on_progress: called with the stage ("replay", "slices", "spectrum", "batches", "test",
            "portrait"), how much of it is done, and how much there is. Raise something in it to
            cancel.

    Raises:
        ConfigError: `batches` with the full batch, or a `test` or a portrait that the settings
            don't allow.
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
    here, hessian = observe(problem, now.w, seen, config.hessian_share)
    if not here.finite:
        raise FloatingPointError(f"the loss has left the finite range at step {step:,}")
    taken = here if seen is batch else LossAndGrad.of(*problem.loss_and_gradient(now.w, batch))
    made, points = _points(problem, now, batch, taken.g)
    edge = _Edge.of(now, hessian, here.norm, made)
    estimate = edge.measure(step)
    if not len(estimate.vectors):
        raise FloatingPointError(f"the curvature is not finite at step {step:,}")
    g, lines = edge.to_weights(here.g), _lines(edge, estimate, here)
    slices = _slices(problem, now.w, seen, here, hessian, lines, points, on_progress)
    density = edge.spectrum(config.seed, seconds, on_progress) if with_spectrum else None
    beside = _Beside.of(config, problem, state, batches, test, portrait_steps, on_progress)
    along = edge.part_along(estimate.vectors[0], made.w - now.w)
    return Inspection(
        step=step,
        hyper=now.in_force,
        loss=here.loss,
        grad_norm=here.norm,
        eigenvalues=estimate.values,
        residuals=estimate.residuals,
        converged=estimate.converged,
        alignments=(estimate.vectors @ (g / g.norm())).abs().cpu().double().numpy(),  # NaN at 0
        slices=slices,
        inputs=_inputs(config, problem, now.w),
        spectrum=density,
        fit=_fit(problem, now.w, made.w, along),
        **vars(beside),
    )


@dataclass(frozen=True)
class _Beside:
    """What is measured on demand, from the state at the step; None where it was not asked for."""

    batch_sharpness: BatchSharpness | None
    edge_test: EdgeTest | None
    portrait: Portrait | None

    @classmethod
    def of(
        cls,
        config: RunConfig,
        problem: Problem,
        state: TrainState,
        batches: int,
        test: ForkChange | None,
        portrait_steps: int,
        on_progress: Progress,
    ) -> _Beside:
        over, forked, cycle = (partial(on_progress, it) for it in ("batches", "test", "portrait"))
        w, size, seed = state.w, config.batch_size, state.step
        return cls(
            batch_sharpness(problem, w, size, batches=batches, seed=seed, on_progress=over)
            if batches
            else None,
            edge_test(config, problem, state, test, on_progress=forked) if test else None,
            portrait(config, problem, state, steps=portrait_steps, on_progress=cycle)
            if portrait_steps
            else None,
        )


@dataclass(frozen=True)
class _Edge:
    """What the edge of the rule in force is about: H or, where the step is divided by a diagonal P,
    the edge operator.

    Attributes:
        operator, tracker: of it.
        root: P^1/2 (P,); None for P = I.
        products_each: Hessian-vector products that go into one of its own.
        tracked: the edge operator as the run's tracker sees it, with a scale.
    """

    operator: LinearOperator
    tracker: SharpnessTracker | PlainTracker
    root: Tensor | None = None
    products_each: int = 1
    tracked: EdgeOperator | None = None

    @classmethod
    def of(cls, state: TrainState, hessian: Operator, grad_norm: float, made: Step) -> _Edge:
        """That of the update `made` from `state`."""
        if made.preconditioner is None:
            return cls(hessian, state.tracker)
        tracked = edge_operator(state, hessian, grad_norm, made)
        operator = EdgeOperator(hessian, made.preconditioner, reach=tracked.reach)
        root = made.preconditioner.sqrt()
        return cls(operator, state.edge_tracker, root, operator.products_each, tracked)

    def measure(self, step: int) -> EigenEstimate:
        """The leading eigenpairs, as the run measured them at its step, or would have."""
        if self.tracked is None:
            return self.tracker.measure(self.operator, step=step)
        return self.tracked.unscaled(self.tracker.measure(self.tracked, step=step))

    def spectrum(self, seed: int, seconds: float | None, on_progress: Progress) -> Spectrum:
        """All its eigenvalues; see `lanczos_quadrature.spectrum`."""
        report = partial(on_progress, "spectrum")
        found = spectrum(self.operator, seed=seed, seconds=seconds, on_progress=report)
        return replace(found, products=found.products * self.products_each)

    def to_weights(self, x: Tensor) -> Tensor:
        """A vector in the operator's coordinates as a direction in the weights; of a gradient, what
        it is in those coordinates."""
        return x if self.root is None else x / self.root

    def part_along(self, v: Tensor, step: Tensor) -> Tensor:
        """The part of a step (P,) along an eigenvector v (P,) of the operator, in the weights."""
        inner = step if self.root is None else step * self.root
        return torch.dot(inner, v) * self.to_weights(v)


def _lines(edge: _Edge, estimate: EigenEstimate, here: LossAndGrad) -> dict[Along, Tensor]:
    """Unit directions (P,) in the weights: along v1, uphill, and along g where there is one."""
    v1 = edge.to_weights(estimate.vectors[0])
    v1 = v1 if edge.root is None else v1 / v1.norm()
    lines: dict[Along, Tensor] = {"v1": v1 if torch.dot(v1, here.g) >= 0 else -v1}
    if here.norm:
        lines["g"] = here.g / here.g.norm()
    return lines


def _points(
    problem: Problem, state: TrainState, batch: Batch | None, g: Tensor
) -> tuple[Step, dict[Place, Tensor]]:
    """The update; and the perturbed point of the rule, if it has one, and the next iterate, (P,)
    each."""
    points: dict[Place, Tensor] = {}

    def gradient(w: Tensor) -> Tensor:
        points["perturbed"] = w
        return problem.gradient(w, batch)

    made = update(state.w, g, state.moments, state.in_force, gradient)
    points["next"] = made.w
    return made, points


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


def _fit(problem: Problem, w: Tensor, after: Tensor, along: Tensor) -> Fit | None:
    """The function that a network of one input and one output computes, else None; `along` is the
    part of the step along v1."""
    domain = problem.domain()
    if domain is None or domain.classes:
        return None
    data = domain.examples
    order = data.x[:, 0].argsort()
    x, y, at = data.x[order, 0], data.y[order, 0], domain.inputs[:, 0]

    def computed(w: Tensor) -> Tensor:
        return domain.compute(w)[:, 0]

    with torch.no_grad():
        moved = torch.func.jvp(computed, (w,), (along,))
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
