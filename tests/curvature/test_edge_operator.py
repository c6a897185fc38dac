"""EdgeOperator: its products are those of the matrix, and the tracker follows it."""

import numpy as np
import pytest
import torch

from samedge_core.curvature.edge_operator import EdgeOperator
from samedge_core.curvature.operator import HessianOperator
from samedge_core.curvature.plain_tracker import PlainTracker
from samedge_core.curvature.tracker import SharpnessTracker
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem
from tests.curvature.matrices import Matrix, with_spectrum

SIZE = 40


def made(reach: float, shift: float):
    """The operator and its dense matrix; P is spread over three decades."""
    h = with_spectrum(np.linspace(-2, 5, SIZE)).matrix
    p = torch.logspace(-1, 2, SIZE, dtype=torch.float64)[
        torch.randperm(SIZE, generator=torch.Generator().manual_seed(2))
    ]
    hessian = HessianOperator(lambda w: 0.5 * w @ h @ w, torch.ones(SIZE, dtype=torch.float64))
    root = torch.diag(p.rsqrt())
    dense = root @ (h + reach * h @ h) @ root + shift * torch.eye(SIZE, dtype=torch.float64)
    return hessian, EdgeOperator(hessian, p, reach=reach, shift=shift), dense


@pytest.mark.parametrize("reach", [0.0, 0.3])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_product_is_that_of_the_matrix(reach, shift):
    hessian, operator, dense = made(reach, shift)
    x = torch.randn(SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    # three products of 40 terms each, rounded to 1e-16
    torch.testing.assert_close(operator.matvec(x), dense @ x, rtol=1e-11, atol=1e-11)
    assert hessian.products == operator.products_each == (2 if reach else 1)


@pytest.mark.parametrize("kind", [SharpnessTracker, PlainTracker])
@pytest.mark.parametrize("reach", [0.0, 0.3])
def test_a_tracker_finds_its_leading_eigenvalue_and_direction(kind, reach):
    _, operator, dense = made(reach, 0.0)
    estimate = kind(seed=0).measure(operator)
    values, vectors = torch.linalg.eigh(dense)
    leading = int(values.abs().argmax())
    assert estimate.converged
    assert estimate.value == pytest.approx(float(values[leading]), rel=1e-3)
    assert abs(float(estimate.vectors[0] @ vectors[:, leading])) > 0.99


def test_without_any_of_it_it_is_the_hessian():
    h = HessianOperator(lambda w: (w**4).sum(), torch.tensor([1.0, 2.0]))
    v = torch.tensor([1.0, -1.0])
    assert torch.equal(EdgeOperator(h).matvec(v), h.matvec(v))
    assert EdgeOperator(h).to_weights(v) is v


def test_without_the_factor_it_is_the_preconditioned_hessian():
    _, operator, _ = made(0.3, 0.0)
    _, _, plain = made(0.0, 0.0)
    x = torch.nn.functional.normalize(torch.ones(SIZE, dtype=torch.float64), dim=0)
    assert operator.plain(x) == pytest.approx(float(x @ plain @ x), rel=1e-11)


@pytest.mark.parametrize("reach", [0.0, 0.3])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_in_main_memory_a_product_is_the_same(reach, scale):
    config = RunConfig(problem="chebyshev-mlp", dtype="float64")
    problem = build_problem(config)
    w = problem.init(seed=0)
    hessian = problem.operator(w, problem.full_batch())
    assert hessian
    p = torch.linspace(0.5, 3, len(w), dtype=torch.float64)
    operator = EdgeOperator(hessian, p, reach=reach, shift=0.1, scale=scale)
    x = torch.nn.functional.normalize(p, dim=0)
    out = torch.empty_like(x)
    operator.multiply(x.numpy(), out.numpy())
    # the same products in another order of rounding
    torch.testing.assert_close(out, operator.matvec(x), rtol=1e-12, atol=1e-12)
    assert hessian.products == 2 * operator.products_each


class Moving:
    """H turns slowly while P changes by a tenth, at random, at every step."""

    def __init__(self, seed: int) -> None:
        self.h = with_spectrum([9.0, 7.5, -6.0, *np.linspace(-2, 4, 57)]).matrix
        self.generator = torch.Generator().manual_seed(seed)
        turn = torch.randn(60, 60, generator=self.generator, dtype=torch.float64)
        self.turn = torch.linalg.matrix_exp(0.001 * (turn - turn.T))
        self.p = torch.ones(60, dtype=torch.float64)

    def __next__(self) -> tuple[EdgeOperator, float]:
        self.h = self.turn @ self.h @ self.turn.T
        noise = torch.randn(60, generator=self.generator, dtype=torch.float64)
        self.p = self.p * (0.1 * noise).exp()
        root = self.p.rsqrt()
        top = torch.linalg.eigvalsh(root[:, None] * self.h * root).abs().max()
        return EdgeOperator(Matrix(self.h), self.p), float(top)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_that_p_changes_costs_a_tracker_no_search(seed):
    moving, tracker, blind = Moving(seed), SharpnessTracker(seed=0), SharpnessTracker(seed=0)
    products, without = [], []
    for _ in range(40):
        operator, top = next(moving)
        estimate = tracker.measure(operator)
        assert estimate.converged
        assert abs(estimate.value) == pytest.approx(top, rel=1e-3)
        products.append(estimate.products)
        without.append(blind.measure(Silent(operator)).products)
    assert max(products[1:]) < 20  # a search's least
    assert sum(products[1:]) < 0.6 * sum(without[1:])


class Silent:
    """The same matrix, which does not tell of P."""

    def __init__(self, operator: EdgeOperator) -> None:
        self.size, self.dtype, self.device = operator.size, operator.dtype, operator.device
        self.matvec = operator.matvec


def test_a_tracker_restored_between_two_p_goes_on_to_the_bit():
    moving, tracker = Moving(3), SharpnessTracker(seed=0)
    for _ in range(7):
        tracker.measure(next(moving)[0])
    other = SharpnessTracker(seed=9)
    other.restore(tracker.state())
    for _ in range(5):
        operator, _ = next(moving)
        one, two = tracker.measure(operator), other.measure(operator)
        np.testing.assert_array_equal(one.values, two.values)
        assert torch.equal(one.vectors, two.vectors)


def test_where_new_coordinates_leave_no_basis_the_tracker_searches():
    h = with_spectrum([5.0, 4.0, 3.0, *np.linspace(-1, 1, 37)])
    tracker, p = SharpnessTracker(seed=0), torch.ones(40, dtype=torch.float64)
    for _ in range(3):
        tracker.measure(EdgeOperator(h, p))
    p[0] = 1e-40  # all vectors become the same one
    estimate = tracker.measure(EdgeOperator(h, p))
    root = p.rsqrt()
    top = torch.linalg.eigvalsh(root[:, None] * h.matrix * root).abs().max()
    assert estimate.value == pytest.approx(float(top), rel=1e-3)
    assert estimate.converged


def test_another_rule_without_p_goes_on_from_what_is_known():
    h = with_spectrum([5.0, 4.0, 3.0, *np.linspace(-1, 1, 37)])
    tracker = SharpnessTracker(seed=0)
    p = torch.linspace(0.8, 1.2, 40, dtype=torch.float64)
    for operator in (EdgeOperator(h, p), EdgeOperator(h, p), EdgeOperator(h), EdgeOperator(h)):
        estimate = tracker.measure(operator)
    assert estimate.value == pytest.approx(5.0, rel=1e-3)
    assert estimate.products < 20
