"""Networks written out as a batch, against torch's autograd of each one alone."""

import pytest
import torch
from torch import Tensor

from samedge_core.curvature.operator import HessianOperator
from samedge_core.problems.problem import ModuleProblem
from samedge_core.sweeps.ensembles.networks import Networks
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem

POINTS = {"n": 30, "n_test": 20, "width": 6}
CASES = [
    ("chebyshev-mlp", {}),
    ("chebyshev-mlp", {"activation": "relu", "loss": "mse"}),
    ("points-mlp", POINTS),
    ("points-mlp", {**POINTS, "loss": "cross-entropy", "shape": "blobs-3", "depth": 3}),
    ("deep-linear", {"n": 40, "width": 7, "loss": "half-mse"}),
]


def problem_of(name: str, options: dict, dtype: str = "float64") -> ModuleProblem:
    problem = build_problem(RunConfig(name, options, dtype=dtype), "plain")
    assert isinstance(problem, ModuleProblem)
    return problem


def weights(problem: ModuleProblem, cells: int) -> Tensor:
    return torch.stack([problem.init(seed=seed) for seed in range(cells)])


@pytest.mark.parametrize(("name", "options"), CASES)
def test_loss_gradient_and_products(name, options):
    problem = problem_of(name, options)
    networks, w = Networks(problem), weights(problem, 3)
    v = torch.randn(w.shape, generator=torch.Generator().manual_seed(1), dtype=w.dtype)
    point = networks.at(networks.packed(w), keep=True)
    g = networks.unpacked(point.g)
    flat = torch.cat(networks.packed(v), 1)
    products = networks.unpacked(list(point.hvp(flat).split(networks._sizes, 1)))
    for i in range(3):
        alone = HessianOperator(problem.terms(None), w[i])
        assert float(point.loss[i]) == pytest.approx(float(alone.value), rel=1e-13)
        # ten digits less than what sums of so many terms lose
        torch.testing.assert_close(g[i], alone.g, rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(products[i], alone.matvec(v[i]), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_what_is_kept_changes_no_gradient(name, options):
    problem = problem_of(name, options, "float32")
    networks = Networks(problem)
    parts = networks.packed(weights(problem, 4))
    kept = networks.at(parts, keep=True)
    for count in (4, 2, 4):  # arrays of another size are made anew
        part = [x[:count] for x in parts]
        for one, other in zip(networks.at(part).g, kept.g, strict=True):
            assert torch.equal(one, other[:count])


def test_selected_cells_keep_their_own_hessians():
    problem = problem_of("points-mlp", POINTS)
    networks, w = Networks(problem), weights(problem, 4)
    point = networks.at(networks.packed(w), keep=True)
    v = torch.ones_like(w)
    chosen = torch.tensor([3, 1])
    some = point.select(chosen)
    torch.testing.assert_close(some.hvp(v[:2]), point.hvp(v)[chosen], rtol=0, atol=0)
    assert torch.equal(some.loss, point.loss[chosen])


def test_packing_and_back():
    problem = problem_of("deep-linear", {"n": 10, "width": 5})
    networks, w = Networks(problem), weights(problem, 2)
    assert torch.equal(networks.unpacked(networks.packed(w)), w)


@pytest.mark.parametrize(("name", "options"), CASES[2:])
def test_accuracy_and_held_out_loss(name, options):
    problem = problem_of(name, options)
    networks, w = Networks(problem), weights(problem, 3)
    accuracy, held_out = networks.evaluate(networks.at(networks.packed(w), keep=True))
    assert accuracy is not None
    for i in range(3):
        assert float(accuracy[i]) == pytest.approx(problem.evaluate(w[i]).accuracy)
        if held_out is not None:
            alone = problem.evaluate_held_out(w[i]).loss
            assert float(held_out[i]) == pytest.approx(alone, rel=1e-12)
    assert (held_out is None) == (name == "deep-linear")


def test_without_classes_there_is_no_accuracy():
    problem = problem_of("chebyshev-mlp", {})
    networks = Networks(problem)
    point = networks.at(networks.packed(weights(problem, 1)), keep=True)
    assert networks.evaluate(point) == (None, None)
