"""SharpnessTracker against ARPACK along real runs, and on spectra made to mislead it."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import aslinearoperator, eigsh

import samedge_core as se
from samedge_core.curvature import (
    HessianOperator,
    SharpnessTracker,
    dense_hessian,
    expansion,
    sharpness,
)
from samedge_core.curvature import tracker as tracking
from samedge_core.curvature.hessian_model import HessianModel
from samedge_core.curvature.parity import Carried
from samedge_core.curvature.settings import TrackerSettings
from samedge_core.curvature.tracker import VERSION
from samedge_core.experiments.presets import PRESETS
from samedge_core.training.loop import measurements
from samedge_core.training.state import TrainState
from tests.curvature.matrices import Matrix, rotation, with_spectrum
from tests.curvature.spectra import turning

PROMISED = 1e-3  # relative error of the sharpness where it says that it has converged
WARM_RESIDUAL, COLD_RESIDUAL = 3e-3, 1e-4  # of the sharpness


# --- along real runs ------------------------------------------------------------------------


class AsScipy:
    """A HessianOperator as ARPACK wants it."""

    def __init__(self, operator: HessianOperator) -> None:
        self._operator = operator
        self.shape, self.dtype = (operator.size, operator.size), np.dtype(np.float64)

    def matvec(self, v: np.ndarray) -> np.ndarray:
        return self._operator.matvec(torch.from_numpy(np.ravel(v).copy())).numpy()


def arpack(problem: se.Problem, w: torch.Tensor, k: int) -> np.ndarray:
    """The k eigenvalues of largest magnitude at w in float64, largest magnitude first."""
    return arpack_pairs(problem, w, k)[0]


def arpack_pairs(problem: se.Problem, w: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The same, and their eigenvectors as rows (k, P)."""
    operator = HessianOperator(lambda w: problem.loss(w, problem.full_batch()), w.double())
    start = np.random.default_rng(0).standard_normal(operator.size)
    values, vectors = eigsh(
        aslinearoperator(AsScipy(operator)),
        k=k,
        tol=1e-8,  # pyright: ignore[reportArgumentType]
        v0=start,
    )
    order = np.argsort(-np.abs(values))
    return values[order], vectors.T[order]


def along(config: se.RunConfig, *, first: int = 0) -> Iterator[tuple[torch.Tensor, se.Measurement]]:
    """w at each step of a run from `first` on, and what was measured there."""
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    if first:  # measured at step 0 only
        for _ in measurements(config.replace(steps=first, measure_every=first), problem, state):
            pass
    w = state.w
    for row in measurements(config, problem, state):
        assert isinstance(row, se.Measurement)
        yield w, row
        w = state.w


RUNS = [
    # progressive sharpening up to the edge and along it
    ("digits-mlp", {"n": 100, "width": 20}, "gd", 3.0, 0.0, 120, 1),
    ("digits-mlp", {"n": 100, "width": 20}, "sam", 1.0, 0.05, 120, 0),
    ("chebyshev-mlp", {}, "gd", 0.3, 0.0, 80, 0),
    ("chebyshev-mlp", {}, "sam", 0.2, 0.05, 80, 0),
    ("digits-cnn", {"n": 30}, "sam", 1.0, 0.05, 40, 0),
]


@pytest.mark.parametrize(("name", "options", "rule", "eta", "rho", "steps", "seed"), RUNS)
@pytest.mark.parametrize("top_k", [1, 3])
def test_sharpness_along_a_run_is_arpacks(name, options, rule, eta, rho, steps, seed, top_k):
    config = se.RunConfig(
        problem=name,
        options=options,
        rule=rule,
        eta=eta,
        rho=rho,
        steps=steps,
        top_k=top_k,
        seed=seed,
    )
    oracle, checked = se.build_problem(config.replace(dtype="float64")), 0
    for w, row in along(config):
        if row.step % 8 == 0 and row.converged:
            expected = arpack(oracle, w, 6)
            assert row.lambda_max == pytest.approx(expected[0], rel=PROMISED)
            # an eigenvalue lies within the residual, which is judged on the scale of the first
            for value in (row.lambda_max, *row.others):
                assert np.abs(expected - value).min() <= WARM_RESIDUAL * abs(expected[0])
            checked += 1
    # the check must not pass because nothing converged
    assert checked >= 0.8 * steps / 8


@pytest.mark.parametrize(("rule", "eta", "rho"), [("gd", 0.3, 0.0), ("sam", 0.2, 0.05)])
@pytest.mark.parametrize("top_k", [5, 10])
def test_further_eigenvalues_along_a_run_are_those_of_the_dense_hessian(rule, eta, rho, top_k):
    # while the sharpness rises the fastest; far down the spectrum no gap helps
    config = se.RunConfig(
        problem="chebyshev-mlp", rule=rule, eta=eta, rho=rho, steps=100, top_k=top_k, seed=1
    )
    oracle, checked = se.build_problem(config.replace(dtype="float64")), 0
    for w, row in along(config):
        if row.step % 10 == 5 and row.converged:
            dense = dense_hessian(lambda w: oracle.loss(w, None), w.double())
            exact = np.sort(np.abs(np.linalg.eigvalsh(dense.numpy())))[::-1][:top_k]
            found = np.abs([row.lambda_max, *row.others])
            assert np.abs(found - exact).max() <= PROMISED * exact[0]
            checked += 1
    assert checked >= 8


@pytest.mark.parametrize(
    ("rule", "eta", "rho", "seed"),
    [("sam", 2.0, 0.1, 0), ("sam", 1.0, 0.05, 1), ("gd", 3.0, 0.0, 0), ("gd", 3.0, 0.0, 2)],
)
def test_no_crossing_is_missed_where_a_single_start_vector_misses_some(rule, eta, rho, seed):
    # Lanczos warm-started from one vector read up to 2.5 % low in each of these runs, for up to
    # four steps in a row: eigenvalues cross at ReLU kinks, with the period of the hops
    config = se.RunConfig(
        problem="digits-mlp",
        options={"n": 100, "width": 20},
        rule=rule,
        eta=eta,
        rho=rho,
        steps=120,
        seed=seed,
    )
    problem, errors = se.build_problem(config), []
    for w, row in along(config):
        assert row.converged
        cold = sharpness(lambda w: problem.loss(w, None), w, seed=row.step)
        errors.append(1 - abs(row.lambda_max) / cold.sharpness)
    assert max(errors) <= PROMISED


def test_what_rises_far_below_the_leader_is_known_before_it_turns_it():
    # Four eigenvalues within 2 % of the leader rise past 2/eta, and two had not been looked at for
    # long: each of twenty trackers read these steps 0.11 and 0.12 % low.
    config = PRESETS["gd-digits-tanh"].config.replace(steps=891, top_k=1)
    oracle, errors = se.build_problem(config.replace(dtype="float64")), []
    for w, row in along(config, first=800):
        if row.step in (889, 890):
            assert row.converged
            errors.append(1 - abs(row.lambda_max / arpack(oracle, w, 1)[0]))
    assert len(errors) == 2
    assert max(errors) <= PROMISED


@pytest.mark.parametrize(
    ("rule", "eta", "rho", "median"), [("sam", 1.0, 0.05, 2e-4), ("gd", 3.0, 0.0, 6e-4)]
)
def test_alignments_are_those_with_the_eigenvector(rule, eta, rho, median):
    config = se.RunConfig(
        problem="digits-mlp",
        options={"n": 100, "width": 20},
        rule=rule,
        eta=eta,
        rho=rho,
        steps=120,
        top_k=1,
    )
    oracle, errors = se.build_problem(config.replace(dtype="float64")), []
    for w, row in along(config):
        if row.step % 8 == 4:
            (v,) = arpack_pairs(oracle, w, 1)[1]
            slope = torch.func.grad(lambda w: oracle.loss(w, None))(w.double()).numpy()
            errors.append(abs(row.align_grad - abs(v @ slope) / np.linalg.norm(slope)))
    # With Ritz vectors, off by the residual over the gap, the medians were 3e-4 and 1.7e-3, the
    # largest 0.011 and 0.020; now, over five seeds, 4e-5 to 2e-4 and 1e-4 to 4e-4.
    assert np.median(errors) <= median
    assert max(errors) <= 1e-2


# --- spectra that change under the tracker --------------------------------------------------


@pytest.mark.parametrize(
    ("speed", "seeds"), [(0.002, 6), (0.01, 20), (0.05, 30)], ids=["slow", "medium", "fast"]
)
def test_the_tracker_sees_two_eigenvalues_cross(speed, seeds):
    q, bulk = rotation(150), np.linspace(0, 0.9, 148)
    # one falls, the other rises: they cross half-way
    gaps = np.arange(0.1, -0.1, -speed)
    operators = [with_spectrum([1 + gap, 1 - gap, *bulk], q) for gap in gaps]
    errors = np.empty((seeds, len(gaps)))
    for seed in range(seeds):
        tracker = SharpnessTracker(seed=seed)
        for i, (gap, operator) in enumerate(zip(gaps, operators, strict=True)):
            estimate = tracker.measure(operator)
            assert estimate.converged
            errors[seed, i] = 1 - estimate.value / (1 + abs(gap))
    # The follower starts within the bulk, where no search can tell it from its neighbours: of 144
    # trackers with other seeds 4 were a step late (3 with the tracker before), by chance.
    late = np.count_nonzero(errors > PROMISED, axis=1)
    assert late.max() <= 1
    assert np.count_nonzero(late) <= seeds / 20


@pytest.mark.parametrize("speed", [0.001, 0.003, 0.01, 0.03, 0.1])
def test_a_crossing_within_the_basis_is_never_missed(speed):
    # apart from the bulk from the start: whatever the speed, each measurement is right
    q, bulk = rotation(150), np.linspace(0, 0.6, 147)
    gaps = np.arange(0.15, -0.15, -speed)
    for seed in range(5):
        tracker = SharpnessTracker(seed=seed)
        for gap in gaps:
            estimate = tracker.measure(with_spectrum([1 + gap, 1 - gap, 0.84, *bulk], q))
            assert estimate.converged
            assert estimate.value == pytest.approx(1 + abs(gap), rel=PROMISED)


@pytest.mark.parametrize("moves", [0.0, 0.001], ids=["still", "hardly-moving"])
def test_a_crossing_is_seen_while_the_leader_hardly_moves(moves):
    # nothing that the leader does tells how fast the other one rises: without looks at it, each of
    # these trackers read up to 9 % low, and said to have converged
    q, bulk = rotation(150), np.linspace(0, 0.6, 147)
    for seed in range(2):
        tracker, noise = SharpnessTracker(seed=seed), np.random.default_rng(seed)
        for rising in np.arange(0.85, 1.1, 0.004):
            leader = 1 + moves * noise.standard_normal()
            estimate = tracker.measure(with_spectrum([leader, rising, 0.84, *bulk], q))
            assert estimate.converged
            assert estimate.value == pytest.approx(max(leader, rising), rel=PROMISED)


@pytest.mark.parametrize("speed", [0.002, 0.004, 0.006, 0.02])
def test_what_rises_right_after_a_search_is_seen(speed):
    # The leader stands still, and nothing has yet been multiplied twice: of these measurements 1,
    # 9, 18 and 31 % were up to 0.5, 1.7, 2.8 and 10 % low.
    q, bulk = rotation(150), np.linspace(0, 0.6, 147)
    for start in np.arange(0.97, 1, 0.003):
        tracker = SharpnessTracker(seed=0)
        for rising in start + speed * np.arange(14):
            estimate = tracker.measure(with_spectrum([1.0, rising, 0.84, *bulk], q))
            assert estimate.converged
            assert estimate.value == pytest.approx(max(1.0, rising), rel=PROMISED)


def test_what_rises_is_seen_behind_others_that_stay_close_to_the_leader():
    # When the close ones had nearly every look, a fifth of these measurements were wrong, by up to
    # 7 %. Of 1,400 by trackers with twenty seeds 9 still are: a fifth of what is allowed here.
    q, bulk, wrong = rotation(150), np.linspace(0, 0.6, 145), 0
    for seed in range(4):
        tracker, noise = SharpnessTracker(seed=seed), np.random.default_rng(seed)
        for rising in np.arange(0.8, 1.08, 0.004):
            above = np.array([1, 0.99, 0.98, 0.97]) + 0.001 * noise.standard_normal(4)
            estimate = tracker.measure(with_spectrum([*above, rising, *bulk], q))
            assert estimate.converged
            wrong += abs(1 - estimate.value / max(*above, rising)) > PROMISED
    assert wrong <= 9


def test_the_tracker_sees_the_leading_eigenvalue_change_sign():
    q, bulk = rotation(100), np.linspace(-1, 1, 98)
    tracker = SharpnessTracker(seed=0)
    signs = []
    for t in np.linspace(0, 1, 41):
        up, down = 3 - t, -(2 + t)  # equal magnitude at t = 1/2
        estimate = tracker.measure(with_spectrum([up, down, *bulk], q))
        assert estimate.converged
        assert estimate.sharpness == pytest.approx(max(up, -down), rel=PROMISED)
        assert estimate.sharpness == abs(estimate.value)
        signs.append(np.sign(estimate.value))
    assert signs[:20] == [1.0] * 20
    assert signs[21:] == [-1.0] * 20


def test_an_eigenvalue_that_appears_from_nowhere_is_found_within_some_measurements():
    # orthogonal to everything carried, and the leader is untouched: only a scout can find it
    q, bulk = rotation(400), np.linspace(-1, 1, 398)
    for seed in range(5):
        tracker = SharpnessTracker(seed=seed)
        for _ in range(6):
            tracker.measure(with_spectrum([2.0, 0.0, *bulk], q))
        late = [tracker.measure(with_spectrum([2.0, 4.0, *bulk], q)) for _ in range(10)]
        assert late[-1].converged
        assert late[-1].value == pytest.approx(4.0, rel=PROMISED)


@pytest.mark.parametrize("seed", range(5))
def test_the_hop_of_period_two_costs_no_more_than_standing_still_but_for_looks(seed, monkeypatch):
    # two unrelated Hessians in turn, as on the two sides of a ReLU kink; what leads on one side is
    # looked at on the other now and then
    here = with_spectrum([2.0, 1.9, *np.linspace(-1, 1, 98)], rotation(100, 1))
    there = with_spectrum([-3.0, 1.0, *np.linspace(-1, 1, 98)], rotation(100, 2))
    looks, hint = [], expansion.hint

    def look(m: HessianModel, carried: Carried, settings: TrackerSettings) -> bool:
        looks.append(hint(m, carried, settings))
        return looks[-1]

    # in Python, what it calls can be replaced
    monkeypatch.setattr(tracking, "go_on", tracking.go_on.py_func)
    monkeypatch.setattr(tracking, "next_direction", expansion.next_direction.py_func)
    monkeypatch.setattr(expansion, "hint", look)

    def products(tracker: SharpnessTracker, operator: Matrix, step: int) -> int:
        """But for looks at what the other phase tells, which a still one has not."""
        looks.clear()
        estimate = tracker.measure(operator, step=step)
        assert estimate.converged
        assert estimate.value == pytest.approx(2.0 if operator is here else -3.0, rel=PROMISED)
        # the leader, what the other phase tells, a look and a scout
        assert estimate.products <= 4 or step < 2
        return estimate.products - sum(looks)

    still = 0
    for operator in (here, there):
        tracker = SharpnessTracker(seed=seed)
        products(tracker, operator, 0)
        still += sum(products(tracker, operator, 2 * i) for i in range(1, 11))
    tracker = SharpnessTracker(seed=seed)
    hopping = [products(tracker, there if i % 2 else here, i) for i in range(22)]
    assert sum(hopping[2:]) <= still


def test_a_model_that_is_lost_is_searched_anew():
    # another Hessian each time, as with mini-batches
    tracker = SharpnessTracker(seed=0)
    for seed in range(6):
        operator = with_spectrum([2.0 + seed, *np.linspace(-1, 1, 99)], rotation(100, seed))
        estimate = tracker.measure(operator)
        assert estimate.converged
        assert estimate.value == pytest.approx(2.0 + seed, rel=PROMISED)
        assert estimate.products > 4


@pytest.mark.parametrize("seed", range(10))
def test_a_search_finds_what_leads_from_the_rest_of_the_basis(seed):
    # the sixth of the carried eigenvectors, after the leader has collapsed
    q, bulk = rotation(300), np.linspace(-0.9, 0.9, 294)
    tracker = SharpnessTracker(seed=seed)
    for _ in range(6):
        tracker.measure(with_spectrum([2.0, 1.9, 1.8, 1.7, 1.6, 1.5, *bulk], q))
    estimate = tracker.measure(with_spectrum([1.0, 1.05, 1.0, 1.0, 0.95, 1.1, *bulk], q))
    assert estimate.products > 4  # a search
    assert estimate.value == pytest.approx(1.1, rel=PROMISED)


def test_a_cluster_at_the_top_is_not_read_low():
    # ratios .99 and .997, where rules that stop on the change between iterates stop 3-7 % low
    values = [1.0, 0.997, 0.99, 0.985, 0.98, *np.linspace(0, 0.95, 295)]
    operator, tracker = with_spectrum(values), SharpnessTracker(seed=0)
    for _ in range(10):
        estimate = tracker.measure(operator)
        assert estimate.converged
        assert estimate.value == pytest.approx(1.0, rel=PROMISED)
        assert estimate.value <= 1 + 1e-12  # one-sided: a Rayleigh quotient


# --- degenerate operators -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rank_one(dtype, sign):
    v = torch.randn(60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    v = 3 * v / v.norm()
    operator = Matrix((sign * torch.outer(v, v)).to(dtype))
    tracker = SharpnessTracker(top_k=2, seed=0)
    for _ in range(3):
        estimate = tracker.measure(operator)
        assert estimate.converged
        # one Rayleigh quotient, in the operator's precision
        tolerance = 100 * torch.finfo(dtype).eps
        np.testing.assert_allclose(estimate.values, [9 * sign, 0], rtol=0, atol=9 * tolerance)


@pytest.mark.parametrize("top_k", [1, 3])
def test_zero_hessian(top_k):
    tracker = SharpnessTracker(top_k=top_k, seed=0)
    for _ in range(2):
        estimate = tracker.measure(Matrix(torch.zeros(30, 30)))
        assert estimate.values.tolist() == [0.0] * top_k
        assert estimate.residuals.tolist() == [0.0] * top_k
        assert estimate.converged
        assert torch.isfinite(estimate.vectors).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-38, 1e-40, 1e-42])
@pytest.mark.parametrize("before", [0, 2])
def test_a_hessian_that_all_but_vanishes_for_two_measurements(scale, before):
    """As that of a mini-batch which is fitted: 1 / eigenvalue may be no number of its precision."""
    usual = with_spectrum([5, 4, 3, -2, 1] + 55 * [0]).matrix.float()
    tracker = SharpnessTracker(seed=0)
    for factor in [1] * before + [scale] * 2 + [1] * 2:
        estimate = tracker.measure(Matrix(usual * factor))
        assert torch.isfinite(estimate.vectors).all()
        # below 1e-38 an entry has few bits, and what is summed over a row as many times the least
        assert estimate.sharpness == pytest.approx(5 * factor, rel=1e-4, abs=100 * 1.5e-45)


def test_a_linear_loss_is_flat():
    estimate = sharpness(lambda w: 2 * w.sum(), torch.ones(5))
    assert estimate.sharpness == 0
    assert estimate.converged


@pytest.mark.parametrize("value", [-4.0, 2.5, 0.0])
def test_one_parameter(value):
    tracker = SharpnessTracker(top_k=3, seed=0)
    for _ in range(3):
        estimate = tracker.measure(Matrix(torch.tensor([[value]], dtype=torch.float64)))
        assert estimate.values.tolist() == [pytest.approx(value, rel=1e-15)]  # v v = 1, rounded
        assert estimate.converged
        assert estimate.products == 1
        assert estimate.vectors.abs().tolist() == [[1.0]]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("top_k", [1, 2])
def test_a_matrix_that_is_not_finite_gives_nan_and_is_forgotten(bad, top_k):
    good = with_spectrum(np.linspace(-1, 2, 30))
    broken = Matrix(good.matrix.clone())
    broken.matrix[3, 4] = bad
    tracker = SharpnessTracker(top_k=top_k, seed=0)
    tracker.measure(good)
    estimate = tracker.measure(broken)
    assert np.isnan(estimate.values).all()
    assert np.isnan(estimate.residuals).all()
    assert len(estimate.values) == top_k
    assert math.isnan(estimate.sharpness)
    assert not estimate.converged
    again = tracker.measure(good)
    assert again.converged
    assert again.value == pytest.approx(2.0, rel=1e-7)  # a cold start: residual squared


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_gives_nan(factor):
    estimate = sharpness(lambda w: factor * (w**2).sum(), torch.ones(5))
    assert math.isnan(estimate.value)
    assert not estimate.converged


def test_single_precision_does_not_make_ghosts():
    values = np.array([5.0, 3.0, -2.0, *np.linspace(-1e-3, 1e-3, 197)])
    exact = with_spectrum(values)
    tracker = SharpnessTracker(top_k=4, seed=0)
    for measurement in range(4):
        estimate = tracker.measure(Matrix(exact.matrix.float()))
        assert estimate.converged
        # float32 rounding of a matrix of norm 5; the fourth only on the scale of the residual
        np.testing.assert_allclose(estimate.values[:3], values[:3], rtol=0, atol=5e-5)
        assert abs(estimate.values[3]) <= 1e-3 + 5e-5, measurement


def test_repeated_eigenvalues_are_all_found():
    # the Krylov space is exhausted after two products; the rest comes from its complement
    operator = with_spectrum([5.0, 5.0, 5.0, *[1.0] * 20])
    tracker = SharpnessTracker(top_k=4, seed=0)
    for _ in range(2):
        estimate = tracker.measure(operator)
        np.testing.assert_allclose(estimate.values, [5, 5, 5, 1], rtol=0, atol=1e-10)  # rounding


def test_the_identity():
    estimate = SharpnessTracker(top_k=3, seed=0).measure(Matrix(torch.eye(10)))
    np.testing.assert_allclose(estimate.values, [1, 1, 1], rtol=0, atol=1e-6)  # float32
    assert estimate.converged


# --- several eigenvalues --------------------------------------------------------------------


@pytest.mark.parametrize("top_k", [1, 2, 5, 10])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_leading_eigenpairs_are_orthonormal_and_right(top_k, seed):
    values = np.concatenate(
        [np.geomspace(100, 1, 12) * (-1) ** np.arange(12), np.linspace(-0.5, 0.5, 288)]
    )
    operator, tracker = with_spectrum(values), SharpnessTracker(top_k=top_k, seed=seed)
    for tolerance in (COLD_RESIDUAL, WARM_RESIDUAL):
        estimate = tracker.measure(operator)
        assert estimate.converged
        assert len(estimate.values) == len(estimate.residuals) == top_k
        assert len(estimate.vectors) >= top_k
        assert np.all(np.diff(np.abs(estimate.values)) <= 0)
        assert np.all(estimate.residuals <= tolerance * estimate.sharpness)
        # an eigenvalue lies within the residual, and no two are near each other
        np.testing.assert_allclose(estimate.values, values[:top_k], atol=100 * tolerance)
        gram = estimate.vectors @ estimate.vectors.T
        torch.testing.assert_close(  # reorthogonalised twice: rounding only
            gram, torch.eye(len(gram), dtype=torch.float64), rtol=0, atol=1e-13
        )


def test_more_eigenvalues_than_parameters():
    estimate = SharpnessTracker(top_k=10, seed=0).measure(with_spectrum([3.0, -2.0]))
    np.testing.assert_allclose(estimate.values, [3, -2], rtol=1e-14)  # a full Krylov space
    assert estimate.converged
    assert estimate.products == 2


# --- honest residuals and honest flags ------------------------------------------------------

SPECTRA = st.lists(
    # squares of entries below 1e-100 would underflow
    st.one_of(
        st.floats(-10, 10).map(lambda x: x if abs(x) > 1e-100 else 0.0),
        st.sampled_from([0.0, 1.0, -1.0, 9.99, 10.0]),
    ),
    min_size=1,
    max_size=40,
)


@given(SPECTRA, st.integers(0, 100), st.integers(1, 4), st.integers(1, 8))
def test_an_eigenvalue_lies_within_the_residual(spectrum, seed, top_k, cap):
    operator = with_spectrum(spectrum, rotation(len(spectrum), seed))
    eigenvalues = np.linalg.eigvalsh(operator.matrix.numpy())
    scale = np.abs(eigenvalues).max()
    tracker = SharpnessTracker(top_k=top_k, seed=seed, cap=max(cap, top_k))
    for _ in range(3):
        estimate = tracker.measure(operator)
        distance = np.abs(eigenvalues[:, None] - estimate.values).min(axis=0)
        slack = 1e-13 * scale  # rounding in a product of at most 40 terms
        assert np.all(distance <= estimate.residuals + slack)
        assert estimate.sharpness <= scale + slack
        count = len(estimate.values)
        gram = estimate.vectors[:count] @ estimate.vectors[:count].T
        torch.testing.assert_close(gram, torch.eye(count, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_what_rises_after_a_model_was_lost_is_known_by_then(seed):
    # eight eigenvalues within 6 %: a search for the first alone left the second out of the basis
    tracker = SharpnessTracker(seed=seed)
    tracker.measure(with_spectrum(np.linspace(0, 1, 150), rotation(150, 1)), step=0)
    q, bulk = rotation(150, 2), np.linspace(0, 0.6, 142)
    for step in range(0, 40, 2):
        cluster = np.linspace(0.94, 1, 8)
        cluster[-2] += 0.0005 * step  # past the first after nine measurements
        operator = with_spectrum([*cluster, *bulk], q)
        estimate = tracker.measure(operator, step=step + 2)
        assert estimate.converged
        assert estimate.value == pytest.approx(cluster.max(), rel=PROMISED)


def test_the_cap_is_kept_and_owned_up_to():
    operator = with_spectrum(np.linspace(-1, 1, 200))  # no gap at all
    tracker = SharpnessTracker(seed=0, cap=4)
    cold, warm = tracker.measure(operator), tracker.measure(operator)
    assert (cold.products, warm.products) == (8, 4)
    assert not cold.converged
    assert not warm.converged
    for estimate in (cold, warm):
        assert estimate.residual > WARM_RESIDUAL * estimate.sharpness


def test_converged_speaks_for_all_of_the_eigenvalues():
    # the first is far out and found at once; the further ones sit in a continuum
    operator = with_spectrum([50.0, *np.linspace(-1, 1, 299)])
    one = SharpnessTracker(top_k=1, seed=0, cap=10).measure(operator)
    assert one.converged
    five = SharpnessTracker(top_k=5, seed=0, cap=10).measure(operator)
    assert five.residual <= COLD_RESIDUAL * five.sharpness
    assert five.residuals.max() > COLD_RESIDUAL * five.sharpness
    assert not five.converged


def test_a_warm_start_costs_less_than_a_cold_one():
    operator, tracker = with_spectrum([2.0, 1.8, *np.linspace(-1, 1, 298)]), SharpnessTracker()
    assert tracker.measure(operator).products >= 20
    assert tracker.measure(operator).products <= 8


# --- state ----------------------------------------------------------------------------------


def moving(steps: range):
    q = rotation(80)
    for t in steps:
        yield with_spectrum([2 + 0.01 * t, 2.2 - 0.01 * t, *np.linspace(-1, 1, 78)], q)


@pytest.mark.parametrize("top_k", [1, 3])
@pytest.mark.parametrize("taken", [0, 1, 6])
def test_a_restored_tracker_measures_the_very_same(top_k, taken):
    tracker = SharpnessTracker(top_k=top_k, seed=3)
    for operator in moving(range(taken)):
        tracker.measure(operator)
    state = tracker.state()
    later = [tracker.measure(operator) for operator in moving(range(taken, 20))]
    other = SharpnessTracker(top_k=top_k, seed=99)
    other.restore(state)
    for operator, expected in zip(moving(range(taken, 20)), later, strict=True):
        got = other.measure(operator)
        np.testing.assert_array_equal(got.values, expected.values)
        np.testing.assert_array_equal(got.residuals, expected.residuals)
        assert torch.equal(got.vectors, expected.vectors)
        assert got.products == expected.products


@pytest.mark.parametrize("version", [None, VERSION - 1, VERSION + 1])
def test_of_another_version_nothing_is_carried_on_but_the_noise(version):
    tracker = SharpnessTracker(seed=3)
    for operator in moving(range(5)):
        tracker.measure(operator)
    state = tracker.state()
    if version is None:  # as before there were any
        del state["version"]
        q = torch.from_numpy(np.eye(5, 80))
        phase = {"basis": q, "model": torch.eye(5), "staleness": torch.eye(5), "drift": 0.01}
        state["phases"] = {"0": phase, "1": phase}
    else:
        state["version"] = version
    other, cold = SharpnessTracker(seed=99), SharpnessTracker(seed=98)
    other.restore(state)
    cold.restore({**tracker.state(), "phases": {}})
    for operator in moving(range(5, 12)):
        got, expected = other.measure(operator), cold.measure(operator)
        assert got.converged
        np.testing.assert_array_equal(got.values, expected.values)
        assert torch.equal(got.vectors, expected.vectors)
        assert got.products == expected.products
    # it goes on with the parity of its steps
    assert other.state()["measured"] == 12
    other.restore(state)
    assert other.measure(next(moving(range(5, 6)))).products >= 20


def test_the_seed_fixes_the_noise_and_the_global_generator_is_left_alone():
    operator = with_spectrum(np.linspace(-1, 2, 60))
    before = torch.get_rng_state()
    first, again, other = (SharpnessTracker(seed=s).measure(operator) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.vectors, again.vectors)
    assert not torch.equal(first.vectors, other.vectors)


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_must_be_positive(top_k):
    with pytest.raises(ValueError, match=f"top_k must be >= 1, got {top_k}"):
        SharpnessTracker(top_k=top_k)


def test_sharpness_of_any_loss():
    # Rosenbrock at its minimum: H = [[802, -400], [-400, 200]]
    estimate = sharpness(
        lambda w: (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2,
        torch.ones(2, dtype=torch.float64),
        top_k=2,
    )
    expected = np.linalg.eigvalsh([[802.0, -400.0], [-400.0, 200.0]])[::-1]
    np.testing.assert_allclose(estimate.values, expected, rtol=1e-11)  # condition number 2,500


def test_the_sharpness_at_what_is_no_float_vector_is_refused_in_words():
    def loss(w):
        return (w**2).sum()

    with pytest.raises(TypeError, match=r"w must be a torch\.Tensor of shape \(P,\), got list"):
        sharpness(loss, [1.0, 2.0])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"floating-point type, got \(2, 2\) of float32"):
        sharpness(loss, torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"w must be float32 or float64, got bfloat16"):
        sharpness(loss, torch.ones(3, dtype=torch.bfloat16))


def test_where_more_lie_near_the_top_than_the_basis_holds_it_says_that_it_may_be_blind():
    # 24 within 2.3 %, all turning: without the flag, 15 of 120 measurements were low by up to .3 %
    crowd = [1 - 0.001 * i for i in range(24)]
    for seed in range(2):
        tracker, unsure = SharpnessTracker(seed=seed), 0
        for operator, exact in turning(crowd, 0.004):
            estimate = tracker.measure(operator)
            unsure += not estimate.converged
            if estimate.converged:
                assert estimate.sharpness >= (1 - PROMISED) * exact
        assert unsure > 30


@pytest.mark.parametrize("equal", [2, 10])
def test_equal_eigenvalues_that_the_basis_holds_are_no_crowd(equal):
    # ten, as of a network whose hidden units are dead
    tracker = SharpnessTracker(seed=0)
    for t in range(40):
        values = [1 + 0.01 * np.sin(t / 3)] * equal + [*np.linspace(0, 0.5, 60)]
        assert tracker.measure(with_spectrum(values)).converged


@pytest.mark.parametrize("c", [0.0, 0.05])
def test_it_follows_any_symmetric_operator_a_preconditioned_one_too(c):
    # D^-1/2 H (I + c H) D^-1/2 along a run of GD, with a preconditioner D that changes
    config = se.RunConfig(
        problem="chebyshev-mlp", rule="gd", eta=0.3, steps=100, dtype="float64", seed=1
    )
    problem, tracker, moments, errors = se.build_problem(config), SharpnessTracker(seed=0), None, []
    for w, row in along(config):
        g = problem.gradient(w, None)
        moments = g**2 if moments is None else 0.9 * moments + 0.1 * g**2
        scale = (moments.sqrt() + 1e-2) ** -0.5
        h = dense_hessian(lambda w: problem.loss(w, None), w)
        matrix = scale[:, None] * (h + c * h @ h) * scale
        estimate = tracker.measure(Matrix((matrix + matrix.T) / 2), step=row.step)
        if estimate.converged:
            exact = torch.linalg.eigvalsh(matrix).abs().max()
            errors.append(float(1 - estimate.sharpness / exact))
    assert len(errors) >= 95
    assert max(errors) <= PROMISED
