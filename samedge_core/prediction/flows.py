"""The flows: smooth curves through a run, advanced by several of its steps at once.

Let the rule be w' = w - eta G(w), c the midpoint of the iterates t and t + 1 (the centre) and
(-1)^t e half of their difference (the hop). Then, exactly,

    c' = c - eta/2 (G(c + e) + G(c - e))
    e' = -e + eta/2 (G(c + e) - G(c - e))

for the iterates are c + e and c - e in turn. What is fast in w, the change of sides, has no part in
c and e: they move slowly, and a smooth curve through them is found with steps of several iterates,
without eigenvectors, third derivatives or a constraint. For GD that is the rod flow (arXiv
2602.01480); SAM's hop and the long steps are this project's own: docs/prediction.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.linalg import vector_norm

from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.problems.problem import Problem
from samedge_core.theory.rules import RULES, Hyperparameters
from samedge_core.training.observe import LossAndGrad
from samedge_core.training.optimizers import Moments, update

FIRST = 10  # plain steps at the start: w falls into its valley, and nothing is slow
LONG = 10  # of the run in one of a flow: SAM's 20 cost a quarter less, and are off by .5 %
FED = 1e-3  # radii: SAM's hop never dies out on ReLU networks; without, .5 % instead of .04 off
LARGE, SHORT = 1.1, 3  # ratio to the edge, above which a step of the flow is so many of the run
SMOOTH = 1.5  # ratio above which centre and hop leap: plain steps, as the run takes them
LEAP = 10  # growth of their change in a step, beyond which they leap: (2 SMOOTH - 1)^SHORT is less
DAMPING = 4.0  # of the fast modes, to less than .4 a step: at the usual 2/13 they rest late, by .95
STIFF = 8  # ratio beyond which the ODE is not resolved


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
        step = update(w, here.g, Moments(here.g), self.hyper, self.gradient)
        direction = here.g if step.perturbed_gradient is None else step.perturbed_gradient
        if self.hyper.weight_decay:
            direction = direction + self.hyper.weight_decay * w
        return End(here.loss, here.norm, direction)

    def gradient(self, w: Tensor) -> Tensor:
        """The gradient alone, (P,)."""
        self.gradients += 1
        return self.problem.gradient(w, self._batch)


class Flow(Protocol):
    """A flow at one time: the centre (P,) and the hop (P,) around it."""

    centre: Tensor
    hop: Tensor

    def ends(self, eta: float) -> tuple[End, ...]:
        """Loss, gradient norm and direction where the iterates are."""
        ...

    def see(self, estimate: EigenEstimate, ratio: float) -> bool:
        """Take up the leading eigenpair at the centre and its ratio to the edge; whether the hop
        along it has to grow from rounding errors."""
        ...

    def advance(self, eta: float, steps: int, ratio: float) -> int:
        """Go on by as many steps of the run, or by fewer where they leap, and return how many;
        0 stands for one step of the rule itself. `ratio` is that of the edge operator to its
        threshold, so that the leading direction is multiplied by 1 - 2 ratio a step."""
        ...


def advanced(change: Callable[[Tensor], Tensor], y: Tensor, first: Tensor, steps: float) -> Tensor:
    """The state y (any shape) after `steps` of y' = y + change(y), had every slow mode moved as
    that recursion moves it and every fast one come to rest; `first` is change(y).

    A mode of multiplier 1 + z is multiplied by a polynomial in z: by (1 + z)^steps up to the second
    order, and by less than 1 wherever the recursion hops. Up to three steps it is a cubic that is 0
    at z = -2, where the recursion would hop for ever; then one of Chebyshev's, which takes seven
    evaluations for ten steps (Sommeijer, Shampine and Verwer, J. Comput. Appl. Math. 88, 1997).
    """
    if steps <= 3:
        third = (1 - 4 * steps + 2 * steps**2) / (8 * steps)
        second = (steps - 1) / 2 - third
        after = change(y + first)
        beyond = change(y + after)
        return y + steps * ((1 - second - third) * first + second * after + third * beyond)
    shift, slope, values, share = _chebyshev(steps)
    before, now = y, y + slope / shift * steps * first
    for j in range(2, len(values)):
        ahead, behind = 2 * values[j - 1] / values[j], values[j - 2] / values[j]
        moved = ahead * (shift * now + slope * steps * change(now)) - behind * before
        before, now = now, (1 - ahead * shift + behind) * y + moved
    return (1 - share) * y + share * now


@cache
def _chebyshev(steps: float) -> tuple[float, float, list[float], float]:
    """Of (1 - b) + b T_m(w_0 + w_1 z)/T_m(w_0), the w_0, w_1, T_0(w_0) to T_m(w_0), and b.

    z is that of the whole step, and m the least degree with which it is stable to z = -2 LARGE.
    """
    for degree in range(2, LONG + 1):
        shift = 1 + DAMPING / degree**2
        values, slopes, bends = [1.0, shift], [0.0, 1.0], [0.0, 0.0]
        for _ in range(2, degree + 1):
            bends.append(4 * slopes[-1] + 2 * shift * bends[-1] - bends[-2])
            slopes.append(2 * values[-1] + 2 * shift * slopes[-1] - slopes[-2])
            values.append(2 * shift * values[-1] - values[-2])
        slope = (1 - 1 / steps) * slopes[-1] / bends[-1]
        if shift - 2 * LARGE * steps * slope >= -1:
            return shift, slope, values, values[-1] / (slope * slopes[-1])
    raise AssertionError(steps)


class HopFlow:
    """Centre and hop, in all directions at once; see the module.

    At w the next step of the rule gives both: they are those of w and of the iterate after it.
    """

    def __init__(self, rule: Directions, w: Tensor, eta: float) -> None:
        self._rule, self._begun, self._eta = rule, 0, eta
        self._faint = 0.0  # size of a hop that w does not resolve
        self._fed = FED * rule.hyper.rho if RULES[rule.hyper.rule].follows_norm else 0.0
        self.hop = eta / 2 * rule.at(w).direction
        self.centre = w - self.hop
        self._known: tuple[End, End] | None = None

    def ends(self, eta: float) -> tuple[End, End]:
        self._eta = eta
        if self._known is None:
            self._known = self._at_ends(self.centre, self.hop)
        return self._known

    def see(self, estimate: EigenEstimate, ratio: float) -> bool:
        if not ratio > 1:
            self._faint = 0.0
            return False
        v = estimate.vectors[0]
        along, size = float(v @ self.hop), float(vector_norm(self.centre))
        least = torch.finfo(v.dtype).eps * size  # what w + e resolves
        # rounding errors of the weights along one direction; what SAM is fed with is larger
        start = max(least / math.sqrt(len(v)), self._fed)
        if abs(along) >= max(least, start):
            return False
        self._faint = max(self._faint, start)
        if self._faint >= least:
            self.hop = self.hop + (math.copysign(self._faint, along) - along) * v
            self._known, self._faint = None, 0.0
        return True

    def advance(self, eta: float, steps: int, ratio: float) -> int:
        taken = self._advance(eta, steps, ratio)
        self._faint *= abs(2 * ratio - 1) ** max(taken, 1)
        return taken

    def _advance(self, eta: float, steps: int, ratio: float) -> int:
        y, ends = torch.stack([self.centre, self.hop]), self.ends(eta)
        first = change_of(y, ends, eta)
        if self._begun >= FIRST and ratio <= SMOOTH:
            found = advanced(lambda y: change_of(y, self._at_ends(*y), eta), y, first, steps)
            after = self._at_ends(*found)
            rounding = 10 * torch.finfo(y.dtype).eps * vector_norm(y)
            if vector_norm(change_of(found, after, eta)) <= LEAP * vector_norm(first) + rounding:
                (self.centre, self.hop), self._known = found, after
                return steps
        (self.centre, self.hop), self._known = y + first, None
        self._begun += 1
        return 0

    def _at_ends(self, centre: Tensor, hop: Tensor) -> tuple[End, End]:
        return self._rule.at(centre + hop), self._rule.at(centre - hop)


def change_of(y: Tensor, ends: tuple[End, End], eta: float) -> Tensor:
    """What a step of the recursion adds to centre and hop, y (2, P)."""
    plus, minus = (end.direction for end in ends)
    return torch.stack([-eta / 2 * (plus + minus), eta / 2 * (plus - minus) - 2 * y[1]])


class OdeFlow:
    """The rule's own ODE, dw/dt = -eta G(w): gradient flow, or SAM's ODE. It has no hop, and is the
    control: beyond the edge it goes on where the run can't.
    """

    def __init__(self, rule: Directions, w: Tensor, eta: float) -> None:
        self._rule, self.centre, self.hop = rule, w, torch.zeros_like(w)

    def ends(self, eta: float) -> tuple[End, ...]:
        return (self._rule.at(self.centre),)

    def see(self, estimate: EigenEstimate, ratio: float) -> bool:
        return False

    def advance(self, eta: float, steps: int, ratio: float) -> int:
        # Kutta's third order, stable down to -2.5; where ||g|| vanishes, SAM's ODE gets too stiff
        parts = max(1, math.ceil(min(ratio, STIFF) * steps)) if ratio > 0 else 1
        h = eta * steps / parts
        for _ in range(parts):
            w = self.centre
            first = self._rule.at(w).direction
            middle = self._rule.at(w - h / 2 * first).direction
            last = self._rule.at(w - h * (2 * middle - first)).direction
            self.centre = w - h / 6 * (first + 4 * middle + last)
        return steps
