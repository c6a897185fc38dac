"""Quadratics, L(w) = 1/2 w^T A w, in the eigenbasis of A, and SAM's orbit on them.

Sources: P. M. Long and P. L. Bartlett, arXiv 2309.12488; P. L. Bartlett, P. M. Long and
O. Bousquet, arXiv 2210.01513 (the period-2 orbit). NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from samedge_core.theory.edges import gd_edge, usam_edge


class Quadratic:
    """L(w) = 1/2 sum_i lambda_i w_i^2; its Hessian is diag(lambda) everywhere.

    >>> Quadratic([4.0, 1.0]).sharpness([0.0, 0.0])
    4.0
    """

    def __init__(self, eigenvalues: Sequence[float]) -> None:
        self.eigenvalues = tuple(float(value) for value in eigenvalues)
        self.dimension = len(self.eigenvalues)

    def loss(self, w: Sequence[Any]) -> Any:
        """L(w)."""
        return 0.5 * sum(c * x * x for c, x in zip(self.eigenvalues, w, strict=True))

    def gradient(self, w: Sequence[Any]) -> tuple[Any, ...]:
        """The components lambda_i w_i."""
        return tuple([c * x for c, x in zip(self.eigenvalues, w, strict=True)])

    def sharpness(self, w: Sequence[Any]) -> float:
        """max |lambda_i|, the same at every w."""
        return max(abs(value) for value in self.eigenvalues)


def orbit_radius(curvature: ArrayLike, eta: ArrayLike, rho: ArrayLike) -> NDArray[np.float64]:
    """|w*| = eta rho lambda/(2 - eta lambda) of the period-2 orbit that attracts SAM.

    On a quadratic with largest eigenvalue lambda (`curvature`, > 0) SAM converges to this orbit,
    along the top eigenvector. Grows without bound as eta lambda -> 2; from there on SAM diverges,
    and the radius is inf. Arguments broadcast.

    >>> round(float(orbit_radius(5.0, 0.3, 0.2)), 12)
    0.6
    """
    product = _eta_lambda(curvature, eta)
    usam_edge(1.0, rho)  # checks rho
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = product * np.asarray(rho) / np.maximum(2 - product, 0)
    return np.where(product < 2, inside, np.inf)


def orbit_grad_norm(curvature: ArrayLike, eta: ArrayLike, rho: ArrayLike) -> NDArray[np.float64]:
    """||g*|| = eta rho lambda^2/(2 - eta lambda) on the orbit; there the SAM-edge equals lambda.

    >>> from samedge_core.theory.edges import sam_edge
    >>> round(sam_edge(0.3, 0.2, float(orbit_grad_norm(5.0, 0.3, 0.2))), 12)
    5.0
    """
    return np.asarray(curvature) * orbit_radius(curvature, eta, rho)


def _eta_lambda(curvature: ArrayLike, eta: ArrayLike) -> NDArray[np.float64]:
    curvature = np.asarray(curvature, dtype=np.float64)
    if not np.all(curvature > 0):
        raise ValueError(f"curvature must be > 0, got {curvature[~(curvature > 0)].flat[0]}")
    return 2 * curvature / gd_edge(eta)  # gd_edge checks eta


def rotation(degrees: float) -> NDArray[np.float64]:
    """The matrix (2, 2) whose columns are the eigenvectors, the first at `degrees` from the x axis.

    >>> rotation(90).round(12).tolist()
    [[0.0, -1.0], [1.0, 0.0]]
    """
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
