import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.theory.descent import descend
from samedge_core.theory.two_weight import (
    TwoWeightLandscape,
    loss_level,
    sharpness_level,
    valley_at,
)

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


@given(sharpness=st.floats(0.51, 50))
def test_points_of_a_sharpness_level(sharpness):
    for curve in sharpness_level(sharpness):
        found = curve[:, np.isfinite(curve[0])]
        # where the curve turns back a rounding error of 1e-16 is one of 1e-8 in b
        np.testing.assert_allclose(VALLEY.sharpness(list(found)), sharpness, rtol=1e-6)


@pytest.mark.parametrize("sharpness", [0.8, 2.0, 6.5])
def test_a_sharpness_level_is_complete(sharpness):
    """Every change of side on a fine grid lies at the curve."""
    curve = np.hstack(sharpness_level(sharpness, points=2001))
    curve = curve[:, np.isfinite(curve[0])]
    grid = np.linspace(-4, 4, 401)
    a, b = np.meshgrid(grid, grid)
    above = VALLEY.sharpness([a, b]) > sharpness
    i, j = np.nonzero(above[1:] != above[:-1])
    crossings = np.stack([a[i, j], b[i, j]])
    distance = np.hypot(*(crossings[:, :, None] - curve[:, None, :])).min(axis=1)
    assert distance.max() < 0.03  # the grid is 0.02 apart


def test_no_point_is_flatter_than_one_half():
    assert sharpness_level(0.5) == []
    grid = np.linspace(-3, 3, 301)
    assert VALLEY.sharpness(np.meshgrid(grid, grid)).min() > 0.5
