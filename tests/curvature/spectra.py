"""Hessians whose spectra change in ways that are hard on a tracker, with their sharpness."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from samedge_core.curvature import SharpnessTracker
from samedge_core.curvature.settings import TrackerSettings
from tests.curvature.matrices import Matrix, rotation, with_spectrum

PROMISED = 1e-3
SIZE = 150
Q = rotation(SIZE)
Spectrum = Iterator[tuple[Matrix, float]]


def _beside(*leading: float, low: float = 0.0, high: float = 0.6) -> tuple[Matrix, float]:
    """These eigenvalues and a bulk; and the largest of them."""
    values = [*leading, *np.linspace(low, high, SIZE - len(leading))]
    return with_spectrum(values, Q), max(leading)


def crossing(speed: float) -> Spectrum:
    """One falls, one rises, both apart from the bulk."""
    for gap in np.arange(0.15, -0.15, -speed):
        yield _beside(1 + gap, 1 - gap, 0.84)


def rising_past_a_still_leader() -> Spectrum:
    for rising in np.arange(0.85, 1.1, 0.004):
        yield _beside(1.0, rising, 0.84)


def rising_behind_close_ones(seed: int = 0) -> Spectrum:
    noise = np.random.default_rng(seed)
    for rising in np.arange(0.8, 1.08, 0.004):
        close = np.array([1, 0.99, 0.98, 0.97]) + 0.001 * noise.standard_normal(4)
        yield _beside(*close, rising)


def appearing() -> Spectrum:
    """A leader that was never in any basis."""
    for t in range(30):
        yield _beside(2.0, 0.0 if t < 6 else 4.0, low=-1.0, high=1.0)


def appearing_beside_one() -> Spectrum:
    """The same where all else is zero, so that no image of a probe leads there."""
    for t in range(40):
        yield _beside(2.0, 0.0 if t < 20 else 4.0, high=0.0)


def rising_from_nowhere() -> Spectrum:
    """A leader that was in no basis, and comes up through the bulk."""
    for rising in np.arange(0, 1.5, 0.02):
        yield _beside(1.0, rising, high=0.8)


def leading_in_turn() -> Spectrum:
    """One leads at even, another at odd steps, as on the two sides of a kink."""
    for _ in range(25):
        yield _beside(1.0, 0.9)
        yield _beside(0.9, 1.0)


def falling_and_back() -> Spectrum:
    """The second falls, rests, and rises past the leader."""
    second = 0.998
    for t in range(30):
        second += -0.012 if t < 10 else 0.0 if t < 12 else 0.012
        yield _beside(1.0, second)


def steady() -> Spectrum:
    for _ in range(50):
        yield _beside(1.0, 0.9, 0.8)


def drifting() -> Spectrum:
    for t in range(80):
        yield _beside(1 + 0.01 * t, 0.97 + 0.01 * t, 0.84)


def turning(leading: list[float], angle: float) -> Spectrum:
    """All eigenvectors turn at random by about so much (radians) each time."""
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((SIZE, SIZE)))
    step = torch.linalg.matrix_exp(angle * (noise - noise.T) / np.sqrt(2))
    q, bulk = Q, np.linspace(-0.2, 0.6, SIZE - len(leading))
    for _ in range(60):
        q = q @ step
        yield with_spectrum([*leading, *bulk], q), leading[0]


class Outcome(NamedTuple):
    """Measurements that were low without saying so, and that said so; and all products."""

    missed: int
    unconverged: int
    products: int


def follow(spectrum: Callable[[], Spectrum], settings: TrackerSettings, *, seeds: int) -> Outcome:
    """What trackers with so many seeds make of it."""
    missed = unconverged = products = 0
    for seed in range(seeds):
        tracker = SharpnessTracker(seed=seed, settings=settings)
        for operator, sharpness in spectrum():
            estimate = tracker.measure(operator)
            missed += estimate.converged and estimate.sharpness < (1 - PROMISED) * sharpness
            unconverged += not estimate.converged
            products += estimate.products
    return Outcome(missed, unconverged, products)
