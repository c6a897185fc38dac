"""Subspace: an orthonormal basis, a model of the Hessian on it, and what of that is known now."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samedge_core.curvature import model, passes
from samedge_core.curvature.operator import LinearOperator

__all__ = ["Array", "Residual", "Subspace", "Surprise"]

ROUNDING = 100  # what an image has outside the basis below this many units of rounding is nothing
BULK = 0.3  # where, relative to the sharpness, the eigenvalues outside the basis are taken to lie

Array = NDArray[np.float64]
NONE = np.empty((0, 0))


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


class Matrices(NamedTuple):
    """As `Subspace` says."""

    model: Array
    doubts: Array
    rate: Array
    doubt: Array
    staleness: Array


class Subspace:
    """The rows of `basis` span it; vectors in it are written as coordinates (size,).

    Of the Hessian within it five symmetric matrices (size, size) are kept. A product along c makes
    each right along c, at the least change elsewhere:

        model T      what the Hessian does. Exact along every direction that was multiplied since
                     `begin`; the rest is from earlier, carried on at its rate
        doubts V     the sum of K over the measurements since it was multiplied
        rate D       by which T changes from one measurement to the next, as far as that is learned
        doubt K      c^T K c is the share of its rate that is not learned, or no longer holds
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
        """Room for so many basis vectors (P,), with the dtype of `like`; in main memory."""
        room = min(room, len(like))
        # rows that are never written cost no memory
        self._rows, self._vectors, self._images, self._lacks, self._turned = (
            # torch aligns memory as MKL must have it to repeat a product to the bit
            torch.empty(room, len(like), dtype=like.dtype).numpy()
            for _ in range(5)
        )
        self._eps = torch.finfo(like.dtype).eps
        self._stack = np.zeros((5, room, room))
        self._multiplied = np.zeros((room, room))
        self._outside = np.zeros(room)  # squared norms of what the images have outside the basis
        self._resize(0)
        self._forget()

    def _resize(self, size: int) -> None:
        self.size = size
        self._solved: tuple[Array, Array] | None = None

    def _forget(self) -> None:
        self.products = 0
        self.coordinates = self._mix = NONE
        self._residuals: dict[int, Residual] = {}
        self._found = self._rows[:0]  # Ritz vectors
        self.finite = True

    def begin(self, operator: LinearOperator) -> None:
        """A new Hessian: everything known ages by one."""
        self.operator = operator
        model.carry_on(self._stack, self.size)
        self._solved = None
        self._forget()

    @property
    def basis(self) -> Tensor:
        """The vectors, (size, P)."""
        return torch.from_numpy(self._rows[: self.size])

    @property
    def values(self) -> Array:
        return self._eigen()[0]

    @property
    def pairs(self) -> Array:
        return self._eigen()[1]

    def _eigen(self) -> tuple[Array, Array]:
        if self._solved is None:
            self._solved = model.foreseen(self._stack, self.size)
        return self._solved

    @property
    def _all(self) -> Array:
        return self._stack[:, : self.size, : self.size]

    @property
    def matrices(self) -> Matrices:
        """T, V, D, K and S, (size, size) each: views."""
        return Matrices(*self._all)

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
        k, mix = self.size, self._mix
        new, coordinates = passes.grow(
            as_vector(z), self._rows, k, self._images, self._stack, self._multiplied, mix,
            self._outside,
        )  # fmt: skip
        if not new:
            return None
        self._resize(k + 1)
        self._residuals, self.coordinates = {}, coordinates
        c = np.zeros(k + 1)
        c[k] = 1
        return c

    def multiply(self, c: Array) -> Surprise:
        """One product, along the unit coordinates c orthogonal to what is multiplied already."""
        n = self.products
        passes.combine(c, self._rows, self._vectors[n])
        v = torch.from_numpy(self._vectors[n])
        image = as_vector(self.operator.matvec(v.to(self.operator.device)))
        row, outside = passes.take(image, self._rows, self.size, self._images, n)
        self.finite = math.isfinite(outside)
        self.products = n + 1
        if not self.finite:
            return Surprise(math.nan, math.nan, 0.0)
        self._outside[n] = max(0.0, outside)
        self._residuals, self._found, self._solved = {}, self._rows[:0], None
        surprise, (self.ritz, self._mix, self.coordinates) = model.learn(
            self._stack, self.size, c, row, self._multiplied, n
        )
        return Surprise(*surprise)

    def untouched(self, c: Array) -> Array | None:
        """The part of c that is not multiplied yet, as a unit vector; None when nothing is left."""
        rest, left = model.untouched(self._multiplied, self.products, c)
        return rest if left else None

    def optimistic(self, off: float, moved: float) -> tuple[Array, Array]:
        """What the pairs of T may be by now, by magnitude: values (2 size,) and pairs, one a row.

        Where its rate is learned, a Rayleigh quotient of T is off by `off` more at each measurement
        since its direction was multiplied, at most; elsewhere it moves by `moved`. So these are the
        eigenvalues of T + slack, and of -T + slack.
        """
        return model.optimistic(self._stack, self.size, off, moved)

    def stays_below(self, limit: float, off: float, moved: float) -> bool:
        """Whether all values of `optimistic` are below `limit`, at a tenth of its cost."""
        return model.stays_below(self._stack, self.size, limit, off, moved)

    def forms(self, c: Array) -> tuple[float, float, float]:
        """c^T c, c^T T c and c^T S c."""
        return model.forms(self._stack, self.size, c)

    def coordinates_of(self, vector: Tensor) -> Array:
        """Of what a vector (P,) has inside the basis, (size,)."""
        return passes.project(self._rows, self.size, as_vector(vector))

    def vector(self, c: Array) -> Tensor:
        """Coordinates (size,) or (n, size) as vectors (P,) or (n, P)."""
        return torch.from_numpy(c.astype(self._rows.dtype)) @ self.basis

    def ritz_vectors(self, count: int) -> Tensor:
        """The leading ones, (count, P); fewer when less was multiplied. Not to be written to."""
        count = min(count, self.products)
        if len(self._found) < count:
            self._found = np.empty_like(self._rows[:count])
            for i in range(count):
                passes.combine(self._mix[i], self._vectors, self._found[i])
        return torch.from_numpy(self._found[:count])

    def residual(self, i: int) -> Residual:
        """Of Ritz pair i. Its vector is overwritten by those of later products."""
        if i not in self._residuals:
            self._residuals[i] = self._residual(i)
        return self._residuals[i]

    def _residual(self, i: int) -> Residual:
        vector, theta = self._lacks[i], self.ritz[i]
        norm = passes.residual(self._mix[i], theta, self._images, self._vectors, vector)
        inside = self._inside(i)
        outside = math.sqrt(max(0.0, norm * norm - float(inside @ inside)))
        if outside <= ROUNDING * self._eps * abs(self.ritz[0]):
            outside = 0.0
        return Residual(torch.from_numpy(vector), outside, norm)

    def _inside(self, i: int) -> Array:
        """Coordinates of what the residual of Ritz pair i has inside the basis."""
        # T is exact along what was multiplied
        return model.inside(self._stack, self.size, self.ritz[i], self.coordinates[i])

    def outside_at_most(self) -> list[float]:
        """Bounds of `residual(i).outside` without a pass over P numbers."""
        return model.reach(self._mix, self._outside, self.products).tolist()

    def image(self, number: int) -> tuple[Tensor, float]:
        """Of the `number`-th multiplied direction, (P,), and the norm of its part outside."""
        return torch.from_numpy(self._images[number]), math.sqrt(self._outside[number])

    def improve(self, count: int) -> None:
        """Turn the basis where the leading Ritz vectors should have pointed: to H x - theta x.

        One step of Davidson's method without a product: the eigenvalues outside are taken to lie
        at `BULK`. T stays as it is, which is right to first order.
        """
        found = [self.residual(i) for i in range(count)]
        if not any(one.outside > 0 for one in found):
            return
        self.ritz_vectors(count)
        inside = np.array([self._inside(i) for i in range(count)])
        steps = 1 / (self.ritz[:count] * (1 - BULK))
        passes.improve(
            self._rows, self._lacks, inside, steps, self._found, self.coordinates, self._turned
        )

    def shrink(self, kept: int) -> Array:
        """Keep the leading `kept` pairs of T as the basis; returns them, one a row."""
        pairs = self.pairs[:kept]
        matrices = pairs @ self._all @ pairs.T
        passes.shrink(pairs, self._rows, self._turned)
        self._resize(len(pairs))
        self._all[:] = matrices
        self._forget()
        return pairs

    def state(self) -> dict[str, Tensor]:
        """The basis (size, P), and the matrices (5, size, size); `restore` takes them."""
        return {
            "basis": self.basis.clone(),
            "matrices": torch.from_numpy(self._all.copy()),
        }

    @classmethod
    def restore(cls, state: dict[str, Tensor], room: int) -> Subspace:
        """A subspace with nothing multiplied."""
        basis = state["basis"]
        space = cls(max(room, len(basis)), basis[0])
        space._resize(len(basis))
        space._rows[: len(basis)] = basis.numpy()
        space._all[:] = state["matrices"].numpy()
        return space


def as_vector(tensor: Tensor) -> NDArray[np.floating]:
    """In main memory."""
    return tensor.detach().cpu().numpy()
