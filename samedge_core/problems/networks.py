"""The networks: MLPs on digits, on points of the plane and on Chebyshev polynomials, a deep linear
net, a small CNN."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn

from samedge_core.problems.batches import Batch
from samedge_core.problems.data import Split
from samedge_core.problems.datasets import chebyshev, digits
from samedge_core.problems.points import SHAPES, points
from samedge_core.problems.problem import ModuleProblem

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


def mlp(sizes: Sequence[int], activation: str | None) -> nn.Sequential:
    """Fully connected layers of the given sizes; no activation after the last."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers.append(nn.Linear(fan_in, fan_out))
        if activation:
            layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*(layers[:-1] if activation else layers))


def cnn(side: int, channels: Sequence[int], outputs: int) -> nn.Sequential:
    """Blocks of [3x3 convolution, ReLU, 2x2 max-pool] on (n, 1, side, side), then a linear head."""
    layers: list[nn.Module] = []
    for before, after in pairwise((1, *channels)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        side //= 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * side * side, outputs))


def initialiser(init: str) -> Callable[[nn.Module], None]:
    """Return the function that draws fresh weights for every layer ("torch", "glorot" or
    "fan-in"), from torch's global generator."""

    def initialise(module: nn.Module) -> None:
        for layer in module.modules():
            if not isinstance(layer, nn.Linear | nn.Conv2d):
                continue
            if init == "torch":
                layer.reset_parameters()
                continue
            if init == "glorot":
                nn.init.xavier_normal_(layer.weight)
            else:
                nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.weight[0].numel()))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    return initialise


def _problem(module: nn.Module, data: Split, *, init: str, loss: str, dtype: str) -> ModuleProblem:
    """The last three are options of every network here, which its builder hands on as `how`."""
    kind = getattr(torch, dtype)
    x, y, x_test, y_test = (torch.from_numpy(part) for part in data)
    x, x_test = x.to(kind), x_test.to(kind)
    if y.is_floating_point():
        y, y_test = y.to(kind), y_test.to(kind)
    held_out = Batch(x_test, y_test)
    return ModuleProblem(module.to(kind), x, y, loss, initialiser(init), held_out=held_out)


def digits_mlp(
    *, n: int, n_test: int, width: int, depth: int, activation: str | None = None, **how: str
) -> ModuleProblem:
    """64 - width x depth - 10 on the first n digits; 64-100-100-10 by default, P = 17,610. Without
    an activation it is a deep linear network."""
    return _problem(mlp([64, *[width] * depth, 10], activation), digits(n, n_test), **how)


def digits_cnn(*, n: int, n_test: int, **how: str) -> ModuleProblem:
    """8 then 16 channels on the first n digits as (n, 1, 8, 8); P = 1,898."""
    x, y, x_test, y_test = digits(n, n_test)
    data = Split(x.reshape(-1, 1, 8, 8), y, x_test.reshape(-1, 1, 8, 8), y_test)
    return _problem(cnn(8, (8, 16), 10), data, **how)


def chebyshev_mlp(*, n: int, degree: int, activation: str, **how: str) -> ModuleProblem:
    """1-30-20-1 on n equally spaced points of T_degree; P = 701."""
    x, y = chebyshev(n, degree)
    return _problem(mlp([1, 30, 20, 1], activation), Split(x, y, x[:0], y[:0]), **how)


def points_mlp(
    *,
    shape: str,
    n: int,
    n_test: int,
    noise: float,
    width: int,
    depth: int,
    activation: str,
    seed: int,
    **how: str,
) -> ModuleProblem:
    """2 - width x depth - one output a class, on the points of `seed`; 2-30-30-2 by default, P =
    1,082."""
    module = mlp([2, *[width] * depth, SHAPES[shape].classes], activation)
    return _problem(module, points(shape, n, n_test, noise, seed=seed), **how)
