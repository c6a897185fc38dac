"""Subspace: an orthonormal basis, a model of the Hessian on it, and what of that is known now."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samedge_core.curvature import model, space
from samedge_core.curvature.operator import LinearOperator
from samedge_core.curvature.space import COUNTS, FINITE, NORM, PRODUCTS, SIZE, SOLVED, Array, Space


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

    What it does is compiled (`space`), so that the `Phase` does it without Python in between.

    Attributes:
        arrays: all that is kept.
    """

    def __init__(self, room: int, like: Tensor) -> None:
        """Room for so many basis vectors (P,), with the dtype of `like`; in main memory."""
        room = min(room, len(like))

        def vectors() -> NDArray[np.floating]:
            # torch aligns memory as MKL must have it to repeat a product to the bit; rows that are
            # never written cost none
            return torch.empty(room, len(like), dtype=like.dtype).numpy()

        square = (room, room)
        self.arrays = Space(
            rows=vectors(),
            vectors=vectors(),
            images=vectors(),
            found=vectors(),
            lacks=vectors(),
            turned=vectors(),
            stack=np.zeros((5, *square)),
            values=np.zeros(room),
            pairs=np.zeros(square),
            multiplied=np.zeros(square),
            outside=np.zeros(room),
            ritz=np.zeros(room),
            mix=np.zeros(square),
            coordinates=np.zeros(square),
            lengths=np.zeros((room, 2)),
            chosen=np.zeros(room),
            counts=np.zeros(len(COUNTS), dtype=np.int64),
        )
        space.forget(self.arrays)

    def begin(self, operator: LinearOperator) -> None:
        """A new Hessian: everything known ages by one."""
        self.operator = operator
        space.begin(self.arrays)

    @property
    def size(self) -> int:
        return int(self.arrays.counts[SIZE])

    @property
    def products(self) -> int:
        """Since `begin`."""
        return int(self.arrays.counts[PRODUCTS])

    @property
    def finite(self) -> bool:
        """Whether no product has overflowed."""
        return bool(self.arrays.counts[FINITE])

    @property
    def basis(self) -> Tensor:
        """The vectors, (size, P)."""
        return torch.from_numpy(self.arrays.rows[: self.size])

    @property
    def values(self) -> Array:
        """Eigenvalues of T by magnitude, (size,)."""
        space.solve(self.arrays)
        return self.arrays.values[: self.size]

    @property
    def pairs(self) -> Array:
        """Eigenvectors of T, one a row (size, size)."""
        space.solve(self.arrays)
        return self.arrays.pairs[: self.size, : self.size]

    @property
    def ritz(self) -> Array:
        """Ritz values of the multiplied directions alone, (products,): Rayleigh quotients of the
        Hessian of now, so |ritz| is never above its norm."""
        return self.arrays.ritz[: self.products]

    @property
    def coordinates(self) -> Array:
        """Of the Ritz vectors, (products, size)."""
        return self.arrays.coordinates[: self.products, : self.size]

    @property
    def multiplied(self) -> Array:
        """Coordinates of what was multiplied, (products, size)."""
        return self.arrays.multiplied[: self.products, : self.size]

    @property
    def _all(self) -> Array:
        return self.arrays.stack[:, : self.size, : self.size]

    @property
    def matrices(self) -> Matrices:
        """T, V, D, K and S, (size, size) each: views."""
        return Matrices(*self._all)

    @property
    def room(self) -> int:
        """How many vectors the basis can hold."""
        return len(self.arrays.rows)

    @property
    def full(self) -> bool:
        return self.size == self.room

    def grow(self, z: Tensor) -> Array | None:
        """Add what is new of z (P,) to the basis: its coordinates, or None when nothing is."""
        return self._chosen() if space.grow(self.arrays, as_vector(z)) else None

    def _chosen(self) -> Array:
        return self.arrays.chosen[: self.size].copy()

    def multiply(self, c: Array) -> Surprise:
        """One product, along the unit coordinates c orthogonal to what is multiplied already."""
        self.arrays.chosen[: len(c)] = c
        space.ready(self.arrays)
        self.multiply_next()
        return Surprise(*space.absorb(self.arrays))

    def multiply_next(self) -> None:
        """The product with what is `ready`, for `space.absorb` to learn from."""
        number = self.arrays.counts[PRODUCTS]
        v, image = self.arrays.vectors[number], self.arrays.images[number]
        multiply = getattr(self.operator, "multiply", None)
        if multiply:
            multiply(v, image)
        else:
            along = torch.from_numpy(v).to(self.operator.device)
            image[:] = as_vector(self.operator.matvec(along))

    def untouched(self, c: Array) -> Array | None:
        """The part of c that is not multiplied yet, as a unit vector; None when nothing is left."""
        return self._chosen() if space.untouched(self.arrays, np.ascontiguousarray(c)) else None

    def optimistic(self, off: float, moved: float) -> tuple[Array, Array]:
        """What the pairs of T may be by now, by magnitude: values (2 size,) and pairs, one a row.

        Where its rate is learned, a Rayleigh quotient of T is off by `off` more at each measurement
        since its direction was multiplied, at most; elsewhere it moves by `moved`. So these are the
        eigenvalues of T + slack, and of -T + slack.
        """
        return model.optimistic(self.arrays.stack, self.size, off, moved)

    def stays_below(self, limit: float, off: float, moved: float) -> bool:
        """Whether all values of `optimistic` are below `limit`, at a tenth of its cost."""
        return model.stays_below(self.arrays.stack, self.size, limit, off, moved)

    def vector(self, c: Array) -> Tensor:
        """Coordinates (size,) or (n, size) as vectors (P,) or (n, P)."""
        return torch.from_numpy(c.astype(self.arrays.rows.dtype)) @ self.basis

    def residual(self, i: int) -> Residual:
        """Of Ritz pair i. Its vector is overwritten by those of later products."""
        outside = space.residual(self.arrays, i)
        vector = torch.from_numpy(self.arrays.lacks[i])
        return Residual(vector, outside, float(self.arrays.lengths[i, NORM]))

    def outside_at_most(self) -> list[float]:
        """Bounds of `residual(i).outside` without a pass over P numbers."""
        return model.reach(self.arrays.mix, self.arrays.outside, self.products).tolist()

    def image(self, number: int) -> tuple[Tensor, float]:
        """Of the `number`-th multiplied direction, (P,), and the norm of its part outside."""
        outside = float(np.sqrt(self.arrays.outside[number]))
        return torch.from_numpy(self.arrays.images[number]), outside

    def improve(self, count: int) -> None:
        """Turn the basis where the leading Ritz vectors should have pointed: to H x - theta x.

        One step of Davidson's method without a product: the eigenvalues outside are taken to lie
        at `BULK`. T stays as it is, which is right to first order.
        """
        space.improve(self.arrays, count)

    def shrink(self, kept: int) -> Array:
        """Keep the leading `kept` pairs of T as the basis; returns them, one a row."""
        return space.shrink(self.arrays, kept)

    def state(self) -> dict[str, Tensor]:
        """The basis (size, P), and the matrices (5, size, size); `restore` takes them."""
        return {"basis": self.basis.clone(), "matrices": torch.from_numpy(self._all.copy())}

    @classmethod
    def restore(cls, state: dict[str, Tensor], room: int) -> Subspace:
        """A subspace with nothing multiplied."""
        basis = state["basis"]
        restored = cls(max(room, len(basis)), basis[0])
        arrays = restored.arrays
        arrays.counts[SIZE], arrays.counts[SOLVED] = len(basis), 0
        arrays.rows[: len(basis)] = basis.numpy()
        restored._all[:] = state["matrices"].numpy()
        return restored


def as_vector(tensor: Tensor) -> NDArray[np.floating]:
    """In main memory, without gaps."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
