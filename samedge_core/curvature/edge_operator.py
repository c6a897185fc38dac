"""EdgeOperator: A = P^-1/2 H (I + s H) P^-1/2 + c I, whose leading eigenvalue meets a threshold at
the edge of an update rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.curvature.hessian_model import Vectors
from samedge_core.curvature.operator import LinearOperator


class EdgeOperator:
    """The edge operator of a rule at one w: symmetric, never formed.

    P is the positive diagonal by which the step is divided, s = rho/||g|| under SAM and 0 without.
    An eigenvector x of A is the direction P^-1/2 x in the weights. A product costs one
    Hessian-vector product, two where s is not 0. Source for s = 0: arXiv 2207.14484; with SAM this
    project's own.

    Attributes:
        size, dtype, device: of H.
        products_each: Hessian-vector products that go into one of A.
        reach, scale: as they were given.
        root: P^-1/2, None for the identity.

    >>> import torch
    >>> from samedge_core.curvature.operator import HessianOperator
    >>> h = HessianOperator(lambda w: (w * w).sum(), torch.ones(2))  # H = 2 I
    >>> EdgeOperator(h, torch.tensor([4.0, 1.0]), reach=1.0).matvec(torch.ones(2))
    tensor([1.5000, 6.0000])
    """

    def __init__(
        self,
        hessian: LinearOperator,
        preconditioner: Tensor | None = None,
        *,
        reach: float = 0.0,
        shift: float = 0.0,
        scale: float = 1.0,
    ) -> None:
        """`preconditioner` is P (P,), the identity by default; `reach` is s, `shift` c.

        All products are divided by `scale`. With about 1 + s times the curvature along the leading
        direction, the operator is nearly the same from step to step although s jumps with ||g||,
        and a tracker needs fewer products.
        """
        self.size, self.dtype, self.device = hessian.size, hessian.dtype, hessian.device
        self.products_each = 2 if reach else 1
        self._hessian, self.reach, self._shift, self.scale = hessian, reach, shift, scale
        self.root = None if preconditioner is None else preconditioner.detach().rsqrt()
        self._into: Callable[[Vectors, Vectors], None] | None = getattr(hessian, "multiply", None)
        if self._into:
            self.multiply = self._multiply

    def unscaled(self, estimate: EigenEstimate) -> EigenEstimate:
        """A tracker's estimate of this operator, as one of the operator that is not scaled."""
        values, residuals = estimate.values * self.scale, estimate.residuals * self.scale
        return replace(estimate, values=values, residuals=residuals)

    def to_weights(self, x: Tensor) -> Tensor:
        """P^-1/2 x for vectors (..., P) in the coordinates of A: directions in the weights; of a
        gradient, what it is in those coordinates."""
        return x if self.root is None else x * self.root

    def plain(self, x: Tensor) -> float:
        """x^T P^-1/2 H P^-1/2 x for a unit vector x (P,): one product of H."""
        direction = self.to_weights(x)
        return float(direction @ self._hessian.matvec(direction))

    def matvec(self, x: Tensor) -> Tensor:
        """A x for x of shape (P,)."""
        hv = self._hessian.matvec(self.to_weights(x))
        if self.reach:
            hv = hv + self.reach * self._hessian.matvec(hv)
        product = self.to_weights(hv)
        product = product + self._shift * x if self._shift else product
        return product / self.scale if self.scale != 1 else product

    def _multiply(self, v: Vectors, out: Vectors) -> None:
        """`matvec` in main memory, without what torch takes for each call."""
        assert self._into, "without it, this is no attribute"
        root = None if self.root is None else self.root.numpy()
        # torch aligns memory as MKL must have it to repeat a product to the bit
        x, hv = (torch.empty(self.size, dtype=self.dtype).numpy() for _ in range(2))
        np.multiply(v, 1 if root is None else root, out=x)
        self._into(x, hv)
        if self.reach:
            self._into(hv, x)
            x *= self.reach
            hv += x
        np.multiply(hv, (1 if root is None else root) / out.dtype.type(self.scale), out=out)
        if self._shift:
            out += v * (self._shift / self.scale)
