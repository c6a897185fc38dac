"""The points of the plane: their shapes against scikit-learn and by geometry, and their draws."""

import numpy as np
import pytest
from sklearn.datasets import make_circles, make_moons

from samedge_core.problems.points import INNER, ORIGIN, SHAPES, SPREAD, points
from samedge_core.problems.registry import PROBLEMS

MANY = 3000


def clean(shape: str, seed: int = 0):
    return points(shape, MANY, 0, 0.0, seed=seed)


def test_every_shape_can_be_chosen():
    (field,) = (field for field in PROBLEMS["points-mlp"].options if field.name == "shape")
    assert set(field.choices) == set(SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_classes_share_the_points_evenly_and_all_are_there(shape):
    found = points(shape, 301, 100, 0.1, seed=3)
    counts = np.bincount(found.y)
    assert len(counts) == SHAPES[shape].classes
    assert counts.max() - counts.min() <= 1
    assert found.x.shape == (301, 2)
    assert found.x_test.shape == (100, 2)
    assert found.y_test.shape == (100,)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_seed_draws_the_same_points_and_more_of_them_begin_with_the_same(shape):
    few, many = (points(shape, n, n // 2, 0.1, seed=5) for n in (20, 80))
    np.testing.assert_array_equal(few.x, many.x[:20])
    np.testing.assert_array_equal(few.y, many.y[:20])
    np.testing.assert_array_equal(few.x_test, many.x_test[:10])
    assert not np.isin(many.x, points(shape, 80, 0, 0.1, seed=6).x).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_no_held_out_point_is_trained_on(shape):
    found = points(shape, 200, 200, 0.1, seed=0)
    assert not np.isin(found.x, found.x_test).any()


def test_circles_are_those_of_scikit_learn():
    theirs, labels = make_circles(200, shuffle=False, factor=INNER)
    angle = np.tile(np.linspace(0, 1, 100, endpoint=False), 2)
    ours = SHAPES["circles"].place(np.asarray(labels), np.stack([angle, angle], axis=1))
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_moons_are_those_of_scikit_learn_centred_and_scaled():
    theirs, labels = make_moons(200, shuffle=False)
    angle = np.tile(np.linspace(0, 1, 100), 2)
    ours = SHAPES["moons"].place(np.asarray(labels), np.stack([angle, angle], axis=1))
    np.testing.assert_allclose(1.5 * ours + [0.5, 0.25], theirs, atol=1e-12)


def test_xor_is_the_sign_of_the_product_over_the_whole_square():
    found = clean("xor")
    np.testing.assert_array_equal(found.y, (found.x.prod(axis=1) < 0).astype(int))
    quadrants = np.bincount(2 * (found.x[:, 0] > 0) + (found.x[:, 1] > 0))
    # each has a quarter; five standard deviations of a binomial count
    assert np.abs(quadrants - MANY / 4).max() < 5 * np.sqrt(MANY * 3 / 16)
    assert np.abs(found.x).max() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("arms", [2, 3])
def test_the_arm_of_a_spiral_follows_from_radius_and_angle(arms):
    found = clean("spirals" if arms == 2 else "spirals-3")
    radius = np.hypot(*found.x.T)
    turned = np.arctan2(found.x[:, 1], found.x[:, 0]) / (2 * np.pi) - (radius - ORIGIN) / (
        1 - ORIGIN
    )
    np.testing.assert_array_equal((turned * arms).round() % arms, found.y)
    assert (radius.min(), radius.max()) == pytest.approx((ORIGIN, 1), abs=0.01)


def test_blobs_are_normal_around_their_centres():
    found = clean("blobs-3")
    for k in range(3):
        its = found.x[found.y == k]
        centre = 0.6 * np.array([np.cos(2 * np.pi * k / 3), np.sin(2 * np.pi * k / 3)])
        # five standard errors of a mean, and of a standard deviation
        np.testing.assert_allclose(its.mean(axis=0), centre, atol=5 * SPREAD / np.sqrt(len(its)))
        np.testing.assert_allclose(its.std(axis=0), SPREAD, rtol=5 / np.sqrt(2 * len(its)))


def test_noise_is_normal_and_leaves_place_and_class_alone():
    noisy, bare = points("circles", MANY, 0, 0.2, seed=1), points("circles", MANY, 0, 0.0, seed=1)
    np.testing.assert_array_equal(noisy.y, bare.y)
    moved = noisy.x - bare.x
    assert moved.std() == pytest.approx(0.2, rel=5 / np.sqrt(2 * moved.size))
    assert moved.mean() == pytest.approx(0, abs=5 * 0.2 / np.sqrt(moved.size))
