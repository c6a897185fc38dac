"""The dense Hessian: an oracle for small P."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from samedge_core.curvature.differentiation import leaf, recording, with_plain_attention
from samedge_core.curvature.operator import HessianOperator

ALLOWED = {torch.float32: 1e-2, torch.float64: 1e-4}  # of rounding, also within layers in float32


def dense_hessian(loss: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    """Return the Hessian of `loss` at w as a symmetric matrix (P, P), in w's dtype on its device.

    A second route (`torch.func`, forward over reverse) to what `HessianOperator` computes, so that
    each checks the other. Of some layers, LayerNorm among them, `torch.func` gives none, or one
    that is not symmetric; then it is made of that operator's products.

    Args:
        loss: a function of a vector (P,) with a scalar value, differentiable twice.
        w: where, (P,); not changed.

    Raises:
        ValueError: the products are not symmetric either: the second derivative of a layer is wrong
            in torch.

    Cost: P products of 2 to 3 gradients each, taken at once; some P times a gradient's memory.

    Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 5.

    >>> dense_hessian(lambda w: w[0] ** 2 * w[1], torch.tensor([1.0, 3.0]))
    tensor([[6., 2.],
            [2., 0.]])
    """
    with recording():
        try:
            hessian = torch.func.hessian(with_plain_attention(loss))(leaf(w).detach())
        except NotImplementedError:  # of a part of the loss, torch has no forward derivative
            hessian = None
        if hessian is None or _asymmetry(hessian) > ALLOWED[w.dtype]:
            operator, units = HessianOperator(loss, w), torch.eye(len(w)).to(w)
            hessian = torch.stack([operator.matvec(unit) for unit in units])
        if (off := _asymmetry(hessian)) > ALLOWED[w.dtype]:
            raise ValueError(
                f"the Hessian must be symmetric, but torch's is off by {off:.2g} of its norm: the "
                "second derivative of a part of the loss, such as weight_norm, is wrong"
            )
    return (hessian + hessian.T) / 2


def _asymmetry(hessian: Tensor) -> float:
    return float((hessian - hessian.T).norm() / hessian.norm())  # NaN where it is not finite
