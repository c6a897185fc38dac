"""Which modules are taken for networks with written-out derivatives."""

import types
import warnings
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samedge_core.curvature import HessianOperator
from samedge_core.problems.compiled.dense import ACTIVATIONS, LOSSES
from samedge_core.problems.compiled.network import CompiledNetwork
from samedge_core.problems.networks import cnn
from samedge_core.problems.problem import Batch, LossFunction, ModuleProblem
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem
from tests.problems.compiled.shared import agree, by_hand, noise, same_gradient

X, Y, CLASSES = noise(6, 3), noise(6, 2, seed=1), torch.tensor([0, 1, 1, 0, 1, 0])
RELU = nn.ReLU()
DENSE = ("outputs", "inputs")


def sizes_of(layers: np.ndarray, *fields: str) -> list[list[int]]:
    return [[int(layer[field]) for field in fields] for layer in layers]


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
    [
        ("mse", Y),
        ("half-mse", Y),
        ("mse", CLASSES),
        ("half-mse", CLASSES),
        ("cross-entropy", CLASSES),
    ],
)
def test_fully_connected_networks_are_recognised(layers, sizes, activation, loss, y):
    module = nn.Sequential(*layers).double()
    network = CompiledNetwork.of(module, loss, Batch(X, y))
    assert network is not None
    assert sizes_of(network.dense, *DENSE) == [[b, a] for a, b in pairwise(sizes)]
    assert (network.activation, network.loss) == (ACTIVATIONS[activation], LOSSES[loss])
    assert len(network.conv) == 0
    assert network.size == sum(p.numel() for p in module.parameters())
    same_gradient(module, X, y, loss)
    by_hand(ModuleProblem(module, X, y, loss), noise(network.size))


IMAGES = noise(6, 1, 4, 8)


def convolutional(
    *, conv: dict | None = None, pool: dict | None = None, pixels: int = 8, channels: int = 2
) -> nn.Sequential:
    """A block with some other settings on IMAGES, of so many pixels after it."""
    return nn.Sequential(
        nn.Conv2d(
            **{
                "in_channels": 1,
                "out_channels": channels,
                "kernel_size": 3,
                "padding": 1,
                **(conv or {}),
            }
        ),
        nn.ReLU(),
        nn.MaxPool2d(**{"kernel_size": 2, **(pool or {})}),
        nn.Flatten(),
        nn.Linear(channels * pixels, 2),
    )


CONVOLUTIONAL: dict[
    str, tuple[Callable[[], nn.Sequential], Tensor, list[list[int]], list[list[int]]]
] = {
    "cnn": (lambda: cnn(8, (3, 5), 2), noise(6, 1, 8, 8), [[3, 1, 8, 8], [5, 3, 4, 4]], [[2, 20]]),
    "sides that differ": (convolutional, IMAGES, [[2, 1, 4, 8]], [[2, 16]]),
    "pairs of settings": (
        lambda: convolutional(pool={"kernel_size": (2, 2), "stride": (2, 2)}),
        IMAGES,
        [[2, 1, 4, 8]],
        [[2, 16]],
    ),
    "to one pixel": (
        lambda: cnn(4, (3, 2), 2),
        noise(6, 1, 4, 4),
        [[3, 1, 4, 4], [2, 3, 2, 2]],
        [[2, 2]],
    ),
    "several channels, several dense layers": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 2, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8, 3),
            nn.Tanh(),
            nn.Linear(3, 2),
        ),
        noise(6, 3, 4, 4),
        [[2, 3, 4, 4]],
        [[3, 8], [2, 3]],
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize(("loss", "y"), [("mse", Y), ("half-mse", CLASSES)])
def test_convolutional_networks_are_recognised(name, loss, y):
    build, x, images, shapes = CONVOLUTIONAL[name]
    module = build().double()
    network = CompiledNetwork.of(module, loss, Batch(x, y))
    assert network is not None
    assert sizes_of(network.conv, "outputs", "channels", "rows", "columns") == images
    assert sizes_of(network.dense, *DENSE) == shapes
    assert network.size == sum(p.numel() for p in module.parameters())
    same_gradient(module, x, y, loss)
    problem = ModuleProblem(module, x, y, loss)
    w, v = 0.4 * noise(network.size, seed=2), noise(network.size, seed=9)
    autograd = HessianOperator(problem.terms(None), w)
    agree(by_hand(problem, w).matvec(v), autograd.matvec(v))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("chebyshev-mlp", {"n": 20}),
        ("digits-mlp", {"n": 100}),
        ("digits-mlp", {"n": 100, "activation": "tanh"}),  # its tanh by NumPy
        ("digits-cnn", {"n": 10}),
        ("points-mlp", {"shape": "blobs-3"}),
    ],
)
def test_the_networks_here_are_compiled(name, options):
    problem = build_problem(RunConfig(problem=name, options=options))
    w = problem.init(seed=0)
    ours = by_hand(problem, w)
    autograd = HessianOperator(problem.terms(None), w)
    v = noise(problem.size).float()
    # float32 sums of a hundred terms
    agree(ours.g, autograd.g, 3e-6)
    agree(ours.matvec(v), autograd.matvec(v), 3e-6)


def test_elsewhere_than_in_main_memory_autograd_is_asked():
    problem = ModuleProblem(linear(nn.ReLU()).double(), X, Y, "mse")
    assert problem.operator(torch.zeros(problem.size, device="meta"), None) is None


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


class Blurred(nn.Conv2d):
    def forward(self, input):
        return 3 * super().forward(input)


def exchanged(place: int, part: nn.Module) -> nn.Sequential:
    parts = list(convolutional())
    parts[place] = part
    return nn.Sequential(*parts)


def shuffled(*order: int) -> nn.Sequential:
    parts = list(convolutional())
    return nn.Sequential(*(parts[i] for i in order))


def tied_convolutions() -> nn.Module:
    blocks = [convolutional(conv={"in_channels": 2}), convolutional(conv={"in_channels": 2})]
    first, second = (list(block) for block in blocks)
    second[0].weight = first[0].weight
    return nn.Sequential(*first[:3], *second[:4], nn.Linear(4, 2))


def hooked_pool() -> nn.Module:
    module = convolutional()
    list(module)[2].register_forward_hook(
        lambda module, inputs, output: 3 * torch.as_tensor(output)
    )
    return module


# the gradient must be right all the same
OTHERS: dict[str, tuple[Callable[[], nn.Module], Tensor, Tensor, str | LossFunction]] = {
    "no Sequential": (lambda: nn.Linear(3, 2), X, Y, "mse"),
    "module of its own": (Wrapped, X, Y, "mse"),
    "nested": (lambda: linear(nn.Sequential(nn.ReLU(), nn.Linear(4, 4))), X, Y, "mse"),
    "layer used twice": (twice, X, Y, "mse"),
    "layer used twice, no activation": (
        lambda: nn.Sequential(twice_at_the_ends(), nn.Linear(3, 2)),
        X,
        Y,
        "mse",
    ),
    "layer used at both ends": (twice_at_the_ends, X, X.flip(0), "mse"),
    "no bias": (
        lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2)),
        X,
        Y,
        "mse",
    ),
    "no bias at the end": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False)),
        X,
        Y,
        "mse",
    ),
    "mixed activations": (lambda: linear(nn.ReLU(), nn.Linear(4, 4), nn.Tanh()), X, Y, "mse"),
    "an activation missing": (lambda: linear(nn.Linear(4, 4), nn.ReLU()), X, Y, "mse"),
    "two activations": (lambda: linear(nn.Tanh(), nn.Tanh()), X, Y, "mse"),
    "another activation": (lambda: linear(nn.GELU()), X, Y, "mse"),
    "trailing activation": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Tanh()),
        X,
        Y,
        "mse",
    ),
    "trailing activation, one missing": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Tanh()),
        X,
        Y,
        "mse",
    ),
    "leading activation": (lambda: nn.Sequential(nn.Tanh(), nn.Linear(3, 2)), X, Y, "mse"),
    "convolution": (
        lambda: nn.Sequential(nn.Conv1d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)),
        X[:, None],
        Y,
        "mse",
    ),
    "Flatten in front": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), X, Y, "mse"),
    "Flatten in front of images": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(3, 2)),
        X[:, None],
        Y,
        "mse",
    ),
    "subclass of Linear": (lambda: nn.Sequential(Scaled(3, 2)), X, Y, "mse"),
    "weight normed": (reparametrised, X, Y, "mse"),
    "x of three dims": (linear, X.view(2, 3, 3), Y.view(2, 3, 2), "mse"),
    "x of three dims, sequences of classes": (
        linear,
        X.view(2, 3, 3),
        CLASSES.view(2, 3),
        "cross-entropy",
    ),
    "classes of two dims": (linear, X, CLASSES[:, None], "cross-entropy"),
    "loss of one's own": (linear, X, Y, cubic),
    "stride": (lambda: convolutional(conv={"stride": 2}, pixels=2), IMAGES, Y, "mse"),
    "no padding": (lambda: convolutional(conv={"padding": 0}, pixels=3), IMAGES, Y, "mse"),
    "padding by name": (lambda: convolutional(conv={"padding": "same"}), IMAGES, Y, "mse"),
    "circular padding": (
        lambda: convolutional(conv={"padding_mode": "circular"}),
        IMAGES,
        Y,
        "mse",
    ),
    "dilation": (lambda: convolutional(conv={"dilation": 2, "padding": 2}), IMAGES, Y, "mse"),
    "groups": (
        lambda: convolutional(conv={"in_channels": 2, "groups": 2}),
        noise(6, 2, 4, 8),
        Y,
        "mse",
    ),
    "5x5": (lambda: convolutional(conv={"kernel_size": 5, "padding": 2}), IMAGES, Y, "mse"),
    "no bias of the convolution": (lambda: convolutional(conv={"bias": False}), IMAGES, Y, "mse"),
    "pools that overlap": (lambda: convolutional(pool={"stride": 1}, pixels=21), IMAGES, Y, "mse"),
    "pool of 4x2": (
        lambda: convolutional(pool={"kernel_size": (4, 2)}, pixels=4),
        IMAGES,
        Y,
        "mse",
    ),
    "padded pool": (lambda: convolutional(pool={"padding": 1}, pixels=15), IMAGES, Y, "mse"),
    "dilated pool": (lambda: convolutional(pool={"dilation": 2}, pixels=3), IMAGES, Y, "mse"),
    "a side that pooling crops": (lambda: convolutional(pixels=6), noise(6, 1, 5, 6), Y, "mse"),
    "a side that pooling crops, columns": (
        lambda: convolutional(pixels=6),
        noise(6, 1, 4, 7),
        Y,
        "mse",
    ),
    "a side that pooling completes": (
        lambda: convolutional(pool={"ceil_mode": True}, pixels=9),
        noise(6, 1, 5, 6),
        Y,
        "mse",
    ),
    "ceil_mode": (lambda: convolutional(pool={"ceil_mode": True}), IMAGES, Y, "mse"),
    "images without channels": (
        lambda: nn.Sequential(nn.Unflatten(1, (1, 4)), *convolutional()),
        IMAGES[:, 0],
        Y,
        "mse",
    ),
    "mean pool": (lambda: exchanged(2, nn.AvgPool2d(2)), IMAGES, Y, "mse"),
    "tanh and pool": (lambda: exchanged(1, nn.Tanh()), IMAGES, Y, "mse"),
    "no activation in front of the pool": (lambda: exchanged(1, nn.Identity()), IMAGES, Y, "mse"),
    "pool in front of the activation": (lambda: shuffled(0, 2, 1, 3, 4), IMAGES, Y, "mse"),
    "activation after Flatten": (lambda: shuffled(0, 2, 3, 1, 4), IMAGES, Y, "mse"),
    "LayerNorm": (
        lambda: exchanged(1, nn.Sequential(nn.ReLU(), nn.LayerNorm([2, 4, 8]))),
        IMAGES,
        Y,
        "mse",
    ),
    "BatchNorm": (lambda: exchanged(1, nn.BatchNorm2d(2)), IMAGES, Y, "mse"),
    "subclass of Conv2d": (lambda: exchanged(0, Blurred(1, 2, 3, padding=1)), IMAGES, Y, "mse"),
    "Flatten of others": (
        lambda: nn.Sequential(
            *list(convolutional())[:3], nn.Flatten(2), nn.Flatten(), nn.Linear(16, 2)
        ),
        IMAGES,
        Y,
        "mse",
    ),
    "convolution and no head": (
        lambda: nn.Sequential(*list(convolutional(channels=1))[:3], nn.Flatten()),
        IMAGES,
        noise(6, 8),
        "mse",
    ),
    "targets that are images": (
        lambda: nn.Sequential(*list(convolutional())[:3]),
        IMAGES,
        noise(6, 2, 2, 4),
        "mse",
    ),
}


def of(name: str) -> tuple[nn.Module, Tensor, Tensor, str | LossFunction]:
    module, x, y, loss = OTHERS[name]
    return module().double(), x, y, loss


@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_are_left_to_autograd(name):
    module, x, y, loss = of(name)
    assert CompiledNetwork.of(module, loss, Batch(x, y)) is None
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
STRANGE_IMAGES: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "tied convolutions": (tied_convolutions, noise(6, 2, 4, 8)),
    "hooked pool": (hooked_pool, IMAGES),
}


@pytest.mark.parametrize("name", STRANGE)
def test_networks_that_only_look_fully_connected(name):
    module = STRANGE[name]().double()
    same_gradient(module, X, Y, "mse")
    assert CompiledNetwork.of(module, "mse", Batch(X, Y)) is None


@pytest.mark.parametrize("name", STRANGE_IMAGES)
def test_networks_that_only_look_convolutional(name):
    build, x = STRANGE_IMAGES[name]
    module = build().double()
    same_gradient(module, x, Y, "mse")
    assert CompiledNetwork.of(module, "mse", Batch(x, Y)) is None


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("build", "x"), [(linear, X), (convolutional, IMAGES)])
def test_other_precisions_are_left_to_autograd(kind, build, x):
    module = build().to(kind)
    assert CompiledNetwork.of(module, "cross-entropy", Batch(x.to(kind), CLASSES)) is None
    assert CompiledNetwork.of(module.float(), "mse", Batch(x, CLASSES)) is None


@pytest.mark.parametrize("x", [noise(6, 2, 4, 8), noise(6, 4, 8), noise(6, 1, 4, 4)], ids=str)
def test_images_that_do_not_fit(x):
    assert CompiledNetwork.of(convolutional().double(), "mse", Batch(x, Y)) is None


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
    ("wrong", "loss"), [(2, "mse"), (2, "cross-entropy"), (-1, "mse"), (-1, "cross-entropy")]
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
    assert CompiledNetwork.of(linear(nn.ReLU()), "mse", Batch(X, y)) is None
    with pytest.raises(ValueError, match="differ in shape"):
        problem.loss_and_gradient(problem.init(seed=0), None)


def test_inputs_that_do_not_fit_and_losses_without_a_name_here():
    assert CompiledNetwork.of(linear(), "mse", Batch(noise(6, 4), Y)) is None
    assert CompiledNetwork.of(linear(), "mse", Batch(X[:, None], Y)) is None
    assert CompiledNetwork.of(linear(), "hinge", Batch(X, Y)) is None
    assert CompiledNetwork.of(linear(), "cross-entropy", Batch(X, Y)) is None  # not classes
