"""Fully connected networks by hand against autograd, the dense Hessian and JAX."""

import math
import types
import warnings
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
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from samedge_core.curvature import HessianOperator, dense_hessian
from samedge_core.problems.dense_network import DenseNetwork, DenseOperator
from samedge_core.problems.networks import mlp
from samedge_core.problems.problem import Batch, LossFunction, ModuleProblem, Problem

DOUBLE = torch.float64
# float64 sums of at most some hundred terms, in two orders, against parts of order 1
ROUNDING = 1e-13


class Case(NamedTuple):
    sizes: list[int]
    activation: str | None
    loss: str
    classes: bool
    n: int
    seed: int = 0


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def make(case: Case, *, chunk: int | None = None) -> tuple[ModuleProblem, Tensor]:
    """A problem and weights with biases that are not 0."""
    module = mlp(case.sizes, case.activation).double()
    x, y = noise(case.n, case.sizes[0], seed=case.seed), noise(case.n, case.sizes[-1], seed=1)
    target = y.argmax(1) if case.classes else y
    problem = ModuleProblem(module, x, target, case.loss, chunk=chunk)
    return problem, 0.7 * noise(problem.size, seed=case.seed + 2)


def by_hand(problem: Problem, w: Tensor, batch: Batch | None = None) -> DenseOperator:
    operator = problem.operator(w, batch)
    assert isinstance(operator, DenseOperator)
    return operator


def matrix(operator: DenseOperator) -> Tensor:
    """H column by column."""
    columns = [operator.matvec(v) for v in torch.eye(operator.size, dtype=operator.dtype)]
    return torch.stack(columns, 1)


def agree(ours: Tensor, expected: Tensor, bound: float = ROUNDING) -> None:
    atol = bound * (1 + float(expected.norm()))
    torch.testing.assert_close(ours, expected, rtol=0, atol=atol)


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
        [("mse", True), ("mse", False), ("half-mse", True), ("half-mse", False),
         ("cross-entropy", True)],
    )
]  # fmt: skip


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
    ours, v = by_hand(problem, w), noise(problem.size, seed=9)
    with jax.enable_x64(True):
        x, y = (jnp.asarray(part.numpy()) for part in problem.full_batch())
        loss = jax_loss(case, x, y)

        def along(w, v):
            return jax.jvp(jax.value_and_grad(loss), (w,), (v,))

        here, (_, expected) = jax.jit(along)(jnp.asarray(w.numpy()), jnp.asarray(v.numpy()))
        value, g, product = (torch.tensor(np.asarray(part)) for part in (*here, expected))
    assert product.dtype == DOUBLE
    assert product.norm() > 0.1
    agree(ours.value, value)
    agree(ours.g, g)
    agree(ours.matvec(v), product)


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


# --- which networks are recognised --------------------------------------------------------------


X, Y, CLASSES = noise(6, 3), noise(6, 2, seed=1), torch.tensor([0, 1, 1, 0, 1, 0])
RELU = nn.ReLU()


@pytest.mark.parametrize(
    ("layers", "sizes", "activation"),
    [
        ([nn.Linear(3, 2)], [3, 2], None),
        ([nn.Linear(3, 4), nn.Linear(4, 2)], [3, 4, 2], None),
        ([nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)], [3, 4, 2], "relu"),
        ([nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)], [3, 4, 2], "relu"),
        ([nn.Linear(3, 1), RELU, nn.Linear(1, 5), RELU, nn.Linear(5, 2)], [3, 1, 5, 2], "relu"),
        (
            [nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)],
            [3, 4, 4, 2],
            "tanh",
        ),
    ],
)
@pytest.mark.parametrize(
    ("loss", "y"),
    [("mse", Y), ("half-mse", Y), ("mse", CLASSES), ("half-mse", CLASSES),
     ("cross-entropy", CLASSES)],
)  # fmt: skip
def test_fully_connected_networks_are_recognised(layers, sizes, activation, loss, y):
    module = nn.Sequential(*layers).double()
    network = DenseNetwork.of(module, loss, Batch(X, y))
    assert network is not None
    assert (network.sizes, network.activation, network.loss) == (sizes, activation, loss)
    assert network.size == sum(p.numel() for p in module.parameters())
    same_gradient(module, X, y, loss)
    by_hand(ModuleProblem(module, X, y, loss), noise(network.size))


class Scaled(nn.Linear):
    def forward(self, input):
        return 3 * super().forward(input)


class Doubled(nn.Sequential):
    def forward(self, input):
        return 2 * super().forward(input)


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x)


def twice() -> nn.Module:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(3, 2))


def twice_at_the_ends() -> nn.Module:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.Linear(3, 3), layer)


def tied(name: str) -> nn.Module:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    setattr(second, name, getattr(first, name))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(3, 2))


def hooked() -> nn.Module:
    layer = nn.Linear(3, 2)
    layer.register_forward_hook(lambda module, inputs, output: 3 * torch.as_tensor(output))
    return nn.Sequential(layer)


def hooked_whole() -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 2))
    module.register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,))
    return module


def replaced() -> nn.Module:
    def doubled(self: nn.Linear, input: Tensor) -> Tensor:
        return 2 * nn.functional.linear(input, self.weight, self.bias)

    layer = nn.Linear(3, 2)
    layer.forward = types.MethodType(doubled, layer)
    return nn.Sequential(layer)


def normed() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and still in use
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(3, 2)))


def reparametrised() -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)))


def cubic(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).abs().pow(3).sum()


def linear(*between: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), *between, nn.Linear(4, 2))


# the gradient must be right all the same
OTHERS: dict[str, tuple[Callable[[], nn.Module], Tensor, Tensor, str | LossFunction]] = {
    "no Sequential": (lambda: nn.Linear(3, 2), X, Y, "mse"),
    "module of its own": (Wrapped, X, Y, "mse"),
    "nested": (lambda: linear(nn.Sequential(nn.ReLU(), nn.Linear(4, 4))), X, Y, "mse"),
    "layer used twice": (twice, X, Y, "mse"),
    "layer used twice, no activation": (
        lambda: nn.Sequential(twice_at_the_ends(), nn.Linear(3, 2)), X, Y, "mse"),
    "layer used at both ends": (twice_at_the_ends, X, X.flip(0), "mse"),
    "no bias": (
        lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2)), X, Y, "mse"
    ),
    "no bias at the end": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False)), X, Y, "mse"),
    "mixed activations": (lambda: linear(nn.ReLU(), nn.Linear(4, 4), nn.Tanh()), X, Y, "mse"),
    "an activation missing": (lambda: linear(nn.Linear(4, 4), nn.ReLU()), X, Y, "mse"),
    "two activations": (lambda: linear(nn.Tanh(), nn.Tanh()), X, Y, "mse"),
    "another activation": (lambda: linear(nn.GELU()), X, Y, "mse"),
    "trailing activation": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Tanh()), X, Y, "mse"
    ),
    "trailing activation, one missing": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Tanh()), X, Y, "mse"),
    "leading activation": (lambda: nn.Sequential(nn.Tanh(), nn.Linear(3, 2)), X, Y, "mse"),
    "convolution": (
        lambda: nn.Sequential(nn.Conv1d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)),
        X[:, None], Y, "mse"),
    "Flatten in front": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), X, Y, "mse"),
    "Flatten in front of images": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), X[:, None], Y, "mse"),
    "subclass of Linear": (lambda: nn.Sequential(Scaled(3, 2)), X, Y, "mse"),
    "weight normed": (reparametrised, X, Y, "mse"),
    "x of three dims": (linear, X.view(2, 3, 3), Y.view(2, 3, 2), "mse"),
    "x of three dims, sequences of classes": (
        linear, X.view(2, 3, 3), CLASSES.view(2, 3), "cross-entropy"),
    "classes of two dims": (linear, X, CLASSES[:, None], "cross-entropy"),
    "loss of one's own": (linear, X, Y, cubic),
}  # fmt: skip


def of(name: str) -> tuple[nn.Module, Tensor, Tensor, str | LossFunction]:
    module, x, y, loss = OTHERS[name]
    return module().double(), x, y, loss


def plain_loss(outputs: Tensor, y: Tensor, loss: str | LossFunction) -> Tensor:
    if callable(loss):
        return loss(outputs, y)
    if loss == "cross-entropy":
        return cross_entropy(outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1))
    target = y if y.is_floating_point() else one_hot(y, outputs.shape[-1])
    return (outputs - target).square().mean() / (2 if loss == "half-mse" else 1)


def same_gradient(module: nn.Module, x: Tensor, y: Tensor, loss: str | LossFunction) -> None:
    """`loss_and_gradient` is the module's own backward pass."""
    for seed, p in enumerate(module.parameters()):
        p.data.copy_(0.7 * noise(*p.shape, seed=seed))
    module.zero_grad()
    # first: `functional_call` leaves its own tensors in a layer that is used twice
    expected = plain_loss(module(x), y, loss)
    expected.backward()
    gradients = [p.grad.reshape(-1) for p in module.parameters() if p.grad is not None]
    problem = ModuleProblem(module, x, y, loss)
    value, g = problem.loss_and_gradient(problem.init(seed=0), None)
    agree(value, expected.detach())
    agree(g, torch.cat(gradients))
    assert float(g.norm()) > 0.01


@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_are_left_to_autograd(name):
    module, x, y, loss = of(name)
    assert DenseNetwork.of(module, loss, Batch(x, y)) is None
    problem = ModuleProblem(module, x, y, loss)
    assert problem.operator(problem.init(seed=0), None) is None


@pytest.mark.parametrize("name", OTHERS)
def test_the_gradient_of_other_networks_is_right(name):
    same_gradient(*of(name))


# a gradient of these by hand would be wrong, or fail
STRANGE: dict[str, Callable[[], nn.Module]] = {
    "subclass of Sequential": lambda: Doubled(nn.Linear(3, 2)),
    "tied weights": lambda: tied("weight"),
    "tied biases": lambda: tied("bias"),
    "forward hook": hooked,
    "forward hook of the whole": hooked_whole,
    "forward of an instance": replaced,
    "weight norm by hooks": normed,
}


@pytest.mark.parametrize("name", STRANGE)
def test_networks_that_only_look_fully_connected(name):
    module = STRANGE[name]().double()
    same_gradient(module, X, Y, "mse")
    assert DenseNetwork.of(module, "mse", Batch(X, Y)) is None


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_targets_of_another_precision(kind):
    other = {torch.float32: torch.float64, torch.float64: torch.float32}[kind]
    problem = ModuleProblem(linear(nn.ReLU()).to(kind), X, Y.to(other), "mse")
    exact = ModuleProblem(linear(nn.ReLU()).double(), X, Y, "mse")
    w = noise(problem.size)
    loss, g = problem.loss_and_gradient(w.to(kind), None)
    expected_loss, expected = exact.loss_and_gradient(w, None)
    agree(loss.double(), expected_loss, 1e-6)  # float32
    agree(g.double(), expected, 1e-6)


def test_classes_of_bytes():
    # torch takes them for the cross-entropy, and for a mask where they index
    same_gradient(linear(nn.ReLU()).double(), X, CLASSES.to(torch.uint8), "cross-entropy")


@pytest.mark.parametrize("outputs", [2, 200])
def test_the_class_that_cross_entropy_ignores(outputs):
    y = torch.where(torch.arange(6) % 2 == 0, CLASSES, -100)
    same_gradient(nn.Sequential(nn.Linear(3, outputs)).double(), X, y, "cross-entropy")


@pytest.mark.parametrize(
    ("wrong", "loss"),
    [
        (2, "mse"),
        (2, "cross-entropy"),
        (-1, "mse"),
        (-1, "cross-entropy"),
    ],
)
def test_a_class_out_of_range_is_refused(wrong, loss):
    y = torch.tensor([0, 1, wrong, 0, 1, 0])
    problem = ModuleProblem(linear(nn.ReLU()).double(), X, y, loss)
    assert problem.operator(noise(problem.size), None) is None
    with pytest.raises((IndexError, RuntimeError)):
        problem.loss_and_gradient(noise(problem.size), None)


@pytest.mark.parametrize("y", [Y[:, 0], Y[:, :1], noise(6, 3), Y[:, :, None]], ids=str)
def test_targets_that_do_not_fit_are_refused_as_before(y):
    problem = ModuleProblem(linear(nn.ReLU()).double(), X, y, "mse")
    assert DenseNetwork.of(linear(nn.ReLU()), "mse", Batch(X, y)) is None
    with pytest.raises(ValueError, match="differ in shape"):
        problem.loss_and_gradient(problem.init(seed=0), None)


def test_inputs_that_do_not_fit_and_losses_without_a_name_here():
    assert DenseNetwork.of(linear(), "mse", Batch(noise(6, 4), Y)) is None
    assert DenseNetwork.of(linear(), "mse", Batch(X[:, None], Y)) is None
    assert DenseNetwork.of(linear(), "hinge", Batch(X, Y)) is None
    assert DenseNetwork.of(linear(), "cross-entropy", Batch(X, Y)) is None  # not classes


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
