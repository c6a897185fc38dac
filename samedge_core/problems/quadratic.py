"""Problems without data: the quadratic, and the two-weight network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from samedge_core.problems.problem import Batch, Problem


class Quadratic(Problem):
    """L(w) = 1/2 w^T A w with A symmetric (P, P); its Hessian is A everywhere."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix  # (P, P)
        self.size = len(matrix)
        self.dtype = matrix.dtype

    def init(self, *, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(self.size, generator=generator, dtype=torch.float64).to(self.dtype)

    def loss(self, w: Tensor, batch: Batch | None = None) -> Tensor:
        return 0.5 * torch.dot(w, self.matrix @ w)


class TwoWeight(Problem):
    """L(a, b) = 1/2 (ab - 1)^2; at a minimum (ab = 1) the sharpness is a^2 + b^2."""

    size = 2

    def __init__(self, a: float, b: float, dtype: torch.dtype) -> None:
        self._start = (a, b)
        self.dtype = dtype

    def init(self, *, seed: int) -> Tensor:
        return torch.tensor(self._start, dtype=self.dtype)

    def loss(self, w: Tensor, batch: Batch | None = None) -> Tensor:
        return 0.5 * (w[0] * w[1] - 1).square()


def quadratic(*, eigenvalues: Sequence[float], rotated: bool, seed: int, dtype: str) -> Quadratic:
    """A with the given eigenvalues; `rotated` turns the eigenvectors by a seeded rotation."""
    matrix = torch.diag(torch.tensor(eigenvalues, dtype=torch.float64))
    if rotated:
        generator = torch.Generator().manual_seed(seed)
        gauss = torch.randn(matrix.shape, generator=generator, dtype=torch.float64)
        q, _ = torch.linalg.qr(gauss)
        matrix = q @ matrix @ q.T
        matrix = (matrix + matrix.T) / 2
    return Quadratic(matrix.to(getattr(torch, dtype)))


def two_weight(*, a: float, b: float, dtype: str) -> TwoWeight:
    """The two-weight network started at (a, b), whatever the seed."""
    return TwoWeight(a, b, getattr(torch, dtype))
