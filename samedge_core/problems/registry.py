"""All problems by name, with their options; importable without torch.

A problem's builder is named as text and imported only when it is built, so that the page can list
problems and validate their options in a process that never loads torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from samedge_core.fields import ConfigError, Field

if TYPE_CHECKING:
    from samedge_core.problems.problem import Problem


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
    examples: int | None = None
    """Number of examples to train on and to hold out together, where it is fixed."""
    data: str | None = None
    """The data set of `samedge_core.problems.downloads` that it needs, if any."""
    seeded: bool = False
    """Whether the seed decides more than the initial weights and the order of the batches."""
    drawn: bool = False
    """Whether what it computes is drawn while it learns."""

    def left(self, n: int) -> int | None:
        """Return how many can be held out when n are trained on; None if `examples` is None."""
        return None if self.examples is None else self.examples - n


def _whole(
    name: str, default: int, label: str, text: str, most: int, unit: str = "", *, least: int = 1
) -> Field:
    return Field(name, "int", default, label, text, unit=unit, low=least, high=most)


def _digits(n: int) -> tuple[Field, ...]:
    text = "How many training examples the loss averages over."
    size = _whole("n", n, "Data size", text, 1797, "examples", least=10)
    return size, _held_out(0, 1787, "examples")


def _layers(width: int) -> tuple[Field, ...]:
    return (
        _whole("width", width, "Width", "Units in each hidden layer.", 1000, "units"),
        _whole("depth", 2, "Depth", "Number of hidden layers.", 8, "layers"),
    )


def _activation(default: str) -> Field:
    text = "ReLU has kinks, so the sharpness can jump; tanh is smooth."
    return Field.choice("activation", default, "Activation", text, {"relu": "ReLU", "tanh": "tanh"})


def _init(default: str) -> Field:
    titles = {"torch": "PyTorch default", "glorot": "Glorot normal", "fan-in": "N(0, 1/fan-in)"}
    text = (
        "PyTorch's default (uniform, small), Glorot-normal as in the paper, or N(0, 1/fan-in); "
        "the last two with zero biases."
    )
    return Field.choice("init", default, "Initial weights", text, titles)


def _loss(default: str, *choices: str) -> Field:
    titles = {
        "mse": "squared error (the paper's)",
        "half-mse": "½ squared error",
        "cross-entropy": "cross-entropy",
    }
    text = (
        "Squared error is averaged over examples and outputs. Sharpness scales with the "
        "normalisation; under cross-entropy it rises, then falls, and no edge lasts."
    )
    return Field.choice("loss", default, "Loss", text, {name: titles[name] for name in choices})


def _points() -> tuple[Field, ...]:
    shapes = {
        "circles": "circles",
        "moons": "moons",
        "spirals": "spirals",
        "xor": "XOR (four squares)",
        "blobs-3": "3 blobs",
        "spirals-3": "3 spirals",
    }
    text = "What the classes look like: two of them, or three. The seed draws the points."
    size = "How many training points the loss averages over; the classes share them evenly."
    spread = (
        "Standard deviation of what is added to each coordinate; without noise, the points lie "
        "between -1 and 1."
    )
    return (
        Field.choice("shape", "circles", "Shape", text, shapes),
        _whole("n", 200, "Data size", size, 10_000, "points", least=4),
        _held_out(200, 10_000, "points"),
        Field("noise", "float", 0.1, "Noise", spread, low=0, high=1, suggested=(0, 0.5)),
    )


def _first(default: int, most: int, unit: str, *, own: bool = False) -> Field:
    text = "The first so many training examples are used"
    text += ", or all where the file has fewer." if own else "."
    return _whole("n", default, "Data size", text, most, unit)


def _held_out(default: int, most: int, unit: str) -> Field:
    text = "How many examples that no step sees the held-out loss and accuracy are taken over."
    return _whole("n_test", default, "Held-out size", text, most, unit, least=0)


def _paper_mlp(width: int) -> tuple[Field, ...]:
    text = "Hidden layers; 3 is the paper's depth 4, which counts the last layer too."
    units = "Units in each hidden layer; the paper has 1000."
    return (
        _whole("width", width, "Width", units, 4000, "units"),
        _whole("depth", 3, "Depth", text, 10, "layers"),
    )


def _paper_cnn(*, layers: bool) -> tuple[Field, ...]:
    text = "Of the first block's convolutions; each further block has twice as many."
    fields = (
        _whole("channels", 16, "Channels", text, 256),
        _whole("blocks", 2, "Blocks", "Each ends in a 2x2 max-pool.", 4),
    )
    text = "Of [3x3 convolution, ReLU, LayerNorm] in each block."
    further = _whole("layers", 1, "Layers a block", text, 4, "layers")
    return (*fields, further) if layers else fields


def _paper_transformer() -> tuple[Field, ...]:
    length = "Characters in a sequence; the paper has 64."
    blocks = "Blocks of attention and dense layer; the paper has 6."
    heads = "Attention heads of each block; the paper has 8."
    key = "Length of a head's keys, queries and values; the paper has 32."
    model = "Length of the vector that stands for a character; the paper has 128."
    return (
        _whole("length", 32, "Sequence length", length, 512, "characters"),
        _whole("layers", 2, "Layers", blocks, 24, "blocks"),
        _whole("heads", 4, "Heads", heads, 32),
        _whole("key", 16, "Key size", key, 256),
        _whole("model", 64, "Model size", model, 1024),
    )


def _of(network: str, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """Of this network alone, where another may be chosen."""
    only = ("network", network.lower())
    return tuple(
        replace(field, label=f"{field.label} of the {network}", only=only) for field in fields
    )


def _path(suffix: str, text: str) -> Field:
    return Field("path", "path", "", f"Your {suffix} file", text, suffix=suffix)


# label and help
_EIGENVALUES = "Eigenvalues of A", "Numbers separated by commas; negative ones make a saddle."
_NETWORK = "Network", "A CNN needs images (n, rows, columns) or (n, rows, columns, channels)."
_ROTATED = "Random rotation", "Turn the eigenvectors away from the axes (by the seed)."

_CLASS_LOSSES = ("mse", "half-mse", "cross-entropy")
_MOST = 1_000_000

_SPECS = (
    ProblemSpec(
        "digits-mlp",
        "MLP on digits",
        "A fully connected network on 8x8 handwritten digits.",
        (
            *_digits(500),
            _activation("relu"),
            *_layers(100),
            _init("torch"),
            _loss("mse", *_CLASS_LOSSES),
        ),
        "samedge_core.problems.networks:digits_mlp",
        chance=0.1,
        examples=1797,
    ),
    ProblemSpec(
        "digits-cnn",
        "CNN on digits",
        "Two 3x3 convolutions (8 and 16 channels), each with ReLU and 2x2 max-pool, and a linear "
        "head.",
        (*_digits(250), _init("glorot"), _loss("mse", *_CLASS_LOSSES)),
        "samedge_core.problems.networks:digits_cnn",
        chance=0.1,
        examples=1797,
    ),
    ProblemSpec(
        "points-mlp",
        "MLP on points of the plane",
        "A small MLP tells two or three classes of points apart; what it computes is drawn while "
        "it learns.",
        (
            *_points(),
            _activation("tanh"),
            *_layers(30),
            _init("torch"),
            _loss("mse", *_CLASS_LOSSES),
        ),
        "samedge_core.problems.networks:points_mlp",
        # of three classes; half as much again, which `diagnosis` calls chance too, is that of two
        chance=1 / 3,
        seeded=True,
        drawn=True,
    ),
    ProblemSpec(
        "chebyshev-mlp",
        "MLP on a Chebyshev polynomial",
        "A tiny MLP, 1-30-20-1, fits T_k on equally spaced points of [-1, 1].",
        (
            _whole(
                "n", 20, "Data size", "Number of equally spaced points.", 1000, "points", least=2
            ),
            _whole("degree", 6, "Degree k", "Degree of the Chebyshev polynomial T_k.", 20),
            _activation("tanh"),
            _init("fan-in"),
            _loss("half-mse", "mse", "half-mse"),
        ),
        "samedge_core.problems.networks:chebyshev_mlp",
        drawn=True,
    ),
    ProblemSpec(
        "deep-linear",
        "Deep linear network on digits",
        "Layers without activation: the function is linear, the loss in the weights is not.",
        (*_digits(500), *_layers(50), _init("torch"), _loss("mse", "mse", "half-mse")),
        "samedge_core.problems.networks:digits_mlp",
        chance=0.1,
        examples=1797,
    ),
    ProblemSpec(
        "two-weight",
        "Two weights",
        "L(a, b) = ½ (ab − 1)²: the smallest landscape whose curvature can move.",
        (
            Field("a", "float", 2.5, "Start a", "First weight at step 0.", low=-10, high=10),
            Field("b", "float", 0.6, "Start b", "Second weight at step 0.", low=-10, high=10),
        ),
        "samedge_core.problems.quadratic:two_weight",
        data_size=None,
    ),
    ProblemSpec(
        "quadratic",
        "Quadratic",
        "L(w) = ½ wᵀAw with given eigenvalues: the curvature is fixed, so under SAM ||g|| moves "
        "until the edge meets it.",
        (
            Field("eigenvalues", "floats", (6.0, 2.0, 0.6), *_EIGENVALUES, low=-1e6, high=1e6),
            Field("rotated", "bool", True, *_ROTATED),
        ),
        "samedge_core.problems.quadratic:quadratic",
        data_size=None,
        seeded=True,
    ),
    ProblemSpec(
        "mnist-mlp",
        "The paper's MLP on MNIST",
        "The paper's first task: a ReLU network on 28x28 handwritten digits, squared error. The "
        "paper takes all 60,000 images at width 1000.",
        (
            _first(1000, 60_000, "images"),
            _held_out(1000, 10_000, "images"),
            *_paper_mlp(200),
            _loss("mse", *_CLASS_LOSSES),
        ),
        "samedge_core.problems.paper:mnist_mlp",
        chance=0.1,
        data="mnist",
    ),
    ProblemSpec(
        "cifar-cnn",
        "The paper's CNN on CIFAR-10",
        "The paper's second task: a convolutional network with LayerNorm on 32x32 colour images, "
        "squared error. The paper takes 1,000 of them.",
        (
            _first(100, 50_000, "images"),
            _held_out(200, 10_000, "images"),
            *_paper_cnn(layers=True),
            _loss("mse", *_CLASS_LOSSES),
        ),
        "samedge_core.problems.paper:cifar_cnn",
        chance=0.1,
        data="cifar10",
    ),
    ProblemSpec(
        "shakespeare-transformer",
        "The paper's Transformer on Shakespeare",
        "The paper's third task: a language model on the characters of tiny_shakespeare, "
        "cross-entropy, fresh mini-batches. The accuracy is that of the next character, over the "
        "first 256 sequences.",
        (
            _first(10_000, 200_000, "sequences"),
            _held_out(256, 20_000, "sequences"),
            *_paper_transformer(),
        ),
        # every seventh character is a space
        "samedge_core.problems.paper:shakespeare_transformer",
        chance=0.15,
        data="shakespeare",
    ),
    ProblemSpec(
        "own-images",
        "Your own arrays (.npz)",
        "The paper's MLP or CNN on a file of yours: x (n, ...) uint8 or float and y (n,) integer "
        "classes, optionally x_test and y_test. Pixels (uint8) are divided by 256, and the "
        "training mean is taken off.",
        (
            _path(".npz", "As numpy.savez writes it; nothing in it is unpickled."),
            _first(500, _MOST, "examples", own=True),
            _held_out(500, _MOST, "examples"),
            Field.choice("network", "mlp", *_NETWORK, {"mlp": "MLP", "cnn": "CNN"}),
            *_of("MLP", _paper_mlp(100)),
            *_of("CNN", _paper_cnn(layers=False)),
            _loss("mse", *_CLASS_LOSSES),
        ),
        "samedge_core.problems.paper:own_images",
    ),
    ProblemSpec(
        "own-text",
        "Your own text (.txt)",
        "The paper's Transformer on the characters of an ASCII text of yours; its last tenth is "
        "held out.",
        (
            _path(".txt", "Plain ASCII."),
            _first(200, _MOST, "sequences", own=True),
            _held_out(256, _MOST, "sequences"),
            *_paper_transformer(),
        ),
        "samedge_core.problems.paper:own_text_transformer",
    ),
)

PROBLEMS: dict[str, ProblemSpec] = {spec.name: spec for spec in _SPECS}

OWN_PROBLEM = "own-problem"
"""The `problem` of a RunConfig whose Problem was passed to `run`; it can't be built by name."""
_OWN = ProblemSpec(
    OWN_PROBLEM,
    "A problem of one's own",
    "Handed to `samedge_core.run` by a script.",
    (),
    "",
    data_size=None,
)


def spec_of(name: str) -> ProblemSpec:
    """Return one of PROBLEMS, or that of OWN_PROBLEM, which has no options and can't be built."""
    return _OWN if name == OWN_PROBLEM else PROBLEMS[name]


def made_from(
    name: str, options: Mapping[str, Any], *, seed: int, dtype: str, device: str
) -> tuple[Any, ...]:
    """Return a key of the problem that `build` makes: equal for equal problems."""
    return name, dict(options), seed if PROBLEMS[name].seeded else None, dtype, device


def build(
    name: str, options: Mapping[str, Any], *, seed: int, dtype: str = "float32", device: str = "cpu"
) -> Problem:
    """Return the problem `name` with checked `options`, its data on `device`. Imports torch.

    `seed` fixes what is random in the problem itself (a rotation), not the initial weights.

    Raises:
        ConfigError: this machine has no such device, or no name leads to the problem.
        DataError: the data can't be downloaded or can't be used.
    """
    if name == OWN_PROBLEM:
        raise ConfigError("problem", f"{name} can't be built: hand the Problem itself to run()")
    spec = PROBLEMS[name]
    module, function = spec.builder.split(":")
    builder = getattr(importlib.import_module(module), function)
    seeds = {"seed": seed} if spec.seeded else {}
    # before the data is read: a device that is missing need not wait for it
    place = importlib.import_module("samedge_core.problems.devices").resolve_device(device, dtype)
    with importlib.import_module("samedge_core.problems.draws").making():
        problem = builder(**options, **seeds, dtype=dtype).to(place)
    problem.made_from = made_from(name, options, seed=seed, dtype=dtype, device=device)
    return problem
