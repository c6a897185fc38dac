"""Where a step contracts, oscillates or grows, over planes of two settings.

Along an eigenvector with eigenvalue lambda, an update w <- w - eta grad L(w + s g) multiplies the
iterate by 1 - eta lambda (1 + s lambda); s is the rule's reach. At -1 the step is on the edge.
NumPy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from samedge_core.theory.edges import Values
from samedge_core.theory.rules import RULES, Settings

CONTRACTS, OSCILLATES, GROWS = 0, 1, 2


def multiplier(
    rule: str, *, eta: Values, rho: Values, curvature: Values, grad_norm: Values
) -> Values:
    """The factor by which a step multiplies a component; arguments broadcast."""
    return RULES[rule].factor(Settings(eta, rho), curvature, grad_norm)


def regions(multipliers: ArrayLike) -> NDArray[np.uint8]:
    """CONTRACTS (multiplier in [0, 1]), OSCILLATES ([-1, 0)) or GROWS (beyond), same shape.

    >>> regions([0.5, -0.5, -1.5, 1.5]).tolist()
    [0, 1, 2, 2]
    """
    m = np.asarray(multipliers, dtype=np.float64)
    inner = np.where(m < 0, OSCILLATES, CONTRACTS)
    return np.where(np.abs(m) > 1, GROWS, inner).astype(np.uint8)


def edge_in(
    name: str,
    rule: str,
    *,
    eta: ArrayLike = np.nan,
    rho: ArrayLike = np.nan,
    curvature: ArrayLike = np.nan,
    grad_norm: ArrayLike = np.nan,
) -> NDArray[np.float64]:
    """The value of the setting `name` at which the multiplier is -1, the others given.

    For rules that have a reach. NaN where no positive value puts the step on the edge, or where the
    rule does not depend on `name`. The other arguments broadcast; the one called `name` is ignored.

    >>> float(edge_in("curvature", "gd", eta=0.5))
    4.0
    """
    eta, rho, c, g = (np.asarray(v, dtype=np.float64) for v in (eta, rho, curvature, grad_norm))
    entry = RULES[rule]
    if name == "curvature":
        return np.asarray(entry.edge(Settings(eta, rho), g))
    if entry.reach is None:
        raise ValueError(f"{entry.short} is not of the form w - eta grad L(w + s g)")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if name == "eta":
            return 2 / (c * (1 + entry.reach(rho, g) * c))
        needed = (2 / (eta * c) - 1) / c  # the reach that brings the edge down to the curvature
        found = np.nan
        if name == "rho" and "rho" in entry.uses:
            found = needed / entry.reach(1.0, g)  # a reach is proportional to rho
        elif name == "grad_norm" and entry.follows_norm:
            found = rho / needed
        return np.where(needed > 0, found, np.nan)
