"""GD, SAM and USAM on small landscapes, in plain floats: what the quadratic page draws.

    GD      w <- w - eta grad L(w)
    SAM     w <- w - eta grad L(w + rho g/||g||)
    USAM    w <- w - eta grad L(w + rho g)

The torch rules of `samedge_core.training.optimizers` do the same on networks; here a step costs a
microsecond, so that a slider can answer at once. Importable without torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from samedge_core.theory.edges import gd_edge, sam_edge, usam_edge

PLAIN_RULES = ("gd", "sam", "usam")
ESCAPED = 1e30  # far outside every picture, and its square is far from overflow


class Landscape(Protocol):
    """A loss on R^d. Each method takes the d coordinates of a point as a sequence, of floats or of
    arrays of one shape; what it returns broadcasts in the same way."""

    @property
    def dimension(self) -> int:
        """d."""
        ...

    def loss(self, w: Sequence[Any]) -> Any:
        """L(w)."""
        ...

    def gradient(self, w: Sequence[Any]) -> tuple[Any, ...]:
        """The d components of grad L(w)."""
        ...

    def sharpness(self, w: Sequence[Any]) -> Any:
        """||H(w)||_op."""
        ...


@dataclass(frozen=True)
class Trajectory:
    """The iterates of one descent, and what was measured at each.

    Attributes:
        w: iterates, shape (n + 1, d); row k is the iterate after k steps.
        escaped: it grew beyond 1e30 and was ended there, so n is less than the steps asked for.
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
    def uphill(self) -> NDArray[np.float64]:
        """Where the rule takes its gradient, shape (n + 1, d): w + rho u for SAM, w for GD."""
        return self.w + _reach(self.rule, self.rho, self.grad_norm)[:, None] * self.gradient

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
        if self.rule == "sam":
            return np.asarray(sam_edge(self.eta, self.rho, self.grad_norm))
        fixed = usam_edge(self.eta, self.rho) if self.rule == "usam" else gd_edge(self.eta)
        return np.full(len(self.w), fixed)


def descend(
    landscape: Landscape, rule: str, eta: float, rho: float, start: Sequence[float], steps: int
) -> Trajectory:
    """Follow a rule for `steps` steps, or until the iterate is beyond 1e30.

    rho = 0 gives GD bit for bit; at g = 0 the step is zero.

    Raises:
        ValueError: an unknown rule; eta <= 0 or rho < 0; or a start that is not finite or not of
            the landscape's dimension.

    >>> from samedge_core.theory.quadratics import Quadratic
    >>> descend(Quadratic([4.0]), "gd", 0.5, 0.0, [1.0], 3).w.ravel().tolist()
    [1.0, -1.0, 1.0, -1.0]
    """
    if rule not in PLAIN_RULES:
        raise ValueError(f"rule must be one of {', '.join(PLAIN_RULES)}, got {rule!r}")
    sam_edge(eta, rho, 1.0)  # refuses what has no edge
    if len(start) != landscape.dimension:
        raise ValueError(
            f"start must have the {landscape.dimension} coordinates of the landscape, got "
            f"{len(start)}: {list(start)}"
        )
    if not all(map(math.isfinite, start)):
        raise ValueError(f"start must be finite, got {list(start)}")
    path = [tuple(map(float, start))]
    for done in range(1, steps + 1):
        w = _step(landscape, rule, eta, rho, path[-1])
        if not math.hypot(*w) <= ESCAPED:  # NaN included
            return Trajectory(landscape, rule, eta, rho, np.array(path), True)
        path.append(w)
        if done > 1 and w == path[-3]:  # an exact repeat goes on for ever
            pair = path[-2:]
            path += (pair * (steps // 2))[: steps - done]
            break
    return Trajectory(landscape, rule, eta, rho, np.array(path), False)


def _step(
    landscape: Landscape, rule: str, eta: float, rho: float, w: tuple[float, ...]
) -> tuple[float, ...]:
    g = landscape.gradient(w)
    reach = _reach(rule, rho, math.hypot(*g))
    if reach:
        g = landscape.gradient(tuple([x + reach * y for x, y in zip(w, g, strict=True)]))
    return tuple([x - eta * y for x, y in zip(w, g, strict=True)])


def _reach(rule: str, rho: float, grad_norm: Any) -> Any:
    """The multiple of g that leads to the uphill point."""
    if rule == "gd":
        return 0.0 * grad_norm
    if rule == "usam":
        return rho + 0.0 * grad_norm
    if isinstance(grad_norm, float):
        return rho / grad_norm if grad_norm else 0.0
    moving = grad_norm > 0
    return np.divide(rho, grad_norm, out=np.zeros_like(grad_norm), where=moving)


def sampled_steps(steps: int, most: int = 400) -> NDArray[np.intp]:
    """Which of the steps 0 ... `steps` to draw, at most about `most`: beginning and end in full, in
    between pairs of neighbours, as an oscillation can't be told from single steps."""
    if steps < most:
        return np.arange(steps + 1)
    head, tail = np.arange(most // 2), np.arange(steps + 1 - most // 4, steps + 1)
    pairs = np.linspace(head[-1] + 1, tail[0] - 2, most // 8).astype(int)
    return np.unique(np.concatenate([head, pairs, pairs + 1, tail]))
