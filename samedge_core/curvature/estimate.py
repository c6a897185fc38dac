"""EigenEstimate: what one measurement of the leading eigenvalues gives."""

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
        residuals: ||H x - theta x|| of each Ritz pair (k,): as near an eigenvalue lies to theta.
        vectors: orthonormal eigenvectors (k, P) as rows: the Ritz vectors, and what their residuals
            say that these lack (one step of Davidson's method).
        converged: the estimate of what is missing met its tolerance before the cap, for all k.
        products: Hessian-vector products used.
        seconds: wall time that took; the one figure here that no replay repeats.
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
        """Residual of the leading pair."""
        return float(self.residuals[0])
