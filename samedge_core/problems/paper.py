"""The problems of the paper's three tasks, and the same models on data of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from samedge_core.problems.data import DataError, Split, centred
from samedge_core.problems.networks import mlp
from samedge_core.problems.own_data import own_arrays, own_text
from samedge_core.problems.paper_data import cifar10, mnist, shakespeare
from samedge_core.problems.paper_networks import PaperCNN, glorot_truncated
from samedge_core.problems.problem import Batch, ModuleProblem
from samedge_core.problems.transformer import Transformer, haiku_initialiser

# examples (characters) at once: larger pieces leave the allocator's fast range, and a product of
# the Transformer then costs up to twice
MLP_CHUNK, CNN_CHUNK, TEXT_CHUNK = 5000, 50, 1024
TEXT_EVALUATED = 256
CLASSES = 10  # of MNIST and CIFAR-10, whichever of them the first n examples show


def mnist_mlp(
    *, n: int, n_test: int, width: int, depth: int, loss: str, seed: int, dtype: str
) -> ModuleProblem:
    """784 - width x depth - 10, ReLU, on the first n images of MNIST."""
    return _mlp_on(centred(mnist(n, n_test), dtype), width, depth, CLASSES, loss)


def cifar_cnn(
    *,
    n: int,
    n_test: int,
    channels: int,
    blocks: int,
    layers: int,
    loss: str,
    seed: int,
    dtype: str,
) -> ModuleProblem:
    """The paper's CNN on the first n images of CIFAR-10; block i has 2^i times `channels`."""
    split = centred(cifar10(n, n_test), dtype)
    return _cnn_on(split, channels, blocks, layers, CLASSES, loss)


def shakespeare_transformer(
    *,
    n: int,
    n_test: int,
    length: int,
    layers: int,
    heads: int,
    key: int,
    model: int,
    seed: int,
    dtype: str,
) -> ModuleProblem:
    """The paper's Transformer on the first n sequences of tiny_shakespeare."""
    module = Transformer(length=length, layers=layers, heads=heads, key=key, model=model)
    return _text(shakespeare(n, n_test, length), module, dtype)


def own_images(
    *,
    path: str,
    n: int,
    n_test: int,
    network: str,
    width: int,
    depth: int,
    channels: int,
    blocks: int,
    loss: str,
    seed: int,
    dtype: str,
) -> ModuleProblem:
    """The paper's MLP or CNN on the first n examples of a .npz file."""
    split = centred(own_arrays(path, n, n_test), dtype)
    classes = 1 + int(max(split.y.max(), split.y_test.max(initial=0)))
    if network == "mlp":
        return _mlp_on(split, width, depth, classes, loss)
    if split.x.ndim == 3:  # images without an axis for their one channel
        split = split._replace(x=split.x[..., None], x_test=split.x_test[..., None])
    return _cnn_on(split, channels, blocks, 1, classes, loss)


def own_text_transformer(
    *,
    path: str,
    n: int,
    n_test: int,
    length: int,
    layers: int,
    heads: int,
    key: int,
    model: int,
    seed: int,
    dtype: str,
) -> ModuleProblem:
    """The paper's Transformer on the first n sequences of a .txt file."""
    module = Transformer(length=length, layers=layers, heads=heads, key=key, model=model)
    return _text(own_text(path, n, n_test, length), module, dtype)


def _mlp_on(split: Split, width: int, depth: int, classes: int, loss: str) -> ModuleProblem:
    inputs = math.prod(split.x.shape[1:])
    flat = split._replace(x=split.x.reshape(-1, inputs), x_test=split.x_test.reshape(-1, inputs))
    module = mlp([inputs, *[width] * depth, classes], "relu")
    return _classifier(flat, module, loss, MLP_CHUNK)


def _cnn_on(
    split: Split, channels: int, blocks: int, layers: int, classes: int, loss: str
) -> ModuleProblem:
    shape = split.x.shape[1:]
    least = 2**blocks
    if len(shape) != 3 or min(shape[:2]) < least:
        raise DataError(
            f"a CNN with {blocks} blocks needs images of shape (rows, columns, channels), {least} "
            f"rows and columns at least; got {shape}"
        )
    widths = [channels * 2**i for i in range(blocks)]
    module = PaperCNN(shape, widths, layers, classes)
    return _classifier(split, module, loss, CNN_CHUNK)


def _classifier(split: Split, module: nn.Module, loss: str, chunk: int) -> ModuleProblem:
    return _problem(split, module, loss, glorot_truncated, chunk=chunk)


def _text(split: Split, module: nn.Module, dtype: str) -> ModuleProblem:
    # a look at all 15,000 sequences would cost a hundred steps
    return _problem(
        split,
        module.to(getattr(torch, dtype)),
        "cross-entropy",
        haiku_initialiser,
        chunk=max(1, TEXT_CHUNK // split.x.shape[1]),
        evaluated=TEXT_EVALUATED,
    )


def _problem(
    split: Split,
    module: nn.Module,
    loss: str,
    initialise: Callable[[nn.Module], None],
    *,
    chunk: int,
    evaluated: int | None = None,
) -> ModuleProblem:
    x, y, x_test, y_test = (torch.from_numpy(np.ascontiguousarray(part)) for part in split)
    if x.is_floating_point():
        module = module.to(x.dtype)
    return ModuleProblem(
        module,
        x,
        y,
        loss,
        initialise,
        held_out=Batch(x_test, y_test),
        chunk=chunk,
        evaluated=evaluated,
    )
