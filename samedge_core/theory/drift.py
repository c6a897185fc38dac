"""What c = a^2 - b^2 does on the two-weight loss 1/2 (ab - 1)^2: how far a run stands from its
flattest minimum, a = b, and how it comes nearer.

Gradient flow keeps c, GD and SAM shrink it by an exact factor a step, and SAM on its orbit by a law
of its own. On the valley ab = 1 the sharpness is sqrt(c^2 + 4). NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def imbalance(w: Sequence[ArrayLike]) -> Array:
    """c = a^2 - b^2 of the weights (a, b), each of shape (...); 0 where they are balanced.

    >>> float(imbalance([2.0, 1.0]))
    3.0
    """
    a, b = (np.asarray(x, dtype=np.float64) for x in w)
    return (a - b) * (a + b)


def factor_of_a_step(w: Sequence[ArrayLike], eta: float, reach: float | Array) -> Array:
    """c'/c of a step w <- w - eta grad L(w + s g) at the weights (a, b), each of shape (...).

    With r = ab - 1, the part k = s r of w + s g, and r~ = r there, it is
    (1 - eta r~ k)^2 - (eta r~)^2: for GD (s = 0) 1 - eta^2 r^2, arXiv 2305.13064; for SAM
    (s = rho/||g||) k = rho sign(r)/sqrt(a^2 + b^2), our own derivation. An identity: it holds for
    every step.

    Args:
        reach: s, as `Rule.reach` gives it, of shape (...).

    >>> float(factor_of_a_step([2.0, 1.0], 0.5, 0.0))
    0.75
    """
    a, b = (np.asarray(x, dtype=np.float64) for x in w)
    k = reach * (a * b - 1)
    force = eta * ((a + k * b) * (b + k * a) - 1)
    return (1 - force * k) ** 2 - force * force


def end_of_flow(w: Sequence[float]) -> tuple[float, float]:
    """The minimum (a, b) at which gradient flow from these weights ends: that with the same c, of
    sharpness sqrt(c^2 + 4). NaN from a = -b, where it ends in the saddle point (0, 0).

    >>> end_of_flow([1.5, 1.5])
    (1.0, 1.0)
    """
    c = float(imbalance(w))
    larger = np.sqrt((np.hypot(c, 2) + abs(c)) / 2)  # a^2 or b^2 is the root of z^2 - |c| z - 1
    sign = np.sign(w[0] if c > 0 else w[1])  # the larger weight keeps its sign
    if (c == 0 and w[0] != w[1]) or sign == 0:
        return np.nan, np.nan
    pair = float(sign * larger), float(sign / larger)
    return pair if c >= 0 else (pair[1], pair[0])


def flow(w: Sequence[float], points: int = 16) -> Array:
    """The path of gradient flow from these weights to its end, shape (2, points): a piece of the
    hyperbola a^2 - b^2 = c. NaN from a = -b."""
    c, end = imbalance(w), end_of_flow(w)
    less = 0 if c < 0 else 1  # which of the weights is the smaller one
    smaller = np.linspace(w[less], end[less], points)
    larger = np.sign(end[1 - less]) * np.sqrt(np.abs(c) + smaller**2)
    return np.stack([smaller, larger] if c < 0 else [larger, smaller])


def drift_rate(sharpness: ArrayLike, eta: float, rho: float) -> Array:
    """-d ln|c|/dt a step of SAM that hops across the valley where its sharpness is lambda:
    8 eta rho^2/(2 - eta lambda)^2. NaN from eta lambda = 2 on, where it has no orbit.

    Source: arXiv 2210.01513, on the valley of two weights.
    """
    room = 2 - eta * np.asarray(sharpness, dtype=np.float64)
    return 8 * eta * rho**2 / np.where(room > 0, room, np.nan) ** 2


def drift(c: float, eta: float, rho: float, steps: ArrayLike) -> Array:
    """c (n,) that SAM on its orbit has after these steps (n,), from c on: the solution of
    d ln|c|/dt = -drift_rate. NaN where eta lambda >= 2 at the start.

    In lambda = sqrt(c^2 + 4) the equation separates: 8 eta rho^2 t = F(c_0) - F(c), our own
    integral of the law; F grows with |c| and is inverted by bisection, to rounding.
    """
    steps = np.asarray(steps, dtype=np.float64)
    if c == 0 or not eta * np.hypot(c, 2) < 2:
        return np.full(steps.shape, 0.0 if c == 0 else np.nan)

    def f(log_c: float | Array) -> Array:
        lam = np.hypot(np.exp(log_c), 2)
        bent = eta * lam**2 / 2 - 4 * lam + 8 * np.log(lam + 2)
        return 4 * (1 - eta) ** 2 * log_c + eta * bent

    first = float(np.log(abs(c)))
    wanted = f(first) - 8 * eta * rho**2 * steps
    # nowhere does c fall faster than at the start
    low = first - steps * float(drift_rate(np.hypot(c, 2), eta, rho))
    high = np.full(steps.shape, first)
    for _ in range(80):
        middle = (low + high) / 2
        above = f(middle) > wanted
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.sign(c) * np.exp(high)


def alternating(values: ArrayLike) -> tuple[int, int]:
    """First and last index of the longest stretch in which values (n,) go up and down by turns;
    (0, 0) where they never do.

    >>> alternating([0, 1, 2, 0, 2, 1, 1])
    (1, 5)
    """
    moves = np.diff(np.asarray(values, dtype=np.float64))
    turns = np.concatenate([[False], moves[1:] * moves[:-1] < 0, [False]])
    ends = np.flatnonzero(turns[1:] != turns[:-1])
    if not len(ends):
        return 0, 0
    longest = 2 * int(np.argmax(ends[1::2] - ends[::2]))
    return int(ends[longest]), int(ends[longest + 1]) + 1
