"""All problems by name, with their options; importable without torch.

A problem's builder is named as text and imported only when it is built, so that the page can list
problems and validate their options in a process that never loads torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from samedge_core.fields import Field

if TYPE_CHECKING:
    from samedge_core.problems.problem import Problem

__all__ = ["PROBLEMS", "ProblemSpec", "build"]


@dataclass(frozen=True)
class ProblemSpec:
    """A problem's name, one-line description, options and builder ("module:function")."""

    name: str
    title: str
    summary: str
    options: tuple[Field, ...]
    builder: str
    data_size: str | None = "n"
    """The option that holds the number of examples, or None: no mini-batches then."""
    chance: float | None = None
    """Accuracy of guessing, for classification."""


def _size(default: int, most: int) -> Field:
    return Field(
        "n", "int", default, "Data size", "How many training examples the loss averages over.",
        unit="examples", low=10, high=most,
    )  # fmt: skip


def _width(default: int) -> Field:
    return Field("width", "int", default, "Width", "Units in each hidden layer.", unit="units",
                 low=1, high=1000)  # fmt: skip


def _depth(default: int) -> Field:
    return Field("depth", "int", default, "Depth", "Number of hidden layers.", unit="layers",
                 low=1, high=8)  # fmt: skip


def _activation(default: str) -> Field:
    return Field(
        "activation", "choice", default, "Activation",
        "ReLU has kinks, so the sharpness can jump; tanh is smooth.",
        choices=("relu", "tanh"), titles=("ReLU", "tanh"),
    )  # fmt: skip


def _init(default: str) -> Field:
    return Field(
        "init", "choice", default, "Initial weights",
        "PyTorch's default (uniform, small), Glorot-normal as in the paper, or N(0, 1/fan-in); "
        "the last two with zero biases.",
        choices=("torch", "glorot", "fan-in"),
        titles=("PyTorch default", "Glorot normal", "N(0, 1/fan-in)"),
    )  # fmt: skip


def _loss(default: str, *choices: str) -> Field:
    titles = {
        "mse": "squared error (the paper's)",
        "half-mse": "½ squared error",
        "cross-entropy": "cross-entropy",
    }
    return Field(
        "loss", "choice", default, "Loss",
        "Squared error is averaged over examples and outputs. Sharpness scales with the "
        "normalisation; under cross-entropy it rises, then falls, and no edge lasts.",
        choices=choices, titles=tuple(titles[c] for c in choices),
    )  # fmt: skip


_CLASS_LOSSES = ("mse", "half-mse", "cross-entropy")

_SPECS = (
    ProblemSpec(
        "digits-mlp", "MLP on digits", "A fully connected network on 8x8 handwritten digits.",
        (_size(500, 1797), _activation("relu"), _width(100), _depth(2), _init("torch"),
         _loss("mse", *_CLASS_LOSSES)),
        "samedge_core.problems.networks:digits_mlp",
        chance=0.1,
    ),
    ProblemSpec(
        "digits-cnn", "CNN on digits",
        "Two 3x3 convolutions (8 and 16 channels), each with ReLU and 2x2 max-pool, and a linear "
        "head.",
        (_size(250, 1797), _init("glorot"), _loss("mse", *_CLASS_LOSSES)),
        "samedge_core.problems.networks:digits_cnn",
        chance=0.1,
    ),
    ProblemSpec(
        "chebyshev-mlp", "MLP on a Chebyshev polynomial",
        "A tiny MLP, 1-30-20-1, fits T_k on equally spaced points of [-1, 1].",
        (Field("n", "int", 20, "Data size", "Number of equally spaced points.", unit="points",
               low=2, high=1000),
         Field("degree", "int", 6, "Degree k", "Degree of the Chebyshev polynomial T_k.", low=1,
               high=20),
         _activation("tanh"), _init("fan-in"), _loss("half-mse", "mse", "half-mse")),
        "samedge_core.problems.networks:chebyshev_mlp",
    ),
    ProblemSpec(
        "deep-linear", "Deep linear network on digits",
        "Layers without activation: the function is linear, the loss in the weights is not.",
        (_size(500, 1797), _width(50), _depth(2), _init("torch"), _loss("mse", "mse", "half-mse")),
        "samedge_core.problems.networks:deep_linear",
        chance=0.1,
    ),
    ProblemSpec(
        "two-weight", "Two weights",
        "L(a, b) = ½ (ab − 1)²: the smallest landscape whose curvature can move.",
        (Field("a", "float", 2.5, "Start a", "First weight at step 0.", low=-10, high=10),
         Field("b", "float", 0.6, "Start b", "Second weight at step 0.", low=-10, high=10)),
        "samedge_core.problems.quadratic:two_weight", data_size=None,
    ),
    ProblemSpec(
        "quadratic", "Quadratic",
        "L(w) = ½ wᵀAw with given eigenvalues: the curvature is fixed, so under SAM ||g|| moves "
        "until the edge meets it.",
        (Field("eigenvalues", "floats", (6.0, 2.0, 0.6), "Eigenvalues of A",
               "Numbers separated by commas; negative ones make a saddle.", low=-1e6, high=1e6),
         Field("rotated", "bool", True, "Random rotation",
               "Turn the eigenvectors away from the axes (by the seed).")),
        "samedge_core.problems.quadratic:quadratic", data_size=None,
    ),
)  # fmt: skip

PROBLEMS: dict[str, ProblemSpec] = {spec.name: spec for spec in _SPECS}


def build(name: str, options: Mapping[str, Any], *, seed: int, dtype: str = "float32") -> Problem:
    """The problem `name` with checked `options`. Imports torch.

    `seed` fixes what is random in the problem itself (a rotation), not the initial weights.
    """
    module, function = PROBLEMS[name].builder.split(":")
    builder = getattr(importlib.import_module(module), function)
    return builder(**options, seed=seed, dtype=dtype)
