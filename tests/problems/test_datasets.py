"""The embedded data."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from samedge_core.problems.datasets import chebyshev, digits


@pytest.mark.parametrize("n", [1, 100, 1797])
def test_digits_are_the_first_n_scaled_and_centred(n):
    images, labels = load_digits(return_X_y=True)
    x, y = digits(n)
    assert x.shape == (n, 64)
    np.testing.assert_array_equal(y, labels[:n])
    # means of numbers up to 1: a rounding of 1e-16 for each term at most
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(x - x[0], (images[:n] - images[0]) / 16, atol=1e-13)


@pytest.mark.parametrize("n", [0, 1798])
def test_digits_has_1797_examples(n):
    with pytest.raises(ValueError, match=f"n must be from 1 to 1797, got {n}"):
        digits(n)


@pytest.mark.parametrize("degree", [1, 6, 20])
def test_chebyshev_is_the_cosine_of_multiples(degree):
    x, y = chebyshev(21, degree)
    assert x.shape == y.shape == (21, 1)
    np.testing.assert_allclose(x[:, 0], np.arange(-10, 11) / 10, atol=1e-15)
    # T_k(cos t) = cos(k t); |T_k'| <= k^2 = 400 times a rounding of x
    np.testing.assert_allclose(y, np.cos(degree * np.arccos(x)), atol=1e-12)
