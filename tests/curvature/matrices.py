"""Matrices as operators, with spectra of one's choice."""

from collections.abc import Sequence

import numpy as np
import torch


class Matrix:
    """A symmetric matrix as an operator."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self.matrix, self.size = matrix, len(matrix)
        self.dtype, self.device = matrix.dtype, matrix.device

    def matvec(self, v: torch.Tensor, /) -> torch.Tensor:
        return self.matrix @ v


def rotation(size: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]


def with_spectrum(values: Sequence[float] | np.ndarray, q: torch.Tensor | None = None) -> Matrix:
    """A rotated matrix with these eigenvalues."""
    diagonal = torch.as_tensor(np.asarray(values, dtype=np.float64))
    q = rotation(len(diagonal)) if q is None else q
    matrix = q @ torch.diag(diagonal) @ q.T
    return Matrix((matrix + matrix.T) / 2)
