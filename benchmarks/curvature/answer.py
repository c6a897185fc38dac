"""What every method is to the benchmark: a function from weights to an Answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

__all__ = ["Answer", "Measure"]


class Answer(NamedTuple):
    """A sharpness, the Hessian-vector products that took, and whether the method says that it
    converged."""

    sharpness: float
    products: int
    converged: bool


Measure = Callable[[Tensor, int], Answer]
"""(w, seed) -> Answer; the plain module has been loaded with w."""
