"""The loss along a line through w, beside its quadratic model. Needs torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from samedge_core.curvature.operator import LinearOperator
from samedge_core.training.inspection import Along, Mark, Place, Slice

POINTS = 81  # odd, so that w is one of them
ROOM = 2.0  # times the farthest mark: both arms of the parabola show
STILL = 1e-3  # of ||w||, or of 1: the range where all marks coincide
CLEAR = 1000  # roundings of the loss, at least, by which the curve moves over half its range


def loss_along(
    along: Along,
    direction: Tensor,
    *,
    w: Tensor,
    loss: Callable[[Tensor], float],
    value: float,
    g: Tensor,
    operator: LinearOperator,
    points: Mapping[Place, Tensor],
    on_progress: Callable[[], None] = lambda: None,
) -> Slice:
    """Return the slice L(w + t d) on POINTS equally spaced t around 0, d the unit `direction` (P,).

    Points are drawn at their projections, which lie in the middle half of the range; so does the
    distance from w to the perturbed point, on every line of one step.

    Args:
        along: what the direction is, "v1" or "g".
        loss: L, on the batch that `value` = L(w) and `g` (P,) belong to.
        operator: H, one product.
        points: by name, of shape (P,); the iterate itself is added. Non-finite ones are left out.
        on_progress: called after each point of the curve.

    Limitation: in the precision of w. A step that is too short for it is drawn in a wider range,
    so that the curve moves by CLEAR roundings of the loss; where STILL is not wide enough for that,
    the curve is a staircase.
    """
    d = direction / direction.norm()
    places: dict[Place, Tensor] = {"iterate": w, **points}
    places = {place: point for place, point in places.items() if bool(point.isfinite().all())}
    offsets = {place: float((point - w) @ d) for place, point in places.items()}
    reach = float((places["perturbed"] - w).norm()) if "perturbed" in places else 0.0
    farthest = max(reach, *map(abs, offsets.values()))
    slope, curvature = float(g @ d), float(d @ operator.matvec(d))
    rounding = CLEAR * torch.finfo(w.dtype).eps * abs(value)
    still = STILL * max(1.0, float(w.norm()))
    clear = min(_reach(rounding, slope, curvature), still)
    radius = max(ROOM * farthest, clear) if farthest else still
    half = POINTS // 2
    grid = radius * (np.arange(-half, half + 1) / half)
    losses = np.empty(POINTS)
    for i, t in enumerate(grid):
        losses[i] = loss(w + float(t) * d)
        on_progress()

    def mark(place: Place, point: Tensor) -> Mark:
        foot = w + offsets[place] * d
        beside = float((point - foot).norm())
        return Mark(place, offsets[place], loss(foot), loss(point), beside)

    marks = tuple(mark(place, point) for place, point in places.items())
    return Slice(along, grid, losses, value, slope, curvature, marks)


def _reach(rise: float, slope: float, curvature: float) -> float:
    """The t > 0 at which |slope| t + |curvature| t^2/2 is `rise`; infinite where both are 0."""
    below = abs(slope) + math.sqrt(slope**2 + 2 * abs(curvature) * rise)
    return 2 * rise / below if below else math.inf
