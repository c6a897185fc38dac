"""The reference: ARPACK in float64 on Hessian-vector products of plain torch modules."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from benchmarks.curvature.arpack import largest, on_arrays
from benchmarks.curvature.plain import Plain

__all__ = ["true_sharpness"]

TOLERANCE = 1e-8


def true_sharpness(twin: Plain, w: Tensor, *, seed: int) -> float:
    """||H||_op at w (P,), from a random start; `twin` is the network in float64."""
    twin.load(w)
    product = on_arrays(twin.hessian())
    return largest(product, twin.size, dtype=np.float64, tolerance=TOLERANCE, seed=seed)
