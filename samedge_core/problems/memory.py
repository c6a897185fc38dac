"""What a run needs of memory, about, and what this machine has; importable without torch."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from samedge_core.fields import ConfigError
from samedge_core.problems.own_data import Contents
from samedge_core.problems.points import SHAPES

# of the container, where it has limits, by the second and the first version of control groups
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

VECTORS, VECTORS_EACH = 135, 10  # of P numbers; for each further eigenvalue
COPIES = 1.5  # of the inputs: as read, centred, and as the network takes them
ACTIVATIONS = 4  # of each unit: forward, backward, and both along a vector
RETAINED = 24  # chunks whose graphs are kept, as in `curvature.operator`
CONVOLUTION = 1e8  # bytes, where images are convolved
# examples (characters) at once: larger pieces leave the allocator's fast range, and a product of
# the Transformer then costs up to twice
MLP_CHUNK, CNN_CHUNK, TEXT_CHUNK = 5000, 50, 1024
VOCABULARY = 128  # of the Transformer: ASCII


def memory() -> float:
    """Bytes that this machine has, or its container may have; infinity where that isn't told."""
    found = [float("inf")]
    if hasattr(os, "sysconf"):  # not on Windows
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in LIMITS:
        if file.is_file() and (text := file.read_text().strip()).isdecimal():
            found.append(int(text))
    return min(found)


class Need(NamedTuple):
    """What a run needs, about.

    Attributes:
        parameters: P, exactly.
        bytes: less than it takes once it runs, by up to a factor of 2.
        setting: which of the problem's options makes it so large.
    """

    parameters: int
    bytes: float
    setting: str

    def check(self, room: float, remedy: str = "") -> None:
        """Raise a ConfigError that names `setting` where there is less `room`, in bytes."""
        if self.bytes > room:
            raise ConfigError(
                self.setting,
                f"{self.setting} must make a run that fits into {size_in_words(room)} of memory, "
                f"got one of {size_in_words(self.bytes)} at least, with {self.parameters:,} "
                f"parameters: lower it, or another size of the model or the data{remedy}",
            )


def size_in_words(size: float) -> str:
    """Bytes in the unit that fits.

    >>> size_in_words(2.5e9), size_in_words(7e6)
    ('2.5 GB', '7 MB')
    """
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def need(
    problem: str,
    options: Mapping[str, Any],
    contents: Contents | None = None,
    *,
    top_k: int = 1,
    dtype: str = "float32",
    batch_size: int = 0,
) -> Need:
    """What a run of a problem by name needs. `contents` are those of the user's file, where the
    problem has one.

    Sources: the arrays of `curvature.hessian_model`, `HessianOperator` and the networks; the
    factors were measured (peaks of resident memory over a run's first steps).
    """
    model = _model(problem, options, contents)
    item = 8 if dtype == "float64" else 4
    # both parities' bases, their images and Ritz vectors, as far as they are written to
    vectors = VECTORS + VECTORS_EACH * (top_k - 1)
    kept = min(batch_size or model.examples, RETAINED * model.chunk)
    weights = item * model.parameters * vectors
    data = item * (COPIES * model.examples + model.held_out) * model.inputs
    data += item * ACTIVATIONS * kept * model.activations
    setting = model.setting if weights > data else "n"
    return Need(model.parameters, weights + data + model.fixed, setting)


class _Model(NamedTuple):
    """Numbers of a model: of its parameters; of its inputs and activations for each example."""

    parameters: int
    setting: str
    activations: int = 0
    inputs: int = 0
    examples: int = 0
    held_out: int = 0
    chunk: int = 2**62
    fixed: float = 0.0


def _model(problem: str, options: Mapping[str, Any], contents: Contents | None) -> _Model:
    of = {"examples": options.get("n", 0), "held_out": options.get("n_test", 0)}
    if contents:
        of = {"examples": contents.shape[0], "held_out": contents.held_out}
    match problem:
        case "two-weight":
            return _Model(2, "a")
        case "quadratic":
            return _Model(len(options["eigenvalues"]), "eigenvalues")
        case "chebyshev-mlp":
            return _mlp([1, 30, 20, 1], **of)._replace(setting="n")
        case "points-mlp":
            return _mlp(_sizes(2, options, SHAPES[options["shape"]].classes), **of)
        case "digits-mlp" | "deep-linear":
            return _mlp(_sizes(64, options, 10), **of)
        case "digits-cnn":
            return _cnn((8, 8, 1), [8, 16], 1, 10, norm=0, chunk=2**62, **of)._replace(setting="n")
        case "mnist-mlp":
            return _mlp(_sizes(784, options, 10), chunk=MLP_CHUNK, **of)
        case "cifar-cnn":
            return _cnn((32, 32, 3), _widths(options), options["layers"], 10, **of)
        case "shakespeare-transformer" | "own-text":
            return _transformer(options, **of)
        case "own-images" if contents:
            inner, outputs = contents.shape[1:], contents.outputs
            if options["network"] == "mlp":
                return _mlp(_sizes(math.prod(inner), options, outputs), chunk=MLP_CHUNK, **of)
            rows, columns, *channels = inner
            shape = (rows, columns, *(channels or [1]))
            return _cnn(shape, _widths(options), 1, outputs, **of)
    raise ValueError(f"the memory of a run of {problem} is not known")


def _sizes(inputs: int, options: Mapping[str, Any], outputs: int) -> list[int]:
    return [inputs, *[options["width"]] * options["depth"], outputs]


def _widths(options: Mapping[str, Any]) -> list[int]:
    return [options["channels"] * 2**i for i in range(options["blocks"])]


def _mlp(sizes: list[int], **of: Any) -> _Model:
    parameters = sum((before + 1) * after for before, after in pairwise(sizes))
    return _Model(parameters, "width", sum(sizes[1:]), sizes[0], **of)


def _cnn(
    shape: tuple[int, ...],
    widths: list[int],
    layers: int,
    outputs: int,
    *,
    norm: int = 2,
    chunk: int = CNN_CHUNK,
    **of: Any,
) -> _Model:
    """`norm` parameters a channel belong to what follows each convolution."""
    rows, columns, channels = shape
    inputs, parameters, activations = math.prod(shape), 0, 0
    for width in widths:
        for before in (channels, *[width] * (layers - 1)):
            parameters += (9 * before + 1 + norm) * width
            activations += rows * columns * width
        channels, rows, columns = width, rows // 2, columns // 2
    parameters += (channels * rows * columns + 1) * outputs
    return _Model(parameters, "channels", activations, inputs, chunk=chunk, fixed=CONVOLUTION, **of)


def _transformer(options: Mapping[str, Any], **of: Any) -> _Model:
    model, length, inner = options["model"], options["length"], options["heads"] * options["key"]
    block = 4 * model + 3 * (model + 1) * inner + (inner + 1) * model
    block += (model + 1) * 4 * model + (4 * model + 1) * model
    parameters = (VOCABULARY + length) * model + options["layers"] * block + 2 * model
    parameters += (model + 1) * VOCABULARY
    # of each character: norms, queries to values, scores of each head, the dense layers
    each = 10 * model + 4 * inner + 3 * options["heads"] * length
    activations = length * (options["layers"] * each + 3 * VOCABULARY)
    chunk = max(1, TEXT_CHUNK // length)
    return _Model(parameters, "model", activations, 2 * length, chunk=chunk, **of)
