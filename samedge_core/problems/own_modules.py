"""Checks of a user's module and data: its loss must be a function of w alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

_RULE = "the module must give the same outputs whenever it has the same weights, but"
_REMEDY = "call module.eval() first, or take the layer out"


def check_module(module: nn.Module, x: Tensor, y: Tensor, loss: object) -> None:
    """Refuse a module, data or loss that can't be trained, before a step fails inside torch.

    The module is called twice on all of x, and is afterwards as it was.

    Raises:
        TypeError: x or y is no tensor.
        ValueError: anything else; the message shows the value.
    """
    for name, values in (("x", x), ("y", y)):
        if not isinstance(values, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(values).__name__}")
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"x and y must have the same length > 0, got {len(x)} and {len(y)}")
    _check_finite("x", x, _dtype(module))
    _check_finite("y", y, y.dtype)
    _check_layers(module)
    outputs = _outputs(module, x)
    if isinstance(loss, str):
        _check_targets(y, loss, outputs)


def _dtype(module: nn.Module) -> torch.dtype:
    dtypes = {p.dtype for p in module.parameters()}
    if not dtypes:
        raise ValueError("the module has no parameters to train")
    if len(dtypes) > 1:
        raise ValueError(f"all parameters must have one dtype, got {sorted(map(str, dtypes))}")
    return dtypes.pop()


def _check_finite(name: str, values: Tensor, dtype: torch.dtype) -> None:
    if not values.is_floating_point():
        return
    wrong = int((~torch.isfinite(values.to(dtype))).sum())
    if wrong:
        kind = str(dtype).removeprefix("torch.")
        raise ValueError(f"{name} must be finite in {kind}, got {wrong} other entries")


def _check_layers(module: nn.Module) -> None:
    """Dropout with a small p may give equal outputs twice, so it is looked for by name."""
    drawing = [
        _called(module, name)
        for name, part in module.named_modules()
        if part.training and _dropped(part) > 0
    ]
    if drawing:
        raise ValueError(f"{_RULE} {', '.join(drawing)} draws anew at each call: {_REMEDY}")


def _dropped(part: nn.Module) -> float:
    """The share that a layer drops; recurrent layers and attention call it `dropout`."""
    share = part.p if isinstance(part, _DropoutNd) else getattr(part, "dropout", 0.0)
    return share if isinstance(share, int | float) else 0.0


def _outputs(module: nn.Module, x: Tensor) -> Tensor:
    """The outputs on all of x; raises where a second call differs or changes a buffer."""
    kind = _dtype(module)
    x = x.to(kind) if x.is_floating_point() else x
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        first, second = (torch.func.functional_call(module, buffers, (x,)) for _ in range(2))
    changed = {
        name.rpartition(".")[0]: None
        for name, buffer in module.named_buffers()
        if not torch.equal(buffer, buffers[name])
    }
    if changed:
        layers = ", ".join(_called(module, name) for name in changed)
        raise ValueError(f"{_RULE} {layers} changes its buffers at each call: {_REMEDY}")
    # a user's loss may take outputs that are no tensor
    if isinstance(first, Tensor) and not torch.allclose(first, second, equal_nan=True):
        raise ValueError(f"{_RULE} two calls of {type(module).__name__} differ: {_REMEDY}")
    return first


def _called(module: nn.Module, name: str) -> str:
    kind = type(module.get_submodule(name)).__name__
    return f"{name} ({kind})" if name else kind


def _check_targets(y: Tensor, loss: str, outputs: Tensor) -> None:
    """Classes must be some of the outputs; values have their own check, with the loss."""
    if y.is_floating_point():
        if loss == "cross-entropy":
            raise ValueError(f"y must hold integer classes for cross-entropy, got {y.dtype}")
        return
    if y.dtype == torch.bool or y.is_complex():
        raise ValueError(f"y must hold integer classes or float values, got {y.dtype}")
    shape, count = outputs.shape[:-1], outputs.shape[-1]
    if y.shape != shape:
        raise ValueError(
            f"y must have shape {tuple(shape)}, a class for each of the outputs "
            f"{tuple(outputs.shape)}, got {tuple(y.shape)}"
        )
    least, most = int(y.min()), int(y.max())
    if least < 0 or most >= count:
        raise ValueError(
            f"y must hold classes from 0 to {count - 1}, as the module has {count} outputs, got "
            f"{least} to {most}"
        )
