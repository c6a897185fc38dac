"""Split: arrays to train on and held-out ones; DataError: why data can't be used."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class DataError(ValueError):
    """Data that is missing or can't be used; the message shows the value and what is allowed."""


class Split(NamedTuple):
    """Inputs x (n, ...) with targets y, and the held-out ones, which may be empty."""

    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]


def first(split: Split, n: int, n_test: int) -> Split:
    """Return the first n examples and the first n_test held-out ones, or all of these if fewer.

    Raises:
        DataError: there are fewer than n.
    """
    if not 1 <= n <= len(split.x):
        raise DataError(f"n must be from 1 to {len(split.x):,}, all there are, got {n:,}")
    return Split(split.x[:n], split.y[:n], split.x_test[:n_test], split.y_test[:n_test])


def centred(split: Split, dtype: str) -> Split:
    """Return the inputs in `dtype`: pixels (uint8) / 256, floats unchanged, and the training mean
    subtracted from both parts, as in the paper."""
    x, x_test = (_scaled(part, dtype) for part in (split.x, split.x_test))
    # summed in double precision: 60,000 terms in single would be off by 1e-4 of the mean
    mean = x.mean(axis=0, dtype=np.float64).astype(dtype)
    x -= mean  # in place: full MNIST is 190 MB
    x_test -= mean
    return Split(x, split.y.astype(np.int64), x_test, split.y_test.astype(np.int64))


def _scaled(x: NDArray[Any], dtype: str) -> NDArray[Any]:
    scaled = x.astype(dtype)
    if x.dtype == np.uint8:
        scaled /= 256
    return scaled


def sequences(train: NDArray[np.uint8], held_out: NDArray[np.uint8], length: int) -> Split:
    """Return codes cut into windows of length + 1 that don't overlap: x (n, length) holds all but
    the last code of a window, y (n, length) all but the first. A shorter rest is dropped.

    Raises:
        DataError: the training text is shorter than one window.
    """
    window = length + 1
    if len(train) < window:
        raise DataError(
            f"the text must have at least {window} characters to train on (sequence length "
            f"{length}, and the one that follows), got {len(train)}"
        )
    cut = [
        part[: len(part) // window * window].reshape(-1, window).astype(np.int64)
        for part in (train, held_out)
    ]
    return Split(cut[0][:, :-1], cut[0][:, 1:], cut[1][:, :-1], cut[1][:, 1:])
