"""The embedded data: scikit-learn's handwritten digits, and Chebyshev polynomials."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samedge_core.problems.data import Split


@cache
def _all_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    # read from the package's file: importing scikit-learn for it costs a worker 2 s and 100 MB
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the digits come with scikit-learn, which is not installed")
    file = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)


def digits(n: int, n_test: int = 0) -> Split:
    """The first n digits: x (n, 64), pixels / 16 minus the mean image of these n, and labels (n,);
    held out, the last n_test of all, minus the same mean.

    Raises:
        ValueError: n is not from 1 to 1797, or n_test not from 0 to what n leaves.
    """
    images, labels = _all_digits()
    if not 1 <= n <= len(images):
        raise ValueError(f"n must be from 1 to {len(images)}, got {n}")
    if not 0 <= n_test <= len(images) - n:
        raise ValueError(f"n_test must be from 0 to {len(images) - n}, got {n_test}")
    x, x_test = images[:n] / 16, images[len(images) - n_test :] / 16
    mean = x.mean(axis=0)
    return Split(x - mean, labels[:n], x_test - mean, labels[len(labels) - n_test :])


def digit_images(n: int) -> NDArray[np.uint8]:
    """The first n digits as pictures (n, 8, 8); their pixels have 17 levels."""
    images, _ = _all_digits()
    return (images[:n] * (255 / 16)).round().astype(np.uint8).reshape(-1, 8, 8)


def chebyshev(n: int, degree: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x (n, 1), equally spaced on [-1, 1], and T_degree(x) (n, 1)."""
    x = np.linspace(-1, 1, n)[:, None]
    return x, np.polynomial.chebyshev.Chebyshev.basis(degree)(x)
