"""The balanced map, its cycles and where it loses them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.theory.balanced import (
    BOUNDED_TO,
    CROSSES_FROM,
    CYCLE_TO,
    FOUR_TO,
    balanced_step,
    bifurcations,
    bound,
    cycle_of_two,
    period,
    settled,
    spreading,
)
from samedge_core.theory.descent import descend
from samedge_core.theory.two_weight import TwoWeightLandscape


@given(a=st.floats(-1.6, 1.6), eta=st.floats(0.01, 2.5))
def test_the_map_is_gd_on_the_two_weights(a, eta):
    run = descend(TwoWeightLandscape(), "gd", eta, 0.0, [a, a], 1)
    assert run.w[1, 0] == run.w[1, 1]
    assert run.w[1, 0] == pytest.approx(float(balanced_step(a, eta)), abs=1e-13)


@given(eta=st.floats(1.0001, CYCLE_TO))
def test_the_cycle_of_two_is_one(eta):
    a, b = cycle_of_two(eta)
    assert a > b > 0
    assert float(balanced_step(a, eta)) == pytest.approx(b, abs=1e-13)
    assert float(balanced_step(b, eta)) == pytest.approx(a, abs=1e-13)
    assert a * b == pytest.approx(1 / eta, rel=1e-12)


def slope(points: np.ndarray, eta: float) -> float:
    """The multiplier of a cycle."""
    return float(np.prod(1 + eta - 3 * eta * points**2))


def test_the_cycles_lose_their_stability_where_it_is_said():
    assert slope(np.array([1.0]), 1.0) == -1
    assert slope(np.array(cycle_of_two(CYCLE_TO)), CYCLE_TO) == pytest.approx(-1, abs=1e-12)
    # the multiplier falls by some 40 for each 1 of eta
    a, eta = 0.61, FOUR_TO - 1e-4
    for _ in range(40_000):
        a *= 1 + eta - eta * a * a
    four = [a]
    for _ in range(3):
        four.append(float(balanced_step(four[-1], eta)))
    assert -1 < slope(np.array(four), eta) < -0.99
    assert period(settled(0.9, FOUR_TO + 2e-3)) == 8


@pytest.mark.parametrize(("eta", "expected"), [(0.9, 1), (1.1, 2), (1.26, 4), (1.293, 8)])
def test_periods(eta, expected):
    assert period(settled(0.4, eta)) == expected


def test_chaos_spreads_and_cycles_do_not():
    assert spreading(settled(0.4, 1.27), 1.27) < 0
    assert spreading(settled(0.4, 1.68), 1.68) > 0.1
    assert period(settled(0.4, 1.68)) == 0
    assert period(settled(0.4, 1.7)) == 6  # a window
    # at 2 the map is 2 cos(3 arccos(a/sqrt 2))/sqrt 2, whose exponent is ln 3
    orbit = settled(0.4, 2.0, 4000)
    assert spreading(orbit, 2.0) == pytest.approx(np.log(3), rel=0.03)  # 4,000 draws, 1/sqrt(n)


def test_hops_stay_bounded_to_2_and_cross_from_1_598():
    for eta in (1.0, 1.5, 1.9, BOUNDED_TO):
        peak = 2 / 3 * (1 + eta) * np.sqrt((1 + eta) / (3 * eta))  # of the cubic
        assert peak <= bound(eta) * (1 + 1e-12)
        assert (float(balanced_step(peak, eta)) < -1e-12) == (eta > CROSSES_FROM)
    assert float(balanced_step(bound(1.3), 1.3)) == pytest.approx(-bound(1.3), rel=1e-12)
    assert np.isinf(settled(0.4, 2.01)[-1])
    assert np.isinf(settled(1.01 * bound(1.2), 1.2)).all()


def test_the_diagram_has_the_orbits():
    rows, most = 241, 1.5
    found = bifurcations(0.8, 2.1, 14, most, rows)
    etas, a = np.linspace(0.8, 2.1, 14), np.linspace(-most, most, rows)
    assert found.shape == (rows, 14)
    assert (found == found[::-1]).all()
    for column, eta in enumerate(etas):
        seen = a[found[:, column] & (a > 0)]
        if eta < 1:
            np.testing.assert_allclose(seen, [1.0], atol=most / rows)
        elif eta > 1.05 and eta < CYCLE_TO:
            np.testing.assert_allclose(seen, cycle_of_two(eta)[::-1], atol=most / rows)
        elif eta > BOUNDED_TO + 1e-9:
            assert not len(seen)
