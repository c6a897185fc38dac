"""The networks whose derivatives are written out: which modules they are, and what their data are.

w holds weight and bias of each layer in turn, as the torch module does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from samedge_core.problems.batches import Batch
from samedge_core.problems.compiled import conv, dense
from samedge_core.problems.compiled.conv import unfold

ACTIVATIONS = {nn.ReLU: "relu", nn.Tanh: "tanh"}
CONVOLUTION = {
    "kernel_size": (3, 3),
    "stride": (1, 1),
    "padding": (1, 1),
    "dilation": (1, 1),
    "groups": 1,
    "padding_mode": "zeros",
}
POOL = {"padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False}
KEPT = 2**24  # bytes


class Prepared(NamedTuple):
    """What the formulas take of a batch."""

    batch: Batch
    inputs: np.ndarray  # (in, n); of images their patches, (9 * channels, rows * columns * n)
    target: np.ndarray  # (out, n); of classes, one-hot


class CompiledNetwork:
    """Convolutions, then dense layers with one activation between them, and a loss on the outputs.

    Attributes:
        conv, dense: the layers, records of `conv.LAYER` and of `dense.LAYER`.
        activation, loss: the codes of `dense.ACTIVATIONS` and `dense.LOSSES`.
        size: P.
    """

    def __init__(self, layers: Layers, loss: str) -> None:
        self.conv = conv.layers_of(layers.conv)
        convolved = sum(outputs * (9 * channels + 1) for outputs, channels, *_ in layers.conv)
        self.dense = dense.layers_of(layers.dense, convolved)
        self.activation, self.loss = dense.ACTIVATIONS[layers.activation], dense.LOSSES[loss]
        self.size = convolved + sum(outputs * (inputs + 1) for outputs, inputs in layers.dense)
        self._prepared: Prepared | None = None
        # once a block of this size was freed, glibc no longer hands memory of smaller ones back:
        # faulting it in anew takes as long as half a gradient
        torch.empty(KEPT, dtype=torch.uint8)

    @classmethod
    def of(cls, module: nn.Module, loss: object, data: Batch) -> CompiledNetwork | None:
        """The network that `module` is, trained on `data`; None when it is no such network."""
        named = isinstance(loss, str) and loss in dense.LOSSES
        if not named or type(module) is not nn.Sequential or _altered(module):
            return None
        layers = _layers(list(module), tuple(data.x.shape[1:]))
        if layers is None:
            return None
        # neither tied nor computed from others
        weighted = [part for part in module if type(part) in (nn.Linear, nn.Conv2d)]
        own = [p for part in weighted for p in (part.weight, part.bias)]
        trained = [id(p) for p in module.parameters() if p.requires_grad]
        if [id(p) for p in own] != trained:
            return None
        network = cls(layers, str(loss))
        return network if network._fits(data, str(loss), next(module.parameters()).dtype) else None

    def _fits(self, data: Batch, loss: str, dtype: torch.dtype) -> bool:
        """Whether inputs and targets are such as the formulas take; what is wrong with others is
        for torch to say."""
        x, y, outputs = data.x, data.y, self.dense["outputs"][-1]
        if dtype not in (torch.float32, torch.float64) or x.dtype != dtype:
            return False
        if y.is_floating_point():
            return loss != "cross-entropy" and y.shape[1:] == (outputs,) and y.dtype == dtype
        return (
            y.ndim == 1 and y.dtype == torch.int64 and 0 <= int(y.min()) <= int(y.max()) < outputs
        )

    def prepared(self, batch: Batch) -> Prepared:
        """`batch` as the formulas take it; the last one is kept, which most often comes again."""
        last = self._prepared
        if last is None or last.batch.x is not batch.x or last.batch.y is not batch.y:
            last = Prepared(batch, self._inputs(batch.x.detach()), self._target(batch))
            self._prepared = last
        return last

    def _inputs(self, x: Tensor) -> np.ndarray:
        if not len(self.conv):
            return x.T.contiguous().numpy()
        image = x.permute(1, 2, 3, 0).contiguous().numpy()
        channels, rows, columns, n = image.shape
        patches = np.empty((9 * channels, rows * columns * n), image.dtype)
        unfold(image, patches)
        return patches

    def _target(self, batch: Batch) -> np.ndarray:
        x, y = batch
        if y.is_floating_point():
            return y.T.detach().contiguous().numpy()
        target = x.new_zeros(int(self.dense["outputs"][-1]), len(y))
        target[y, torch.arange(len(y))] = 1
        return target.numpy()


class Layers(NamedTuple):
    """The sizes of a network's layers, and what is between the dense ones."""

    conv: list[tuple[int, int, int, int]]  # outputs, channels, rows, columns
    dense: list[tuple[int, int]]  # outputs, inputs
    activation: str | None


def _altered(module: nn.Module) -> bool:
    """Whether hooks, or a `forward` set on an instance, make layers other than their types say."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(
        "forward" in vars(part) or any(getattr(part, name) for name in hooks)
        for part in module.modules()
    )


def _layers(parts: list[Any], shape: tuple[int, ...]) -> Layers | None:
    """The layers that `parts` are for examples of this shape; None for any others."""
    kinds = [type(part) for part in parts]
    if nn.Flatten not in kinds:
        return _dense(parts, shape)
    end = kinds.index(nn.Flatten)
    blocks, flatten = parts[:end], parts[end]
    if end == 0 or end % 3 or (flatten.start_dim, flatten.end_dim) != (1, -1) or len(shape) != 3:
        return None
    images: list[tuple[int, int, int, int]] = []
    for convolution, relu, pool in zip(blocks[::3], blocks[1::3], blocks[2::3], strict=True):
        if not _is_block(convolution, relu, pool) or convolution.in_channels != shape[0]:
            return None
        # of an odd side, pooling would leave the last out
        if shape[1] % 2 or shape[2] % 2:
            return None
        channels, rows, columns = shape
        images.append((convolution.out_channels, channels, rows, columns))
        shape = (convolution.out_channels, rows // 2, columns // 2)
    head = _dense(parts[end + 1 :], (shape[0] * shape[1] * shape[2],))
    return head and head._replace(conv=images)


def _is_block(convolution: Any, relu: Any, pool: Any) -> bool:
    """Whether these are one of the layers of `conv`."""
    if (type(convolution), type(relu), type(pool)) != (nn.Conv2d, nn.ReLU, nn.MaxPool2d):
        return False
    sides = (pool.kernel_size, pool.stride)
    return (
        convolution.bias is not None
        and all(getattr(convolution, name) == value for name, value in CONVOLUTION.items())
        and all(getattr(pool, name) == value for name, value in POOL.items())
        and all(side in (2, (2, 2)) for side in sides)
    )


def _dense(parts: list[Any], shape: tuple[int, ...]) -> Layers | None:
    """Linear layers in turn, with one kind of activation between all of them or none."""
    linear = [part for part in parts if type(part) is nn.Linear and part.bias is not None]
    kinds = {type(part) for part in parts if part not in linear}
    if not linear or len(kinds) > 1 or not kinds <= set(ACTIVATIONS):
        return None
    step = 2 if kinds else 1
    if len(linear) * step - (step - 1) != len(parts) or parts[::step] != linear:
        return None
    sizes = [*shape, *(part.out_features for part in linear)]
    if sizes[:-1] != [part.in_features for part in linear]:
        return None
    activation = ACTIVATIONS[kinds.pop()] if kinds else None
    return Layers([], [(part.out_features, part.in_features) for part in linear], activation)
