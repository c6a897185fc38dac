"""The step size that a noisy curvature bears, against the second moments themselves."""

import itertools

import numpy as np
import pytest

from samedge_core.theory.edges import polyak_edge
from samedge_core.theory.noisy_curvature import mean_square_eta

SETTINGS = [*itertools.product((0.5, 3.0), (0.01, 1.0, 20.0), (0.0, 0.5, 0.95))]


def growth(eta: float, mean: float, variance: float, beta: float) -> float:
    """The spectral radius of the map of E[w^2], E[w v] and E[v^2] over a step."""
    square = mean**2 + variance
    kept, kept_square = 1 - eta * mean, 1 - 2 * eta * mean + eta**2 * square
    moments = [
        [kept_square, -2 * eta * beta * kept, (eta * beta) ** 2],
        [mean - eta * square, beta * (1 - 2 * eta * mean), -eta * beta**2],
        [square, 2 * beta * mean, beta**2],
    ]
    return float(np.abs(np.linalg.eigvals(moments)).max())


@pytest.mark.parametrize(("mean", "variance", "beta"), SETTINGS)
def test_the_second_moments_neither_shrink_nor_grow_there(mean, variance, beta):
    eta = mean_square_eta(mean, variance, beta)
    # the root is simple, but another one may come close to it: half the digits
    assert growth(eta, mean, variance, beta) == pytest.approx(1, abs=1e-7)
    assert growth(0.95 * eta, mean, variance, beta) < 1 < growth(1.05 * eta, mean, variance, beta)


def test_its_ends_are_the_two_plateaus():
    assert polyak_edge(mean_square_eta(3.0, 0.0, 0.9), 0.9) == pytest.approx(3.0)
    eta = mean_square_eta(1e-9, 1.0, 0.9)  # noise alone
    assert pytest.approx(2 * (1 - 0.9) / eta) == 1.0 / 1e-9


@pytest.mark.parametrize("given", [(0, 1), (-1, 1), (1, -1), (1, 1, 1.0), (np.nan, 1), (1, np.inf)])
def test_what_can_not_be_is_refused(given):
    with pytest.raises(ValueError, match="a mean > 0, a variance >= 0 and beta in"):
        mean_square_eta(*given)
