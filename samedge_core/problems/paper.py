"""The problems of the paper's three tasks, and the same models on the user's data."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from samedge_core.problems.data import Split, centred
from samedge_core.problems.memory import CNN_CHUNK, MLP_CHUNK, TEXT_CHUNK
from samedge_core.problems.networks import mlp
from samedge_core.problems.own_data import check_use, read_arrays, read_text
from samedge_core.problems.paper_data import cifar10, mnist, shakespeare
from samedge_core.problems.paper_networks import PaperCNN, glorot_truncated
from samedge_core.problems.problem import Batch, ModuleProblem
from samedge_core.problems.transformer import Transformer, haiku_initialiser

TEXT_EVALUATED = 256
CLASSES = 10  # of MNIST and CIFAR-10, whichever of them the first n examples show


def mnist_mlp(
    *, n: int, n_test: int, width: int, depth: int, loss: str, dtype: str
) -> ModuleProblem:
    """784 - width x depth - 10, ReLU, on the first n images of MNIST."""
    return _mlp_on(centred(mnist(n, n_test), dtype), width, depth, CLASSES, loss)


def cifar_cnn(*, n: int, n_test: int, loss: str, dtype: str, **sizes: int) -> ModuleProblem:
    """The paper's CNN on the first n images of CIFAR-10; block i has 2^i times `channels`."""
    return _cnn_on(centred(cifar10(n, n_test), dtype), CLASSES, loss, **sizes)


def shakespeare_transformer(
    *, n: int, n_test: int, length: int, dtype: str, **sizes: int
) -> ModuleProblem:
    """The paper's Transformer on the first n sequences of tiny_shakespeare."""
    return _text(shakespeare(n, n_test, length), dtype, length=length, **sizes)


def own_images(
    *, path: str, n: int, n_test: int, network: str, loss: str, dtype: str, **sizes: int
) -> ModuleProblem:
    """The paper's MLP or CNN on the first n examples of a .npz file."""
    split, found = read_arrays(path, n, n_test)
    check_use(found, network, sizes["blocks"])
    split = centred(split, dtype)
    if network == "mlp":
        problem = _mlp_on(split, sizes["width"], sizes["depth"], found.outputs, loss)
    else:
        if split.x.ndim == 3:  # images without an axis for their one channel
            split = split._replace(x=split.x[..., None], x_test=split.x_test[..., None])
        chosen = {name: sizes[name] for name in ("channels", "blocks")}
        problem = _cnn_on(split, found.outputs, loss, layers=1, **chosen)
    problem.data_sha256 = found.sha256
    return problem


def own_text_transformer(
    *, path: str, n: int, n_test: int, length: int, dtype: str, **sizes: int
) -> ModuleProblem:
    """The paper's Transformer on the first n sequences of a .txt file."""
    split, found = read_text(path, n, n_test, length)
    problem = _text(split, dtype, length=length, **sizes)
    problem.data_sha256 = found.sha256
    return problem


def _mlp_on(split: Split, width: int, depth: int, classes: int, loss: str) -> ModuleProblem:
    inputs = math.prod(split.x.shape[1:])
    flat = split._replace(x=split.x.reshape(-1, inputs), x_test=split.x_test.reshape(-1, inputs))
    module = mlp([inputs, *[width] * depth, classes], "relu")
    return _problem(flat, module, loss, glorot_truncated, chunk=MLP_CHUNK)


def _cnn_on(
    split: Split, classes: int, loss: str, *, channels: int, blocks: int, layers: int
) -> ModuleProblem:
    widths = [channels * 2**i for i in range(blocks)]
    module = PaperCNN(split.x.shape[1:], widths, layers, classes)
    return _problem(split, module, loss, glorot_truncated, chunk=CNN_CHUNK)


def _text(split: Split, dtype: str, *, length: int, **sizes: int) -> ModuleProblem:
    module = Transformer(length=length, **sizes).to(getattr(torch, dtype))
    chunk = max(1, TEXT_CHUNK // length)
    # a look at all 15,000 sequences would cost a hundred steps
    options = {"chunk": chunk, "evaluated": TEXT_EVALUATED}
    return _problem(split, module, "cross-entropy", haiku_initialiser, **options)


def _problem(
    split: Split,
    module: nn.Module,
    loss: str,
    initialise: Callable[[nn.Module], None],
    **options: int,
) -> ModuleProblem:
    x, y, x_test, y_test = (torch.from_numpy(np.ascontiguousarray(part)) for part in split)
    if x.is_floating_point():
        module = module.to(x.dtype)
    held_out = Batch(x_test, y_test)
    return ModuleProblem(module, x, y, loss, initialise, held_out=held_out, **options)
