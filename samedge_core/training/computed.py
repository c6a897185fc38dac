"""What a network computes at a step, small enough to be sent while it learns; importable without
torch.

`samedge_core.training.compute` makes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_EXAMPLES = 300  # of each kind; more hide what is drawn under them


@dataclass(frozen=True)
class Examples:
    """What is drawn over what a network of one or two inputs computes: the same at all steps.

    Attributes:
        ranges: least and most of each input; d of them, 1 or 2.
        x, y: the first training examples, (n, d) with classes (n,) or values (n, 1), in float32.
        x_test, y_test: the first held-out ones.
        classes: 0 for values.
        sizes: how many training and held-out examples there are in all.
    """

    ranges: tuple[tuple[float, float], ...]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.float32]
    classes: int
    sizes: tuple[int, int]


@dataclass(frozen=True)
class Computed:
    """What the network computes at w_step, the iterate of that step's row.

    Attributes:
        values: of one input, f (m,) in float32 at evenly spaced inputs; of two, codes (rows,
            columns) in uint8 on a grid whose first row is lowest: see `encoded`.
        loss, accuracy, held_out_accuracy: at w_step; NaN where there is none.
    """

    step: int
    values: NDArray[np.float32] | NDArray[np.uint8]
    loss: float
    accuracy: float = math.nan
    held_out_accuracy: float = math.nan


def encoded(scores: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The predicted class and its lead as one byte: class * levels + lead, with levels = 256 //
    classes and the lead from 0 to levels - 1.

    `scores` (m, classes) are probabilities, or outputs trained towards 1 for the class and 0
    elsewhere; the lead is the largest minus the second, at most 1.

    >>> encoded(np.array([[1.0, 0.0], [0.5, 0.5], [-0.25, 0.5]])).tolist()
    [127, 0, 223]
    """
    levels = 256 // scores.shape[1]
    second, first = np.sort(scores, axis=1)[:, -2:].T
    lead = np.clip(first - second, 0, 1) * (levels - 1)
    return (scores.argmax(axis=1) * levels + lead.round()).astype(np.uint8)


def inside(codes: NDArray[np.uint8], label: int, classes: int) -> NDArray[np.uint8]:
    """How far inside the region of class `label` each code lies, in uint8: above 127.5 within it,
    below outside, nearer to it the smaller the lead.

    >>> inside(np.array([[127, 0, 128, 223]], dtype=np.uint8), 1, classes=2).tolist()
    [[0, 127, 128, 223]]
    """
    levels = 256 // classes
    which, lead = codes // levels, (codes % levels) * (127 / (levels - 1))
    return np.where(which == label, 128 + lead, 127 - lead).round().astype(np.uint8)
