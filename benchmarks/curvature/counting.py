"""Counting Hessian-vector products where a library does not tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

__all__ = ["Counted", "count_backward"]


class Counted:
    """A function that counts its calls.

    >>> f = Counted(abs)
    >>> f(-1) + f(-2), f.calls
    (3, 2)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.calls = 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self._function(*args)


def count_backward(gradient: Tensor) -> Counted:
    """Counts the passes back through the graph of `gradient`: one for each product H v."""
    counted = Counted(lambda _: None)
    if not gradient.requires_grad:
        raise ValueError("the gradient has no graph: no product can be taken")
    gradient.register_hook(counted)
    return counted
