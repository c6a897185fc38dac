"""Subspace: an orthonormal basis, a model of the Hessian on it, and what of that is known now."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from samedge_core.curvature.operator import LinearOperator

__all__ = ["KNOWN", "Array", "Residual", "Subspace", "Surprise", "as_array"]

ROUNDING = 100  # what is left of a vector below this many units of rounding is no direction
TOUCHED = 1e-2  # what is left of unit coordinates below this is multiplied already
NEVER = 1e3  # measurements since a direction was multiplied that never was ...
KNOWN = 100  # ... and below this, it was
TWICE = 0.5  # what is new of a unit vector and shorter than this is orthogonalised once more
BULK = 0.3  # where, relative to the sharpness, the eigenvalues outside the basis are taken to lie
LEARNED = 0.5  # share of what a product tells of the model's rate that is believed
LASTING = 0.97  # share of a rate that still holds at the next measurement

Array = NDArray[np.float64]
ONE = np.ones((1, 1))
# what the diagonals of model, doubts, rate, doubt and staleness gain at each measurement, and what
# they are for a new direction
AGEING = np.array([0, 0, 0, 1 - LASTING, 1])[:, None]
NEW = np.array([0, NEVER, 0, 1, NEVER])
# at these sizes NumPy's checks and choices cost more than LAPACK itself
SYEVD, POTRF, TRTRI = get_lapack_funcs(("syevd", "potrf", "trtri"), dtype=np.float64)


class Surprise(NamedTuple):
    """What a product along c told that the model did not know.

    Attributes:
        off: ||(T_new - T_foreseen) c||.
        moved: the same for a T that was not carried on since the last measurement; of the first
            product.
        age: measurements since c was multiplied.
    """

    off: float
    moved: float
    age: float


class Residual(NamedTuple):
    """H x - theta x (P,) of a Ritz pair; the norm of its part outside the basis, and of the whole.

    An eigenvalue lies within `norm` of theta.
    """

    vector: Tensor
    outside: float
    norm: float


class Subspace:
    """The rows of `basis` span it; vectors in it are written as coordinates (size,).

    Of the Hessian within it five symmetric matrices (size, size) are kept. A product along c makes
    each right along c, at the least change elsewhere:

        model T      what the Hessian does. Exact along every direction that was multiplied since
                     `begin`; the rest is from earlier, carried on at its
        rate D       by which T changes from one measurement to the next, as far as that is learned
        doubt K      c^T K c is the share of its rate that is not learned, or no longer holds; and
        doubts V     the sum of K over the measurements since it was multiplied
        staleness S  c was last multiplied c^T S c measurements ago

    Attributes:
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
        self._images = torch.empty_like(self._rows)  # ... what became of it
        self._kind = np.float64 if like.dtype == torch.float64 else np.float32
        self._matrices = np.zeros((5, room, room))
        self._multiplied = np.zeros((room, room))
        self._resize(0)
        self._forget()

    def _resize(self, size: int) -> None:
        self.size = size
        self.basis = self._rows[:size]
        self._columns = self.basis.T
        self._all = self._matrices[:, :size, :size]
        self.model, self.doubts, self.rate, self.doubt, self.staleness = self._all
        self._diagonals = np.einsum("ijj->ij", self._all)  # a view
        self._solved: tuple[Array, Array] | None = None

    def _forget(self) -> None:
        self.products = 0
        self._outside: list[float] = []  # squared norms of what the images have outside the basis
        self._residuals: dict[int, Residual] = {}
        self._found = self._rows[:0]
        self.finite = True

    def begin(self, operator: LinearOperator) -> None:
        """A new Hessian: everything known ages by one."""
        self.operator = operator
        if self._rows.device != operator.device:
            self._rows = self._rows.to(operator.device)
            self._vectors = self._vectors.to(operator.device)
            self._images = self._images.to(operator.device)
            self._resize(self.size)
        self._all[:2] += self._all[2:4]
        self._all[2:4] *= LASTING
        self._diagonals += AGEING
        self._solved = None
        self._forget()

    @property
    def values(self) -> Array:
        return self._eigen()[0]

    @property
    def pairs(self) -> Array:
        return self._eigen()[1]

    def _eigen(self) -> tuple[Array, Array]:
        if self._solved is None:
            self._solved = _eigen(self.model)
        return self._solved

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
        self._resize(k + 1)
        self._residuals = {}
        self._all[:, k] = self._all[:, :, k] = 0
        self._diagonals[:, k] = NEW
        if self.products:  # what is multiplied has its couplings to the new vector too
            column = as_array(self._images[: self.products] @ new)
            outside = zip(self._outside, column, strict=True)
            self._outside = [max(0.0, whole - part * part) for whole, part in outside]
            couplings = column @ self.multiplied
            self.model[k, :k] = self.model[:k, k] = couplings[:k]
            self.coordinates = self._mix @ self.multiplied
        c = np.zeros(k + 1)
        c[k] = 1
        return c

    def _new(self, z: Tensor) -> Tensor | None:
        """What of z (P,) is outside the basis, as a unit vector."""
        least = 10 * torch.finfo(self._rows.dtype).eps  # below that, what is left is rounding
        norm = _norm(z)
        if not norm > 0:
            return None
        z = z / norm
        for _ in range(2):
            z = torch.addmv(z, self._columns, self.basis @ z, alpha=-1)
            norm = _norm(z)
            if not norm > least:
                return None
            z /= norm
            if norm > TWICE:  # else rounding brings back copies of what was taken out
                break
        return z

    def multiply(self, c: Array) -> Surprise:
        """One product, along the unit coordinates c orthogonal to what is multiplied already."""
        n = self.products
        image = self.operator.matvec(torch.mv(self._columns, self._tensor(c), out=self._vectors[n]))
        norm = _norm(image)
        self.finite = math.isfinite(norm)
        self.products = n + 1
        self._multiplied[n] = 0
        self._multiplied[n, : self.size] = c
        if not self.finite:
            return Surprise(math.nan, math.nan, 0.0)
        self._images[n] = image
        row = as_array(self.basis @ image)
        self._outside.append(max(0.0, norm * norm - float(row @ row)))
        self._residuals, self._found = {}, self._rows[:0]
        surprise = self._learn(c, row)
        self._solve()
        return surprise

    def _learn(self, c: Array, row: Array) -> Surprise:
        """Make the matrices right along c, now that T c is known to be `row`."""
        change = -(self._all @ c)  # (5, size)
        rate = -change[2] / LASTING
        age = max(1.0, -float(c @ change[4]))
        change[0] += row
        learned = LEARNED if age < KNOWN else 0.0
        change[2] = change[0] * (learned / age)
        change[3] *= learned
        surprise = Surprise(_length(change[0]), _length(change[0] + rate), age)
        # the symmetric matrices of least norm that take c to `change`
        half = c[:, None] * (change - 0.5 * (change @ c)[:, None] * c)[:, None, :]
        self._all += half + half.transpose(0, 2, 1)
        self._solved = None
        return surprise

    def _solve(self) -> None:
        known = self.multiplied
        if len(known) == 1:
            self.ritz, self._mix = np.array([known[0] @ self.model @ known[0]]), ONE
            self.coordinates = known
        else:
            self.ritz, self._mix = _eigen(known @ self.model @ known.T)
            self.coordinates = self._mix @ known

    def untouched(self, c: Array) -> Array | None:
        """The part of c that is not multiplied yet, as a unit vector; None when nothing is left."""
        known = self.multiplied
        for _ in range(2):
            c = c - known.T @ (known @ c)
        norm = _length(c)
        return c / norm if norm > TOUCHED else None

    def optimistic(self, off: float, moved: float) -> tuple[Array, Array]:
        """What the pairs of T may be by now, by magnitude: values (2 size,) and pairs, one a row.

        Where its rate is learned, a Rayleigh quotient of T is off by `off` more at each measurement
        since its direction was multiplied, at most; elsewhere it moves by `moved`. So these are the
        eigenvalues of T + slack, and of -T + slack.
        """
        slack = self._slack(off, moved)
        upper, lower = SYEVD(self.model + slack), SYEVD(slack - self.model)
        values = np.concatenate([upper[0], lower[0]])
        order = np.argsort(-values, kind="stable")
        return values[order], np.hstack([upper[1], lower[1]]).T[order]

    def stays_below(self, limit: float, off: float, moved: float) -> bool:
        """Whether all values of `optimistic` are below `limit`, at a tenth of its cost."""
        rest = -self._slack(off, moved)
        rest.ravel()[:: self.size + 1] += limit
        # definite, as a Cholesky factorisation of each tells
        return POTRF(rest - self.model)[1] == 0 and POTRF(rest + self.model)[1] == 0

    def _slack(self, off: float, moved: float) -> Array:
        return off * self.staleness + max(0.0, moved - off) * self.doubts

    def vector(self, c: Array) -> Tensor:
        """Coordinates (size,) or (n, size) as vectors (P,) or (n, P)."""
        return self._tensor(c) @ self.basis

    def ritz_vectors(self, count: int) -> Tensor:
        """The leading ones, (count, P); fewer when less was multiplied. Not to be written to."""
        if len(self._found) < min(count, self.products):
            self._found = self._ritz_vectors(count)
        return self._found[:count]

    def _ritz_vectors(self, count: int) -> Tensor:
        if self.products == 1:
            return self._vectors[:1].clone()
        return self._tensor(self._mix[:count]) @ self._vectors[: self.products]

    def residual(self, i: int) -> Residual:
        """Of Ritz pair i."""
        if i not in self._residuals:
            self._residuals[i] = self._residual(i)
        return self._residuals[i]

    def _residual(self, i: int) -> Residual:
        theta, n = float(self.ritz[i]), self.products
        if n == 1:
            vector = torch.add(self._images[0], self._vectors[0], alpha=-theta)
        else:
            mix = self._tensor(self._mix[i])
            vector = torch.mv(self._images[:n].T, mix)
            vector.addmv_(self._vectors[:n].T, mix, alpha=-theta)
        norm = _norm(vector)
        outside = math.sqrt(max(0.0, norm * norm - self._inside(i) @ self._inside(i)))
        if outside <= ROUNDING * torch.finfo(vector.dtype).eps * abs(self.ritz[0]):
            outside = 0.0
        return Residual(vector, outside, norm)

    def _inside(self, i: int) -> Array:
        """Coordinates of what the residual of Ritz pair i has inside the basis."""
        # T is exact along what was multiplied
        return self.model @ self.coordinates[i] - self.ritz[i] * self.coordinates[i]

    def outside_at_most(self) -> list[float]:
        """Bounds of `residual(i).outside` without a pass over P numbers."""
        return (np.abs(self._mix) @ np.sqrt(self._outside)).tolist()

    def image(self, number: int) -> tuple[Tensor, float]:
        """Of the `number`-th multiplied direction, (P,), and the norm of its part outside."""
        return self._images[number], math.sqrt(self._outside[number])

    def improve(self, count: int) -> None:
        """Turn the basis where the leading Ritz vectors should have pointed: to H x - theta x.

        One step of Davidson's method without a product: the eigenvalues outside are taken to lie
        at `BULK`. T stays as it is, which is right to first order.
        """
        found = [self.residual(i) for i in range(count)]
        if not any(one.outside > 0 for one in found):
            return
        inside = np.array([self._inside(i) for i in range(count)])
        residuals = torch.stack([one.vector for one in found])
        outside = torch.addmm(residuals, self._tensor(inside), self.basis, alpha=-1)
        steps = 1 / (self.ritz[:count, None] * (1 - BULK))
        before = self.ritz_vectors(count)
        turned = torch.addcmul(before, outside, self._tensor(steps))
        # orthonormal again: what they turn to overlaps, and rounding in the length of x would
        # come back magnified at each improvement
        turned = self._tensor(_straightening(turned)) @ turned
        self.basis.addmm_(self._tensor(self.coordinates[:count]).T, turned.sub_(before))

    def shrink(self, kept: int) -> Array:
        """Keep the leading `kept` pairs of T as the basis; returns them, one a row."""
        pairs = self.pairs[:kept]
        basis, matrices = self.vector(pairs), pairs @ self._all @ pairs.T
        self._resize(len(pairs))
        # rounding has bent the basis a little by now
        self.basis[:] = self._tensor(_straightening(basis)) @ basis
        self._all[:] = matrices
        self._forget()
        return pairs

    def state(self) -> dict[str, Tensor]:
        """The basis (size, P), and the matrices (5, size, size); `restore` takes them."""
        return {
            "basis": self.basis.cpu().clone(),
            "matrices": torch.from_numpy(self._all.copy()),
        }

    @classmethod
    def restore(cls, state: dict[str, Tensor], room: int) -> Subspace:
        """A subspace with nothing multiplied."""
        basis = state["basis"]
        space = cls(max(room, len(basis)), basis[0])
        space._resize(len(basis))
        space.basis[:] = basis
        space._all[:] = state["matrices"].numpy()
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
    factor, failed = POTRF(as_array(vectors @ vectors.T), lower=1, clean=1)
    if failed:
        raise np.linalg.LinAlgError("these vectors are not independent")
    return TRTRI(factor, lower=1)[0]


def _eigen(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues by magnitude and eigenvectors, one a row."""
    values, vectors, failed = SYEVD(matrix)
    if failed:
        raise np.linalg.LinAlgError(f"no eigenvalues of a matrix of size {len(matrix)}")
    order = np.argsort(-np.abs(values), kind="stable")
    return values[order], vectors.T[order]
