"""Dense networks written out, against autograd, the dense Hessian and JAX."""

import math
from collections.abc import Callable
from itertools import pairwise, product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samedge_core.curvature import HessianOperator, dense_hessian
from samedge_core.problems.compiled import dense
from samedge_core.problems.networks import mlp
from samedge_core.problems.problem import Batch, ModuleProblem
from tests.problems.compiled.shared import (
    DOUBLE,
    ROUNDING,
    agree,
    agree_with_jax,
    by_hand,
    matrix,
    noise,
)


class Case(NamedTuple):
    sizes: list[int]
    activation: str | None
    loss: str
    classes: bool
    n: int
    seed: int = 0


def make(case: Case, *, chunk: int | None = None) -> tuple[ModuleProblem, Tensor]:
    """A problem and weights with biases that are not 0."""
    module = mlp(case.sizes, case.activation).double()
    x, y = noise(case.n, case.sizes[0], seed=case.seed), noise(case.n, case.sizes[-1], seed=1)
    target = y.argmax(1) if case.classes else y
    problem = ModuleProblem(module, x, target, case.loss, chunk=chunk)
    return problem, 0.7 * noise(problem.size, seed=case.seed + 2)


@st.composite
def cases(draw) -> Case:
    """Depths 0 to 4."""
    loss = draw(st.sampled_from(["mse", "half-mse", "cross-entropy"]))
    return Case(
        draw(st.lists(st.integers(1, 4), min_size=2, max_size=6)),
        draw(st.sampled_from([None, "relu", "tanh"])),
        loss,
        loss == "cross-entropy" or draw(st.booleans()),
        draw(st.integers(1, 5)),
        draw(st.integers(0, 1000)),
    )


ALL = [
    Case([3, 4, 5, 2], activation, loss, classes, 6)
    for activation, (loss, classes) in product(
        [None, "relu", "tanh"],
        [
            ("mse", True),
            ("mse", False),
            ("half-mse", True),
            ("half-mse", False),
            ("cross-entropy", True),
        ],
    )
]


# --- against autograd, the dense Hessian and JAX ------------------------------------------------


@given(cases())
def test_loss_gradient_and_products_are_those_of_autograd(case):
    problem, w = make(case)
    ours, autograd = by_hand(problem, w), HessianOperator(problem.terms(None), w)
    assert (ours.size, ours.dtype, ours.device) == (problem.size, DOUBLE, w.device)
    agree(ours.value, autograd.value)
    agree(ours.g, autograd.g)
    for seed in range(3):
        v = noise(problem.size, seed=seed)
        agree(ours.matvec(v), autograd.matvec(v))
    assert ours.products == 3


@pytest.mark.parametrize("case", [case for case in ALL if case.activation == "tanh"], ids=str)
def test_a_tanh_that_numpy_takes_is_the_same(case, monkeypatch):
    problem, w = make(case)
    v, expected = noise(problem.size, seed=9), by_hand(problem, w)
    monkeypatch.setattr(dense, "NUMPY_TANH", 0)
    ours = by_hand(problem, w)
    agree(ours.value, expected.value)
    agree(ours.g, expected.g)
    agree(ours.matvec(v), expected.matvec(v))


@given(cases())
def test_products_make_up_the_dense_hessian_and_it_is_symmetric(case):
    problem, w = make(case)
    h = matrix(by_hand(problem, w))
    agree(h, dense_hessian(lambda w: problem.loss(w, None), w))
    agree(h, h.T)


def jax_loss(case: Case, x, y) -> Callable:
    """The same network in JAX as a function of w."""
    activate = {None: lambda z: z, "relu": jax.nn.relu, "tanh": jnp.tanh}[case.activation]
    ends = np.cumsum([0, *(n for a, b in pairwise(case.sizes) for n in (a * b, b))])
    spans = list(pairwise(ends.tolist()))

    def loss(w):
        out = x
        for i, (before, after) in enumerate(pairwise(case.sizes)):
            (a, b), (c, d) = spans[2 * i], spans[2 * i + 1]
            out = (activate(out) if i else out) @ w[a:b].reshape(after, before).T + w[c:d]
        if case.loss == "cross-entropy":
            return optax.softmax_cross_entropy_with_integer_labels(out, y).mean()
        target = jax.nn.one_hot(y, case.sizes[-1]) if case.classes else y
        return ((out - target) ** 2).mean() * (0.5 if case.loss == "half-mse" else 1)

    return loss


# JAX takes half a second to compile each
IN_JAX = [case for case in ALL if case.classes != (case.loss == "mse")]


@pytest.mark.parametrize("case", IN_JAX, ids=str)
def test_loss_gradient_and_products_are_those_of_jax(case):
    problem, w = make(case)
    agree_with_jax(problem, w, lambda x, y: jax_loss(case, x, y))


@pytest.mark.parametrize("case", ALL, ids=str)
def test_single_precision_is_that_of_the_numbers(case):
    problem, w = make(case)
    x, y = problem.full_batch()
    single = ModuleProblem(
        mlp(case.sizes, case.activation),
        x.float(),
        y.float() if y.is_floating_point() else y,
        case.loss,
    )
    ours, exact = by_hand(single, w.float()), by_hand(problem, w)
    v = noise(problem.size, seed=9)
    for part, expected in [
        (ours.value, exact.value),
        (ours.g, exact.g),
        (ours.matvec(v.float()), exact.matvec(v)),
    ]:
        assert part.dtype == torch.float32
        agree(part.double(), expected, 3e-6)  # float32 sums of up to 30 terms


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_large_outputs_of_the_cross_entropy_do_not_overflow(size):
    problem, w = make(Case([3, 4, 3], "relu", "cross-entropy", True, 5))
    w, v = size * w, noise(problem.size)
    ours, autograd = by_hand(problem, w), HessianOperator(problem.terms(None), w)
    assert float(ours.value) > size
    # the exponentials lose as many digits as the outputs are large
    torch.testing.assert_close(ours.value, autograd.value, rtol=1e-13, atol=0)
    agree(ours.g, autograd.g, size**2 * ROUNDING)
    agree(ours.matvec(v), autograd.matvec(v), size**2 * ROUNDING)


@pytest.mark.parametrize("case", ALL, ids=str)
@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e200])
def test_what_is_not_finite_is_seen_without_a_warning(case, bad):
    problem, w = make(case)
    w[-3:] = bad  # of the last layer
    operator, autograd = by_hand(problem, w), HessianOperator(problem.terms(None), w)
    operator.matvec(noise(problem.size))
    assert math.isfinite(operator.value) == math.isfinite(autograd.value)
    if math.isnan(autograd.value):
        assert operator.value.isnan()
        assert operator.g.norm().isnan()


# --- kinks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_at_a_kink_the_slope_is_torchs(zero):
    # of the pre-activations of two examples, (1, zero) and (0, -1), two are at the kink exactly
    problem = ModuleProblem(
        mlp([2, 2, 2], "relu").double(), torch.eye(2, dtype=DOUBLE), noise(2, 2).round(), "mse"
    )
    w = torch.tensor([1, 0, zero, -1, 0, zero, 2, 3, -1, 4, 1, -2], dtype=DOUBLE)
    ours, autograd = by_hand(problem, w), HessianOperator(problem.terms(None), w)
    # small integers and halves: no rounding
    assert ours.value == autograd.value
    assert torch.equal(ours.g, autograd.g)
    for v in torch.eye(12, dtype=DOUBLE):
        assert torch.equal(ours.matvec(v), autograd.matvec(v))
    # the second unit is off for both examples, the first for the second one: slope 0 at 0
    w1, b1 = ours.g[:4].view(2, 2), ours.g[4:6]
    assert w1[0, 0] == b1[0] != 0
    assert w1[0, 1] == w1[1, 0] == w1[1, 1] == b1[1] == 0


# --- what is left alone -------------------------------------------------------------------------


@pytest.mark.parametrize("case", ALL, ids=str)
def test_strided_vectors_and_views_of_others(case):
    problem, w = make(case)
    expected = by_hand(problem, w)
    v = noise(problem.size, seed=9)
    # every second entry of a longer vector, a column of a matrix, the middle of a vector
    spread, pair = torch.zeros(2 * len(w), dtype=DOUBLE), torch.stack([v, w], 1)
    spread[::2] = w
    middle = torch.cat([w, v, w])[len(w) : 2 * len(w)]
    operator = by_hand(problem, spread[::2])
    assert torch.equal(operator.g, expected.g)
    for view in (pair[:, 0], middle):
        assert torch.equal(operator.matvec(view), expected.matvec(v))


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_product_repeats_bit_for_bit_and_no_input_is_touched(case):
    problem, w = make(case)
    batch, v, other = problem.full_batch(), noise(problem.size, seed=5), noise(problem.size, seed=6)
    inputs = [w, v, other, *batch]
    before = [part.clone() for part in inputs]
    operator = by_hand(problem, w, batch)
    g = operator.g.clone()
    assert operator.products == 0
    first = operator.matvec(v)
    kept = first.clone()
    second = operator.matvec(other)
    third = operator.matvec(v)
    assert operator.products == 3
    assert torch.equal(first, kept)
    assert torch.equal(third, kept)
    assert not torch.equal(second, kept)
    assert torch.equal(operator.g, g)
    for now, then in zip(inputs, before, strict=True):
        assert torch.equal(now, then)
    again = by_hand(problem, w)
    assert again.value == operator.value
    assert torch.equal(again.g, g)
    assert torch.equal(again.matvec(v), kept)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_no_graph_is_kept(case):
    problem, w = make(case)
    w.requires_grad_()
    operator = by_hand(problem, w)
    product = operator.matvec(noise(problem.size).requires_grad_())
    loss, g = problem.loss_and_gradient(w, None)
    for part in (operator.value, operator.g, product, loss, g):
        assert not part.requires_grad
        assert part.grad_fn is None
    assert w.grad is None


# --- batches and chunks -------------------------------------------------------------------------


@pytest.mark.parametrize("case", ALL, ids=str)
@pytest.mark.parametrize("chosen", [[4], [5, 0, 2]])
def test_a_mini_batch_is_the_full_batch_of_its_examples(case, chosen):
    problem, w = make(case)
    x, y = problem.full_batch()
    batch = Batch(x[chosen], y[chosen])
    few = ModuleProblem(mlp(case.sizes, case.activation).double(), *batch, case.loss)
    ours, expected = by_hand(problem, w, batch), by_hand(few, w)
    v = noise(problem.size, seed=9)
    assert ours.value == expected.value
    assert torch.equal(ours.g, expected.g)
    assert torch.equal(ours.matvec(v), expected.matvec(v))
    # `few` may have fewer classes than the data: against autograd on the data's own
    autograd = HessianOperator(problem.terms(batch), w)
    agree(ours.value, autograd.value)
    agree(ours.matvec(v), autograd.matvec(v))
    loss, g = problem.loss_and_gradient(w, batch)
    assert loss == ours.value
    assert torch.equal(g, ours.g)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_batch_larger_than_the_chunk_goes_through_autograd(case):
    problem, w = make(case, chunk=5)
    whole, _ = make(case)
    x, y = problem.full_batch()
    assert problem.operator(w, None) is None
    assert problem.operator(w, problem.full_batch()) is None
    by_hand(problem, w, Batch(x[:5], y[:5]))
    by_hand(make(case, chunk=6)[0], w)
    loss, g = problem.loss_and_gradient(w, None)
    agree(loss, by_hand(whole, w).value)
    agree(g, by_hand(whole, w).g)


def test_the_loss_by_hand():
    # one weight, one example: L = (tanh(2 * 0.5) * 3 + 1 - 2)^2, bias 0 in front
    problem = ModuleProblem(
        mlp([1, 1, 1], "tanh").double(), noise(1, 1) * 0 + 2, noise(1, 1) * 0 + 2, "mse"
    )
    w = torch.tensor([0.5, 0.0, 3.0, 1.0], dtype=DOUBLE)
    a = math.tanh(1.0)
    error, slope = 3 * a - 1, 1 - a * a
    operator = by_hand(problem, w)
    assert float(operator.value) == pytest.approx(error**2, rel=1e-15)
    expected = [2 * error * part for part in (3 * slope * 2, 3 * slope, a, 1)]
    assert operator.g.tolist() == pytest.approx(expected, rel=1e-14)
    # d2L/db1^2 = 2 (3 phi')^2 + 2 e 3 phi'', phi'' = -2 a phi'
    product = operator.matvec(torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=DOUBLE))
    curvature = 2 * (3 * slope) ** 2 + 6 * error * -2 * a * slope
    assert float(product[1]) == pytest.approx(curvature, rel=1e-13)
