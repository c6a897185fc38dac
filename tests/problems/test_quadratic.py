"""Quadratic and two-weight problems against their closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.curvature import dense_hessian
from samedge_core.problems.quadratic import quadratic, two_weight

EIGENVALUES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12)


@given(EIGENVALUES, st.booleans(), st.integers(0, 2**31))
def test_the_hessian_has_exactly_the_given_eigenvalues(eigenvalues, rotated, seed):
    problem = quadratic(eigenvalues=eigenvalues, rotated=rotated, seed=seed, dtype="float64")
    matrix = problem.matrix.numpy()
    scale = max(map(abs, eigenvalues))
    np.testing.assert_array_equal(matrix, matrix.T)
    # a similarity by an orthogonal matrix, a few roundings of the largest entry each way
    np.testing.assert_allclose(
        np.linalg.eigvalsh(matrix), np.sort(eigenvalues), rtol=0, atol=1e-13 * scale + 1e-300
    )
    if not rotated:
        np.testing.assert_array_equal(matrix, np.diag(eigenvalues))


@given(EIGENVALUES, st.integers(0, 2**31))
def test_loss_and_gradient_are_the_quadratics(eigenvalues, seed):
    problem = quadratic(eigenvalues=eigenvalues, rotated=True, seed=seed, dtype="float64")
    w = problem.init(seed=seed)
    loss, g = problem.loss_and_gradient(w, None)
    a, v = problem.matrix.numpy(), w.numpy()
    scale = max(map(abs, eigenvalues)) * float(v @ v)
    # dot products of at most 12 terms
    assert float(loss) == pytest.approx(0.5 * v @ a @ v, rel=0, abs=1e-14 * scale + 1e-300)
    np.testing.assert_allclose(g.numpy(), a @ v, rtol=0, atol=1e-13 * (scale + 1e-287))


def test_the_rotation_is_seeded():
    first, again, other = (
        quadratic(eigenvalues=(3.0, 1.0), rotated=True, seed=s, dtype="float64").matrix
        for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert abs(first[0, 1]) > 1e-3  # turned away from the axes


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_two_weight_hessian_in_closed_form(a, b):
    problem = two_weight(a=a, b=b, dtype="float64")
    w = problem.init(seed=3)
    assert w.tolist() == [a, b]
    loss, g = problem.loss_and_gradient(w, None)
    residual = a * b - 1
    assert float(loss) == residual**2 / 2
    # entries up to 2e3, a rounding or two each
    np.testing.assert_allclose(g.numpy(), [residual * b, residual * a], rtol=1e-14)
    expected = [[b * b, 2 * a * b - 1], [2 * a * b - 1, a * a]]
    got = dense_hessian(lambda w: problem.loss(w), w).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@given(st.floats(0.2, 5))
def test_two_weight_sharpness_at_a_minimum(a):
    problem = two_weight(a=a, b=1 / a, dtype="float64")
    hessian = dense_hessian(lambda w: problem.loss(w), problem.init(seed=0)).numpy()
    # 0 and a^2 + b^2 <= 26, both to some roundings
    np.testing.assert_allclose(np.linalg.eigvalsh(hessian), [0, a**2 + a**-2], rtol=0, atol=1e-13)
