"""HessianOperator: loss, gradient and Hessian-vector products at one w, from retained graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from samedge_core.curvature.differentiation import leaf, recording, with_plain_attention

RETAINED = 24  # graphs kept at once; the products of further terms build theirs anew


class LinearOperator(Protocol):
    """What the tracker and the spectrum need of H: a symmetric linear map on vectors (size,) of
    this dtype and on this device.

    One in main memory may have `multiply(v, out)` too, with vectors (P,) of NumPy. One of the form
    R F R may have `root`, the diagonal R (P,): where R alone changes, a tracker knows what follows.
    """

    size: int
    dtype: torch.dtype
    device: torch.device

    def matvec(self, v: Tensor, /) -> Tensor: ...


class HessianOperator:
    """H = Hessian of `loss` at w, as a linear map; never formed.

    Building it costs about 1.15 gradients and yields the gradient that the optimiser needs anyway;
    each product then costs 1.2 to 2 gradients (reverse over reverse on the same graph). All is
    recorded also inside `torch.no_grad()` and `torch.inference_mode()`. Threads may share it.

    Attributes:
        value: L(w), a scalar tensor.
        g: grad L(w), shape (P,).
        size, dtype, device: P, and of w.
        products: Hessian-vector products computed so far.

    >>> h = HessianOperator(lambda w: 0.5 * (w[0] * w[1] - 1) ** 2, torch.tensor([1.0, 1.0]))
    >>> h.matvec(torch.tensor([1.0, 0.0]))
    tensor([1., 1.])

    Source: Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6, 1994.
    """

    def __init__(
        self,
        loss: Callable[[Tensor], Tensor] | Sequence[Callable[[Tensor], Tensor]],
        w: Tensor,
        *,
        retained: int = RETAINED,
    ) -> None:
        """Differentiate the loss at w once.

        Args:
            loss: a function of w (P,) with a scalar value, or several whose sum is the loss: the
                data in chunks. It must be differentiable twice; the attention of one function is
                computed by matrix products, as torch's fused kernels are not.
            w: where, (P,); not changed. Everything is computed in its dtype, on its device.
            retained: the graphs of so many functions are kept, so that memory does not grow with
                the data; the products of the others cost a gradient more.

        Raises:
            TypeError: w, or what `loss` returns, is no tensor.
            ValueError: w is no vector of P >= 1 numbers in float32 or float64, or `loss` returns no
                scalar.
        """
        if not isinstance(w, Tensor):
            raise TypeError(f"w must be a torch.Tensor of shape (P,), got {type(w).__name__}")
        kind = str(w.dtype).removeprefix("torch.")
        if w.dim() != 1 or not w.is_floating_point() or not len(w):
            raise ValueError(
                f"w must have shape (P,) and a floating-point type, got {tuple(w.shape)} of {kind}"
            )
        if w.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"w must be float32 or float64, got {kind}: call w.float() first")
        terms = [with_plain_attention(loss)] if callable(loss) else list(loss)
        self._graphs: list[Tensor] = []  # gradients of the first terms, each with its graph
        self._rebuilt = terms[retained:]
        with recording():
            self._w = leaf(w)
            self.value, self.g = w.new_zeros(()), torch.zeros_like(w).detach()
            for number, term in enumerate(terms):
                value, g = self._differentiate(term)
                self.value = self.value + value
                self.g = self.g + g.detach()
                if number < retained:
                    self._graphs.append(g)
        self.size = self._w.numel()
        self.dtype = self._w.dtype
        self.device = self._w.device
        self.products = 0

    def matvec(self, v: Tensor) -> Tensor:
        """H v, shape (P,), for v of shape (P,), w's dtype and device."""
        self.products += 1
        with recording():
            return self._sum_of_products(v.detach())

    def _sum_of_products(self, v: Tensor) -> Tensor:
        product = torch.zeros_like(v)
        for g in self._graphs:
            product = product + self._product(g, v, retain=True)
        for term in self._rebuilt:
            product = product + self._product(self._differentiate(term)[1], v, retain=False)
        return product

    def _differentiate(self, term: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """A term's value, detached, and its gradient with the graph."""
        value = term(self._w)
        if not isinstance(value, Tensor):
            raise TypeError(f"loss must return a torch.Tensor, got {type(value).__name__}")
        if value.ndim != 0:
            raise ValueError(f"loss must return a scalar, got shape {tuple(value.shape)}")
        if not value.requires_grad:  # a loss that does not depend on w
            self._check_constant(term, value)
            return value, torch.zeros_like(self._w).detach()
        (g,) = torch.autograd.grad(value, self._w, create_graph=True, materialize_grads=True)
        return value.detach(), g

    def _check_constant(self, term: Callable[[Tensor], Tensor], value: Tensor) -> None:
        w = self._w.detach()
        other = term(w + 0.01 * w.abs().clamp(min=1))
        if value.isfinite() and other.isfinite() and other != value:
            raise ValueError(
                f"loss changes with w ({float(value):.6g}, {float(other):.6g} nearby), but torch "
                "has recorded no derivative: compute it from w by torch alone, without .detach(), "
                ".item(), .numpy() or torch.no_grad()"
            )

    def _product(self, g: Tensor, v: Tensor, *, retain: bool) -> Tensor:
        # a loss linear in w has a gradient without a graph: its Hessian is zero
        if not g.requires_grad:
            return torch.zeros_like(v)
        (product,) = torch.autograd.grad(
            g, self._w, grad_outputs=v, retain_graph=retain, materialize_grads=True
        )
        return product
