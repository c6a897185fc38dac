"""GD, SAM and USAM on small landscapes, in plain floats: what the quadratic page draws.

Their updates have the form w <- w - eta grad L(w + s g), with the reach s of the rule's entry. A
step costs a microsecond, so that a slider can answer at once; `samedge_core.training.optimizers`
has the same updates for networks. Importable without torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from samedge_core.theory.edges import sam_edge
from samedge_core.theory.rules import RULES, Reach, Settings

REACHES = {name: rule.reach for name, rule in RULES.items() if rule.reach}
PLAIN_RULES = tuple(REACHES)  # the rules that can be followed here
ESCAPED = 1e30  # far outside every picture, and its square is far from overflow


class Landscape(Protocol):
    """A loss L on R^d: d, L(w), the d components of grad L(w), and ||H(w)||_op.

    Each method takes the d coordinates of a point, or of many points at once: floats, or arrays of
    one shape, which is then the shape of each result.
    """

    @property
    def dimension(self) -> int: ...
    def loss(self, w: Sequence[Any]) -> Any: ...
    def gradient(self, w: Sequence[Any]) -> tuple[Any, ...]: ...
    def sharpness(self, w: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Trajectory:
    """The iterates of one descent, and loss, gradient, sharpness and edge at each.

    Attributes:
        w: iterates, shape (n + 1, d); row k is the iterate after k steps.
        escaped: whether |w| went beyond 1e30; the record ends before that step.
    """

    landscape: Landscape
    rule: str
    eta: float
    rho: float
    w: NDArray[np.float64]
    escaped: bool

    @property
    def steps(self) -> int:
        """Steps taken, n."""
        return len(self.w) - 1

    @cached_property
    def gradient(self) -> NDArray[np.float64]:
        """grad L at each iterate, shape (n + 1, d)."""
        columns = self.landscape.gradient(list(self.w.T))
        return np.stack([np.broadcast_to(c, len(self.w)) for c in columns], axis=1)

    @cached_property
    def grad_norm(self) -> NDArray[np.float64]:
        """||g|| at each iterate, shape (n + 1,)."""
        return np.hypot.reduce(self.gradient, axis=1)

    @cached_property
    def perturbed(self) -> NDArray[np.float64]:
        """The points at which the rule takes its gradient, shape (n + 1, d): w + rho u for SAM, w
        for GD."""
        reach = REACHES[self.rule](self.rho, self.grad_norm)
        return self.w + np.broadcast_to(reach, len(self.w))[:, None] * self.gradient

    @cached_property
    def loss(self) -> NDArray[np.float64]:
        """L at each iterate, shape (n + 1,)."""
        return np.asarray(self.landscape.loss(list(self.w.T)))

    @cached_property
    def sharpness(self) -> NDArray[np.float64]:
        """||H||_op at each iterate, shape (n + 1,)."""
        return np.broadcast_to(self.landscape.sharpness(list(self.w.T)), len(self.w))

    @cached_property
    def edge(self) -> NDArray[np.float64]:
        """The edge of the rule at each iterate, shape (n + 1,)."""
        edge = RULES[self.rule].edge(Settings(self.eta, self.rho), self.grad_norm)
        return np.broadcast_to(edge, len(self.w))


def descend(
    landscape: Landscape, rule: str, eta: float, rho: float, start: Sequence[float], steps: int
) -> Trajectory:
    """Return the iterates of a rule ("gd", "sam" or "usam") from `start` (d coordinates) on, for
    `steps` steps or until |w| is beyond 1e30.

    rho = 0 gives GD bit for bit; at g = 0 the step is zero. Costs a microsecond a step.

    Raises:
        ValueError: an unknown rule; eta <= 0 or rho < 0; or a start that is not finite or not of
            the landscape's dimension.

    >>> from samedge_core.theory.quadratics import Quadratic
    >>> descend(Quadratic([4.0]), "gd", 0.5, 0.0, [1.0], 3).w.ravel().tolist()
    [1.0, -1.0, 1.0, -1.0]
    """
    if rule not in PLAIN_RULES:
        raise ValueError(f"rule must be one of {', '.join(PLAIN_RULES)}, got {rule!r}")
    sam_edge(eta, rho, 1.0)  # raises for an eta or a rho outside its range
    if len(start) != landscape.dimension:
        raise ValueError(
            f"start must have the {landscape.dimension} coordinates of the landscape, got "
            f"{len(start)}: {list(start)}"
        )
    if not all(map(math.isfinite, start)):
        raise ValueError(f"start must be finite, got {list(start)}")
    path = [tuple(map(float, start))]
    for done in range(1, steps + 1):
        w = _step(landscape, REACHES[rule], eta, rho, path[-1])
        if not math.hypot(*w) <= ESCAPED:  # NaN included
            return Trajectory(landscape, rule, eta, rho, np.array(path), True)
        path.append(w)
        if done > 1 and w == path[-3]:  # an exact repeat goes on for ever
            pair = path[-2:]
            path += (pair * (steps // 2))[: steps - done]
            break
    return Trajectory(landscape, rule, eta, rho, np.array(path), False)


def _step(
    landscape: Landscape, reach: Reach, eta: float, rho: float, w: tuple[float, ...]
) -> tuple[float, ...]:
    g = landscape.gradient(w)
    if s := reach(rho, math.hypot(*g)):
        g = landscape.gradient(tuple([x + s * y for x, y in zip(w, g, strict=True)]))
    return tuple([x - eta * y for x, y in zip(w, g, strict=True)])


def sampled_steps(steps: int, most: int = 400) -> NDArray[np.intp]:
    """Return which of the steps 0 ... `steps` to draw, at most about `most`: beginning and end in
    full, in between pairs of neighbours, since single steps would hide an oscillation."""
    if steps < most:
        return np.arange(steps + 1)
    head, tail = np.arange(most // 2), np.arange(steps + 1 - most // 4, steps + 1)
    pairs = np.linspace(head[-1] + 1, tail[0] - 2, most // 8).astype(int)
    return np.unique(np.concatenate([head, pairs, pairs + 1, tail]))
