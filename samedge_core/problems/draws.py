"""Draws from random generators: torch's global one replaced or locked, for this thread only.

The global generators belong to the program, and other threads of it may draw at any time.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode


class DrawError(Exception):
    """Raised in place of a draw from torch's global generator."""


class DrawingFrom(TorchDispatchMode):
    """A `with` block in which torch draws from `generator` where its global one was meant; with
    None, it raises a DrawError there."""

    def __init__(self, generator: torch.Generator | None) -> None:
        super().__init__()
        self._generator = generator

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if _draws(func, args, kwargs):
            if self._generator is None:
                raise DrawError(str(func))
            kwargs = {**kwargs, "generator": self._generator}
        return func(*args, **kwargs)


@contextmanager
def making() -> Iterator[None]:
    """A `with` block in which a problem is made, whatever mode of torch its caller is in: layers
    draw weights that nobody uses, but not from the program's generator."""
    with torch.inference_mode(False), DrawingFrom(torch.Generator()):
        yield


def _draws(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether one of torch's operations draws from the global generator."""
    if torch.Tag.nondeterministic_seeded not in func.tags or kwargs.get("generator"):
        return False
    declared = func._schema.arguments
    given = dict(zip((argument.name for argument in declared), args, strict=False)) | kwargs
    # in evaluation mode, layers call some that then draw nothing
    return all(
        given.get(argument.name, argument.default_value)
        for argument in declared
        if argument.name in ("training", "train")
    )


def other_generators(module: nn.Module) -> list[bytes]:
    """The states of Python's and NumPy's global generators, and of those that layers hold."""
    states = [pickle.dumps(random.getstate()), pickle.dumps(np.random.get_state())]  # noqa: NPY002
    for value in (value for part in module.modules() for value in vars(part).values()):
        if isinstance(value, torch.Generator):
            states.append(value.get_state().numpy().tobytes())
        elif isinstance(value, random.Random | np.random.Generator | np.random.RandomState):
            states.append(pickle.dumps(value))
    return states
