"""Convolutional networks written out, against autograd, the dense Hessian and JAX."""

import gc
import math
import weakref
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import jax
import numpy as np
import optax
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from samedge_core.curvature import HessianOperator, dense_hessian
from samedge_core.problems.compiled import network as recognising
from samedge_core.problems.compiled.conv import OFF
from samedge_core.problems.networks import cnn, digits_cnn
from samedge_core.problems.problem import Batch, ModuleProblem
from tests.problems.compiled.shared import DOUBLE, agree, agree_with_jax, by_hand, matrix, noise

# float64 sums of up to some thousand terms, in two orders, against parts of order 1
ROUNDING = 1e-12


class Case(NamedTuple):
    side: int
    channels: tuple[int, ...]  # of the images, then of each block
    loss: str = "mse"
    classes: bool = True
    n: int = 5
    outputs: int = 3
    seed: int = 0


def network(case: Case) -> nn.Sequential:
    """`cnn` for images of any number of channels."""
    module = cnn(case.side, case.channels[1:], case.outputs)
    module[0] = nn.Conv2d(case.channels[0], case.channels[1], 3, padding=1)
    return module


def make(case: Case) -> tuple[ModuleProblem, Tensor]:
    """A problem and weights with biases that are not 0."""
    x = noise(case.n, case.channels[0], case.side, case.side, seed=case.seed)
    y = noise(case.n, case.outputs, seed=1)
    target = y.argmax(1) if case.classes else y
    problem = ModuleProblem(network(case).double(), x, target, case.loss)
    return problem, 0.4 * noise(problem.size, seed=case.seed + 2)


@st.composite
def cases(draw) -> Case:
    """Depths 1 to 3, as far as the side can be halved."""
    side, depth = draw(st.sampled_from([(4, 2), (8, 3), (12, 2), (16, 3)]))
    loss = draw(st.sampled_from(["mse", "half-mse", "cross-entropy"]))
    return Case(
        side,
        tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=1 + depth))),
        loss,
        loss == "cross-entropy" or draw(st.booleans()),
        draw(st.integers(1, 5)),
        draw(st.integers(1, 3)),
        draw(st.integers(0, 1000)),
    )


ALL = [
    Case(8, (1, 2, 3), "mse", True),
    Case(4, (2, 3, 2), "mse", False),
    Case(8, (3, 2), "half-mse", True),
    Case(8, (1, 2, 3, 2), "half-mse", False),
    Case(12, (1, 2, 3), "cross-entropy", True),
]


# --- against autograd, the dense Hessian and JAX ------------------------------------------------


@given(cases())
def test_loss_gradient_and_products_are_those_of_autograd(case):
    problem, w = make(case)
    ours, autograd = by_hand(problem, w), HessianOperator(problem.terms(None), w)
    assert (ours.size, ours.dtype, ours.device) == (problem.size, DOUBLE, w.device)
    agree(ours.value, autograd.value, ROUNDING)
    agree(ours.g, autograd.g, ROUNDING)
    for seed in range(3):
        v = noise(problem.size, seed=seed)
        agree(ours.matvec(v), autograd.matvec(v), ROUNDING)
    assert ours.products == 3
    x = problem.full_batch().x
    agree(ours.outputs, problem.predict(w, x), ROUNDING)
    assert torch.equal(ours.predictions, ours.outputs.argmax(1))


@pytest.mark.parametrize("case", ALL, ids=str)
def test_products_make_up_the_dense_hessian_and_it_is_symmetric(case):
    problem, w = make(case)
    h = matrix(by_hand(problem, w))
    assert h.norm() > 0.1
    agree(h, dense_hessian(lambda w: problem.loss(w, None), w), ROUNDING)
    agree(h, h.T, ROUNDING)


def jax_loss(case: Case, x, y) -> Callable:
    """The same network in JAX as a function of w, its pools as maxima over axes."""

    def loss(w):
        start, out = 0, x

        def take(*shape):
            nonlocal start
            start += math.prod(shape)
            return w[start - math.prod(shape) : start].reshape(shape)

        for before, after in pairwise(case.channels):
            weight, bias = take(after, before, 3, 3), take(after, 1, 1)
            out = jax.lax.conv_general_dilated(out, weight, (1, 1), "SAME") + bias
            n, c, rows, columns = out.shape
            pools = jax.nn.relu(out).reshape(n, c, rows // 2, 2, columns // 2, 2)
            out = pools.max((3, 5))
        out = out.reshape(len(out), -1)
        out = out @ take(case.outputs, out.shape[1]).T + take(case.outputs)
        if case.loss == "cross-entropy":
            return optax.softmax_cross_entropy_with_integer_labels(out, y).mean()
        target = jax.nn.one_hot(y, case.outputs) if case.classes else y
        return ((out - target) ** 2).mean() * (0.5 if case.loss == "half-mse" else 1)

    return loss


# JAX takes seconds to compile each
@pytest.mark.parametrize("case", [ALL[1], ALL[4]], ids=str)
def test_loss_gradient_and_products_are_those_of_jax(case):
    problem, w = make(case)
    agree_with_jax(problem, w, lambda x, y: jax_loss(case, x, y), ROUNDING)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_single_precision_is_that_of_the_numbers(case):
    problem, w = make(case)
    x, y = problem.full_batch()
    y = y.float() if y.is_floating_point() else y
    single = ModuleProblem(network(case), x.float(), y, case.loss)
    ours, exact = by_hand(single, w.float()), by_hand(problem, w)
    v = noise(problem.size, seed=9)
    for part, expected in [
        (ours.value, exact.value),
        (ours.g, exact.g),
        (ours.matvec(v.float()), exact.matvec(v)),
    ]:
        assert part.dtype == torch.float32
        agree(part.double(), expected, 1e-5)  # float32 sums of up to some hundred terms


def test_the_digits():
    problem = digits_cnn(n=60, n_test=0, init="torch", loss="mse", dtype="float64")
    w, v = problem.init(seed=3), noise(problem.size)
    ours, autograd = by_hand(problem, w), HessianOperator(problem.terms(None), w)
    agree(ours.value, autograd.value, ROUNDING)
    agree(ours.g, autograd.g, ROUNDING)
    agree(ours.matvec(v), autograd.matvec(v), ROUNDING)
    evaluation, own = problem.evaluate(w, ours), problem.evaluate(w)
    assert evaluation.accuracy == own.accuracy
    assert evaluation.loss == pytest.approx(own.loss, rel=1e-13)


# --- ties, kinks and what is not finite ---------------------------------------------------------


def whole(*shape: int, seed: int) -> Tensor:
    """Integers from -2 to 2: no sum of their products is rounded."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-2, 3, shape, generator=generator).to(DOUBLE)


def equal_to_autograd(problem: ModuleProblem, w: Tensor) -> None:
    ours, autograd = by_hand(problem, w), HessianOperator(problem.terms(None), w)
    assert ours.value == autograd.value
    assert torch.equal(ours.g, autograd.g)
    for v in torch.eye(problem.size, dtype=DOUBLE):
        assert torch.equal(ours.matvec(v), autograd.matvec(v))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("channels", [(1, 2), (2, 2, 3)])
def test_of_equal_pixels_the_first_counts_as_in_torch(channels, seed):
    # blank but for a few pixels, as digits are at their borders: equal pre-activations above 0
    x = whole(2, channels[0], 8, 8, seed=seed)
    x[:, :, :, 3:] = 0
    x[:, :, 3:] = 0
    case = Case(8, channels, n=2, outputs=2)
    problem = ModuleProblem(network(case).double(), x, whole(2, 2, seed=9), "mse")
    w = whole(problem.size, seed=seed + 20)
    biases = slice(9 * channels[0] * channels[1], (9 * channels[0] + 1) * channels[1])
    w[biases] = 1
    # beyond the reach of those pixels, all four of a pool are equal, of both examples
    kernel, bias = w[: biases.start].view(channels[1], channels[0], 3, 3), w[biases]
    z = nn.functional.conv2d(x, kernel, bias, padding=1)
    assert torch.equal(z[:, :, 4:], torch.ones_like(z[:, :, 4:]))
    assert (first_pools(problem, w).view(-1, 4, 4, 2)[:, 2:] == 0).all()
    equal_to_autograd(problem, w)


def first_pools(problem: ModuleProblem, w: Tensor) -> Tensor:
    """Which pixels the pools of the first layer pass on, (outputs, pools)."""
    known = by_hand(problem, w)._conv
    assert known
    layer = known.layers[0]
    pools = layer.outputs * layer.rows // 2 * layer.columns // 2 * len(problem.full_batch().x)
    return torch.from_numpy(known.indices[:pools]).view(int(layer.outputs), -1)


def test_the_first_of_equal_pixels_by_hand():
    # W has its middle entry only: z = x + 1; of the pool (0, 0, 1, 1) the third, in its row
    case = Case(2, (1, 1), n=1, outputs=1)
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=DOUBLE).view(1, 1, 2, 2)
    problem = ModuleProblem(network(case).double(), x, torch.zeros(1, 1, dtype=DOUBLE), "mse")
    w = torch.zeros(problem.size, dtype=DOUBLE)
    w[4] = w[9] = w[10] = 1.0
    operator = by_hand(problem, w)
    assert float(operator.value) == 4  # the output is the largest, 2
    # the neighbourhood of the pixel below left: itself and the pixel to its right are 1
    assert operator.g[:9].tolist() == [0, 0, 0, 0, 4, 4, 0, 0, 0]
    assert operator.g[9:].tolist() == [4, 8, 4]


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_at_a_kink_the_slope_is_torchs(zero):
    # blank images: every pre-activation of the first channel is 0 exactly, of the second -1
    case = Case(4, (1, 2), n=2, outputs=2)
    x = torch.zeros(2, 1, 4, 4, dtype=DOUBLE)
    x[0, 0, 1, 1] = 1
    problem = ModuleProblem(network(case).double(), x, whole(2, 2, seed=1), "mse")
    w = whole(problem.size, seed=2)
    w[18:20] = torch.tensor([zero, -1.0], dtype=DOUBLE)
    assert (first_pools(problem, w)[0] == OFF).any()
    equal_to_autograd(problem, w)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_seen(bad):
    problem, w = make(Case(4, (1, 2, 1), n=2, outputs=2))
    for i in range(problem.size):
        broken = w.clone()
        broken[i] = bad
        loss, g = problem.loss_and_gradient(broken, None)
        autograd = HessianOperator(problem.terms(None), broken)
        if autograd.value.isnan():
            assert loss.isnan()
            assert g.norm().isnan()
        else:
            assert loss == autograd.value or math.isclose(loss, autograd.value)


# --- what is left alone, and what is kept -------------------------------------------------------


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_product_repeats_bit_for_bit_and_no_input_is_touched(case):
    problem, w = make(case)
    batch, v, other = problem.full_batch(), noise(problem.size, seed=5), noise(problem.size, seed=6)
    inputs = [w, v, other, *batch]
    before = [part.clone() for part in inputs]
    operator = by_hand(problem, w, batch)
    g, outputs = operator.g.clone(), operator.outputs.clone()
    first = operator.matvec(v)
    kept = first.clone()
    by_hand(problem, 2 * w).matvec(other)  # another at the same time
    second, third = operator.matvec(other), operator.matvec(v)
    assert torch.equal(first, kept)
    assert torch.equal(third, kept)
    assert not torch.equal(second, kept)
    assert torch.equal(operator.g, g)
    assert torch.equal(operator.outputs, outputs)
    for now, then in zip(inputs, before, strict=True):
        assert torch.equal(now, then)
    again = by_hand(make(case)[0], w)
    assert again.value == operator.value
    assert torch.equal(again.g, g)
    assert torch.equal(again.matvec(v), kept)


@pytest.mark.parametrize("case", ALL, ids=str)
@pytest.mark.parametrize("chosen", [[4], [3, 0, 2]])
def test_a_mini_batch_is_the_full_batch_of_its_examples(case, chosen):
    problem, w = make(case)
    by_hand(problem, w)  # what it keeps of the full batch is not taken for the part
    x, y = problem.full_batch()
    batch, v = Batch(x[chosen], y[chosen]), noise(problem.size, seed=9)
    ours, autograd = by_hand(problem, w, batch), HessianOperator(problem.terms(batch), w)
    agree(ours.value, autograd.value, ROUNDING)
    agree(ours.g, autograd.g, ROUNDING)
    agree(ours.matvec(v), autograd.matvec(v), ROUNDING)
    assert torch.equal(by_hand(problem, w).g, by_hand(make(case)[0], w).g)


@pytest.fixture
def prepared(monkeypatch) -> list[int]:
    """The lengths of the batches whose patches were computed."""
    lengths: list[int] = []
    plain = recognising.unfold

    def unfold(image: np.ndarray, out: np.ndarray) -> None:
        lengths.append(image.shape[-1])
        plain(image, out)

    monkeypatch.setattr(recognising, "unfold", unfold)
    return lengths


def test_the_patches_of_a_batch_are_computed_once(prepared):
    problem, w = make(ALL[0])
    for scale in (1, 2, 3):
        by_hand(problem, scale * w).matvec(w)
        problem.loss_and_gradient(w, problem.full_batch())
    assert prepared == [5]


def test_other_data_or_targets_are_not_taken_for_those_before(prepared):
    problem, w = make(ALL[0])
    x, y = problem.full_batch()
    for batch in (Batch(x, y), Batch(2 * x, y), Batch(2 * x, (y + 1) % 3), Batch(x, (y + 1) % 3)):
        autograd = HessianOperator(problem.terms(batch), w)
        agree(by_hand(problem, w, batch).g, autograd.g, ROUNDING)
    assert prepared == [5] * 4


def test_mini_batches_do_not_pile_up():
    problem, w = make(ALL[0])
    x, y = problem.full_batch()
    batches = [Batch(x[i : i + 2].clone(), y[i : i + 2]) for i in range(3)]
    seen = [weakref.ref(batch.x) for batch in batches]
    while batches:
        problem.loss_and_gradient(w, batches.pop(0))
    gc.collect()
    assert [part() is None for part in seen] == [True, True, False]
