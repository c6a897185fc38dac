"""The loss along a line through w, beside its quadratic model. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

from samedge_core.curvature.operator import LinearOperator
from samedge_core.training.inspection import Along, Mark, Place, Slice

POINTS = 81  # odd, so that w is one of them
ROOM = 2.0  # times the farthest mark: both arms of the parabola show
STILL = 1e-3  # of ||w||, or of 1: the range where all marks coincide


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

    Limitation: in the precision of w. Where the loss changes by less than rounding over the range,
    the curve is a staircase.
    """
    d = direction / direction.norm()
    places: dict[Place, Tensor] = {"iterate": w, **points}
    places = {place: point for place, point in places.items() if bool(point.isfinite().all())}
    offsets = {place: float((point - w) @ d) for place, point in places.items()}
    reach = float((places["perturbed"] - w).norm()) if "perturbed" in places else 0.0
    farthest = max(reach, *map(abs, offsets.values()))
    radius = ROOM * farthest or STILL * max(1.0, float(w.norm()))
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
    slope, curvature = float(g @ d), float(d @ operator.matvec(d))
    return Slice(along, grid, losses, value, slope, curvature, marks)
