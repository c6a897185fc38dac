"""The training examples of image problems as pictures to look at; importable without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samedge_core.problems.datasets import digit_images
from samedge_core.problems.own_data import own_arrays
from samedge_core.problems.paper_data import cifar10, mnist

Pictures = NDArray[np.uint8]


def pictures(problem: str, options: Mapping[str, Any], most: int) -> Pictures | None:
    """Return the first n training examples as uint8 (n, rows, columns) or (n, rows, columns, 3),
    n being at most `most`. None for a problem without images.

    Raises:
        DataError: the data is no longer there.
    """
    source = _SOURCES.get(problem)
    return source(options, min(options["n"], most)) if source else None


def _own(options: Mapping[str, Any], n: int) -> Pictures | None:
    x = own_arrays(options["path"], n, 0).x
    if x.ndim == 4 and x.shape[3] == 1:
        x = x[..., 0]
    if x.ndim != 3 and x.shape[3:] != (3,):
        return None  # vectors, or channels that are no colours
    if x.dtype == np.uint8:
        return x
    low, high = float(x.min()), float(x.max())
    return ((x - low) * (255 / ((high - low) or 1.0))).round().astype(np.uint8)


_SOURCES: dict[str, Callable[[Mapping[str, Any], int], Pictures | None]] = {
    **dict.fromkeys(("digits-mlp", "digits-cnn", "deep-linear"), lambda _, n: digit_images(n)),
    "mnist-mlp": lambda _, n: mnist(n, 0).x[..., 0],
    "cifar-cnn": lambda _, n: cifar10(n, 0).x,
    "own-images": _own,
}
