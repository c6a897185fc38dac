"""What the sharpness benchmark rests on: reference, power iteration, counts, Pareto front."""

import pytest
import torch

from benchmarks.curvature.cases import CASES, quick
from benchmarks.curvature.counting import Counted, count_backward
from benchmarks.curvature.pareto import Point, front
from benchmarks.curvature.plain import Plain, same
from benchmarks.curvature.power import paper_sharpness
from benchmarks.curvature.reference import true_sharpness
from samedge_core.curvature import dense_hessian
from samedge_core.training import RunConfig
from samedge_core.training.loop import build_problem


def symmetric(eigenvalues: list[float]) -> torch.Tensor:
    """A matrix with these eigenvalues and random eigenvectors, float64."""
    size = len(eigenvalues)
    gauss = torch.randn(size, size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    q, _ = torch.linalg.qr(gauss)
    return q @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ q.T


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_plain_module_is_the_same_function(case):
    problem = build_problem(case.config)
    plain = Plain(case.config, problem, torch.float32)
    same(plain, problem, problem.init(seed=4))  # raises where they differ
    assert plain.size == problem.size


def test_another_loss_is_noticed():
    mse, half = (
        RunConfig(problem="chebyshev-mlp", options={"loss": x}) for x in ("mse", "half-mse")
    )
    problem = build_problem(mse)
    with pytest.raises(ValueError, match="another function"):
        same(Plain(half, problem, torch.float32), problem, problem.init(seed=0))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_reference_is_the_dense_hessians_norm(seed):
    config = RunConfig(problem="chebyshev-mlp", dtype="float64")
    problem = build_problem(config)
    w = problem.init(seed=seed)
    hessian = dense_hessian(lambda w: problem.loss(w, problem.full_batch()), w)
    true = float(torch.linalg.eigvalsh(hessian).abs().max())
    found = true_sharpness(Plain(config, problem, torch.float64), w, seed=seed)
    assert found == pytest.approx(true, rel=1e-8)  # ARPACK's tolerance


def test_power_iteration_finds_the_norm_and_reads_half_a_percent_low():
    matrix = symmetric([1.0, 0.4, -3.0, 0.2])
    gradient = Counted(lambda w: matrix @ w)
    w = torch.ones(4, dtype=torch.float64)
    found = paper_sharpness(gradient, w, seed=0)
    # the divisor 2h + 1e-5 at h = 1e-3; what is left is within the 0.1 % at which it stops
    assert found.sharpness == pytest.approx(3 / 1.005, rel=1e-3)
    assert found.converged
    assert gradient.calls == 2 * found.products


def test_power_iteration_against_a_dense_hessian():
    config = RunConfig(problem="chebyshev-mlp", dtype="float64")
    problem = build_problem(config)
    w, plain = problem.init(seed=0), Plain(config, problem, torch.float64)
    hessian = dense_hessian(lambda w: problem.loss(w, problem.full_batch()), w)
    true = float(torch.linalg.eigvalsh(hessian).abs().max())
    # tanh is smooth: half a percent from the divisor, and the change at which it stops
    assert paper_sharpness(plain.gradient_at, w, seed=0).sharpness == pytest.approx(true, rel=1e-2)


def test_power_iteration_mistakes_creeping_for_convergence():
    matrix = symmetric([1 - 0.01 * k for k in range(30)])
    found = paper_sharpness(lambda w: matrix @ w, torch.zeros(30).double(), seed=0)
    assert found.converged
    # a percent beyond what the divisor takes: eigenvalues this close part slowly
    assert found.sharpness < 1 / 1.005 - 0.01


def test_power_iteration_stops_at_its_limit():
    matrix = symmetric([5.0, 1.0, 0.5])
    found = paper_sharpness(lambda w: matrix @ w, torch.zeros(3).double(), seed=0, most=2)
    assert found.products == 2
    assert not found.converged


def test_each_product_is_counted_once():
    config = RunConfig(problem="chebyshev-mlp")
    problem = build_problem(config)
    plain = Plain(config, problem, torch.float32)
    plain.load(problem.init(seed=0))
    gradient = plain.gradient(graph=True)
    counted = count_backward(gradient[0])
    for products in (1, 2, 3):
        torch.autograd.grad(gradient, plain.parameters, grad_outputs=gradient, retain_graph=True)
        assert counted.calls == products


def test_a_gradient_without_a_graph_has_no_products_to_count():
    with pytest.raises(ValueError, match="no graph"):
        count_backward(torch.ones(3))


def test_the_front_holds_what_nothing_beats():
    kept = [Point(1, 9), Point(3, 4), Point(7, 1)]
    beaten = [Point(3, 5), Point(4, 4), Point(8, 1), Point(9, 9)]
    assert front([*beaten, *reversed(kept), kept[0]]) == kept
    assert front([]) == []


def test_quick_cases_are_short():
    for case in CASES.values():
        assert quick(case).start + quick(case).steps <= 20
