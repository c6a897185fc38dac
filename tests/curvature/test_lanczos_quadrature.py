"""The spectrum against dense eigenvalues, on known spectra, and where there is nothing to find."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from samedge_core.curvature import HessianOperator, dense_hessian, spectrum
from samedge_core.curvature.spectral_density import Spectrum
from samedge_core.problems.registry import PROBLEMS, build
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import measurements
from samedge_core.training.observe import observe
from samedge_core.training.state import TrainState

ESTIMATED: dict[str, Any] = {"exact_below": 0}
# Ten probes: their mean is off by more than 5 of its standard errors (Student, 9 degrees of
# freedom) once in 1,400 cases, and the seeds are fixed.
ERRORS = 5


class Matrix:
    """A symmetric matrix as an operator that counts its products."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self.matrix, self.size = matrix, len(matrix)
        self.dtype, self.device = matrix.dtype, matrix.device
        self.products = 0

    def matvec(self, v: torch.Tensor, /) -> torch.Tensor:
        self.products += 1
        return self.matrix @ v


def rotated(values, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Matrix:
    """A matrix with these eigenvalues and eigenvectors in random directions."""
    diagonal = torch.as_tensor(np.asarray(values), dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(diagonal), len(diagonal), generator=generator, dtype=torch.float64)
    q = torch.linalg.qr(noise)[0]
    matrix = q @ torch.diag(diagonal) @ q.T
    return Matrix(((matrix + matrix.T) / 2).to(dtype))


def agrees(estimate, truth) -> bool:
    mean, error = estimate
    return bool(np.all(np.abs(mean - truth) <= ERRORS * error))


def counts(found: Spectrum, x: float, truth: int) -> bool:
    """A probe's weight on k eigenvectors is chi-squared with k degrees of freedom: k +- sqrt(2 k),
    and less where they are most of all."""
    close = abs(found.count_above(x)[0] - truth) <= 4 * math.sqrt(2 * truth / found.probes)
    return bool(close) and found.least_above(x) <= truth


# --- exact


def test_a_small_network_gives_every_eigenvalue_of_the_dense_hessian():
    problem = build("digits-mlp", {**defaults("digits-mlp"), "n": 50, "width": 4}, seed=0)
    w = problem.init(seed=0)
    found = spectrum(HessianOperator(lambda w: problem.loss(w, problem.full_batch()), w))
    double = build(
        "digits-mlp", {**defaults("digits-mlp"), "n": 50, "width": 4}, seed=0, dtype="float64"
    )
    dense = dense_hessian(lambda w: double.loss(w, double.full_batch()), w.double())
    truth = torch.linalg.eigvalsh(dense).numpy()
    assert found.exact
    assert found.size == found.products == problem.size == 330
    # products in float32: rounding of about 1e-7 of the largest, in sums over the examples
    np.testing.assert_allclose(found.nodes[0], truth, rtol=0, atol=1e-6 * truth[-1])
    assert found.count_above((truth[-3] + truth[-2]) / 2) == (pytest.approx(2), 0)


def defaults(problem: str) -> dict:
    return {field.name: field.default for field in PROBLEMS[problem].options}


def test_rounding_that_is_not_symmetric_is_averaged():
    found = spectrum(Matrix(torch.tensor([[1.0, 2.0], [0.0, 1.0]])))
    assert found.nodes[0] == pytest.approx([0, 2], abs=1e-12)


def test_the_size_decides_between_exact_and_estimated():
    operator = rotated(np.arange(30.0))
    assert spectrum(operator, exact_below=30).exact
    assert not spectrum(operator, exact_below=29).exact


@pytest.mark.parametrize("options", [{}, ESTIMATED])
def test_one_parameter(options):
    found = spectrum(Matrix(torch.tensor([[-3.0]])), **options)
    assert found.nodes[found.weights > 0] == pytest.approx(-3.0, rel=1e-6)
    assert found.trace()[0] == pytest.approx(-3.0, rel=1e-6)
    assert found.count_above(-4)[0] == pytest.approx(1)


@pytest.mark.parametrize("options", [{}, ESTIMATED])
def test_a_zero_hessian_has_all_eigenvalues_at_zero(options):
    found = spectrum(HessianOperator(lambda w: w.sum(), torch.ones(40)), **options)
    assert set(found.nodes.ravel()) == {0.0}
    assert found.count_above(-1e-9)[0] == pytest.approx(40)
    assert found.count_above(0.0)[0] == 0
    if options:
        assert found.products == found.probes  # each Krylov space ends at its first vector


# --- estimated


def test_signs_see_a_diagonal_matrix_exactly():
    # each probe has weight 1/P on every unit vector: the quadrature of P steps is the spectrum
    values = np.array([-2.0, -1.0, 0.5, 3.0, 10.0])
    found = spectrum(Matrix(torch.diag(torch.from_numpy(values))), probes=3, **ESTIMATED)
    np.testing.assert_allclose(found.nodes, np.tile(values, (3, 1)), atol=1e-12)
    np.testing.assert_allclose(found.weights, 1 / 5, atol=1e-12)
    assert found.trace() == (pytest.approx(10.5), pytest.approx(0, abs=1e-12))


def test_quadrature_has_the_probes_own_moments():
    """Gauss: with k steps, z^T H^p z is exact for p <= 2k - 1, and not for p = 2k."""
    operator = rotated(np.linspace(-1, 2, 60))
    found = spectrum(operator, probes=1, steps=4, seed=5, **ESTIMATED)
    generator = torch.Generator().manual_seed(5)
    signs = 2 * torch.randint(0, 2, (60,), generator=generator, dtype=torch.int8) - 1
    v = z = signs.double() / math.sqrt(60)
    for power in range(8):
        moment = float((found.weights * found.nodes**power).sum())
        assert moment == pytest.approx(float(z @ v), abs=1e-12), power
        v = operator.matrix @ v
    assert abs(float((found.weights * found.nodes**8).sum()) - float(z @ v)) > 1e-4


def test_rank_one_in_single_precision():
    values = np.zeros(500)
    values[0] = 7.0
    found = spectrum(rotated(values, dtype=torch.float32), **ESTIMATED)
    assert found.highest == pytest.approx(7, rel=1e-5)
    assert found.products < 10 * found.probes  # z has two components that matter
    assert counts(found, 3.5, 1)
    assert found.trace()[0] == pytest.approx(7 * found.count_above(3.5)[0], rel=1e-5)
    assert found.count_below(-1e-3) == (0, 0)


def test_outliers_and_bulk_of_a_known_spectrum():
    """Two outliers above a semicircle, as in networks; half a step of the bulk is its blur."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(800, 800)) / math.sqrt(8 * 800)
    bulk = np.linalg.eigvalsh(noise + noise.T)
    values = np.concatenate([bulk, [4.0, 6.0, -3.0]])
    found = spectrum(rotated(values), **ESTIMATED)
    # standing apart, they converge to rounding
    assert found.highest == pytest.approx(6, rel=1e-9)
    assert found.lowest == pytest.approx(-3, rel=1e-9)
    for x in (5, 3, -2):
        assert counts(found, x, int((values > x).sum())), x
    assert agrees(found.trace(), values.sum())
    assert agrees(found.mean_of(found.nodes**2), (values**2).mean())


def at_some_step(problem: str, options: dict, steps: int):
    """The Hessian of a run after some steps, in float64 so that the dense one has no say in it."""
    config = RunConfig(problem=problem, options=options, rule="sam", dtype="float64", steps=100)
    built = build(problem, config.options, seed=0, dtype="float64")
    state = TrainState.initial(config, built)
    loop = measurements(config, built, state)
    for _ in range(steps):
        next(loop)
    operator = observe(built, state.w, built.full_batch(), 1.0)[1]
    return operator, dense_hessian(lambda w: built.loss(w, built.full_batch()), state.w)


def test_a_network_of_two_thousand_parameters_against_the_dense_hessian():
    operator, dense = at_some_step("digits-mlp", {"n": 100, "width": 20}, 20)
    truth = torch.linalg.eigvalsh(dense).numpy()
    found = spectrum(operator, seed=1)
    assert not found.exact
    assert found.size == len(truth) > 1500
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-12)
    assert found.highest == pytest.approx(truth[-1], rel=1e-8)
    assert agrees(found.trace(), truth.sum())
    for k in (1, 5, 20):  # between eigenvalues that stand apart
        between = (truth[-k] + truth[-k - 1]) / 2
        assert counts(found, between, k)
        assert found.least_above(between) == k
    # the density, where it is broader than the blur of 80 steps
    exact = Spectrum.of_eigenvalues(truth)
    grid, width = np.linspace(truth[0], truth[-1], 40), (truth[-1] - truth[0]) / 20
    mean, error = found.density(grid, width)
    assert np.all(
        np.abs(mean - exact.density(grid, width)[0]) <= ERRORS * error + 1e-6 * mean.max()
    )


def test_error_bars_are_the_errors():
    """Over many seeds, the trace is off by one standard error in the root mean square."""
    operator = rotated(np.linspace(-1, 3, 80))
    pulls = []
    for seed in range(60):
        mean, error = spectrum(operator, probes=10, steps=5, seed=seed, **ESTIMATED).trace()
        pulls.append((mean - 80) / error)
    # Student with 9 degrees of freedom has variance 9/7; over 60 draws that is known to 20 %
    assert 0.6 * 9 / 7 < np.mean(np.square(pulls)) < 1.6 * 9 / 7
    assert abs(np.mean(pulls)) < 4 * math.sqrt(9 / 7 / 60)


def test_it_repeats_and_moves_no_global_generator():
    operator = rotated(np.linspace(-1, 1, 100), dtype=torch.float32)
    before = torch.random.get_rng_state()
    first, second, other = (spectrum(operator, seed=s, **ESTIMATED) for s in (3, 3, 4))
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(first.nodes, second.nodes)
    assert np.array_equal(first.weights, second.weights)
    assert not np.array_equal(first.nodes, other.nodes)


# --- progress, limits, faults


class Cancelled(Exception):
    pass


@pytest.mark.parametrize("options", [{}, ESTIMATED])
def test_progress_ends_at_the_total_and_can_cancel(options):
    operator, seen = rotated(np.linspace(1, 2, 50)), []
    found = spectrum(operator, probes=3, steps=10, on_progress=lambda *p: seen.append(p), **options)
    assert [done for done, _ in seen] == list(range(1, operator.products + 1))
    assert seen[-1] == (found.products, found.products)
    assert all(done <= total for done, total in seen)

    def cancel(done: int, total: int) -> None:
        if done == 7:
            raise Cancelled

    operator.products = 0
    with pytest.raises(Cancelled):
        spectrum(operator, probes=3, steps=10, on_progress=cancel, **options)
    assert operator.products == 7


class Slow(Matrix):
    """An operator on a clock that its products alone move."""

    now = 0.0
    later = 0.1  # seconds a product, after the first five

    def matvec(self, v: torch.Tensor, /) -> torch.Tensor:
        self.now += 0.1 if self.products < 5 else self.later
        return super().matvec(v)


@pytest.fixture
def slow(monkeypatch):
    operator = Slow(rotated(np.linspace(-1, 1, 300)).matrix)
    monkeypatch.setattr("time.perf_counter", lambda: operator.now)
    return operator


def test_steps_and_probes_are_cut_to_the_time_there_is(slow):
    found = spectrum(slow, seconds=20)
    assert not found.exact  # 300 products would take 30 s
    assert 100 < found.products == slow.products <= 210
    assert found.probes >= 3
    assert 20 <= found.steps < 80


def test_fewer_probes_are_taken_when_the_machine_slows_down(slow):
    slow.later = 0.5
    found = spectrum(slow, seconds=20)
    assert found.probes == 3  # one takes all of the time then, and three are always taken


def test_exact_where_there_is_time_for_it(slow):
    assert spectrum(slow, seconds=31).exact


def test_however_slow_three_probes_of_twenty_steps_are_taken(slow):
    found = spectrum(slow, seconds=0.1)
    assert (found.probes, found.steps) == (3, 20)
    assert found.products == 61  # one was timed


def test_the_basis_keeps_to_its_limit_of_memory(monkeypatch):
    """By fewer steps; the first product ends it."""

    class Huge:
        size, dtype, device = 4_000_000, torch.float32, torch.device("cpu")

        def matvec(self, v):
            raise Cancelled

    made = []
    real = torch.empty

    def counting(*shape, **rest):
        made.append(math.prod(shape) * 4)
        return real(*shape, **rest)

    monkeypatch.setattr(torch, "empty", counting)
    with pytest.raises(Cancelled):
        spectrum(Huge())
    assert made == [16 * 16_000_000]  # 17 steps would be more than 256 MB


@pytest.mark.parametrize("options", [{}, ESTIMATED])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_product_that_is_not_finite_is_named(bad, options):
    matrix = torch.eye(30)
    matrix[7, 7] = bad
    with pytest.raises(FloatingPointError, match=r"Hessian-vector product \d+ is not finite"):
        spectrum(Matrix(matrix), **options)


@pytest.mark.parametrize("options", [{"probes": 0}, {"steps": -1}])
def test_a_bad_number_of_probes_or_steps_is_named(options):
    (name, value) = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"{name} must be >= 1, got {value}"):
        spectrum(rotated([1.0, 2.0]), **options)
