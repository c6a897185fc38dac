"""PlainTracker against dense Hessians along real runs, and on spectra made to mislead it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import samedge_core as se
from samedge_core.curvature import SharpnessTracker, dense_hessian
from samedge_core.curvature.plain_tracker import COLD, TOLERANCE, PlainTracker
from samedge_core.training.loop import measurements
from samedge_core.training.state import TrainState
from tests.curvature.matrices import Matrix, rotation, with_spectrum

PROMISED = 1e-3  # relative error of the sharpness, as of the compiled tracker


@pytest.mark.parametrize(
    ("name", "options", "rule", "eta", "rho", "seed"),
    [
        ("digits-mlp", {"n": 60, "width": 6}, "gd", 3.0, 0.0, 1),
        # eigenvalues cross at ReLU kinks, with the period of the hops
        ("digits-mlp", {"n": 60, "width": 6}, "sam", 2.0, 0.1, 0),
        ("chebyshev-mlp", {}, "sam", 0.2, 0.05, 0),
    ],
)
@pytest.mark.parametrize("top_k", [1, 3])
def test_eigenvalues_along_a_run_are_those_of_the_dense_hessian(
    name, options, rule, eta, rho, seed, top_k
):
    config = se.RunConfig(
        problem=name, options=options, rule=rule, eta=eta, rho=rho, seed=seed, steps=60, top_k=top_k
    )
    oracle = se.build_problem(config.replace(dtype="float64"), "plain")
    problem, checked = se.build_problem(config, "plain"), 0
    state = TrainState.initial(config, problem)
    assert isinstance(state.tracker, PlainTracker)
    w = state.w
    for row in measurements(config, problem, state):
        assert isinstance(row, se.Measurement)
        if row.step % 5 in (0, 1) and row.converged:  # of both parities
            dense = dense_hessian(lambda w: oracle.loss(w, None), w.double())
            exact = np.sort(np.abs(np.linalg.eigvalsh(dense.numpy())))[::-1][:top_k]
            found = np.abs([row.lambda_max, *row.others])
            assert np.abs(found - exact).max() <= PROMISED * exact[0]
            checked += 1
        w = state.w
    # the check must not pass because nothing converged
    assert checked >= 20


def test_two_eigenvalues_that_cross_are_both_seen():
    tracker, q = PlainTracker(seed=0), rotation(80)
    for t in range(60):
        values = [2 + 0.01 * t, 2.3 - 0.01 * t, *np.linspace(-1, 1, 78)]
        estimate = tracker.measure(with_spectrum(values, q))
        assert estimate.converged
        assert estimate.value == pytest.approx(max(values), rel=PROMISED)


def test_what_rises_from_far_below_is_found_as_it_passes():
    tracker, q = PlainTracker(seed=0), rotation(80)
    for t in range(80):
        values = [2, 0.05 * t, *np.linspace(-1, 1, 78)]
        estimate = tracker.measure(with_spectrum(values, q))
        assert estimate.value == pytest.approx(max(values), rel=PROMISED)


def test_the_leading_eigenvalue_may_be_negative():
    estimate = PlainTracker().measure(with_spectrum([-3.0, 2.5, *np.linspace(-1, 1, 50)]))
    # a Rayleigh quotient: residual squared
    assert estimate.value == pytest.approx(-3.0, rel=1e-5)


# --- degenerate operators -------------------------------------------------------------------


@pytest.mark.parametrize("values", [[0.0] * 30, [1.0] * 10, [9.0, *[0.0] * 59], [-9.0, *[0.0] * 9]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_few_different_eigenvalues(values, dtype):
    operator = Matrix(with_spectrum(values).matrix.to(dtype))
    tracker = PlainTracker(top_k=3)
    for _ in range(3):
        estimate = tracker.measure(operator)
        assert estimate.converged
        tolerance = 100 * torch.finfo(dtype).eps  # rounding in the operator's precision
        np.testing.assert_allclose(estimate.values, values[:3], rtol=0, atol=9 * tolerance)
        assert torch.isfinite(estimate.vectors).all()


@pytest.mark.parametrize("value", [-4.0, 2.5, 0.0])
def test_one_parameter(value):
    tracker = PlainTracker(top_k=3)
    for _ in range(3):
        estimate = tracker.measure(Matrix(torch.tensor([[value]], dtype=torch.float64)))
        assert estimate.values.tolist() == [pytest.approx(value, rel=1e-15)]  # v v = 1, rounded
        assert estimate.converged
        assert estimate.products == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_matrix_that_is_not_finite_gives_nan_and_is_forgotten(bad):
    good = with_spectrum(np.linspace(-1, 2, 30))
    broken = Matrix(good.matrix.clone())
    broken.matrix[3, 4] = bad
    tracker = PlainTracker(top_k=2)
    tracker.measure(good)
    estimate = tracker.measure(broken)
    assert np.isnan(estimate.values).all()
    assert np.isnan(estimate.residuals).all()
    assert len(estimate.values) == 2
    assert len(estimate.vectors) == 0
    assert not estimate.converged
    again = tracker.measure(good)
    assert again.converged
    assert again.products >= COLD
    assert again.value == pytest.approx(2.0, rel=1e-5)  # residual squared


# --- residuals and flags --------------------------------------------------------------------


@pytest.mark.parametrize("top_k", [1, 2, 5, 10])
def test_the_leading_eigenpairs_are_orthonormal_and_right(top_k):
    values = np.concatenate(
        [np.geomspace(100, 1, 12) * (-1) ** np.arange(12), np.linspace(-0.5, 0.5, 288)]
    )
    operator, tracker = with_spectrum(values), PlainTracker(top_k=top_k)
    for _ in range(2):
        estimate = tracker.measure(operator)
        assert estimate.converged
        assert len(estimate.values) == len(estimate.residuals) == len(estimate.vectors) == top_k
        assert np.all(np.diff(np.abs(estimate.values)) <= 0)
        assert np.all(estimate.residuals <= TOLERANCE * estimate.sharpness)
        products = torch.stack([operator.matvec(v) for v in estimate.vectors])
        left = products - torch.from_numpy(estimate.values)[:, None] * estimate.vectors
        np.testing.assert_allclose(left.norm(dim=1), estimate.residuals, atol=1e-12)  # rounding
        gram = estimate.vectors @ estimate.vectors.T
        torch.testing.assert_close(  # orthonormalised twice: rounding only
            gram, torch.eye(top_k, dtype=torch.float64), rtol=0, atol=1e-13
        )


@given(
    st.lists(st.sampled_from([0.0, 1e-3, -1.0, 1.0, 9.99, 10.0]), min_size=1, max_size=30),
    st.integers(0, 100),
    st.integers(1, 4),
    st.integers(1, 8),
)
def test_an_eigenvalue_lies_within_the_residual_and_the_cap_is_kept(spectrum, seed, top_k, cap):
    operator = with_spectrum(spectrum, rotation(len(spectrum), seed))
    eigenvalues = np.linalg.eigvalsh(operator.matrix.numpy())
    tracker = PlainTracker(top_k=top_k, seed=seed, cap=max(cap, top_k))
    for measurement in range(3):
        estimate = tracker.measure(operator)
        assert estimate.products <= max(cap, top_k) * (1 if measurement else 2)
        known = len(estimate.residuals)
        distance = np.abs(eigenvalues[:, None] - estimate.values).min(axis=0)
        slack = 1e-13 * np.abs(eigenvalues).max()  # rounding in a product of at most 30 terms
        assert np.all(distance[:known] <= estimate.residuals + slack)


def test_a_warm_start_costs_less_than_a_cold_one():
    operator, tracker = with_spectrum([2.0, 1.8, *np.linspace(-1, 1, 298)]), PlainTracker()
    assert tracker.measure(operator).products >= COLD
    assert tracker.measure(operator).products <= 8


# --- state ----------------------------------------------------------------------------------


def moving(steps: range):
    q = rotation(80)
    for t in steps:
        yield with_spectrum([2 + 0.01 * t, 2.2 - 0.01 * t, *np.linspace(-1, 1, 78)], q)


@pytest.mark.parametrize("top_k", [1, 3])
@pytest.mark.parametrize("taken", [0, 1, 6])
def test_a_restored_tracker_measures_the_very_same(top_k, taken):
    tracker = PlainTracker(top_k=top_k, seed=3)
    for operator in moving(range(taken)):
        tracker.measure(operator)
    state = tracker.state()
    later = [tracker.measure(operator) for operator in moving(range(taken, 20))]
    other = PlainTracker(top_k=top_k, seed=99)
    other.restore(state)
    for operator, expected in zip(moving(range(taken, 20)), later, strict=True):
        got = other.measure(operator)
        np.testing.assert_array_equal(got.values, expected.values)
        np.testing.assert_array_equal(got.residuals, expected.residuals)
        assert torch.equal(got.vectors, expected.vectors)
        assert got.products == expected.products


def test_the_state_of_the_compiled_tracker_is_refused():
    with pytest.raises(KeyError):
        PlainTracker().restore(SharpnessTracker().state())


def test_the_seed_fixes_the_noise_and_the_global_generator_is_left_alone():
    operator = with_spectrum(np.linspace(-1, 2, 60))
    before = torch.get_rng_state()
    first, again, other = (PlainTracker(seed=s).measure(operator) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.vectors, again.vectors)
    assert not torch.equal(first.vectors, other.vectors)


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_must_be_positive(top_k):
    with pytest.raises(ValueError, match=f"top_k must be >= 1, got {top_k}"):
        PlainTracker(top_k=top_k)
