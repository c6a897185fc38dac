"""EigenEstimate: the result of one measurement of the leading eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class EigenEstimate:
    """Leading eigenpairs, largest magnitude first.

    Attributes:
        values: signed eigenvalues (k,), k = min(top_k, P).
        residuals: ||H x - theta x|| of each Ritz pair (k,), within which an eigenvalue lies.
        vectors: orthonormal rows (k, P): the Ritz vectors; those of `SharpnessTracker` after one
            Davidson correction from their residuals.
        converged: for all k, the estimated error met its tolerance before the cap on products.
        products: Hessian-vector products used.
        seconds: wall time; the one figure here that a replay does not reproduce.
    """

    values: NDArray[np.float64]
    residuals: NDArray[np.float64]
    vectors: Tensor
    converged: bool
    products: int
    seconds: float = 0.0

    @property
    def value(self) -> float:
        """The signed eigenvalue of largest magnitude."""
        return float(self.values[0])

    @property
    def sharpness(self) -> float:
        """The operator norm |lambda_1|, what the paper plots."""
        return abs(self.value)

    @property
    def residual(self) -> float:
        """The residual of the leading pair."""
        return float(self.residuals[0])
