"""How far the Ritz values and the projected Hessian can be off: residuals, and upper bounds.

In all functions m is a `HessianModel`, `error` and `change` are in the unit of H.
"""

import numpy as np
from numba import njit

from samedge_core.curvature import vectors

ROUNDING = 100  # units of rounding: what an image has less of outside the basis is nothing

compiled = njit(cache=True)


@compiled
def residual(m, i):
    """Write the residual of Ritz pair i to `residuals`; returns the norm of its part outside the
    basis."""
    if np.isnan(m.residual_norms[i]):
        n = m.counts[0].products
        norm = vectors.residual(m.mix[i, :n], m.ritz[i], m.hv, m.directions, m.residuals[i])
        inside = residual_inside(m, i)
        outside = np.sqrt(max(0.0, norm * norm - np.dot(inside, inside)))
        least = ROUNDING * np.finfo(m.basis.dtype.type).eps * abs(m.ritz[0])
        m.residual_outside[i] = outside if outside > least else 0.0
        m.residual_norms[i] = norm
    return m.residual_outside[i]


@compiled
def residual_inside(m, i):
    """Coordinates (size,) of what the residual of Ritz pair i has inside the basis, T c - theta c:
    T is exact along what was multiplied."""
    size = m.counts[0].dimension
    c, inside = m.coordinates[i, :size], np.empty(size)
    for j in range(size):
        inside[j] = np.dot(m.projected[j, :size], c) - m.ritz[i] * c[j]
    return inside


@compiled
def residual_bounds(m):
    """Upper bounds (products,) of the residuals' norms outside the basis, without a pass over P."""
    n = m.counts[0].products
    bounds = np.zeros(n)
    for i in range(n):
        for j in range(n):
            bounds[i] += abs(m.mix[i, j]) * np.sqrt(m.outside[j])
    return bounds


@compiled
def form(matrix, c):
    """c^T A c, for one of the five matrices A (room, room) and c (size,)."""
    total = 0.0
    for i in range(len(c)):
        for j in range(len(c)):
            total += c[i] * matrix[i, j] * c[j]
    return total


@compiled
def upper_bounds(m, error, change):
    """Upper confidence bounds of the pairs of T, by magnitude: values (2 size,), and pairs, one a
    row.

    Where the drift is learned, a Rayleigh quotient of T is off by `error` more at each measurement
    since H was applied to its direction, at most; elsewhere it moves by `change`. So these are the
    eigenvalues of T + slack, and of -T + slack.
    """
    size = m.counts[0].dimension
    slack, model = _slack(m, error, change), m.projected[:size, :size].copy()
    upper, lower = np.linalg.eigh(slack + model), np.linalg.eigh(slack - model)
    values = np.concatenate((upper[0], lower[0]))
    order = np.argsort(-values, kind="mergesort")
    pairs = np.empty((2 * size, size))
    for i in range(2 * size):
        k = order[i]
        for j in range(size):
            pairs[i, j] = upper[1][j, k] if k < size else lower[1][j, k - size]
    return values[order], pairs


@compiled
def stays_below(m, limit, error, change):
    """Whether all values of `upper_bounds` are below `limit`, at a tenth of its cost."""
    size = m.counts[0].dimension
    rest = -_slack(m, error, change)
    for i in range(size):
        rest[i, i] += limit
    model = m.projected[:size, :size]
    return _is_definite(rest - model) and _is_definite(rest + model)


@compiled
def _slack(m, error, change):
    """By how much T may be off, (size, size)."""
    size = m.counts[0].dimension
    slack = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            slack[i, j] = error * m.age[i, j] + max(0.0, change - error) * m.uncertainty[i, j]
    return slack


@compiled
def _is_definite(a):
    """Whether `a` (n, n) has a Cholesky factor; it is overwritten."""
    n = len(a)
    for j in range(n):
        for k in range(j):
            a[j, j] -= a[j, k] ** 2
        if not a[j, j] > 0:
            return False
        root = np.sqrt(a[j, j])
        for i in range(j + 1, n):
            for k in range(j):
                a[i, j] -= a[i, k] * a[j, k]
            a[i, j] /= root
    return True
