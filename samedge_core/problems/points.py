"""Labelled points of the plane: circles, moons, spirals, XOR and blobs; importable without torch.

Circles and moons are scikit-learn's; importing it would cost a worker 2 s and 170 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from samedge_core.problems.data import Split

Array = NDArray[np.float64]
INNER = 0.5  # radius of the inner circle
SPREAD = 0.15  # standard deviation of a blob
ORIGIN = 0.1  # where a spiral begins: arms that met would share points


class Shape(NamedTuple):
    """`classes`, and the place (n, 2) of points without noise from their class k (n,) and two
    numbers of [0, 1) for each, t (n, 2)."""

    classes: int
    place: Callable[[NDArray[np.int64], Array], Array]


def _on_circle(angle: Array) -> Array:
    """Points (n, 2) of the unit circle, for angles in turns."""
    return np.stack([np.cos(2 * np.pi * angle), np.sin(2 * np.pi * angle)], axis=1)


def _circles(k: NDArray[np.int64], t: Array) -> Array:
    return np.where(k == 0, 1.0, INNER)[:, None] * _on_circle(t[:, 0])


def _moons(k: NDArray[np.int64], t: Array) -> Array:
    """scikit-learn's two half circles about their centre, (0.5, 0.25), in units of 1.5."""
    upper = _on_circle(t[:, 0] / 2)
    lower = np.array([1.0, 0.5]) - upper
    return (np.where(k[:, None] == 0, upper, lower) - [0.5, 0.25]) / 1.5


def _spirals(arms: int) -> Callable[[NDArray[np.int64], Array], Array]:
    """Arms of one turn, evenly spread; the radius grows with the angle."""

    def place(k: NDArray[np.int64], t: Array) -> Array:
        radius = ORIGIN + (1 - ORIGIN) * t[:, 0]
        return radius[:, None] * _on_circle(t[:, 0] + k / arms)

    return place


def _xor(k: NDArray[np.int64], t: Array) -> Array:
    """All over the square [-1, 1] x [-1, 1]; class 0 where both coordinates have the same sign."""
    x, y = (2 * t - 1).T
    return np.stack([x, np.abs(y) * np.sign(x) * np.where(k == 0, 1, -1)], axis=1)


def _blobs(k: NDArray[np.int64], t: Array) -> Array:
    """Normal distributions around three points of a circle, by the method of Box and Muller."""
    away = SPREAD * np.sqrt(-2 * np.log1p(-t[:, 0]))
    return 0.6 * _on_circle(k / 3) + away[:, None] * _on_circle(t[:, 1])


SHAPES = {
    "circles": Shape(2, _circles),
    "moons": Shape(2, _moons),
    "spirals": Shape(2, _spirals(2)),
    "xor": Shape(2, _xor),
    "blobs-3": Shape(3, _blobs),
    "spirals-3": Shape(3, _spirals(3)),
}


def points(shape: str, n: int, n_test: int, noise: float, *, seed: int) -> Split:
    """x (n, 2), within [-1, 1] but for the noise, and classes (n,), each as often as the others;
    held out, n_test points drawn in the same way.

    `noise` is the standard deviation of what is added to each coordinate. More points of the same
    seed begin with the same ones.
    """
    of = SHAPES[shape]
    train, test = _drawn(of, n, noise, [seed, 0]), _drawn(of, n_test, noise, [seed, 1])
    return Split(*train, *test)


def _drawn(shape: Shape, n: int, noise: float, seed: list[int]) -> tuple[Array, NDArray[np.int64]]:
    where, errors = (np.random.default_rng([*seed, draw]) for draw in (0, 1))
    k = np.arange(n) % shape.classes
    return shape.place(k, where.random((n, 2))) + noise * errors.standard_normal((n, 2)), k
