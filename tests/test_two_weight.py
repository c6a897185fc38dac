import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.descent import descend
from samedge_core.two_weight import TwoWeightLandscape, loss_level, sharpness_level, valley_at

VALLEY = TwoWeightLandscape()
weights = st.floats(-5, 5)


@given(a=weights, b=weights)
def test_gradient_and_sharpness_against_autograd(a, b):
    w = torch.tensor([a, b], dtype=torch.float64)
    loss = torch.func.grad(lambda v: VALLEY.loss([v[0], v[1]]))
    np.testing.assert_allclose(VALLEY.gradient((a, b)), loss(w).numpy(), rtol=1e-10, atol=1e-12)
    hessian = torch.func.hessian(lambda v: VALLEY.loss([v[0], v[1]]))(w).numpy()
    norm = np.abs(np.linalg.eigvalsh(hessian)).max()
    assert VALLEY.sharpness((a, b)) == pytest.approx(norm, rel=1e-10, abs=1e-12)


def test_arrays_give_the_same_as_single_points():
    a, b = np.meshgrid(np.linspace(-1, 3, 5), np.linspace(0, 2, 4))
    values = VALLEY.sharpness((a, b))
    assert values.shape == (4, 5)
    assert values[2, 3] == VALLEY.sharpness((a[2, 3], b[2, 3]))


# Measured with a torch program before this module was written; two digits were noted.
@pytest.mark.parametrize(
    ("start", "eta", "end", "sharpness"),
    [
        ((3.0, 0.2), 0.3, (1.61, 0.62), 2.97),
        ((2.5, 0.6), 0.3, (2.38, 0.42), 5.83),
        ((2.5, 0.6), 0.5, (0.99, 1.01), 2.00),
    ],
)
def test_where_gd_ends(start, eta, end, sharpness):
    run = descend(VALLEY, "gd", eta, 0.0, start, 5000)
    np.testing.assert_allclose(run.w[-1], end, atol=0.006)
    assert run.sharpness[-1] == pytest.approx(sharpness, abs=0.006)


@pytest.mark.parametrize("start", [(3.0, 0.2), (2.5, 0.6)])
@pytest.mark.parametrize(("rho", "nearer"), [(0.05, 0.98), (0.2, 0.90)])
def test_sam_hops_across_the_flattest_minimum_whatever_the_start(start, rho, nearer):
    run = descend(VALLEY, "sam", 0.3, rho, start, 5000)
    inside, outside = sorted(run.w[-2:].tolist())
    np.testing.assert_allclose(inside, nearer, atol=0.006)
    assert outside[0] == pytest.approx(outside[1], abs=1e-5)
    assert outside[0] > 1
    assert run.edge[-2:].min() < run.sharpness[-2:].max()


def test_gd_stops_where_the_valley_is_flatter_than_its_edge():
    run = descend(VALLEY, "gd", 0.3, 0.0, (2.5, 0.6), 5000)
    assert run.loss[-1] < 1e-20
    assert 5.5 < run.sharpness[-1] < run.edge[-1]


@given(sharpness=st.floats(2, 100))
def test_points_of_the_valley(sharpness):
    a, b = valley_at(sharpness)
    assert a * b == pytest.approx(1, rel=1e-14)
    assert a >= b
    assert VALLEY.sharpness((a, b)) == pytest.approx(sharpness, rel=1e-9)


def test_no_minimum_is_flatter_than_two():
    assert np.isnan(valley_at(1.9)).all()


@given(loss=st.floats(1e-4, 50))
def test_points_of_a_loss_level(loss):
    a = np.linspace(0.2, 3, 9)
    for b in loss_level(loss, a):
        np.testing.assert_allclose(VALLEY.loss([a, b]), loss, rtol=1e-9)


@given(sharpness=st.floats(0.1, 50))
def test_points_of_a_sharpness_level(sharpness):
    a = np.linspace(-3, 3, 61)
    levels = sharpness_level(sharpness, a)
    found = np.isfinite(levels)
    on_it = np.broadcast_to(a, levels.shape)[found], levels[found]
    # a double root loses half of the digits
    np.testing.assert_allclose(VALLEY.sharpness(list(on_it)), sharpness, rtol=1e-6)


def test_a_sharpness_level_is_complete():
    grid = np.linspace(-4, 4, 4001)
    for a in (0.3, 1.0, 2.2):
        above = VALLEY.sharpness((np.full_like(grid, a), grid)) > 6.5
        crossings = grid[1:][np.diff(above.astype(int)) != 0]
        found = sharpness_level(6.5, np.array([a])).ravel()
        np.testing.assert_allclose(np.sort(found), crossings, atol=0.003)
