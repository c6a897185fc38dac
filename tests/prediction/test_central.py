"""SAM's central flow against closed forms, the run, and the flow of centre and hop."""

import math

import numpy as np
import pytest

import samedge_core as se
from samedge_core.prediction.central import amplitude
from tests.prediction.test_flows import CHEBYSHEV, midpoints


@pytest.mark.parametrize(("eta", "rho"), [(0.2, 0.1), (0.1, 0.05), (0.3, 0.2)])
def test_without_a_gradient_across_the_amplitude_is_that_of_sams_orbit(eta, rho):
    radius = float(se.orbit_radius(6.0, eta, rho))
    assert amplitude(6.0, eta, rho, 0.0) == pytest.approx(radius, rel=1e-12)
    norm = float(se.orbit_grad_norm(6.0, eta, rho))
    # what the gradient across has of ||g||, the hop has not
    assert amplitude(6.0, eta, rho, 0.6 * norm) == pytest.approx(0.8 * radius, rel=1e-12)
    assert amplitude(6.0, eta, rho, 1.01 * norm) == 0.0


@pytest.mark.parametrize("sharpness", [-1.0, 0.0, 10.0, 10.3])
def test_where_sam_has_no_orbit_there_is_no_amplitude(sharpness):
    assert math.isnan(amplitude(sharpness, 0.2, 0.1, 0.0))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_sharpness_at_midpoints_is_that_of_the_run(seed):
    config = CHEBYSHEV.replace(steps=600, seed=seed)
    steps, measured = midpoints(config, every=10)
    found = se.predict(config, flow="central")
    off = np.abs(found.columns()["sharpness"][steps] / measured - 1)
    assert np.median(off) < 5e-4  # measured: 1.4e-4 at most
    assert found.median_cosine > 0.99
    # the hop that centre and hop find step by step is the formula's
    hop = se.predict(config)
    sizes = [one.columns()["amplitude"][300:] for one in (found, hop)]
    np.testing.assert_allclose(*sizes, rtol=0.02)


def test_it_does_not_depend_on_the_length_of_its_steps():
    config = CHEBYSHEV.replace(steps=401)
    long, short = (se.predict(config, flow="central", every=n).columns() for n in (10, 1))
    np.testing.assert_allclose(long["sharpness"][2:], short["sharpness"][20::10], rtol=1e-3)


def test_another_rule_has_none():
    with pytest.raises(se.ConfigError, match=r"SAM's central flow .* got GD"):
        se.predict(CHEBYSHEV.replace(rule="gd"), flow="central")
