"""Subspace: an orthonormal basis, a model of the Hessian on it, and what of that is known now."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from samedge_core.curvature.operator import LinearOperator

__all__ = ["Array", "Subspace", "as_array"]

ROUNDING = 100  # what is left of a vector below this many units of rounding is no direction
TOUCHED = 1e-2  # what is left of unit coordinates below this is multiplied already
NEVER = 1e3  # measurements since a direction was multiplied that never was
TWICE = 0.5  # what is new of a unit vector and shorter than this is orthogonalised once more
BULK = 0.3  # where, relative to the sharpness, the eigenvalues outside the basis are taken to lie

Array = NDArray[np.float64]
ONE = np.ones((1, 1))
# at these sizes NumPy's checks and choices cost more than LAPACK itself
SYEVD, POTRF = get_lapack_funcs(("syevd", "potrf"), dtype=np.float64)


class Subspace:
    """The rows of `basis` span it; vectors in it are written as coordinates (size,).

    Attributes:
        model: T, what the Hessian does within it, (size, size). Exact along every direction that
            was multiplied since `begin`; the rest is from earlier.
        staleness: S (size, size); the direction c was last multiplied c^T S c measurements ago.
        values, pairs: of T by magnitude, (size,) and one a row (size, size).
        ritz, coordinates: the Ritz pairs of the multiplied directions alone, (n,) and (n, size):
            Rayleigh quotients of the Hessian of now, so |ritz| is never above its norm.
        products: since `begin`.
        multiplied: coordinates of what they were taken along, (products, size).
        finite: no product has overflowed.
    """

    def __init__(self, room: int, like: Tensor) -> None:
        """Room for so many basis vectors (P,), with dtype and device of `like`."""
        room = min(room, len(like))
        # rows that are never written cost no memory
        self._rows = torch.empty(room, len(like), dtype=like.dtype, device=like.device)
        self._vectors = torch.empty_like(self._rows)  # what was multiplied, and ...
        self._outside = torch.empty_like(self._rows)  # ... the part of its image outside the basis
        self._kind = np.float64 if like.dtype == torch.float64 else np.float32
        self._model, self._staleness = np.zeros((room, room)), np.zeros((room, room))
        self._multiplied = np.zeros((room, room))
        self.size = 0
        self.values, self.pairs = np.empty(0), np.empty((0, 0))
        self._forget()

    def _forget(self) -> None:
        self.products = 0
        self._multiplied[:] = 0
        self._norms: list[float] = []  # of what the images have outside the basis
        self._residuals: dict[int, tuple[Tensor, float, float]] = {}
        self.finite = True

    def begin(self, operator: LinearOperator) -> None:
        """A new Hessian: everything known ages by one."""
        self.operator = operator
        if self._rows.device != operator.device:
            self._rows = self._rows.to(operator.device)
            self._vectors = self._vectors.to(operator.device)
            self._outside = self._outside.to(operator.device)
        self.staleness[np.diag_indices(self.size)] += 1
        self._forget()

    @property
    def basis(self) -> Tensor:
        return self._rows[: self.size]

    @property
    def model(self) -> Array:
        return self._model[: self.size, : self.size]

    @property
    def staleness(self) -> Array:
        return self._staleness[: self.size, : self.size]

    @property
    def multiplied(self) -> Array:
        return self._multiplied[: self.products, : self.size]

    @property
    def room(self) -> int:
        """How many vectors the basis can hold."""
        return len(self._rows)

    @property
    def full(self) -> bool:
        return self.size == self.room

    def grow(self, z: Tensor) -> Array | None:
        """Add what is new of z (P,) to the basis: its coordinates, or None when nothing is."""
        if self.full:
            return None
        new = self._new(z)
        if new is None:
            return None
        k = self.size
        self._rows[k] = new
        self.size = k + 1
        self._residuals = {}
        self.model[k] = self.model[:, k] = self.staleness[k] = self.staleness[:, k] = 0
        self.staleness[k, k] = NEVER
        if self.products:  # what is multiplied has its couplings to the new vector too
            outside = self._outside[: self.products]
            column = outside @ self._rows[k]
            outside.addr_(column, self._rows[k], alpha=-1)
            self._norms = torch.linalg.vector_norm(outside, dim=1).tolist()
            couplings = as_array(column) @ self.multiplied
            self.model[k, :k] = self.model[:k, k] = couplings[:k]
            self.coordinates = self._mix @ self.multiplied
        # until it is multiplied
        self.values = np.append(self.values, 0.0)
        pairs = np.eye(self.size)
        pairs[:k, :k] = self.pairs
        self.pairs = pairs
        return pairs[k]

    def _new(self, z: Tensor) -> Tensor | None:
        """What of z (P,) is outside the basis, as a unit vector."""
        least = 10 * torch.finfo(self._rows.dtype).eps  # below that, what is left is rounding
        norm = _norm(z)
        if not norm > 0:
            return None
        z = z / norm
        for _ in range(2):
            z = torch.addmv(z, self.basis.T, self.basis @ z, alpha=-1)
            norm = _norm(z)
            if not norm > least:
                return None
            z /= norm
            if norm > TWICE:  # else rounding brings back copies of what was taken out
                break
        return z

    def multiply(self, c: Array) -> float:
        """One product, along the unit coordinates c orthogonal to what is multiplied already.

        Returns how far the model was off there: ||(T_new - T_old) c||.
        """
        n, basis = self.products, self.basis
        image = self.operator.matvec(torch.mv(basis.T, self._tensor(c), out=self._vectors[n]))
        within = basis @ image
        torch.addmv(image, basis.T, within, alpha=-1, out=self._outside[n])
        row = as_array(within)
        self.finite = bool(np.isfinite(row).all())
        self.products = n + 1
        self._multiplied[n, : self.size] = c
        self._norms.append(_norm(self._outside[n]))
        if not self.finite:
            return np.nan
        self._residuals = {}
        change = row - self.model @ c
        self.model[:] += _symmetric(c, change)
        self.staleness[:] -= _symmetric(c, self.staleness @ c)
        self._solve()
        return _length(change)

    def _solve(self) -> None:
        self.values, self.pairs = _eigen(self.model)
        known = self.multiplied
        within = known @ self.model @ known.T
        self.ritz, self._mix = (within[0], ONE) if len(known) == 1 else _eigen(within)
        self.coordinates = self._mix @ known

    def untouched(self, c: Array) -> Array | None:
        """The part of c that is not multiplied yet, as a unit vector; None when nothing is left."""
        known = self.multiplied
        for _ in range(2):
            c = c - known.T @ (known @ c)
        norm = _length(c)
        return c / norm if norm > TOUCHED else None

    def optimistic(self, drift: float) -> tuple[Array, Array]:
        """What the pairs of T may be by now, by magnitude: values (2 size,) and pairs, one a row.

        A Rayleigh quotient of T moves by `drift` at each measurement since its direction was
        multiplied, at most: so these are the eigenvalues of T + drift S, and of -T + drift S.
        """
        slack = drift * self.staleness
        upper, lower = SYEVD(self.model + slack), SYEVD(slack - self.model)
        values = np.concatenate([upper[0], lower[0]])
        order = np.argsort(-values, kind="stable")
        return values[order], np.hstack([upper[1], lower[1]]).T[order]

    def stays_below(self, limit: float, drift: float) -> bool:
        """Whether all values of `optimistic` are below `limit`, at a tenth of its cost."""
        model, rest = self.model, -drift * self.staleness
        rest.ravel()[:: self.size + 1] += limit
        # definite, as a Cholesky factorisation of each tells
        return POTRF(rest - model)[1] == 0 and POTRF(rest + model)[1] == 0

    def vector(self, c: Array) -> Tensor:
        """Coordinates (size,) or (n, size) as vectors (P,) or (n, P)."""
        return self._tensor(c) @ self.basis

    def ritz_vectors(self, count: int) -> Tensor:
        """The leading ones, (count, P); fewer when less was multiplied."""
        return self._tensor(self._mix[:count]) @ self._vectors[: self.products]

    def residual(self, i: int) -> tuple[Tensor, float, float]:
        """H x - theta x of Ritz pair i: its part outside the basis (P,), the norm of that, and of
        the whole."""
        if i not in self._residuals:
            self._residuals[i] = self._residual(i)
        return self._residuals[i]

    def _residual(self, i: int) -> tuple[Tensor, float, float]:
        if self.products == 1:
            outside, norm = self._outside[0], self._norms[0]
        else:
            outside = self._tensor(self._mix[i]) @ self._outside[: self.products]
            norm = _norm(outside)
        if norm <= ROUNDING * torch.finfo(outside.dtype).eps * abs(self.ritz[0]):
            norm = 0.0
        # T is exact along what was multiplied
        inside = self.model @ self.coordinates[i] - self.ritz[i] * self.coordinates[i]
        return outside, norm, math.hypot(norm, _length(inside))

    def outside_at_most(self, i: int) -> float:
        """A bound of the norm of what `residual(i)` has outside the basis, without a pass over P
        numbers."""
        return float(np.abs(self._mix[i]) @ self._norms)

    def image_outside(self, number: int) -> Tensor:
        """What the image of the `number`-th multiplied direction has outside the basis, (P,)."""
        return self._outside[number]

    def improve(self, count: int) -> None:
        """Turn the basis where the leading Ritz vectors should have pointed: to H x - theta x.

        One step of Davidson's method without a product: the eigenvalues outside are taken to lie
        at `BULK`. T stays as it is, which is right to first order.
        """
        steps = [
            1 / (self.ritz[i] * (1 - BULK)) if self.residual(i)[1] > 0 else 0.0
            for i in range(count)
        ]
        if not any(steps):
            return
        before = self.ritz_vectors(count)
        outside = self._tensor(self._mix[:count] * np.array(steps)[:, None])
        turned = torch.addmm(before, outside, self._outside[: self.products])
        # orthonormal again: what they turn to overlaps, and rounding in the length of x would
        # come back magnified at each improvement
        turned = self._tensor(_straightening(turned)) @ turned
        self.basis.addmm_(self._tensor(self.coordinates[:count]).T, turned - before)

    def shrink(self, kept: int) -> Array:
        """Keep the leading `kept` pairs of T as the basis; returns them, one a row."""
        pairs = self.pairs[:kept]
        basis, model = self.vector(pairs), pairs @ self.model @ pairs.T
        staleness = pairs @ self.staleness @ pairs.T
        self.size = len(pairs)
        # rounding has bent the basis a little by now
        self._rows[: self.size] = self._tensor(_straightening(basis)) @ basis
        self.model[:], self.staleness[:] = model, staleness
        self.values, self.pairs = _eigen(self.model)
        self._forget()
        return pairs

    def state(self) -> dict[str, Tensor]:
        """Basis, model and staleness; `restore` takes them."""
        return {
            "basis": self.basis.cpu().clone(),
            "model": torch.from_numpy(self.model.copy()),
            "staleness": torch.from_numpy(self.staleness.copy()),
        }

    @classmethod
    def restore(cls, state: dict[str, Tensor], room: int) -> Subspace:
        """A subspace with nothing multiplied."""
        basis = state["basis"]
        space = cls(max(room, len(basis)), basis[0])
        space.size = len(basis)
        space.basis[:] = basis
        space.model[:], space.staleness[:] = state["model"].numpy(), state["staleness"].numpy()
        space.values, space.pairs = _eigen(space.model)
        space._forget()
        return space

    def _tensor(self, array: NDArray[np.floating]) -> Tensor:
        # to the dtype first: not every device has float64
        tensor = torch.from_numpy(array.astype(self._kind))
        return tensor if self._rows.is_cpu else tensor.to(self._rows.device)


def _length(c: Array) -> float:
    return math.sqrt(c @ c)


def _norm(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector))


def as_array(tensor: Tensor) -> Array:
    """In main memory and double precision, as everything small is computed."""
    return tensor.cpu().numpy().astype(np.float64)


def _straightening(vectors: Tensor) -> Array:
    """L^-1 for the Gram matrix L L^T of these rows: it makes them orthonormal."""
    gram = as_array(vectors @ vectors.T)
    return np.asarray(np.linalg.inv(np.linalg.cholesky(gram)), np.float64)


def _eigen(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues by magnitude and eigenvectors, one a row."""
    values, vectors, failed = SYEVD(matrix)
    if failed:
        raise np.linalg.LinAlgError(f"no eigenvalues of a matrix of size {len(matrix)}")
    order = np.argsort(-np.abs(values), kind="stable")
    return values[order], vectors.T[order]


def _symmetric(c: Array, change: Array) -> Array:
    """The symmetric matrix of least norm that takes the unit vector c to `change`."""
    half = c[:, None] * (change - 0.5 * (c @ change) * c)
    return half + half.T
