"""The arrays of a `Subspace`, and what is done with them, compiled.

Between two products there is no Python: while a network is trained, that finds none of its code
and objects in the caches, and takes three times as long as alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from samedge_core.curvature import model, passes

Array = NDArray[np.float64]
Vectors = NDArray[np.floating]

COUNTS = range(5)
SIZE, PRODUCTS, FINITE, SOLVED, FOUND = COUNTS  # `Space.counts`
OUTSIDE, NORM = range(2)  # of a residual, in `Space.lengths`
ROUNDING = 100  # what an image has outside the basis below this many units of rounding is nothing
BULK = 0.3  # where, relative to the sharpness, the eigenvalues outside the basis are taken to lie

compiled = njit(cache=True)


class Space(NamedTuple):
    """A basis in `room` rows, of which the first `size` are in use; of what was multiplied, the
    first `products`. `Subspace` says what the quantities are.

    Attributes:
        rows: the basis, (room, P).
        vectors, images: what was multiplied, and what came of it, (room, P).
        found, lacks: Ritz vectors and their residuals, (room, P).
        turned: to write to, (room, P).
        stack: T, V, D, K and S, (5, room, room).
        values, pairs: of T, (room,) and one a row (room, room).
        multiplied: coordinates of `vectors`, (room, room).
        outside: squared norms of what `images` have outside the basis, (room,).
        ritz, mix, coordinates: the Ritz values, (room,); their vectors in terms of `vectors` and
            of the basis, (room, room).
        lengths: of the residuals, OUTSIDE the basis and as a whole; NaN where not known (room, 2).
        chosen: coordinates of what is multiplied next, (room,).
        counts: `size`, `products`, `finite`; whether `values` and `pairs` are those of T; and how
            many Ritz vectors are `found`.
    """

    rows: Vectors
    vectors: Vectors
    images: Vectors
    found: Vectors
    lacks: Vectors
    turned: Vectors
    stack: Array
    values: Array
    pairs: Array
    multiplied: Array
    outside: Array
    ritz: Array
    mix: Array
    coordinates: Array
    lengths: Array
    chosen: Array
    counts: NDArray[np.int64]


@compiled
def begin(s):
    """A new Hessian: everything known ages by one."""
    model.carry_on(s.stack, s.counts[SIZE])
    s.counts[SOLVED] = 0
    forget(s)


@compiled
def forget(s):
    """Nothing is multiplied."""
    s.counts[PRODUCTS] = s.counts[FOUND] = 0
    s.counts[FINITE] = 1
    s.lengths[:] = np.nan


@compiled
def solve(s):
    """The pairs of T."""
    if s.counts[SOLVED]:
        return
    size = s.counts[SIZE]
    values, pairs = model.foreseen(s.stack, size)
    s.values[:size] = values
    s.pairs[:size, :size] = pairs
    s.counts[SOLVED] = 1


@compiled
def ready(s):
    """Write out what is chosen as the next of `vectors`."""
    passes.combine(s.chosen[: s.counts[SIZE]], s.rows, s.vectors[s.counts[PRODUCTS]])


@compiled
def absorb(s):
    """Learn what came of it, which is in `images`; returns a `Surprise`."""
    n, size = s.counts[PRODUCTS], s.counts[SIZE]
    row, outside = passes.apart(s.images[n], s.rows, size)
    s.counts[PRODUCTS] = n + 1
    if not np.isfinite(outside):
        s.counts[FINITE] = 0
        return np.nan, np.nan, 0.0
    s.outside[n] = max(0.0, outside)
    s.lengths[:] = np.nan
    s.counts[FOUND] = s.counts[SOLVED] = 0
    c = s.chosen[:size].copy()
    surprise, ritz, mix, coordinates = model.learn(s.stack, size, c, row, s.multiplied, n)
    s.ritz[: n + 1] = ritz
    s.mix[: n + 1, : n + 1] = mix
    s.coordinates[: n + 1, :size] = coordinates
    return surprise


@compiled
def grow(s, z):
    """Add what is new of z to the basis and choose it; is there anything?"""
    k, n = s.counts[SIZE], s.counts[PRODUCTS]
    if k == len(s.rows) or not passes.orthogonalise(z, s.rows, k):
        return False
    # what is multiplied has its couplings to the new vector too
    column = passes.project(s.images, n, s.rows[k])
    model.extend(s.stack, k, column, s.multiplied, s.outside)
    s.counts[SIZE] = k + 1
    s.counts[SOLVED] = 0
    s.lengths[:] = np.nan
    s.coordinates[:n, k] = 0  # a Ritz vector has no share of it yet
    s.chosen[:k] = 0
    s.chosen[k] = 1
    return True


@compiled
def untouched(s, c):
    """Choose the part of c that is not multiplied yet, as a unit vector; is anything left?"""
    rest, left = model.untouched(s.multiplied, s.counts[PRODUCTS], c)
    if left:
        s.chosen[: len(rest)] = rest
    return left


@compiled
def residual(s, i):
    """Of Ritz pair i, in `lacks`: the norm of its part outside the basis."""
    if np.isnan(s.lengths[i, NORM]):
        theta = s.ritz[i]
        norm = passes.residual(
            s.mix[i, : s.counts[PRODUCTS]], theta, s.images, s.vectors, s.lacks[i]
        )
        within = inside(s, i)
        outside = np.sqrt(max(0.0, norm * norm - np.dot(within, within)))
        least = ROUNDING * np.finfo(s.rows.dtype.type).eps * abs(s.ritz[0])
        s.lengths[i, OUTSIDE] = outside if outside > least else 0.0
        s.lengths[i, NORM] = norm
    return s.lengths[i, OUTSIDE]


@compiled
def inside(s, i):
    """Coordinates of what the residual of Ritz pair i has inside the basis."""
    # T is exact along what was multiplied
    size = s.counts[SIZE]
    return model.inside(s.stack, size, s.ritz[i], s.coordinates[i, :size])


@compiled
def ritz_vectors(s, count):
    """The leading `count`, in `found`."""
    n = s.counts[PRODUCTS]
    for i in range(s.counts[FOUND], count):
        passes.combine(s.mix[i, :n], s.vectors, s.found[i])
    s.counts[FOUND] = max(s.counts[FOUND], count)


@compiled
def improve(s, count):
    """As `Subspace.improve`."""
    lacking = False
    for i in range(count):
        lacking |= residual(s, i) > 0
    # 1 / ritz must be a number of this precision: a batch that is fitted may leave 1e-42 of H
    least = np.abs(s.ritz[:count]).min() * (1 - BULK) if lacking else 0.0
    if not least * np.finfo(s.rows.dtype.type).max > 1:
        return
    ritz_vectors(s, count)
    within = np.empty((count, s.counts[SIZE]))
    for i in range(count):
        within[i] = inside(s, i)
    steps = 1 / (s.ritz[:count] * (1 - BULK))
    passes.improve(s.rows, s.lacks, within, steps, s.found, s.coordinates, s.turned)


@compiled
def eigenvectors(s, count):
    """Of the leading Ritz pairs, what T on the turned basis takes for their eigenvectors, (count,
    P): nearer to them than the Ritz vectors, by what the residuals say that these lack."""
    solve(s)
    size = s.counts[SIZE]
    pairs = s.pairs[:size, :size].copy()
    found, taken = np.empty((count, s.rows.shape[1]), s.rows.dtype), np.zeros(size)
    for i in range(count):
        closest = np.argmax(np.abs(pairs @ s.coordinates[i, :size]) - taken)
        taken[closest] = np.inf
        passes.combine(pairs[closest], s.rows, found[i])
    return found


@compiled
def shrink(s, kept):
    """As `Subspace.shrink`."""
    solve(s)
    size = s.counts[SIZE]
    kept = min(kept, size)
    pairs = s.pairs[:kept, :size].copy()
    for k in range(len(s.stack)):
        s.stack[k, :kept, :kept] = pairs @ (s.stack[k, :size, :size].copy() @ pairs.T.copy())
    passes.shrink(pairs, s.rows, s.turned)
    s.counts[SIZE], s.counts[SOLVED] = kept, 0
    forget(s)
    return pairs
