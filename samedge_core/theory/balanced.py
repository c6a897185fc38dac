"""GD on the two-weight loss from a balanced start, a = b: one number, a' = a (1 + eta - eta a^2),
that goes from a fixed point through cycles to chaos as eta grows beyond the edge.

The minima are a = 1 and a = -1, of sharpness 2, so their edge is eta = 1. Source: arXiv 2502.20531;
the constants are algebra. NumPy only.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

FIXED_TO = 1.0  # 2/eta = 2: up to here a rests in a minimum
CYCLE_TO = np.sqrt(5) - 1  # where the cycle of two has multiplier 9 - 2 (1 + eta)^2 = -1
FOUR_TO = 1.28803  # and that of the cycle of four is -1: found numerically
CROSSES_FROM = 1.5 * np.sqrt(3) - 1  # the largest a that a hop reaches is then thrown below 0
BOUNDED_TO = 2.0  # up to here a hop from inside of `bound` stays inside
REST = 500  # steps that an orbit is given to forget its start
LONGEST_PERIOD = 64  # that is told from none


def balanced_step(a: ArrayLike, eta: float | Array) -> Array:
    """The next a of a balanced pair (a, a) under GD; arguments broadcast.

    >>> float(balanced_step(0.5, 1.0))
    0.875
    """
    a = np.asarray(a, dtype=np.float64)
    return a * (1 + eta - eta * a**2)


def cycle_of_two(eta: float) -> tuple[float, float]:
    """The a > b > 0 between which GD hops for 1 < eta < sqrt(5) - 1: their product is 1/eta, their
    sum sqrt(1 + 3/eta). NaN up to eta = 1.

    >>> p, q = cycle_of_two(1.2)
    >>> abs(float(balanced_step(p, 1.2)) - q) < 1e-15
    True
    """
    if not eta > FIXED_TO:
        return np.nan, np.nan
    total, apart = np.sqrt(1 + 3 / eta), np.sqrt(1 - 1 / eta)
    return float(total + apart) / 2, float(total - apart) / 2


def bound(eta: float) -> float:
    """The |a| from which GD hops to -a and back, sqrt(1 + 2/eta): beyond it GD diverges."""
    return float(np.sqrt(1 + 2 / eta))


def settled(a: float, eta: float, steps: int = 4 * LONGEST_PERIOD) -> Array:
    """The a of these steps (steps,), after REST steps from a; inf once it has left `bound`."""
    found, far = np.full(steps, np.inf), bound(eta)
    for done in range(REST + steps):
        if abs(a) > far:
            break
        if done >= REST:
            found[done - REST] = a
        a *= 1 + eta - eta * a * a
    return found


def period(a: Array) -> int:
    """The period, up to LONGEST_PERIOD, in which an orbit (n,) of n > 2 LONGEST_PERIOD ends, to
    1e-6; 0: none is seen."""
    end = a[-LONGEST_PERIOD:]
    for length in range(1, LONGEST_PERIOD + 1):
        if np.abs(end - a[-LONGEST_PERIOD - length : -length]).max() < 1e-6:
            return length
    return 0


def spreading(a: Array, eta: float) -> float:
    """The Lyapunov exponent along an orbit (n,), the mean of ln |da'/da|: above 0, neighbouring
    starts part exp(that) times a step, which is chaos."""
    slope = np.abs(1 + eta - 3 * eta * a**2)
    return float(np.mean(np.log(np.maximum(slope, np.finfo(np.float64).tiny))))


@cache
def bifurcations(
    low: float, high: float, columns: int, most: float, rows: int
) -> NDArray[np.bool_]:
    """Where the orbits end, for `columns` values of eta from `low` to `high` and `rows` values of a
    from -most to most: true where one of rows/2 hops has come by, shape (rows, columns).

    From the critical points, one of which any attractor attracts. Columns beyond eta = 2 are empty.
    """
    eta = np.linspace(low, high, columns)
    eta, column = eta[eta <= BOUNDED_TO], np.flatnonzero(eta <= BOUNDED_TO)
    a, found = np.sqrt((1 + eta) / (3 * eta)), np.zeros((rows, columns), dtype=np.bool_)
    for done in range(REST + rows // 2):
        a = balanced_step(a, eta)
        if done >= REST:
            row = np.rint((a + most) / (2 * most) * (rows - 1)).astype(int)
            found[np.clip(row, 0, rows - 1), column] = True
    return found | found[::-1]  # the mirror image of an orbit is an orbit
