"""The array operations of `ExplicitOperator` that torch and NumPy spell differently.

On matrices of some hundred entries a call costs more than its arithmetic, and one of NumPy half as
much as one of torch. Operators (+, *, *=), `.T` and `.sum` are the same in both and not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["Array", "Arrays", "NumPyArrays", "Span", "TorchArrays"]

Array = Any  # a Tensor or an ndarray


class Span(NamedTuple):
    """A matrix within a flat vector."""

    shape: tuple[int, int]
    start: int
    stop: int


class TorchArrays:
    """Tensors, on any device."""

    exp, mm = staticmethod(torch.exp), staticmethod(torch.mm)

    @staticmethod
    def of(tensor: Tensor) -> Array:
        return tensor.detach().contiguous()

    @staticmethod
    def tensor(a: Array) -> Tensor:
        return a

    @staticmethod
    def views(w: Array, spans: Sequence[Span]) -> list[Array]:
        start = w.storage_offset()  # one call for each part is half the price of split and view
        return [w.as_strided(s.shape, (s.shape[1], 1), start + s.start) for s in spans]

    @staticmethod
    def affine(bias: Array, weight: Array, a: Array) -> Array:
        return torch.addmm(bias, weight, a)

    @staticmethod
    def add_mm(out: Array, a: Array, b: Array) -> None:
        out.addmm_(a, b)

    @staticmethod
    def row_sums(a: Array, out: Array) -> None:
        torch.sum(a, 1, keepdim=True, out=out)

    @staticmethod
    def logsumexp(a: Array) -> Array:
        return a.logsumexp(0)

    @staticmethod
    def relu(z: Array) -> tuple[Array, Array]:
        a = z.clamp_(min=0)
        return a, a.sign()

    @staticmethod
    def tanh(z: Array) -> tuple[Array, Array]:
        if z.is_cpu:
            np.tanh(z.numpy(), out=z.numpy())  # a sixth of the time of torch's, as good to an ulp
        else:
            z.tanh_()
        return z, torch.addcmul(z.new_ones(()), z, z, value=-1)


class NumPyArrays:
    """Arrays that share their memory with the tensors they come from."""

    exp, mm = staticmethod(np.exp), staticmethod(np.dot)

    @staticmethod
    def of(tensor: Tensor) -> Array:
        return tensor.detach().contiguous().numpy()

    @staticmethod
    def tensor(a: Array) -> Tensor:
        return torch.from_numpy(np.asarray(a))

    @staticmethod
    def views(w: Array, spans: Sequence[Span]) -> list[Array]:
        return [w[start:stop].reshape(shape) for shape, start, stop in spans]

    @staticmethod
    def affine(bias: Array, weight: Array, a: Array) -> Array:
        z = np.dot(weight, a)
        z += bias
        return z

    @staticmethod
    def add_mm(out: Array, a: Array, b: Array) -> None:
        out += np.dot(a, b)

    @staticmethod
    def row_sums(a: Array, out: Array) -> None:
        np.add.reduce(a, axis=1, out=out, keepdims=True)

    @staticmethod
    def logsumexp(a: Array) -> Array:
        top = a.max(0)
        return np.log(np.exp(a - top).sum(0)) + top

    @staticmethod
    def relu(z: Array) -> tuple[Array, Array]:
        np.maximum(z, 0, out=z)
        return z, np.sign(z)

    @staticmethod
    def tanh(z: Array) -> tuple[Array, Array]:
        np.tanh(z, out=z)
        return z, 1 - z * z


Arrays = type[TorchArrays] | type[NumPyArrays]
