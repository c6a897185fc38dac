"""Domain: the inputs of a network over which what it computes can be drawn, and its examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from samedge_core.problems.batches import Batch

POINTS = 201  # of a line
SIDE = 40  # of a square grid: a byte each is 1.6 KB
BORDER = 0.1  # of the examples' extent, on each side of a square
MOST_CLASSES = 3  # whose colours can be told apart, on any screen and without red or green vision

Range = tuple[float, float]


@dataclass(frozen=True)
class Domain:
    """Inputs over which outputs are drawn: of one number, or of two.

    Attributes:
        ranges: least and most of each input.
        inputs: (m, 1), evenly spaced; or (m, 2), a square grid row by row, the first input fastest.
        compute: the outputs (m, outputs) at these inputs, of the weights w (P,).
        examples, held_out: x (n, 1) with values y (n, 1), or x (n, 2) with classes y (n,).
        classes: 0 for values.
    """

    ranges: tuple[Range, ...]
    inputs: Tensor
    compute: Callable[[Tensor], Tensor]
    examples: Batch
    held_out: Batch | None
    classes: int


def domain_of(
    predict: Callable[[Tensor, Tensor], Tensor],
    w: Tensor,
    examples: Batch,
    held_out: Batch | None,
    classes: int,
) -> Domain | None:
    """Return the Domain of a network of one input and one output, or of two inputs and an output
    for each of at most MOST_CLASSES classes; None for any other.

    `predict(w, x)` are its outputs at some weights w and inputs x.
    """
    x, y = examples
    line = x.shape[1:] == y.shape[1:] == (1,) and not classes
    square = x.shape[1:] == (2,) and 0 < classes <= MOST_CLASSES
    if not (line or square) or not x.is_floating_point():
        return None
    with torch.no_grad():
        if predict(w, x[:1]).shape != (1, classes or 1):
            return None
    drawn = torch.cat([x, held_out.x]) if held_out else x
    ranges = tuple((float(each.min()), float(each.max())) for each in drawn.T)
    if square:
        ranges = tuple(_widened(*each) for each in ranges)
    inputs = _grid(ranges).to(x)
    return Domain(ranges, inputs, lambda w: predict(w, inputs), examples, held_out, classes)


def _widened(low: float, high: float) -> Range:
    border = BORDER * ((high - low) or 1.0)
    return low - border, high + border


def _grid(ranges: tuple[Range, ...]) -> Tensor:
    """The inputs in double precision."""
    count = POINTS if len(ranges) == 1 else SIDE
    axes = [torch.linspace(*each, count, dtype=torch.float64) for each in ranges]
    if len(axes) == 1:
        return axes[0][:, None]
    return torch.cartesian_prod(axes[1], axes[0]).flip(1)
