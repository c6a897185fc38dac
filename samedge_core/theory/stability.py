"""Where a step contracts, oscillates or grows, over planes of two settings.

Along an eigenvector a step multiplies the iterate by 1 - eta lambda (1 + s lambda), with the reach
s = 0 (GD), rho/||g|| (SAM) or rho (USAM). At -1 it is on the edge. NumPy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from samedge_core.theory import edges

CONTRACTS, OSCILLATES, GROWS = 0, 1, 2


def multiplier(
    rule: str, *, eta: ArrayLike, rho: ArrayLike, curvature: ArrayLike, grad_norm: ArrayLike
) -> edges.Values:
    """What a step of "gd", "sam" or "usam" multiplies a component by; arguments broadcast."""
    if rule == "gd":
        return edges.gd_multiplier(curvature, eta)
    if rule == "usam":
        return edges.usam_multiplier(curvature, eta, rho)
    return edges.sam_multiplier(curvature, eta, rho, grad_norm)


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

    NaN where no positive value puts the step on the edge, or where the rule does not use `name`.
    The other arguments broadcast; the one called `name` is ignored.

    >>> float(edge_in("curvature", "gd", eta=0.5))
    4.0
    """
    eta, rho, c, g = (np.asarray(v, dtype=np.float64) for v in (eta, rho, curvature, grad_norm))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if name == "curvature":
            return np.asarray(_edge(rule, eta, rho, g))
        if name == "eta":
            reach = {"gd": np.zeros(()), "sam": rho / g, "usam": rho}[rule]
            return 2 / (c * (1 + reach * c))
        needed = (2 / (eta * c) - 1) / c  # the reach that brings the edge down to the curvature
        if (name, rule) == ("rho", "sam"):
            found = needed * g
        elif (name, rule) == ("rho", "usam"):
            found = needed
        elif (name, rule) == ("grad_norm", "sam"):
            found = rho / needed
        else:
            found = np.nan
        return np.where(needed > 0, found, np.nan)


def _edge(rule: str, eta: ArrayLike, rho: ArrayLike, grad_norm: ArrayLike) -> edges.Values:
    if rule == "gd":
        return edges.gd_edge(eta)
    if rule == "usam":
        return edges.usam_edge(eta, rho)
    return edges.sam_edge(eta, rho, grad_norm)
