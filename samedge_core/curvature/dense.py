"""The dense Hessian: an oracle for small P."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from samedge_core.curvature.differentiation import leaf, recording, with_plain_attention


def dense_hessian(loss: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    """Return the Hessian of `loss` at w as a symmetric matrix (P, P), in w's dtype on its device.

    A second route (`torch.func`, forward over reverse) to what `HessianOperator` computes, so that
    each checks the other.

    Args:
        loss: a function of a vector (P,) with a scalar value, differentiable twice.
        w: where, (P,); not changed.

    Cost: P products of 2 to 3 gradients each, taken at once; some P times a gradient's memory.

    Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 5.

    >>> dense_hessian(lambda w: w[0] ** 2 * w[1], torch.tensor([1.0, 3.0]))
    tensor([[6., 2.],
            [2., 0.]])
    """
    with recording():
        hessian = torch.func.hessian(with_plain_attention(loss))(leaf(w).detach())
    return (hessian + hessian.T) / 2
