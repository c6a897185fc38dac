"""The catapult: GD on a linear network of one hidden layer, f = u.v/sqrt(n), with the target 0.

f and K = (||u||^2 + ||v||^2)/n, the curvature of 1/2 f^2 at f = 0, obey a recursion of their own,
at any width n: below K = 2/eta they settle, from there to 4/eta the loss first rises until K is
below 2/eta, and beyond 4/eta they diverge. Source: Lewkowycz et al., arXiv 2003.02218. NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Catapult:
    """L = 1/2 f^2 with f = uv/sqrt(n): a landscape of two weights. A network of width n with the
    same f and K has the same f and K at every step.

    >>> Catapult(4).sharpness([2.0, 2.0])
    3.0
    """

    dimension = 2

    def __init__(self, n: int) -> None:
        self.n = n

    def loss(self, w: Sequence[Any]) -> Any:
        """L(u, v)."""
        u, v = w
        return 0.5 * (u * v) ** 2 / self.n

    def gradient(self, w: Sequence[Any]) -> tuple[Any, ...]:
        """(f v, f u)/sqrt(n)."""
        u, v = w
        f = u * v / self.n
        return f * v, f * u

    def sharpness(self, w: Sequence[Any]) -> Any:
        """||H||_op = K/2 + sqrt(K^2/4 + 3 f^2/n); K where f = 0."""
        f, k = self.f_and_k(w)
        value = k / 2 + np.sqrt(k**2 / 4 + 3 * f**2 / self.n)
        return float(value) if np.ndim(value) == 0 else value

    def f_and_k(self, w: Sequence[Any]) -> tuple[Array, Array]:
        """The output f and the curvature K at weights (u, v), each of shape (...)."""
        u, v = (np.asarray(x, dtype=np.float64) for x in w)
        return u * v / np.sqrt(self.n), (u**2 + v**2) / self.n

    def weights(self, f: float, k: float) -> tuple[float, float]:
        """Weights (u, v), |u| >= |v|, with this f and K.

        Raises:
            ValueError: K < 2 |f|/sqrt(n): no weights have these.
        """
        least = 2 * abs(f) / np.sqrt(self.n)
        if not k >= least:
            raise ValueError(f"K must be >= 2|f|/sqrt(n) = {least:g}, got K = {k:g}")
        total, apart = (np.sqrt(self.n * max(0.0, k + s * least)) for s in (1, -1))
        return (total + apart) / 2, float(np.sign(f)) * (total - apart) / 2


def catapult_step(f: ArrayLike, k: ArrayLike, eta: float, n: float) -> tuple[Array, Array]:
    """The next (f, K) under GD; f and K broadcast.

    f' = (1 - eta K + eta^2 f^2/n) f and K' = K + (eta f^2/n)(eta K - 4): exact, at any width.
    """
    f, k = np.asarray(f, dtype=np.float64), np.asarray(k, dtype=np.float64)
    return (1 - eta * k + eta**2 * f**2 / n) * f, k + eta * f**2 / n * (eta * k - 4)


@cache
def resting_places(columns: int, rows: int, width: float, height: float) -> Array:
    """eta K where GD comes to rest, for starts with eta f/sqrt(n) from -width to width (columns)
    and eta K from 0 to `height` (rows): inf where it diverges, NaN where no weights are.

    In these units the recursion has no setting left, so that one map serves all.
    """
    f, k = np.meshgrid(np.linspace(-width, width, columns), np.linspace(0, height, rows))
    known = k >= 2 * np.abs(f)
    # for eta K < 4 K never grows, and |f| <= K sqrt(n)/2 holds f; beyond 4 K grows without end
    rests = known & (k < 4)
    at = f[rests], k[rests]
    for _ in range(400):
        at = catapult_step(*at, 1.0, 1.0)
    found = np.where(known, np.inf, np.nan)
    found[rests] = at[1]
    return found
