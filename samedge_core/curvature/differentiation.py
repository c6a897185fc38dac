"""How a loss is differentiated twice, in whatever modes of torch its caller is."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Function = TypeVar("Function", bound=Callable[..., Any])


@contextmanager
def recording() -> Iterator[None]:
    """A `with` block, or a function decorated, in which torch records what is computed, also inside
    the caller's `torch.no_grad()` or `torch.inference_mode()`."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def leaf(w: Tensor) -> Tensor:
    """w apart from its history, requiring a gradient; call it within `recording`."""
    w = w.detach()
    # of a tensor made in inference mode, torch records nothing
    return (w.clone() if w.is_inference() else w).requires_grad_()


class PlainAttention(TorchFunctionMode):
    """A `with` block whose attention is computed by matrix products: the fused kernels have no
    second derivative. Holds for this thread; torch's own switch holds for the process.

    Attributes:
        used: whether any attention was computed.
    """

    used = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            self.used = True
            return _attention(*args, **kwargs)
        if func is functional.multi_head_attention_forward:
            self.used = True
            # with the weights asked for, it takes no fused kernel
            outputs, weights = func(*args, **{**kwargs, "need_weights": True})
            return outputs, weights if kwargs.get("need_weights", True) else None
        return func(*args, **kwargs)


def with_plain_attention(function: Function) -> Function:
    """Return `function` as it is inside `PlainAttention`; each call costs a few microseconds for
    each of torch's functions that it calls."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with PlainAttention():
            return function(*args, **kwargs)

    return call  # pyright: ignore[reportReturnType]


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Tensor:
    """What torch computes when its fused kernels are switched off."""
    if attn_mask is not None and attn_mask.dtype == torch.bool:  # else it would add 0 and 1
        attn_mask = query.new_zeros(attn_mask.shape).masked_fill(~attn_mask, -math.inf)
    plain = torch.ops.aten._scaled_dot_product_attention_math
    return plain(query, key, value, attn_mask, dropout_p, is_causal, **options)[0]
