"""Curvature: Hessian-vector products, the sharpness tracker, and a dense oracle. Needs torch."""

from samedge_core.curvature.dense import dense_hessian
from samedge_core.curvature.operator import HessianOperator
from samedge_core.curvature.tracker import EigenEstimate, SharpnessTracker, sharpness

__all__ = ["EigenEstimate", "HessianOperator", "SharpnessTracker", "dense_hessian", "sharpness"]
