"""The dense Hessian: an oracle for small P."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def dense_hessian(loss: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    """The Hessian (P, P) of `loss` at w (P,) by forward over reverse; O(P) gradients of time.

    A second route (`torch.func`) to what `HessianOperator` computes, so that each checks the other.
    """
    hessian = torch.func.hessian(loss)(w.detach())
    return (hessian + hessian.T) / 2
