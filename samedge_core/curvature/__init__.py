"""Curvature: Hessian-vector products, sharpness, spectrum, and a dense oracle. Needs torch."""

from samedge_core.curvature.dense import dense_hessian
from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.curvature.operator import HessianOperator
from samedge_core.curvature.spectrum import Spectrum, spectrum
from samedge_core.curvature.tracker import SharpnessTracker, sharpness

__all__ = [
    "EigenEstimate", "HessianOperator", "SharpnessTracker", "Spectrum", "dense_hessian",
    "sharpness", "spectrum",
]  # fmt: skip
