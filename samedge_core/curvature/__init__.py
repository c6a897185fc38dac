"""Curvature: Hessian-vector products, sharpness, spectrum, and a dense oracle.

What needs torch is imported on first use: messages that name a `Spectrum` must not load it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from samedge_core.curvature import kernels as kernels  # before numba
from samedge_core.curvature.spectral_density import Spectrum

if TYPE_CHECKING:
    from samedge_core.curvature.dense import dense_hessian
    from samedge_core.curvature.estimate import EigenEstimate
    from samedge_core.curvature.lanczos_quadrature import spectrum
    from samedge_core.curvature.operator import HessianOperator
    from samedge_core.curvature.tracker import SharpnessTracker, sharpness

_ON_FIRST_USE = {
    "EigenEstimate": "estimate",
    "HessianOperator": "operator",
    "SharpnessTracker": "tracker",
    "dense_hessian": "dense",
    "sharpness": "tracker",
    "spectrum": "lanczos_quadrature",
}

__all__ = [
    "EigenEstimate",
    "HessianOperator",
    "SharpnessTracker",
    "Spectrum",
    "dense_hessian",
    "sharpness",
    "spectrum",
]


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        module = importlib.import_module(f"samedge_core.curvature.{_ON_FIRST_USE[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
