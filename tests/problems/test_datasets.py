"""The embedded data."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from samedge_core.problems.datasets import chebyshev, digits


@pytest.mark.parametrize(("n", "n_test"), [(1, 1796), (100, 297), (1797, 0)])
def test_digits_are_the_first_n_scaled_and_centred_and_the_last_ones_held_out(n, n_test):
    images, labels = load_digits(return_X_y=True)
    x, y, x_test, y_test = digits(n, n_test)
    assert (x.shape, x_test.shape) == ((n, 64), (n_test, 64))
    first_held_out = len(images) - n_test
    np.testing.assert_array_equal(y_test, labels[first_held_out:])
    np.testing.assert_allclose(
        x_test - x[0], (images[first_held_out:] - images[0]) / 16, atol=1e-13
    )
    np.testing.assert_array_equal(y, labels[:n])
    # means of numbers up to 1: a rounding of 1e-16 for each term at most
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(x - x[0], (images[:n] - images[0]) / 16, atol=1e-13)


@pytest.mark.parametrize("n", [0, 1798])
def test_digits_has_1797_examples(n):
    with pytest.raises(ValueError, match=f"n must be from 1 to 1797, got {n}"):
        digits(n)


@pytest.mark.parametrize("n_test", [-1, 298])
def test_what_is_held_out_is_not_trained_on(n_test):
    with pytest.raises(ValueError, match=f"n_test must be from 0 to 297, got {n_test}"):
        digits(1500, n_test)


@pytest.mark.parametrize("degree", [1, 6, 20])
def test_chebyshev_is_the_cosine_of_multiples(degree):
    x, y = chebyshev(21, degree)
    assert x.shape == y.shape == (21, 1)
    np.testing.assert_allclose(x[:, 0], np.arange(-10, 11) / 10, atol=1e-15)
    # T_k(cos t) = cos(k t); |T_k'| <= k^2 = 400 times a rounding of x
    np.testing.assert_allclose(y, np.cos(degree * np.arccos(x)), atol=1e-12)
