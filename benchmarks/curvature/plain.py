"""A case's network as the peers take it: a plain torch module, a criterion, data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from samedge_core.problems.problem import Problem
from samedge_core.training import RunConfig

__all__ = ["Plain", "same"]

Options = dict[str, Any]


class HalfMSELoss(nn.MSELoss):
    """1/2 squared error, averaged over examples and outputs."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return super().forward(input, target) / 2


class Plain:
    """The network, loss and data of `config`, built from torch's own parts.

    It shares no code with the library, so that the peers and the reference do not run on what is
    measured, and so that the cost of a gradient means torch's.

    Attributes:
        module, criterion: the network and its loss.
        x, y: all the data; classes are one-hot rows, as squared errors want them.
        parameters: the module's tensors, in the order of w.
        size: P.
    """

    def __init__(self, config: RunConfig, problem: Problem, dtype: torch.dtype) -> None:
        """The data are those of `problem`; the weights are arbitrary until `load`."""
        batch = problem.full_batch()
        assert batch is not None
        self.module = _module(config).to(dtype)
        self.criterion = {"mse": nn.MSELoss, "half-mse": HalfMSELoss}[config.options["loss"]]()
        y = batch.y if batch.y.is_floating_point() else nn.functional.one_hot(batch.y)
        self.x, self.y = batch.x.to(dtype), y.to(dtype)
        self.parameters = list(self.module.parameters())
        self.dtype = dtype
        self.size = sum(p.numel() for p in self.parameters)

    def load(self, w: Tensor) -> None:
        """Make w (P,) the module's weights."""
        vector_to_parameters(w.detach().to(self.dtype, copy=True), self.parameters)

    def loss(self) -> Tensor:
        """The loss at the loaded weights."""
        return self.criterion(self.module(self.x), self.y)

    def gradient(self, *, graph: bool = False) -> tuple[Tensor, ...]:
        """The loss's gradient, a tensor a parameter; with its graph for second derivatives."""
        return torch.autograd.grad(self.loss(), self.parameters, create_graph=graph)

    def gradient_at(self, w: Tensor) -> Tensor:
        """The gradient (P,) at w (P,), which it loads."""
        self.load(w)
        return torch.cat([g.reshape(-1) for g in self.gradient()])

    def hessian(self) -> _Hessian:
        """v -> H v at the loaded weights, by reverse over reverse on one retained graph."""
        return _Hessian(self.gradient(graph=True), self.parameters)


class _Hessian:
    def __init__(self, gradient: tuple[Tensor, ...], parameters: list[nn.Parameter]) -> None:
        self._gradient = torch.cat([g.reshape(-1) for g in gradient])
        self._parameters = parameters

    def __call__(self, v: Tensor) -> Tensor:
        parts = torch.autograd.grad(
            self._gradient, self._parameters, grad_outputs=v, retain_graph=True
        )
        return torch.cat([part.reshape(-1) for part in parts])


def same(plain: Plain, problem: Problem, w: Tensor) -> None:
    """Check that both are one function.

    Raises:
        ValueError: loss or gradient at w differ by more than float32 explains.
    """
    loss, g = problem.loss_and_gradient(w, problem.full_batch())
    found = plain.gradient_at(w)
    gap = float((found - g).norm() / g.norm())
    if not torch.allclose(plain.loss(), loss, rtol=1e-5) or gap > 1e-4:
        raise ValueError(f"the plain module is another function: gradients differ by {gap:.1e}")
    if not torch.equal(parameters_to_vector(plain.parameters), w):
        raise ValueError("the plain module orders its weights differently")


def _module(config: RunConfig) -> nn.Sequential:
    options = dict(config.options)
    return {
        "digits-mlp": lambda: _mlp(64, [options["width"]] * options["depth"], 10, options),
        "deep-linear": lambda: _mlp(64, [options["width"]] * options["depth"], 10, options),
        "chebyshev-mlp": lambda: _mlp(1, [30, 20], 1, options),
        "digits-cnn": _cnn,
    }[config.problem]()


def _mlp(inputs: int, hidden: list[int], outputs: int, options: Options) -> nn.Sequential:
    activation = {"relu": nn.ReLU, "tanh": nn.Tanh, None: nn.Identity}[options.get("activation")]
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), activation()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def _cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
