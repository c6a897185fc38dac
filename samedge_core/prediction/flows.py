"""The flows: smooth curves through a run, advanced by several of its steps at once.

Let the rule be w' = w - eta G(w), c the midpoint of the iterates t and t + 1 (the centre) and
(-1)^t e half of their difference (the hop). Then, exactly,

    c' = c - eta/2 (G(c + e) + G(c - e))
    e' = -e + eta/2 (G(c + e) - G(c - e))

for the iterates are c + e and c - e in turn. What is fast in w, the change of sides, has no part in
c and e: they move slowly, and a smooth curve through them is found with steps of several iterates,
without eigenvectors, third derivatives or a constraint. This project's own: docs/prediction.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.linalg import vector_norm

from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.problems.problem import Problem
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.observe import LossAndGrad
from samedge_core.training.optimizers import Moments, update

FIRST = 10  # plain steps at the start: w falls into its valley, and nothing is slow
STEPS = ((3, 1.1), (2, 1.5))  # of the run in one of a flow, and the largest ratio for so many
SMOOTH = 1.5  # operator ratio above which centre and hop leap: plain steps, as the run takes them
LEAP = 4  # times the first change: the third is at most (2 ratio - 1)^2 times that if all is smooth
SEED = 1e-3  # least hop along v1, in radii: what grows, grows from there within a few steps


class End(NamedTuple):
    """Loss and gradient norm at an end of the hop, and the direction (P,) that eta multiplies."""

    loss: float
    norm: float
    direction: Tensor


class Directions:
    """The update of a rule without moments on all the data, as a vector field on the weights.

    Attributes:
        hyper: the settings in force.
        gradients: evaluated so far.
    """

    def __init__(self, problem: Problem, hyper: Hyperparameters) -> None:
        self.problem, self.hyper, self.gradients = problem, hyper, 0
        self._batch = problem.full_batch()

    def at(self, w: Tensor) -> End:
        """Return loss, gradient norm and direction at w (P,)."""
        here = LossAndGrad.of(*self.problem.loss_and_gradient(w, self._batch))
        self.gradients += 1
        step = update(w, here.g, Moments(here.g), self.hyper, self._gradient)
        direction = here.g if step.perturbed_gradient is None else step.perturbed_gradient
        if self.hyper.weight_decay:
            direction = direction + self.hyper.weight_decay * w
        return End(here.loss, here.norm, direction)

    def _gradient(self, w: Tensor) -> Tensor:
        self.gradients += 1
        return self.problem.gradient(w, self._batch)


class Flow(Protocol):
    """A flow at one time: the centre (P,) and the hop (P,) around it."""

    centre: Tensor
    hop: Tensor

    def ends(self, eta: float) -> tuple[End, ...]:
        """Loss, gradient norm and direction where the iterates are."""
        ...

    def seed(self, estimate: EigenEstimate) -> bool:
        """Make sure that the hop can grow along the leading eigenvector; had it died out?"""
        ...

    def advance(self, eta: float, steps: int, ratio: float) -> int:
        """Go on by as many steps of the run, or by fewer where they leap, and return how many;
        0 stands for one step of the rule itself. `ratio` is that of the edge operator to its
        threshold, so that the leading direction is multiplied by 1 - 2 ratio a step."""
        ...


def advanced(change: Callable[[Tensor], Tensor], y: Tensor, steps: int) -> Tensor | None:
    """The state y (any shape) after `steps` of y' = y + change(y), had every slow mode moved as
    that recursion moves it and every fast one come to rest; None where it leaps.

    A mode of multiplier 1 + z is multiplied, with s steps, by a cubic in z: by (1 + z)^s up to the
    second order, and by 0 at z = -2, where the recursion would hop for ever. Stable for z > -2.8,
    -3.5 and -2.3 with one, two and three steps. Three evaluations.
    """
    third = (1 - 4 * steps + 2 * steps**2) / (8 * steps)
    second = (steps - 1) / 2 - third
    first = change(y)
    after = change(y + first)
    beyond = change(y + after)
    rounding = 10 * torch.finfo(y.dtype).eps * vector_norm(y)
    if not vector_norm(beyond) <= LEAP * vector_norm(first) + rounding:
        return None
    return y + steps * ((1 - second - third) * first + second * after + third * beyond)


class HopFlow:
    """Centre and hop, in all directions at once; see the module.

    At w the next step of the rule gives both: they are those of w and of the iterate after it.
    """

    def __init__(self, rule: Directions, w: Tensor, eta: float) -> None:
        self._rule, self._begun = rule, 0
        self.hop = eta / 2 * rule.at(w).direction
        self.centre = w - self.hop
        self._known: tuple[End, End] | None = None

    def ends(self, eta: float) -> tuple[End, ...]:
        if self._known is None:
            self._known = self._at_ends(self.centre, self.hop)
        return self._known

    def seed(self, estimate: EigenEstimate) -> bool:
        v = estimate.vectors[0]
        along = float(v @ self.hop)
        rounding = torch.finfo(v.dtype).eps * float(vector_norm(self.centre))
        least = max(SEED * self._rule.hyper.rho, rounding)
        if abs(along) >= least:
            return False
        self.hop = self.hop + (least * (1 if along >= 0 else -1) - along) * v
        self._known = None
        return True

    def advance(self, eta: float, steps: int, ratio: float) -> int:
        y = torch.stack([self.centre, self.hop])
        known = self.ends(eta)

        def change(now: Tensor) -> Tensor:
            centre, hop = now
            plus, minus = known if now is y else self._at_ends(centre, hop)
            even, odd = plus.direction + minus.direction, plus.direction - minus.direction
            return torch.stack([-eta / 2 * even, eta / 2 * odd - 2 * hop])

        smooth = self._begun >= FIRST and ratio <= SMOOTH
        found = advanced(change, y, steps) if smooth else None
        plain = found is None
        self.centre, self.hop = y + change(y) if plain else found
        self._known = None
        self._begun += 1
        return 0 if plain else steps

    def _at_ends(self, centre: Tensor, hop: Tensor) -> tuple[End, End]:
        return self._rule.at(centre + hop), self._rule.at(centre - hop)


class OdeFlow:
    """The rule's own ODE, dw/dt = -eta G(w): gradient flow, or SAM's ODE. It has no hop, and is the
    control: beyond the edge it goes on where the run can't.
    """

    def __init__(self, rule: Directions, w: Tensor, eta: float) -> None:
        self._rule, self.centre, self.hop = rule, w, torch.zeros_like(w)

    def ends(self, eta: float) -> tuple[End, ...]:
        return (self._rule.at(self.centre),)

    def seed(self, estimate: EigenEstimate) -> bool:
        return False

    def advance(self, eta: float, steps: int, ratio: float) -> int:
        # Kutta's third order, stable down to -2.5
        parts = max(1, math.ceil(ratio * steps))
        h = eta * steps / parts
        for _ in range(parts):
            w = self.centre
            first = self._rule.at(w).direction
            middle = self._rule.at(w - h / 2 * first).direction
            last = self._rule.at(w - h * (2 * middle - first)).direction
            self.centre = w - h / 6 * (first + 4 * middle + last)
        return steps
