"""The two-weight network, L(a, b) = 1/2 (ab - 1)^2: the smallest landscape whose curvature moves.

Its minima are the hyperbola ab = 1, a valley whose sharpness a^2 + b^2 is smallest, 2, at a = b.
NumPy only; `samedge_core.problems.quadratic.TwoWeight` is the same for torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class TwoWeightLandscape:
    """L(a, b) = 1/2 (ab - 1)^2; with r = ab - 1 the gradient is (r b, r a) and the Hessian is
    [[b^2, r + ab], [r + ab, a^2]].

    >>> TwoWeightLandscape().sharpness([1.0, 1.0])
    2.0
    """

    dimension = 2

    def loss(self, w: Sequence[Any]) -> Any:
        """L(a, b)."""
        a, b = w
        return 0.5 * (a * b - 1) ** 2

    def gradient(self, w: Sequence[Any]) -> tuple[Any, ...]:
        """(r b, r a)."""
        a, b = w
        r = a * b - 1
        return r * b, r * a

    def sharpness(self, w: Sequence[Any]) -> Any:
        """||H||_op: the larger eigenvalue, as the trace a^2 + b^2 is never negative."""
        a, b = w
        value = (a**2 + b**2) / 2 + np.hypot((a**2 - b**2) / 2, 2 * a * b - 1)
        return float(value) if np.ndim(value) == 0 else value


def valley_at(sharpness: ArrayLike) -> NDArray[np.float64]:
    """The minima (a, b), a >= b > 0, of this sharpness, shape (..., 2); NaN below 2: none exists.

    >>> valley_at(2.0).tolist()
    [1.0, 1.0]
    """
    sharpness = np.asarray(sharpness, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        # a^2 and b^2 are the roots of z^2 - sharpness z + 1
        a = np.sqrt((sharpness + np.sqrt(sharpness**2 - 4)) / 2)
    return np.stack([a, 1 / a], axis=-1)


def loss_level(loss: float, a: NDArray[np.float64]) -> NDArray[np.float64]:
    """The two b at which L(a, b) is `loss`, for each a != 0 of shape (n,); shape (2, n)."""
    r = np.sqrt(2 * loss)
    return np.stack([(1 - r) / a, (1 + r) / a])


def sharpness_level(sharpness: float, points: int = 161) -> list[NDArray[np.float64]]:
    """Return the closed curves of this sharpness s in the plane of a and b, each (2, 2 points);
    none for s <= 1/2.

    At each a their b are the roots of det(H - s I) = (b^2 - s)(a^2 - s) - (2ab - 1)^2, without
    those at which s is the smaller eigenvalue.
    """
    s = sharpness
    # where both roots coincide: 3 s z^2 - (2 s^2 + 1) z - s (s^2 - 1) = 0 in z = a^2
    middle, spread = 2 * s**2 + 1, (2 * s**2 + 1) ** 2 + 12 * s**2 * (s**2 - 1)
    if s <= 0.5 or spread < 0:
        return []
    low, high = (middle - np.sqrt(spread)) / (6 * s), (middle + np.sqrt(spread)) / (6 * s)
    start = -np.sqrt(high) if s >= 1 else np.sqrt(low)  # below 1 a curve around each flattest point
    end = np.sqrt(high)
    # denser at the ends, where the curve turns back
    a = start + (end - start) * (1 - np.cos(np.linspace(0, np.pi, points))) / 2
    leading, constant = 3 * a**2 + s, s * a**2 - s**2 + 1
    root = np.sqrt(np.maximum(4 * a**2 - leading * constant, 0))  # rounding at the ends
    upper, lower = (2 * a + root) / leading, (2 * a - root) / leading
    curve = np.stack([np.concatenate([a, a[::-1]]), np.concatenate([upper, lower[::-1]])])
    curve[:, (curve**2).sum(axis=0) / 2 > s] = np.nan  # the mean eigenvalue: s is the smaller one
    return [curve] if s >= 1 else [curve, -curve]
