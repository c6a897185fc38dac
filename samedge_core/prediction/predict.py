"""Predict a run: its flow from the same start, as a generator of rows. Needs torch."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence

import torch
from torch import Tensor
from torch.linalg import vector_norm

from samedge_core.curvature.plain_tracker import PlainTracker
from samedge_core.curvature.tracker import SharpnessTracker
from samedge_core.prediction.central import CentralFlow
from samedge_core.prediction.flows import (
    FIRST,
    LARGE,
    LONG,
    SHORT,
    SMOOTH,
    Directions,
    End,
    Flow,
    HopFlow,
    OdeFlow,
)
from samedge_core.prediction.prediction import EVERY, Assumption, Outcome, Point, Prediction, check
from samedge_core.problems.memory import memory
from samedge_core.problems.own_data import contents_of
from samedge_core.problems.problem import Problem
from samedge_core.theory.rules import RULES
from samedge_core.training import stop
from samedge_core.training.config import RunConfig
from samedge_core.training.fitting import check_fits
from samedge_core.training.loop import CONVERGED_FACTOR, DIVERGED_FACTOR, build_problem
from samedge_core.training.observe import observe
from samedge_core.training.state import TrainState
from samedge_core.training.stop import Stop

_FLOWS = {"hop": HopFlow, "central": CentralFlow, "ode": OdeFlow}
_ASSUMED = {"hop": ("domain", "centre", "seed"), "central": ("domain", "centre"), "ode": ("hop",)}
_SENTENCES = {
    "domain": "After the first ten steps, centre and hop change little from one to the next. "
    "Where they leap, plain steps of the rule are taken: the line repeats the run there.",
    "centre": "The centre does not hop: no step of the flow turns back against the last one.",
    "seed": "The hop is larger than rounding errors. Where it has died out, it grows from their "
    "usual size, so that the time at which it comes back is an estimate.",
    "hop": "The run does not hop: it is below its edge.",
    "batch": "Every step uses all the data. With mini-batches, the flow follows their mean.",
}


def predict(
    config: RunConfig,
    *,
    flow: str = "auto",
    every: int = 1,
    start: TrainState | None = None,
    problem: Problem | None = None,
) -> Prediction:
    """Return what a flow says that `config` will do, without a step of the run.

    Args:
        flow: "hop", the centre between the iterates and the hop around it ("auto"); "central", of
            SAM, the centre with a hop along v1 whose size is a formula of it; or "ode", gradient
            flow or SAM's ODE, the control that fails beyond the edge.
        every: steps between rows.
        start: the state of a run from which to predict, with the settings in force there; without
            it, step 0 from the weights of `config`.
        problem: the one that `config` names, where it was built already.

    Cost: some 4 to 5 gradients a step under SAM and USAM, half of that under GD, and half of the
    Hessian-vector products that the run takes to measure its sharpness.

    Raises:
        ConfigError: a rule that no flow describes, a value outside its range, or this machine lacks
            the device or the memory.
        DataError: as `samedge_core.run`.

    >>> prediction = predict(RunConfig(problem="two-weight", rule="sam", eta=0.1, steps=50))
    >>> len(prediction), prediction.stop.reason.value
    (50, 'step cap')
    """
    hyper = start.hyper if start else config.hyperparameters
    flow = check(hyper, flow)
    if problem is None:
        check_fits(config, contents_of(config.options), memory())
        problem = build_problem(config)
    found = Prediction(config, flow, hyper, start.step if start else 0)
    rows = points(config, problem, flow=flow, every=every, start=start)
    while found.outcome is None:
        try:
            found.extend([next(rows)])
        except StopIteration as end:
            found.outcome = end.value
    return found


def points(
    config: RunConfig,
    problem: Problem,
    *,
    flow: str = "auto",
    every: int = 1,
    start: TrainState | None = None,
) -> Generator[Point, None, Outcome]:
    """Yield the rows of a Prediction one after the other, and return its Outcome; may be stopped
    between any two. Arguments as `predict` has them; `start` stays as it is.

    Rows that are nearer than a step of the flow are means of those around them.
    """
    return (yield from Predicting(config, problem, flow, start).rows(every))


class Predicting:
    """A prediction that goes on: a flow, its tracker, and what has to be said of them at the end.

    Attributes:
        name: of the flow, a key of FLOWS.
        step: of the last row.
    """

    def __init__(
        self,
        config: RunConfig,
        problem: Problem,
        flow: str = "auto",
        start: TrainState | None = None,
    ) -> None:
        self._config, self._problem = config, problem
        self._hyper = start.hyper if start else config.hyperparameters
        self._begin = self.step = start.step if start else 0
        self._rule = Directions(problem, self._hyper)
        w = start.w if start else problem.init(seed=config.seed)
        self.name = check(self._hyper, flow)
        self._flow: Flow = _FLOWS[self.name](self._rule, w, self._eta(self.step))
        plain = problem.arithmetic == "plain"
        self._tracker = (PlainTracker if plain else SharpnessTracker)(seed=config.seed + 2)
        self._products, self._ratio, self._faint = 0, math.nan, False
        self._first: Point | None = None
        self._last: Tensor | None = None  # step of the centre
        self._cosines: list[float] = []  # since the last row
        self._broken: dict[str, list[tuple[int, int]]] = {}

    def rows(self, every: int) -> Generator[Point, None, Outcome]:
        """Yield rows so many steps apart, and return the Outcome; see `points`."""
        every, before = EVERY.check(every), None
        while self.step < self._config.steps:
            point = self._row()
            if before and every == 1:
                yield from _between(before, point)
            yield point
            if end := self._ended(point):
                return self._outcome(end)
            self._advance(every)
            before = point
        return self._outcome(stop.step_cap(self._config.steps))

    @property
    def iterates(self) -> tuple[Tensor, Tensor]:
        """Where the flow says that the run is at the last row's step and at the next, (P,) each."""
        flow = self._flow
        hop = -flow.hop if self.step % 2 else flow.hop
        return flow.centre + hop, flow.centre - hop

    def _row(self) -> Point:
        """Measure at the centre and at the ends of the hop."""
        flow, eta = self._flow, self._eta(self.step)
        here, operator = observe(self._problem, flow.centre, self._problem.full_batch(), 1.0)
        estimate = self._tracker.measure(operator)
        self._products += estimate.products
        self._rule.gradients += 1
        loss, norm = _mean(flow.ends(eta))
        value = RULES[self._hyper.rule].operator_value(self._hyper, estimate.value, norm)
        self._ratio = abs(float(value)) * eta / 2
        self._faint = flow.see(estimate, self._ratio)
        amplitude = float(vector_norm(flow.hop))
        cosine = min(self._cosines, default=math.nan)
        point = Point(self.step, loss, norm, estimate.sharpness, here.loss, amplitude, cosine)
        self._first = self._first or point
        return point

    def _advance(self, every: int) -> None:
        """Go on to the next row, in steps as long as may be."""
        left = self._config.steps - 1 - self.step
        near = every == 1
        target = self.step + (max(1, min(self._longest(SHORT), left)) if near else every)
        if target >= self._config.steps:
            self._doubt(1)
            self.step = target
            return
        self._cosines = []
        while self.step < target:
            left = target - self.step
            most = self._longest(SHORT if near else LONG)
            steps = math.ceil(left / math.ceil(left / most))
            before, eta = self._flow.centre, self._eta(self.step + (steps - 1) / 2)
            taken = self._flow.advance(eta, steps, self._ratio)
            if not taken and self.step >= self._begin + FIRST:
                self._note("domain", 1)
            self._doubt(max(taken, 1))
            self._watch(self._flow.centre - before, max(taken, 1))
            self.step += max(taken, 1)

    def _doubt(self, steps: int) -> None:
        """What the last row says against so many steps from here."""
        if self.name == "ode" and self._ratio > 1:
            self._note("hop", steps)
        if self._faint:
            self._note("seed", steps)

    def _watch(self, moved: Tensor, steps: int) -> None:
        """Whether the centre, moved by so much, goes on in the direction of its last step."""
        size = float(vector_norm(self._flow.centre) + vector_norm(self._flow.hop))
        if self._last is not None and vector_norm(moved) > 10 * torch.finfo(moved.dtype).eps * size:
            cosine = moved @ self._last / (vector_norm(moved) * vector_norm(self._last))
            self._cosines.append(float(cosine))
            if cosine < 0 and self.step >= self._begin + FIRST:
                self._note("centre", steps)
        self._last = moved

    def _ended(self, point: Point) -> Stop | None:
        """The Stop where the flow has left the finite range, grown too far or come to rest."""
        first = self._first or point
        if not (math.isfinite(point.loss) and math.isfinite(point.grad_norm)):
            return stop.left_range(point.step)
        if point.loss > DIVERGED_FACTOR * max(1.0, first.loss):
            return stop.diverged(point.step, point.loss)
        least = CONVERGED_FACTOR * first.grad_norm
        if point.grad_norm <= least and point.amplitude <= self._eta(point.step) * least:
            return stop.converged(point.step, point.grad_norm)
        return None

    def _outcome(self, end: Stop) -> Outcome:
        """What the generator returns."""
        if self._config.has_batches:
            self._broken["batch"] = [(self._begin, end.step)]
        keys = (*_ASSUMED[self.name], "batch")
        broken = {key: tuple(self._broken.get(key, ())) for key in keys}
        found = tuple(Assumption(key, _SENTENCES[key], broken[key]) for key in keys)
        return Outcome(end, found, self._rule.gradients, self._products)

    def _longest(self, most: int) -> int:
        """The steps of the run in the next one of the flow, at most."""
        if self.step < self._begin + FIRST or not self._ratio <= SMOOTH:
            return 1
        return most if self._ratio <= LARGE else min(most, SHORT)

    def _eta(self, step: float) -> float:
        schedule = self._config.step_sizes
        share = 1.0 if schedule.constant else float(schedule.share(step))
        return self._hyper.eta * share

    def _note(self, key: str, steps: int) -> None:
        """An assumption does not hold for so many steps from here."""
        spans, last = self._broken.setdefault(key, []), self.step + steps - 1
        if spans and self.step <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((self.step, last))


def _between(before: Point, after: Point) -> Iterator[Point]:
    """Rows at the steps between two, on the straight line from one to the other."""
    gap = after.step - before.step
    for step in range(before.step + 1, after.step):
        share = (step - before.step) / gap
        values = [(1 - share) * a + share * b for a, b in zip(before[1:], after[1:], strict=True)]
        yield Point(step, *values)._replace(cosine=after.cosine)


def _mean(ends: Sequence[End]) -> tuple[float, float]:
    """Loss and gradient norm, on average."""
    count = len(ends)
    return sum(end.loss for end in ends) / count, sum(end.norm for end in ends) / count
