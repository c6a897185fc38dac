"""BatchSharpness: the curvature of mini-batches along their gradients; importable without torch.

`samedge_core.training.over_batches` measures it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEANINGLESS = (
    "With the full batch there is one gradient, and once its oscillation has died it points where "
    "the curvature is low: the value then is far below 2/η although the run is at its edge."
)


@dataclass(frozen=True)
class BatchSharpness:
    r"""The batch sharpness E_B[g_B^T H_B g_B / ||g_B||^2] at one w, with its standard error.

    g_B and H_B are gradient and Hessian of the loss on mini-batch B. Under SGD its mean goes to
    2/eta, while lambda_1 of the full loss stays below; with the full batch it means nothing.

    Attributes:
        values: of each batch, (n,); NaN where its gradient is 0 or its curvature not finite. These
            are left out of mean and error.
        batch_size: examples a batch.

    Source: Andreyev and Beneventano, arXiv 2412.20553.

    >>> found = BatchSharpness(np.array([1.0, 2.0, 3.0, np.nan]), 10)
    >>> found.mean, found.variance, round(found.error, 3), found.batches
    (2.0, 1.0, 0.577, 3)
    """

    values: NDArray[np.float64]
    batch_size: int

    @property
    def _known(self) -> NDArray[np.float64]:
        return self.values[np.isfinite(self.values)]

    @property
    def batches(self) -> int:
        """How many batches it is the mean of."""
        return len(self._known)

    @property
    def mean(self) -> float:
        """The batch sharpness, in the unit of an eigenvalue of H; NaN without a batch."""
        return float(self._known.mean()) if self.batches else math.nan

    @property
    def variance(self) -> float:
        """Of the values between batches; NaN of fewer than two."""
        return float(self._known.var(ddof=1)) if self.batches > 1 else math.nan

    @property
    def error(self) -> float:
        """The standard error of `mean`; NaN of fewer than two batches."""
        return math.sqrt(self.variance / self.batches) if self.batches > 1 else math.nan
