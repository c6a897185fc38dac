"""HessianOperator against the dense Hessian and against curvlinops, on every kind of problem."""

import numpy as np
import pytest
import torch
from torch import nn

from samedge_core.curvature import HessianOperator, dense_hessian
from samedge_core.problems.registry import build
from samedge_core.training.config import RunConfig

SMALL = [
    ("digits-mlp", {"n": 20, "width": 4}),
    ("digits-mlp", {"n": 20, "width": 4, "activation": "tanh", "loss": "cross-entropy"}),
    ("digits-mlp", {"n": 20, "width": 3, "depth": 3, "loss": "half-mse"}),
    ("deep-linear", {"n": 20, "width": 3}),
    ("chebyshev-mlp", {}),
    ("chebyshev-mlp", {"activation": "relu", "loss": "mse"}),
    ("two-weight", {}),
    ("quadratic", {"eigenvalues": (5.0, -3.0, 1.0, 0.0)}),
]


def at_start(name: str, options: dict, dtype: str = "float64"):
    """(loss(w), w) of a problem at its initial weights."""
    config = RunConfig(problem=name, options=options)
    problem = build(name, config.options, seed=0, dtype=dtype)
    return (lambda w: problem.loss(w, problem.full_batch())), problem.init(seed=0)


def directions(count: int, size: int) -> torch.Tensor:
    """Unit vectors (count, size)."""
    generator = torch.Generator().manual_seed(7)
    v = torch.randn(count, size, generator=generator, dtype=torch.float64)
    return v / v.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_products_are_the_dense_hessians(name, options):
    loss, w = at_start(name, options)
    dense = dense_hessian(loss, w)
    operator = HessianOperator(loss, w)
    assert operator.size == len(w)
    assert operator.dtype == torch.float64
    for v in directions(5, len(w)):
        # two orders of float64 sums over a few hundred terms
        torch.testing.assert_close(
            operator.matvec(v), dense @ v, rtol=0, atol=1e-13 * float(dense.norm())
        )
    assert operator.products == 5
    assert dense.norm() > 0.1


def test_products_of_the_cnn_are_the_derivative_of_its_gradient():
    # P = 1,898: forward-mode columns instead of the whole matrix
    loss, w = at_start("digits-cnn", {"n": 20})
    operator = HessianOperator(loss, w)
    for v in directions(5, len(w)):
        expected = torch.func.jvp(torch.func.grad(loss), (w,), (v,))[1]
        assert expected.norm() > 1e-3
        torch.testing.assert_close(  # float64 sums in two orders
            operator.matvec(v), expected, rtol=0, atol=1e-13
        )


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_value_and_gradient_are_the_losss_own(name, options):
    loss, w = at_start(name, options)
    operator = HessianOperator(loss, w)
    weights = w.clone().requires_grad_()
    value = loss(weights)
    value.backward()
    assert operator.value == value.detach()
    assert weights.grad is not None
    torch.testing.assert_close(operator.g, weights.grad, rtol=1e-13, atol=1e-15)  # float64 sums
    assert not operator.g.requires_grad
    assert not operator.value.requires_grad
    assert not w.requires_grad


@pytest.mark.parametrize(("name", "options"), SMALL[:3])
def test_single_precision_products_are_the_dense_hessians(name, options):
    loss, w = at_start(name, options, "float32")
    double_loss, _ = at_start(name, options)
    dense = dense_hessian(double_loss, w.double())
    operator = HessianOperator(loss, w)
    for v in directions(3, len(w)):
        # float32 sums over a few hundred terms
        torch.testing.assert_close(
            operator.matvec(v.float()).double(), dense @ v, rtol=0, atol=1e-5 * float(dense.norm())
        )


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_products_agree_with_curvlinops(activation):
    curvlinops = pytest.importorskip("curvlinops")
    options = {"n": 50, "width": 16, "activation": activation}
    config = RunConfig(problem="digits-mlp", options=options)
    problem = build("digits-mlp", config.options, seed=0, dtype="float64")
    w, batch = problem.init(seed=0), problem.full_batch()
    assert batch is not None
    x, labels = batch
    kind = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
    module = nn.Sequential(
        nn.Linear(64, 16), kind(), nn.Linear(16, 16), kind(), nn.Linear(16, 10)
    ).double()
    nn.utils.vector_to_parameters(w, module.parameters())
    # MSELoss averages over examples and outputs; curvlinops weights two batches by their size
    targets = nn.functional.one_hot(labels, 10).double()
    data = [(x[:20], targets[:20]), (x[20:], targets[20:])]
    other = curvlinops.HessianLinearOperator(
        module, nn.MSELoss(), list(module.parameters()), data, check_deterministic=False
    )
    operator = HessianOperator(lambda w: problem.loss(w, batch), w)
    for v in directions(3, len(w)):
        # float64 sums over 50 examples in two orders
        torch.testing.assert_close(operator.matvec(v), other @ v, rtol=0, atol=1e-13)


def test_a_linear_loss_has_no_curvature():
    operator = HessianOperator(lambda w: 3 * w.sum(), torch.ones(4))
    assert operator.g.tolist() == [3.0] * 4
    assert operator.matvec(torch.ones(4)).tolist() == [0.0] * 4
    assert operator.products == 1


def test_parameters_that_the_loss_ignores_have_no_curvature():
    operator = HessianOperator(lambda w: w[0] ** 3 + w[1], torch.tensor([2.0, 1.0, 1.0]))
    assert operator.g.tolist() == [12.0, 1.0, 0.0]
    assert operator.matvec(torch.ones(3)).tolist() == [12.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("w", "got"),
    [
        (torch.ones(2, 3), r"\(2, 3\) of float32"),
        (torch.tensor(1.0), r"\(\) of float32"),
        (torch.ones(3, dtype=torch.int64), r"\(3,\) of int64"),
        (torch.ones(0), r"\(0,\) of float32"),
    ],
)
def test_a_w_that_is_no_vector_of_real_numbers_is_refused(w, got):
    with pytest.raises(
        ValueError, match=r"w must have shape \(P,\) and a floating-point type, got " + got
    ):
        HessianOperator(lambda w: (w**2).sum(), w)


def test_a_loss_that_is_no_scalar_is_refused():
    with pytest.raises(ValueError, match=r"loss must return a scalar, got shape \(3,\)"):
        HessianOperator(lambda w: w**2, torch.ones(3))


def test_a_loss_that_does_not_depend_on_w_has_no_curvature():
    h = HessianOperator(lambda w: torch.tensor(3.0), torch.ones(4))
    assert float(h.value) == 3.0
    assert torch.equal(h.g, torch.zeros(4))
    assert torch.equal(h.matvec(torch.ones(4)), torch.zeros(4))


@pytest.mark.parametrize("retained", [0, 1, 2, 9])
def test_terms_add_up_however_many_graphs_are_kept(retained):
    loss, w = at_start("digits-mlp", {"n": 30, "width": 4, "activation": "tanh"})
    whole = HessianOperator(loss, w)
    shares = (0.2, 0.5, 0.3)
    terms = [lambda w, share=share: share * loss(w) for share in shares]
    parts = HessianOperator(terms, w, retained=retained)
    # three roundings of 1e-16 more
    torch.testing.assert_close(parts.value, whole.value, rtol=1e-14, atol=0)
    torch.testing.assert_close(parts.g, whole.g, rtol=0, atol=1e-14 * float(whole.g.norm()))
    for v in directions(2, len(w)):
        expected = whole.matvec(v)
        bound = 1e-14 * float(expected.norm())
        torch.testing.assert_close(parts.matvec(v), expected, rtol=0, atol=bound)
    assert parts.products == 2


@pytest.mark.parametrize("w", [[1.0, 2.0], np.ones(2), None])
def test_weights_that_are_no_tensor_are_refused(w):
    got = type(w).__name__
    with pytest.raises(TypeError, match=rf"w must be a torch\.Tensor of shape \(P,\), got {got}"):
        HessianOperator(lambda w: w.sum(), w)


def test_a_loss_that_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match=r"loss must return a torch\.Tensor, got int"):
        HessianOperator(lambda w: 1, torch.ones(2))  # pyright: ignore[reportArgumentType]
