"""A user's module and data, copied and checked: its loss must be a function of w alone."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from samedge_core.curvature.differentiation import PlainAttention
from samedge_core.fields import abridged
from samedge_core.problems.draws import DrawError, DrawingFrom, other_generators

_RULE = "the module must give the same outputs whenever it has the same weights, but"
_REMEDY = "call module.eval() first, or take the layer out"
_CHANGES = {
    False: f"changes its buffers at each call: {_REMEDY}",
    True: "changes its weights at each call: take out max_norm, or the layer",
}
_CALLS = 3  # other threads may draw from Python's or NumPy's generator during one of them


class OwnModule(NamedTuple):
    """Copies that nobody else holds, and what calling them has shown.

    Attributes:
        classes: of y; 0 where it holds none that the outputs are scores of.
        attention: whether the module computes any.
    """

    module: nn.Module
    x: Tensor
    y: Tensor
    loss: Any
    classes: int
    attention: bool

    def part(self, n: int) -> OwnModule:
        """The first n examples, or all where module or loss take no other number."""
        part = self._replace(x=self.x[:n], y=self.y[:n])
        return part if part._computes() else self

    def double(self) -> OwnModule | None:
        """All in float64; None where a layer or the loss can't compute in it."""
        module, x, y = copied(self.module).double(), _double(self.x), _double(self.y)
        loss = self.loss
        if isinstance(loss, nn.Module):
            loss = copy.deepcopy(loss).double()
        double = self._replace(module=module, x=x, y=y, loss=loss)
        return double if double._computes() else None

    def _computes(self) -> bool:
        try:
            with torch.no_grad():
                outputs = self.module(self.x)
                if callable(self.loss):
                    self.loss(outputs, self.y)
        except Exception:  # noqa: BLE001 - of any kind: as it came, the same went well
            return False
        return True


def _double(values: Tensor) -> Tensor:
    return values.double() if values.is_floating_point() else values


def take_module(module: nn.Module, x: Tensor, y: Tensor, loss: object) -> OwnModule:
    """Return copies of a module and its data; refuse what can't be trained in words, before a step
    fails inside torch.

    Everything is called on copies: module, data and generators of the caller stay as they are.

    Raises:
        TypeError: an argument or the module's outputs are of another type than the loss takes.
        ValueError: anything else; the message shows the value.
    """
    _check_types(module, x, y)
    kind = _trainable_dtype(module)
    _check_finite("x", x, kind)
    _check_finite("y", y, y.dtype)
    own = _own_copy(module)
    x, y = x.detach().clone(), y.detach().clone()
    x = x.to(kind) if x.is_floating_point() else x
    outputs, attention = _outputs(own, x)
    if isinstance(loss, str):
        _check_outputs(outputs, loss)
        _check_targets(y, loss, outputs)
        y = y if y.is_floating_point() else y.long()  # all that torch's losses take
    elif isinstance(loss, nn.Module):
        loss = copy.deepcopy(loss)
    if callable(loss):
        _check_loss(loss, outputs, y)
    return OwnModule(own, x, y, loss, _classes(y, outputs), attention)


# --- what comes in ------------------------------------------------------------------------------


def _check_types(module: object, x: object, y: object) -> None:
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    if isinstance(module, torch.jit.ScriptModule):
        raise ValueError("module must not be compiled by torch.jit: hand in what it was made from")
    for name, values in (("x", x), ("y", y)):
        if not isinstance(values, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(values).__name__}")
        if values.layout != torch.strided or values.is_quantized or values.ndim == 0:
            kind = f"shape {tuple(values.shape)}, {values.layout}, {values.dtype}"
            raise ValueError(f"{name} must be dense, with an axis of examples first, got {kind}")
    assert isinstance(x, Tensor)
    assert isinstance(y, Tensor)
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"x and y must have the same length > 0, got {len(x)} and {len(y)}")


def _trainable_dtype(module: nn.Module) -> torch.dtype:
    parameters = list(module.parameters())
    if any(
        isinstance(t, UninitializedParameter | UninitializedBuffer)
        for t in tensors_of(module).values()
    ):
        raise ValueError("the module has lazy layers without weights: call it once on x first")
    if not parameters:
        raise ValueError("the module has no parameters to train")
    dtypes = {p.dtype for p in parameters if p.requires_grad}
    if not dtypes:
        raise ValueError(
            f"the module has no parameters to train: all {len(parameters)} have "
            "requires_grad=False, call requires_grad_() on those to train"
        )
    if len(dtypes) > 1:
        raise ValueError(f"all parameters must have one dtype, got {sorted(map(str, dtypes))}")
    (kind,) = dtypes
    if kind not in (torch.float32, torch.float64):
        raise ValueError(
            f"the parameters must be float32 or float64, got {kind}: convert them, by "
            "module.float() for instance"
        )
    return kind


def _check_finite(name: str, values: Tensor, dtype: torch.dtype) -> None:
    if not values.is_floating_point():
        return
    wrong = int((~torch.isfinite(values.to(dtype))).sum())
    if wrong:
        kind = str(dtype).removeprefix("torch.")
        raise ValueError(f"{name} must be finite in {kind}, got {wrong} other entries")


def copied(module: nn.Module, *, with_tensors: bool = True) -> nn.Module:
    """A copy of `module`; without tensors, it has parameters and buffers in common with it."""
    # torch copies no tensor with a history: one that a layer remembers is copied without
    memo: dict[int, Any] = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor) and value.grad_fn is not None
    }
    if not with_tensors:
        memo |= {id(tensor): tensor for tensor in tensors_of(module).values()}
    return copy.deepcopy(module, memo)


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, by a name for each place: weights that two layers share have two, and
    a layer that occurs twice has one. With two, torch's `functional_call` would not restore it."""
    return {
        f"{prefix}.{name}" if prefix else name: tensor
        for prefix, part in module.named_modules()
        for name, tensor in (
            *part.named_parameters(recurse=False, remove_duplicate=False),
            *part.named_buffers(recurse=False, remove_duplicate=False),
        )
    }


def _own_copy(module: nn.Module) -> nn.Module:
    try:
        return copied(module)
    except Exception as error:
        raise ValueError(
            f"the module must be one that copy.deepcopy copies, got {_shown(error)}: hand in one "
            "that holds layers, tensors and plain values only"
        ) from error


def _shown(error: Exception) -> str:
    return f"{type(error).__name__} {abridged(str(error))}"


# --- the outputs --------------------------------------------------------------------------------


def _outputs(module: nn.Module, x: Tensor) -> tuple[Any, bool]:
    """The outputs on all of x, and whether they need attention; raises where a call draws, changes
    x, weights or buffers, or where a second one gives something else."""
    with torch.no_grad(), PlainAttention() as attention:
        first, second = _called_without_draw(module, x), _called(module, x)
    # a user's loss may take outputs that are no tensor
    if isinstance(first, Tensor) and not torch.allclose(first, second, equal_nan=True):
        raise ValueError(f"{_RULE} two calls of {type(module).__name__} differ: {_REMEDY}")
    return first, attention.used


def _called(module: nn.Module, x: Tensor) -> Any:
    tensors = tensors_of(module)
    clones = {id(tensor): tensor.detach().clone() for tensor in tensors.values()}
    given, x_given = {name: clones[id(tensor)] for name, tensor in tensors.items()}, x.clone()
    try:
        outputs = torch.func.functional_call(module, given, (x_given,), tie_weights=False)
    except DrawError as drawn:
        raise ValueError(
            f"{_RULE} {_layer_of(drawn, module)} draws anew at each call: {_REMEDY}"
        ) from drawn
    except Exception as error:
        raise ValueError(
            f"the module must take x of shape {tuple(x.shape)} and {x.dtype}, got "
            f"{_shown(error)} from {_layer_of(error, module)}"
        ) from error
    changed = {
        f"{_named(module, name.rpartition('.')[0])} {_CHANGES[isinstance(tensor, nn.Parameter)]}"
        for name, tensor in tensors.items()
        if not torch.equal(tensor, given[name])
    }
    if changed:
        raise ValueError(f"{_RULE} {'; '.join(sorted(changed))}")
    if not torch.equal(x, x_given):
        raise ValueError(
            f"the module must leave x as it is, but {type(module).__name__} writes into it: let it "
            "work on x.clone(), or set inplace=False"
        )
    return outputs


def _named(module: nn.Module, name: str) -> str:
    kind = type(module.get_submodule(name)).__name__
    return f"{name} ({kind})" if name else kind


def _layer_of(error: BaseException, module: nn.Module) -> str:
    """The innermost layer that was being called when the error came."""
    names = {id(part): name for name, part in module.named_modules()}
    found, frame = "", error.__traceback__
    while frame:
        found = names.get(id(frame.tb_frame.f_locals.get("self")), found)
        frame = frame.tb_next
    return _named(module, found)


def _called_without_draw(module: nn.Module, x: Tensor) -> Any:
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    for _ in range(_CALLS):
        before = other_generators(module)
        with DrawingFrom(None):
            outputs = _called(module, x)
        if other_generators(module) == before:
            return outputs
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    raise ValueError(f"{_RULE} {type(module).__name__} draws anew at each call: {_REMEDY}")


# --- outputs and targets ------------------------------------------------------------------------


def _check_outputs(outputs: object, loss: str) -> None:
    if isinstance(outputs, Tensor):
        return
    part = '["logits"]' if isinstance(outputs, dict) else "[0]"
    function = "cross_entropy" if loss == "cross-entropy" else "mse_loss"
    raise TypeError(
        f"the module must return a torch.Tensor for the loss {abridged(loss)}, got "
        f"{type(outputs).__name__}: hand in a function as the loss that takes it, such as "
        f"lambda outputs, y: torch.nn.functional.{function}(outputs{part}, y)"
    )


def _check_targets(y: Tensor, loss: str, outputs: Tensor) -> None:
    """Classes must be some of the outputs; values have their own check, with the loss."""
    if y.is_floating_point():
        if loss == "cross-entropy":
            raise ValueError(f"y must hold integer classes for cross-entropy, got {y.dtype}")
        return
    if y.dtype == torch.bool or y.is_complex():
        raise ValueError(f"y must hold integer classes or float values, got {y.dtype}")
    if outputs.ndim == 0 or y.shape != outputs.shape[:-1]:
        raise ValueError(
            f"y must have shape {tuple(outputs.shape[:-1])}, a class for each of the outputs "
            f"{tuple(outputs.shape)}, got {tuple(y.shape)}"
        )
    count = outputs.shape[-1]
    if loss == "cross-entropy" and count < 2:
        raise ValueError(f"cross-entropy takes at least 2 outputs, one for each class, got {count}")
    least, most = int(y.min()), int(y.max())
    if least < 0 or most >= count:
        raise ValueError(
            f"y must hold classes from 0 to {count - 1}, as the module has {count} outputs, got "
            f"{least} to {most}"
        )


def _check_loss(loss: Callable[..., Any], outputs: Any, y: Tensor) -> None:
    given = y.clone()
    shape = f" of shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else ""
    try:
        value = loss(outputs, given)
    except Exception as error:
        raise ValueError(
            f"loss must take the outputs, {type(outputs).__name__}{shape}, and y of shape "
            f"{tuple(y.shape)} and {y.dtype}, got {_shown(error)}"
        ) from error
    if not isinstance(value, Tensor):
        raise TypeError(f"loss must return a torch.Tensor, got {type(value).__name__}")
    if value.ndim != 0 or not value.is_floating_point():
        raise ValueError(
            f"loss must return a real scalar, got shape {tuple(value.shape)} of {value.dtype}"
        )
    if not torch.equal(given, y):
        raise ValueError("loss must leave y as it is, but writes into it: let it work on y.clone()")


def _classes(y: Tensor, outputs: Any) -> int:
    """How many classes y shows; 0 where the outputs are no scores of them."""
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        return 0
    scores = isinstance(outputs, Tensor) and outputs.ndim and outputs.shape[:-1] == y.shape
    if not scores or int(y.min()) < 0 or int(y.max()) >= outputs.shape[-1]:
        return 0
    return int(y.max()) + 1
