"""Power iteration on finite differences of gradients, as the code of the SAM-edge paper does it.

A reimplementation in torch with the constants of google-deepmind/sam_edge, hessian_norm.py: central
differences, so that a product costs two gradients; a random start; the end when the norm of
the product changes by less than 0.1 %, or after 100 products.

Two things make it read low. The divisor is 2 h + 1e-5 with h = 1e-3, that is 0.5 % too large. And
where the leading eigenvalues cluster, the estimate creeps: a small change is no small error.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.curvature.answer import Answer

__all__ = ["paper_sharpness"]

STEP = 1e-3  # h: how far from w the two gradients are taken
GUARD = 1e-5  # what the code adds to the divisor
CHANGE = 1e-3  # relative change of the norm at which it stops
MOST = 100


def paper_sharpness(
    gradient: Callable[[Tensor], Tensor], w: Tensor, *, seed: int, most: int = MOST
) -> Answer:
    """The norm of H v after so many iterations v <- H v / ||H v|| at w (P,)."""
    v = torch.randn(len(w), generator=torch.Generator().manual_seed(seed), dtype=w.dtype)
    v = v / (v.norm() + GUARD)
    norm, products, changing = 1.0, 0, True
    while changing and products < most:
        product = gradient(w + STEP * v) - gradient(w - STEP * v)
        product = product / (2 * STEP + GUARD)
        last, norm = norm, float(product.norm())
        v = product / norm
        products += 1
        changing = abs(norm - last) > CHANGE * norm and norm > CHANGE
    return Answer(norm, products, not changing)
