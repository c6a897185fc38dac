"""Subspace: an orthonormal basis, a model of the Hessian on it, and what of that is known now."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samedge_core.curvature.operator import LinearOperator

__all__ = ["Array", "Subspace"]

ROUNDING = 100  # what is left of a vector below this many units of rounding is no direction
TOUCHED = 1e-2  # what is left of unit coordinates below this is multiplied already
NEVER = 1e3  # measurements since a direction was multiplied that never was
BULK = 0.3  # where, relative to the sharpness, the eigenvalues outside the basis are taken to lie

Array = NDArray[np.float64]


class Subspace:
    """The rows of `basis` span it; vectors in it are written as coordinates (size,).

    Attributes:
        model: T, what the Hessian does within it, (size, size). Exact along every direction that
            was multiplied since `begin`; the rest is from earlier.
        staleness: S (size, size); the direction c was last multiplied c^T S c measurements ago.
        values, pairs: of T by magnitude, (size,) and one a row (size, size).
        ritz, coordinates: the Ritz pairs of the multiplied directions alone, (n,) and (n, size):
            Rayleigh quotients of the Hessian of now, so |ritz| is never above its norm.
        finite: no product has overflowed.
    """

    def __init__(self, room: int, like: Tensor) -> None:
        """Room for so many basis vectors (P,), with dtype and device of `like`."""
        room = min(room, len(like))
        # rows that are never written cost no memory
        self._rows = torch.empty(room, len(like), dtype=like.dtype, device=like.device)
        self._images = torch.empty_like(self._rows)
        self._kind = np.float64 if like.dtype == torch.float64 else np.float32
        self._model, self._staleness = np.zeros((room, room)), np.zeros((room, room))
        self.size = 0
        self.values, self.pairs = np.empty(0), np.empty((0, 0))
        self._forget()

    def _forget(self) -> None:
        self._multiplied: Array = np.zeros((0, self.size))
        self._residuals: dict[int, tuple[Tensor, float, float]] = {}
        self.finite = True

    def begin(self, operator: LinearOperator) -> None:
        """A new Hessian: everything known ages by one."""
        self.operator = operator
        if self._rows.device != operator.device:
            self._rows = self._rows.to(operator.device)
            self._images = self._images.to(operator.device)
        self.staleness[:] += np.eye(self.size)
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
    def products(self) -> int:
        """Since `begin`."""
        return len(self._multiplied)

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
        least = 10 * torch.finfo(self._rows.dtype).eps  # below that, what is left is rounding
        norm = _norm(z)
        for _ in range(2):  # rounding brings back copies of what was taken out otherwise
            if not norm > 0:
                return None
            z = z / norm
            z = z - (self.basis @ z) @ self.basis
            norm = _norm(z)
            if not norm > least:
                return None
        k = self.size
        self._rows[k] = z / norm
        self.size = k + 1
        self._residuals = {}
        self.model[k] = self.model[:, k] = self.staleness[k] = self.staleness[:, k] = 0
        self.staleness[k, k] = NEVER
        self._multiplied = _widened(self._multiplied)
        if self.products:  # what is multiplied has its couplings to the new vector too
            column = _array(self._images[: self.products] @ self._rows[k]) @ self._multiplied
            self.model[k, :k] = self.model[:k, k] = column[:k]
            self.coordinates = _widened(self.coordinates)
        # until it is multiplied
        self.values = np.append(self.values, 0.0)
        self.pairs = np.vstack([_widened(self.pairs), np.eye(1, self.size, k)])
        return np.eye(1, self.size, k)[0]

    def multiply(self, c: Array) -> float:
        """One product, along the unit coordinates c orthogonal to what is multiplied already.

        Returns how far the model was off there: ||(T_new - T_old) c||.
        """
        image = self.operator.matvec(self.vector(c))
        row = _array(self.basis @ image)
        self.finite = bool(np.isfinite(row).all())
        self._images[self.products] = image
        self._multiplied = np.vstack([self._multiplied, c])
        if not self.finite:
            return np.nan
        self._residuals = {}
        change = row - self.model @ c
        self.model[:] += _symmetric(c, change)
        self.staleness[:] -= _symmetric(c, self.staleness @ c)
        self._solve()
        return float(np.linalg.norm(change))

    def _solve(self) -> None:
        self.values, self.pairs = _eigen(self.model)
        known = self._multiplied
        within = known @ self.model @ known.T
        self.ritz, self._mix = (within[0], np.ones((1, 1))) if len(known) == 1 else _eigen(within)
        self.coordinates = self._mix @ known

    def untouched(self, c: Array) -> Array | None:
        """The part of c that is not multiplied yet, as a unit vector; None when nothing is left."""
        for _ in range(2):
            c = c - self._multiplied.T @ (self._multiplied @ c)
        norm = np.linalg.norm(c)
        return c / norm if norm > TOUCHED else None

    def optimistic(self, drift: float) -> tuple[Array, Array]:
        """What the pairs of T may be by now, by magnitude: values (2 size,) and pairs, one a row.

        A Rayleigh quotient of T moves by `drift` at each measurement since its direction was
        multiplied, at most: so these are the eigenvalues of T + drift S, and of -T + drift S.
        """
        slack = drift * self.staleness
        upper, lower = (np.linalg.eigh(signed + slack) for signed in (self.model, -self.model))
        values = np.concatenate([upper[0], lower[0]])
        order = np.argsort(-values, kind="stable")
        return values[order], np.hstack([upper[1], lower[1]]).T[order]

    def vector(self, c: Array) -> Tensor:
        """Coordinates (size,) or (n, size) as vectors (P,) or (n, P)."""
        return self._tensor(c) @ self.basis

    def residual(self, i: int) -> tuple[Tensor, float, float]:
        """H x - theta x of Ritz pair i: its part outside the basis (P,), the norm of that, and of
        the whole."""
        if i not in self._residuals:
            self._residuals[i] = self._residual(i)
        return self._residuals[i]

    def _residual(self, i: int) -> tuple[Tensor, float, float]:
        image = self._image(i)
        row = self.model @ self.coordinates[i]  # exact along what was multiplied
        outside = image - self.vector(row)
        norm = _norm(outside)
        if norm <= ROUNDING * torch.finfo(image.dtype).eps * abs(self.ritz[0]):
            norm = 0.0
        inside = np.linalg.norm(row - self.ritz[i] * self.coordinates[i])
        return outside, norm, float(np.hypot(norm, inside))

    def _image(self, i: int) -> Tensor:
        """H x of Ritz pair i, (P,)."""
        return self._tensor(self._mix[i]) @ self._images[: self.products]

    def image_outside(self, number: int) -> Tensor:
        """What the image of the `number`-th multiplied direction has outside the basis, (P,)."""
        image = self._images[number]
        return image - (self.basis @ image) @ self.basis

    def improve(self, i: int) -> None:
        """Turn the basis where Ritz vector i should have pointed: towards H x - theta x.

        One step of Davidson's method without a product: the eigenvalues outside are taken to lie
        at `BULK`. T stays as it is, which is right to first order.
        """
        if self.residual(i)[1] == 0:
            return
        c = self.coordinates[i]
        x, image = self.vector(c), self._image(i)
        outside = image - (self.basis @ image) @ self.basis  # another pair may have turned it
        step = 1 / (self.ritz[i] * (1 - BULK))
        turned = x + step * outside
        # to unit length: rounding in that of x would come back magnified at each improvement
        turned /= _norm(turned)
        self.basis.addr_(self._tensor(c), turned - x)

    def shrink(self, kept: int) -> Array:
        """Keep the leading `kept` pairs of T as the basis; returns them, one a row."""
        pairs = self.pairs[:kept]
        basis, model = self.vector(pairs), pairs @ self.model @ pairs.T
        staleness = pairs @ self.staleness @ pairs.T
        # rounding has bent the basis a little by now
        bent = np.linalg.cholesky(_array(basis @ basis.T))
        self.size = len(pairs)
        self._rows[: self.size] = self._tensor(np.linalg.inv(bent)) @ basis
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


def _norm(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector))


def _array(tensor: Tensor) -> Array:
    return tensor.cpu().numpy().astype(np.float64)


def _widened(coordinates: Array) -> Array:
    """Rows of coordinates in a basis of one vector more."""
    return np.hstack([coordinates, np.zeros((len(coordinates), 1))])


def _eigen(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues by magnitude and eigenvectors, one a row."""
    values, vectors = np.linalg.eigh(matrix)
    order = np.argsort(-np.abs(values), kind="stable")
    return values[order], vectors[:, order].T


def _symmetric(c: Array, change: Array) -> Array:
    """The symmetric matrix of least norm that takes the unit vector c to `change`."""
    outer = np.outer(c, change)
    return outer + outer.T - (c @ change) * np.outer(c, c)
