"""SciPy's ARPACK for one eigenvalue of largest magnitude."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

__all__ = ["Product", "largest", "on_arrays"]

Product = Callable[[NDArray], NDArray]


def largest(matvec: Product, size: int, *, dtype: DTypeLike, tolerance: float, seed: int) -> float:
    """|lambda_1| of the symmetric `matvec` on vectors of `size`, from a random start.

    Raises:
        ArpackNoConvergence (a RuntimeError): not within 10 * size restarts.
    """
    # SciPy's stubs know neither the constructor's keywords nor that tol is a float
    linear = LinearOperator((size, size), matvec=matvec, dtype=dtype)  # pyright: ignore
    start = np.random.default_rng(seed).standard_normal(size).astype(dtype)
    value = eigsh(
        linear,
        k=1,
        which="LM",
        tol=tolerance,  # pyright: ignore[reportArgumentType]
        v0=start,
        return_eigenvectors=False,
    )
    return float(abs(value[0]))


def on_arrays(product: Callable[[Tensor], Tensor]) -> Product:
    """A product on tensors as one on arrays."""
    return lambda v: product(torch.from_numpy(v.reshape(-1).copy())).numpy()
