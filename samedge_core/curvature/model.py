"""The arithmetic on the few coordinates of a `Subspace`, compiled.

Matrices of ten rows: in NumPy each of some 200 calls a measurement would cost ten times its
arithmetic, and more still where training has taken the caches in between. `Subspace` says what the
stack `m` of five symmetric matrices (5, room, room) means; of all arrays only the first `size`
rows and columns, or `n` products, are in use.
"""

from __future__ import annotations

import numpy as np
from numba import njit

T, V, D, K, S = range(5)  # model, doubts, rate, doubt, staleness
NEVER = 1e3  # measurements since a direction was multiplied that never was ...
KNOWN = 100  # ... and below this, it was
LEARNED = 0.5  # share of what a product tells of the model's rate that is believed
# share of a rate that still holds at the next measurement: a rate that has turned since hides what
# rises (with 0.97, two presets were read 0.1 to 0.3 % low)
LASTING = 0.8
TOUCHED = 1e-2  # what is left of unit coordinates below this is multiplied already

compiled = njit(cache=True)


@compiled
def carry_on(m, size):
    """A measurement later: T is carried on at its rate, and less of all is known."""
    for i in range(size):
        for j in range(size):
            m[T, i, j] += m[D, i, j]
            m[V, i, j] += m[K, i, j]
            m[D, i, j] *= LASTING
            m[K, i, j] *= LASTING
        m[K, i, i] += 1 - LASTING
        m[S, i, i] += 1


@compiled
def eigen(a):
    """Eigenvalues of a symmetric matrix by magnitude, and eigenvectors, one a row."""
    n = len(a)
    if n == 1:
        return np.array([a[0, 0]]), np.ones((1, 1))
    values, vectors = np.linalg.eigh(a)
    order = np.argsort(-np.abs(values), kind="mergesort")
    pairs = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            pairs[i, j] = vectors[j, order[i]]
    return values[order], pairs


@compiled
def foreseen(m, size):
    """`eigen` of T."""
    return eigen(m[T, :size, :size].copy())


@compiled
def _ritz(m, size, multiplied, n):
    """Of T on what was multiplied: values (n,), vectors in it (n, n), coordinates (n, size)."""
    known = multiplied[:n, :size].copy()
    values, mix = eigen(known @ (m[T, :size, :size].copy() @ known.T.copy()))
    return values, mix, mix @ known


@compiled
def learn(m, size, c, row, multiplied, n):
    """Make `m` right along unit coordinates c, now that T c is known to be `row`.

    Returns by how much it was off, by how much moved, and the age of c, as in `Surprise`; and
    `_ritz` with c as the n-th multiplied direction, of n + 1.
    """
    changes = np.zeros((5, size))
    for k in range(5):
        for i in range(size):
            for j in range(size):
                changes[k, i] -= m[k, i, j] * c[j]
    age = max(1.0, -np.dot(c, changes[S]))
    learned = LEARNED if age < KNOWN else 0.0
    off = moved = 0.0
    for i in range(size):
        changes[T, i] += row[i]
        off += changes[T, i] ** 2
        moved += (changes[T, i] - changes[D, i] / LASTING) ** 2
        changes[D, i] = changes[T, i] * (learned / age)
        changes[K, i] *= learned
    # the symmetric matrices of least norm that take c to `change`
    for k in range(5):
        change = changes[k]
        along = 0.5 * np.dot(c, change)
        for i in range(size):
            for j in range(size):
                m[k, i, j] += c[i] * (change[j] - along * c[j]) + c[j] * (change[i] - along * c[i])
    multiplied[n] = 0
    multiplied[n, :size] = c
    values, mix, coordinates = _ritz(m, size, multiplied, n + 1)
    return (np.sqrt(off), np.sqrt(moved), age), values, mix, coordinates


@compiled
def extend(m, k, column, multiplied, outside):
    """A k-th basis vector, new; `column` (n,) are its products with the images, of which `outside`
    (n,) are the squared norms of what they have outside the basis."""
    m[:, k, : k + 1] = 0
    m[:, : k + 1, k] = 0
    m[V, k, k] = m[S, k, k] = NEVER
    m[K, k, k] = 1
    for i in range(len(column)):
        outside[i] = max(0.0, outside[i] - column[i] ** 2)
        for j in range(k):
            m[T, k, j] += column[i] * multiplied[i, j]
    m[T, :k, k] = m[T, k, :k]


@compiled
def untouched(multiplied, n, c):
    """The part of c that is not multiplied yet, as a unit vector, and whether anything is left."""
    c, size = c.copy(), len(c)
    for _ in range(2):
        for i in range(n):
            share = np.dot(multiplied[i, :size], c)
            for j in range(size):
                c[j] -= share * multiplied[i, j]
    norm = np.sqrt(np.dot(c, c))
    return c / max(norm, TOUCHED), norm > TOUCHED


@compiled
def _slack(m, size, off, moved):
    slack = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            slack[i, j] = off * m[S, i, j] + max(0.0, moved - off) * m[V, i, j]
    return slack


@compiled
def optimistic(m, size, off, moved):
    """As `Subspace.optimistic`."""
    slack, model = _slack(m, size, off, moved), m[T, :size, :size].copy()
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
def stays_below(m, size, limit, off, moved):
    """Whether all values of `optimistic` are below `limit`, at a tenth of its cost."""
    rest = -_slack(m, size, off, moved)
    for i in range(size):
        rest[i, i] += limit
    model = m[T, :size, :size]
    return _is_definite(rest - model) and _is_definite(rest + model)


@compiled
def _is_definite(a):
    """Whether there is a Cholesky factor; `a` is overwritten."""
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


@compiled
def inside(m, size, theta, c):
    """Coordinates of what the residual of a Ritz pair has inside the basis: T c - theta c."""
    found = np.empty(size)
    for i in range(size):
        found[i] = np.dot(m[T, i, :size], c) - theta * c[i]
    return found


@compiled
def reach(mix, outside, n):
    """Of each Ritz pair, at most the norm of what its image has outside the basis."""
    bounds = np.zeros(n)
    for i in range(n):
        for j in range(n):
            bounds[i] += abs(mix[i, j]) * np.sqrt(outside[j])
    return bounds


@compiled
def forms(m, size, c):
    """c^T c, c^T T c and c^T S c."""
    value = stale = 0.0
    for i in range(size):
        for j in range(size):
            value += c[i] * m[T, i, j] * c[j]
            stale += c[i] * m[S, i, j] * c[j]
    return np.dot(c, c), value, stale


@compiled
def straightening(gram):
    """L^-1 for a Gram matrix L L^T: it makes the rows it is of orthonormal."""
    n = len(gram)
    if n == 1:
        return 1 / np.sqrt(gram)
    return np.tril(np.linalg.inv(np.linalg.cholesky(gram)))
