import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.theory.descent import descend
from samedge_core.theory.edges import sam_edge
from samedge_core.theory.quadratics import Quadratic, orbit_grad_norm, orbit_radius, rotation

stretches = st.floats(0.05, 1.9)  # eta lambda; near 2 the orbit attracts ever more slowly
curvatures = st.floats(0.1, 50)
radii = st.floats(1e-3, 2)


def closed_form(curvature: float, eta: float, rho: float, w0: float, steps: int) -> np.ndarray:
    """1-D SAM without a loop: |w| shrinks as m |w| - c until it is inside c/m, then it flips at
    every step and |w| - r is multiplied by -m, with m = 1 - eta lambda and c = eta rho lambda."""
    m, c = 1 - eta * curvature, eta * rho * curvature
    k = np.arange(steps + 1)
    size, sign = abs(w0), np.sign(w0)
    falling = size * m**k - c * (1 - m**k) / (1 - m)
    first = 0 if m <= 0 else int(np.argmax(falling < c / m))
    r = c / (1 + m)
    entry = falling[first]
    flips = np.maximum(k - first, 0)
    flipping = sign * (-1.0) ** flips * (r + (-m) ** flips * (entry - r))
    return np.where(k < first, sign * falling, flipping)


@given(stretch=stretches, curvature=curvatures, rho=radii, w0=st.sampled_from([-2.0, 0.3, 1.7]))
def test_1d_sam_against_its_closed_form(stretch, curvature, rho, w0):
    eta = stretch / curvature
    run = descend(Quadratic([curvature]), "sam", eta, rho, [w0], 2000)
    expected = closed_form(curvature, eta, rho, w0, 2000)
    # errors of 1 ulp of the largest term stay of that size, as no step expands an error
    scale = max(abs(w0), rho) * 1e-12 / (2 - stretch)
    np.testing.assert_allclose(run.w[:, 0], expected, rtol=0, atol=scale)


@given(stretch=stretches, curvature=curvatures, rho=radii)
def test_1d_orbit_amplitude_gradient_and_edge_to_twelve_digits(stretch, curvature, rho):
    eta = stretch / curvature
    run = descend(Quadratic([curvature]), "sam", eta, rho, [1.5], 3000)
    assert abs(run.w[-1, 0]) == pytest.approx(float(orbit_radius(curvature, eta, rho)), rel=1e-12)
    assert run.grad_norm[-1] == pytest.approx(
        float(orbit_grad_norm(curvature, eta, rho)), rel=1e-12
    )
    assert run.edge[-1] == pytest.approx(curvature, rel=1e-12)
    assert run.w[-1, 0] == pytest.approx(-run.w[-2, 0], rel=1e-12)


@pytest.mark.parametrize(("eta", "rho"), [(0.3, 0.2), (0.1, 0.05), (0.39, 1.0)])
def test_3d_sam_ends_on_the_orbit_along_the_top_eigenvector(eta, rho):
    run = descend(Quadratic([5.0, 5 / 3, 0.5]), "sam", eta, rho, (1.0, -0.7, 0.4), 20_000)
    norm = float(orbit_grad_norm(5.0, eta, rho))
    assert run.grad_norm[-1] == pytest.approx(norm, rel=1e-12)
    np.testing.assert_allclose(run.w[-1, 1:], 0, atol=1e-12)
    assert run.edge[-1] == pytest.approx(5.0, rel=1e-12)


def test_beyond_two_over_lambda_sam_diverges_and_has_no_orbit():
    assert orbit_radius(5.0, 0.4, 0.2) == np.inf
    assert orbit_grad_norm(5.0, 0.5, 0.2) == np.inf
    assert descend(Quadratic([5.0]), "sam", 0.41, 0.2, [1.0], 5000).escaped


def test_the_orbit_vanishes_with_the_radius():
    assert orbit_radius(5.0, 0.3, 0.0) == 0


def test_orbit_broadcasts_and_equals_a_loop():
    curvature, eta = np.linspace(0.5, 8, 7)[:, None], np.linspace(0.05, 0.6, 5)
    found = orbit_radius(curvature, eta, 0.2)
    for i, c in enumerate(curvature.ravel()):
        for j, e in enumerate(eta):
            expected = e * 0.2 * c / (2 - e * c) if e * c < 2 else np.inf
            assert found[i, j] == pytest.approx(expected, rel=1e-14)
    assert sam_edge(0.3, 0.2, 3.0) == pytest.approx(5.0)


def test_a_curvature_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="curvature must be > 0, got -1"):
        orbit_radius([2.0, -1.0], 0.1, 0.1)


@pytest.mark.parametrize("orbit", [orbit_radius, orbit_grad_norm])
def test_a_radius_below_zero_is_refused(orbit):
    with pytest.raises(ValueError, match="rho must be a finite number >= 0, got -1"):
        orbit(5, 0.3, -1)


def test_loss_and_gradient_in_the_plane():
    q = rotation(30) @ np.diag([5.0, 1.0]) @ rotation(30).T
    w = np.array([0.7, -1.1])
    inside = rotation(30).T @ w
    quadratic = Quadratic([5.0, 1.0])
    assert quadratic.loss(list(inside)) == pytest.approx(0.5 * w @ q @ w, rel=1e-14)
    np.testing.assert_allclose(rotation(30) @ quadratic.gradient(list(inside)), q @ w, rtol=1e-13)
