"""HessianModel and Parity a step at a time: what the tracker does in one compiled call."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from samedge_core.curvature import bounds, expansion, restart
from samedge_core.curvature import hessian_model as hm
from samedge_core.curvature.hessian_model import MATRICES, Array, HessianModel
from samedge_core.curvature.operator import LinearOperator
from samedge_core.curvature.parity import Found, Noise, Parity, absorb
from samedge_core.curvature.settings import MEASURED as S
from samedge_core.curvature.settings import TrackerSettings
from tests.curvature.matrices import Matrix

SIZE = 12
AXES = torch.eye(SIZE, dtype=torch.float64)
PROMISED = 1e-3  # relative error of the sharpness where it says that it has converged
# float64, sums of at most 60 terms, on numbers near 1
ROUNDING = 1e-13


class PredictionError(NamedTuple):
    """What `hessian_model.absorb` returns."""

    error: float
    change: float
    age: float


class Residual(NamedTuple):
    """H x - theta x (P,) of a Ritz pair; the norm of its part outside the basis, and of it all."""

    vector: Tensor
    outside: float
    norm: float


class Model:
    """A HessianModel with the products of one operator."""

    def __init__(self, room: int, like: Tensor, arrays: HessianModel | None = None) -> None:
        self.arrays = arrays or hm.new_model(room, like)

    def __getattr__(self, name: str) -> Array:
        """One of the five matrices, (size, size): a view."""
        if name not in MATRICES:
            raise AttributeError(name)
        return getattr(self.arrays, name)[: self.size, : self.size]

    def begin(self, operator: LinearOperator) -> None:
        self.operator = operator
        hm.predict(self.arrays, S.lasting)

    @property
    def size(self) -> int:
        return int(self.arrays.counts[0].dimension)

    @property
    def products(self) -> int:
        return int(self.arrays.counts[0].products)

    @property
    def finite(self) -> bool:
        return bool(self.arrays.counts[0].finite)

    @property
    def room(self) -> int:
        return len(self.arrays.basis)

    @property
    def full(self) -> bool:
        return self.size == self.room

    @property
    def basis(self) -> Tensor:
        return torch.from_numpy(self.arrays.basis[: self.size])

    @property
    def values(self) -> Array:
        hm.solve(self.arrays)
        return self.arrays.values[: self.size]

    @property
    def pairs(self) -> Array:
        hm.solve(self.arrays)
        return self.arrays.pairs[: self.size, : self.size]

    @property
    def ritz(self) -> Array:
        return self.arrays.ritz[: self.products]

    @property
    def coordinates(self) -> Array:
        return self.arrays.coordinates[: self.products, : self.size]

    @property
    def applied(self) -> Array:
        return self.arrays.applied[: self.products, : self.size]

    @property
    def matrices(self) -> Array:
        """All five, (5, size, size): a copy."""
        return np.stack([getattr(self, name) for name in MATRICES])

    def _chosen(self) -> Array:
        return self.arrays.chosen[: self.size].copy()

    def append(self, z: Tensor) -> Array | None:
        return self._chosen() if hm.append(self.arrays, hm.as_vector(z)) else None

    def remainder(self, c: Array) -> Array | None:
        c = np.ascontiguousarray(c)
        return self._chosen() if hm.choose_within(self.arrays, c, S.touched) else None

    def apply(self, c: Array) -> PredictionError:
        self.arrays.chosen[: len(c)] = c
        hm.write_direction(self.arrays)
        hm.apply(self.arrays, self.operator)
        return PredictionError(*hm.absorb(self.arrays, S.learned, S.lasting))

    def upper_bounds(self, error: float, change: float) -> tuple[Array, Array]:
        return bounds.upper_bounds(self.arrays, error, change)

    def stays_below(self, limit: float, error: float, change: float) -> bool:
        return bounds.stays_below(self.arrays, limit, error, change)

    def vector(self, c: Array) -> Tensor:
        """Coordinates (size,) or (n, size) as vectors (P,) or (n, P)."""
        return torch.from_numpy(c.astype(self.arrays.basis.dtype)) @ self.basis

    def residual(self, i: int) -> Residual:
        outside = bounds.residual(self.arrays, i)
        vector = torch.from_numpy(self.arrays.residuals[i])
        return Residual(vector, outside, float(self.arrays.residual_norms[i]))

    def residual_bounds(self) -> list[float]:
        return bounds.residual_bounds(self.arrays).tolist()

    def image(self, number: int) -> tuple[Tensor, float]:
        """H of the `number`-th direction, (P,), and the norm of its part outside the basis."""
        outside = float(np.sqrt(self.arrays.outside[number]))
        return torch.from_numpy(self.arrays.hv[number]), outside

    def correct(self, count: int) -> None:
        restart.correct(self.arrays, count, S.bulk)

    def truncate(self, kept: int) -> Array:
        return restart.truncate(self.arrays, kept)

    def state(self) -> dict[str, Tensor]:
        return hm.to_state(self.arrays)

    @classmethod
    def restore(cls, state: dict[str, Tensor], room: int) -> Model:
        return cls(room, state["basis"][0], hm.from_state(state, room))


class Stepwise(Parity):
    """A Parity whose reasons for a product are asked one by one."""

    def __init__(self, model: HessianModel, settings: TrackerSettings = S) -> None:
        super().__init__(model, settings)
        self.space = Model(0, torch.empty(0), model)

    @property
    def error(self) -> float:
        return float(self.carried.state[0].error)

    @property
    def change(self) -> float:
        return float(self.carried.state[0].change)

    def begin(self, operator: LinearOperator, noise: Noise) -> None:
        super().begin(operator, noise)
        self._apply()

    def apply(self, c: Array) -> None:
        self.model.chosen[: len(c)] = c
        hm.write_direction(self.model)
        self._apply()

    def _apply(self) -> None:
        hm.apply(self.model, self.operator)
        absorb(self.model, self.carried, self.constants[0])

    def hint(self) -> Array | None:
        return self._chosen(expansion.hint(self.model, self.carried, self.constants[0]))

    def refresh(self) -> Array | None:
        return self._chosen(expansion.refresh(self.model, self.carried, self.constants[0]))

    def probe(self) -> Array | None:
        return self._chosen(expansion.probe(self.model, self.carried, self.constants[0]))

    def _chosen(self, found: bool) -> Array | None:
        return self.model.chosen[: self.space.size].copy() if found else None

    def hints(self, noise: Noise, kept: int) -> Found:
        """End the measurement: the hints for the other parity."""
        return self.end(noise, kept)[1]


def diagonal(*values: float) -> Matrix:
    entries = torch.zeros(SIZE, dtype=torch.float64)
    entries[: len(values)] = torch.tensor(values, dtype=torch.float64)
    return Matrix(torch.diag(entries))


class Drawn:
    """Noise, and what was drawn of it."""

    def __init__(self, seed: int = 0) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self.drawn: list[Tensor] = []

    def __call__(self, operator: LinearOperator) -> Tensor:
        noise = torch.randn(operator.size, generator=self._generator, dtype=operator.dtype)
        self.drawn.append(noise / noise.norm())
        return self.drawn[-1].clone()


def silent(operator: LinearOperator) -> Tensor:
    raise AssertionError("no noise is needed here")


def known(operator: Matrix, count: int = 2, room: int = 10) -> Stepwise:
    """A parity whose basis is the first axes, all multiplied; with its leader and its scout."""
    space = Model(room, AXES[0])
    for e in AXES[:count]:
        space.append(e)
    space.begin(operator)
    for c in np.eye(count):
        space.apply(c)
    parity = Stepwise(space.arrays)
    parity.end(silent, count)
    return parity


def close(ours, expected, bound: float = ROUNDING) -> None:
    np.testing.assert_allclose(ours, expected, rtol=0, atol=bound)


def known_gap(parity: Stepwise) -> float:
    return expansion.gap_outside(parity.carried, parity.constants[0])


def told(values: list[float], *vectors: Tensor, new_leader: bool = False) -> Found:
    return Found(np.array(values), torch.stack(vectors).numpy(), new_leader)


def aged(parity: Stepwise, operator: Matrix, measurements: int) -> Stepwise:
    """After so many measurements of the leader alone, and the beginning of one more."""
    for _ in range(measurements):
        parity.begin(operator, Drawn())
    return parity
