"""HessianModel: an orthonormal basis, the projected Hessian on it, and how well that is known.

A Hessian-vector product along c gives an exact row of the projected Hessian. Every matrix here then
takes the symmetric secant update of least Frobenius norm, Powell-symmetric-Broyden, so that it is
right along c and changes as little as possible elsewhere. From one measurement to the next the
projected Hessian is extrapolated by its drift. In all functions m is a HessianModel, c (size,).

All of this is compiled: while a network is trained, Python finds none of its code and objects in
the caches, and takes three times as long as alone; NumPy's calls would cost ten times their
arithmetic on matrices of ten rows.

Sources: Powell, in Nonlinear Programming, 1970 (the update); Dennis and Moré, SIAM Review 19, 1977.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from samedge_core.curvature import vectors
from samedge_core.curvature.operator import LinearOperator

NEVER = 1e3  # age of a direction to which H was never applied, in measurements ...
KNOWN = 100  # ... and below this age, it was
MATRICES = ("projected", "uncertainty", "drift", "drift_uncertainty", "age")

Vectors = NDArray[np.floating]
Array = NDArray[np.float64]

compiled = njit(cache=True)

COUNTS = np.dtype(
    (
        np.record,
        [
            ("dimension", np.int64),  # basis vectors
            ("products", np.int64),  # Hessian-vector products of this measurement
            ("finite", np.bool_),  # all of them
            ("solved", np.bool_),  # `values` and `pairs` are those of `projected`
            ("ritz_vectors", np.int64),  # of these, how many are written out
        ],
    )
)


class HessianModel(NamedTuple):
    """Arrays with `room` for basis vectors; of each only the first `size`, or `products`, are used.

    Attributes:
        basis: B, orthonormal rows, (room, P).
        directions, hv: what H was applied to in this measurement, and the results, (room, P).
        ritz_vectors, residuals: x and H x - theta x of the Ritz pairs, (room, P).
        scratch: overwritten by most functions, (room, P).
        projected: T, about B H B^T, (room, room). Exact along every direction of this measurement;
            the rest is from earlier ones, extrapolated.
        drift: D, by which T changes from one measurement to the next, as far as that is learned.
        drift_uncertainty: K; c^T K c is the share, 0 to 1, of the drift along c that is not
            learned, or no longer holds.
        uncertainty: V, the sum of K over the measurements since H was applied to c.
        age: S; H was last applied to c c^T S c measurements ago.
        values, pairs: eigenvalues of T by magnitude (room,), and eigenvectors, one a row
            (room, room).
        applied: coordinates of `directions` in the basis, (room, room).
        outside: squared norms of what `hv` has outside the basis, (room,).
        ritz, mix, coordinates: Ritz values of `directions` alone, (room,): Rayleigh quotients of
            the H of this measurement, so that none is above its norm. Their vectors in terms of
            `directions`, and of the basis, (room, room).
        residual_outside, residual_norms: norms of the residuals outside the basis and as a whole;
            NaN where not known, (room,).
        chosen: coordinates of the next direction, (room,).
        counts: one record of `COUNTS`, (1,).
    """

    basis: Vectors
    directions: Vectors
    hv: Vectors
    ritz_vectors: Vectors
    residuals: Vectors
    scratch: Vectors
    projected: Array
    uncertainty: Array
    drift: Array
    drift_uncertainty: Array
    age: Array
    values: Array
    pairs: Array
    applied: Array
    outside: Array
    ritz: Array
    mix: Array
    coordinates: Array
    residual_outside: Array
    residual_norms: Array
    chosen: Array
    counts: NDArray[Any]


def new_model(room: int, like: Tensor) -> HessianModel:
    """Return a model with an empty basis, for at most `room` vectors with the size and dtype of
    `like` (P,), in main memory."""
    room = min(room, len(like))

    def rows() -> Vectors:
        # torch aligns memory as MKL must have it to repeat a product to the bit; rows that are
        # never written cost none
        return torch.empty(room, len(like), dtype=like.dtype).numpy()

    square = (room, room)
    model = HessianModel(
        basis=rows(),
        directions=rows(),
        hv=rows(),
        ritz_vectors=rows(),
        residuals=rows(),
        scratch=rows(),
        projected=np.zeros(square),
        uncertainty=np.zeros(square),
        drift=np.zeros(square),
        drift_uncertainty=np.zeros(square),
        age=np.zeros(square),
        values=np.zeros(room),
        pairs=np.zeros(square),
        applied=np.zeros(square),
        outside=np.zeros(room),
        ritz=np.zeros(room),
        mix=np.zeros(square),
        coordinates=np.zeros(square),
        residual_outside=np.zeros(room),
        residual_norms=np.zeros(room),
        chosen=np.zeros(room),
        counts=np.zeros(1, COUNTS),
    )
    forget(model)
    return model


def to_state(m: HessianModel) -> dict[str, Tensor]:
    """Return copies of the basis (size, P) and the matrices (5, size, size)."""
    size = m.counts[0].dimension
    matrices = np.stack([getattr(m, name)[:size, :size] for name in MATRICES])
    return {"basis": torch.from_numpy(m.basis[:size]).clone(), "matrices": torch.tensor(matrices)}


def from_state(state: dict[str, Tensor], room: int) -> HessianModel:
    """The inverse of `to_state`, with room for all vectors at least; nothing is measured."""
    basis, matrices = state["basis"], state["matrices"].numpy()
    size = len(basis)
    model = new_model(max(room, size), basis[0])
    model.counts[0].dimension, model.counts[0].solved = size, False
    model.basis[:size] = basis.numpy()
    for name, matrix in zip(MATRICES, matrices, strict=True):
        getattr(model, name)[:size, :size] = matrix
    return model


def apply(m: HessianModel, operator: LinearOperator) -> None:
    """Multiply the direction that is ready; the result is the next row of `hv`."""
    number = m.counts["products"][0]  # by attribute, NumPy takes ten times as long
    v, out = m.directions[number], m.hv[number]
    multiply = getattr(operator, "multiply", None)
    if multiply:
        multiply(v, out)
    else:
        out[:] = as_vector(operator.matvec(torch.from_numpy(v).to(operator.device)))


def as_vector(tensor: Tensor) -> Vectors:
    """Return a tensor as an array in main memory, without gaps."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


# --- from one measurement to the next -------------------------------------------------------


@compiled
def change_metric(m, ratio):
    """Multiply the basis by `ratio` (P,), component by component, and make it orthonormal again: x
    = P^1/2 d is what a direction d in the weights is in the coordinates of an edge operator, and
    d^T H d, by which T and its drift are known, does not depend on P.

    Returns the lower triangular matrix that makes them orthonormal; of shape (0, 0), and T is no
    longer right, where they have become dependent.
    """
    size = m.counts[0].dimension
    inverse = vectors.stretch_basis(m.basis, size, ratio)
    if len(inverse):
        for matrix in (m.projected, m.drift):
            known = matrix[:size, :size].copy()
            matrix[:size, :size] = inverse @ (known @ inverse.T.copy())
    m.counts[0].solved = False
    return inverse


@compiled
def predict(m, lasting):
    """Extrapolate to the next measurement: T += D, D shrinks to the share `lasting`, all ages."""
    size = m.counts[0].dimension
    for i in range(size):
        for j in range(size):
            m.projected[i, j] += m.drift[i, j]
            m.uncertainty[i, j] += m.drift_uncertainty[i, j]
            m.drift[i, j] *= lasting
            m.drift_uncertainty[i, j] *= lasting
        m.drift_uncertainty[i, i] += 1 - lasting
        m.age[i, i] += 1
    m.counts[0].solved = False
    forget(m)


@compiled
def forget(m):
    """Begin a measurement: H was applied to nothing yet."""
    m.counts[0].products = m.counts[0].ritz_vectors = 0
    m.counts[0].finite = True
    m.residual_outside[:] = np.nan
    m.residual_norms[:] = np.nan


@compiled
def solve(m):
    """Bring `values` and `pairs` up to date."""
    if m.counts[0].solved:
        return
    size = m.counts[0].dimension
    values, pairs = _eigen(m.projected[:size, :size].copy())
    m.values[:size] = values
    m.pairs[:size, :size] = pairs
    m.counts[0].solved = True


@compiled
def _eigen(a):
    """Eigenvalues of a symmetric matrix by magnitude, and eigenvectors, one a row."""
    n = len(a)
    if n == 1:
        return np.array([a[0, 0]]), np.ones((1, 1))
    values, rows = np.linalg.eigh(a)
    order = np.argsort(-np.abs(values), kind="mergesort")
    pairs = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            pairs[i, j] = rows[j, order[i]]
    return values[order], pairs


# --- one product ----------------------------------------------------------------------------


@compiled
def write_direction(m):
    """Write the chosen coordinates as the next row of `directions`."""
    vectors.combine(m.chosen[: m.counts[0].dimension], m.basis, m.directions[m.counts[0].products])


@compiled
def absorb(m, learned, lasting):
    """Take in the newest row of `hv`.

    Args:
        learned: share of the prediction error that is put into the drift.

    Returns:
        The norm of the prediction error, ||(T_new - T_predicted) c||; the norm of the change since
        the last measurement, the same for a T without drift (of the first product); and the age of
        c, the direction. NaN, NaN, 0 where the result is not finite.
    """
    n, size = m.counts[0].products, m.counts[0].dimension
    row, outside = vectors.split(m.hv[n], m.basis, size)
    m.counts[0].products = n + 1
    if not np.isfinite(outside):
        m.counts[0].finite = False
        return np.nan, np.nan, 0.0
    m.outside[n] = max(0.0, outside)
    m.residual_outside[:] = np.nan
    m.residual_norms[:] = np.nan
    m.counts[0].ritz_vectors, m.counts[0].solved = 0, False
    c = m.chosen[:size].copy()
    found = _secant_update(m, c, row, learned, lasting)
    m.applied[n] = 0
    m.applied[n, :size] = c
    _solve_applied(m)
    return found


@compiled
def _secant_update(m, c, row, learned, lasting):
    """Make all five matrices right along unit coordinates c, now that T c is known to be `row`;
    returns as `absorb`."""
    size = len(c)
    error, change = _minus_product(m.projected, c), _minus_product(m.drift, c)
    uncertain = _minus_product(m.drift_uncertainty, c)
    aged, doubtful = _minus_product(m.age, c), _minus_product(m.uncertainty, c)
    age = max(1.0, -np.dot(c, aged))
    share = learned if age < KNOWN else 0.0
    missed = moved = 0.0
    for i in range(size):
        error[i] += row[i]
        missed += error[i] ** 2
        moved += (error[i] - change[i] / lasting) ** 2
        change[i] = error[i] * (share / age)
        uncertain[i] *= share
    _correct_along(m.projected, c, error)
    _correct_along(m.uncertainty, c, doubtful)
    _correct_along(m.drift, c, change)
    _correct_along(m.drift_uncertainty, c, uncertain)
    _correct_along(m.age, c, aged)
    return np.sqrt(missed), np.sqrt(moved), age


@compiled
def _minus_product(matrix, c):
    """-A c, (size,), for A (room, room)."""
    product = np.zeros(len(c))
    for i in range(len(c)):
        for j in range(len(c)):
            product[i] -= matrix[i, j] * c[j]
    return product


@compiled
def _correct_along(matrix, c, change):
    """Add to `matrix` the symmetric matrix of least norm that takes c to `change` (PSB)."""
    along = 0.5 * np.dot(c, change)
    for i in range(len(c)):
        for j in range(len(c)):
            matrix[i, j] += c[i] * (change[j] - along * c[j]) + c[j] * (change[i] - along * c[i])


@compiled
def _solve_applied(m):
    """Bring the Ritz pairs of `directions` up to date."""
    n, size = m.counts[0].products, m.counts[0].dimension
    known = m.applied[:n, :size].copy()
    values, mix = _eigen(known @ (m.projected[:size, :size].copy() @ known.T.copy()))
    m.ritz[:n] = values
    m.mix[:n, :n] = mix
    m.coordinates[:n, :size] = mix @ known


# --- the next direction ---------------------------------------------------------------------


@compiled
def choose_within(m, c, touched):
    """Choose the remainder of c (size,), orthogonal to what is multiplied, as unit coordinates;
    False where it is shorter than `touched`."""
    rest, size = c.copy(), len(c)
    for _ in range(2):
        for i in range(m.counts[0].products):
            share = np.dot(m.applied[i, :size], rest)
            for j in range(size):
                rest[j] -= share * m.applied[i, j]
    norm = np.sqrt(np.dot(rest, rest))
    if not norm > touched:
        return False
    m.chosen[:size] = rest / norm
    return True


@compiled
def append(m, z):
    """Append the part of z (P,) outside the basis to it, and choose that; False where there is
    none, or no room."""
    k, n = m.counts[0].dimension, m.counts[0].products
    if k == len(m.basis) or not vectors.orthogonalise(z, m.basis, k):
        return False
    # what is multiplied has its couplings to the new vector too
    column = vectors.project(m.hv, n, m.basis[k])
    _extend(m, k, column)
    m.counts[0].dimension = k + 1
    m.counts[0].solved = False
    m.residual_outside[:] = np.nan
    m.residual_norms[:] = np.nan
    m.coordinates[:n, k] = 0  # a Ritz vector has no share of it yet
    m.chosen[:k] = 0
    m.chosen[k] = 1
    return True


@compiled
def _extend(m, k, column):
    """Give the matrices a k-th row; `column` (products,) couples `hv` to the new vector."""
    for matrix in (m.projected, m.uncertainty, m.drift, m.drift_uncertainty, m.age):
        matrix[k, : k + 1] = 0
        matrix[: k + 1, k] = 0
    m.uncertainty[k, k] = m.age[k, k] = NEVER
    m.drift_uncertainty[k, k] = 1
    for i in range(len(column)):
        m.outside[i] = max(0.0, m.outside[i] - column[i] ** 2)
        for j in range(k):
            m.projected[k, j] += column[i] * m.applied[i, j]
    m.projected[:k, k] = m.projected[k, :k]
