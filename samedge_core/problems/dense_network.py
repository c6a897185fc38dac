"""Fully connected networks by hand: loss, gradient and Hessian-vector products without autograd.

At these sizes the bookkeeping of autograd costs as much as the arithmetic. Written out, gradients
and products take 60 to 75 % of the time on the digits, and a third on a net of 701 parameters.
Other networks go through `HessianOperator`, against which this is tested.

An example is a column: a_l is (width, n). With n rows, a layer of ten outputs takes MKL twice as
long. For z_l = W_l a_(l-1) + b_l and a_l = phi(z_l), with delta_l = dL/dz_l, and R the derivative
along a direction with weights V_l and biases c_l (Pearlmutter, Neural Computation 6, 1994):

    R z_l     = W_l R a_(l-1) + V_l a_(l-1) + c_l,      R a_l = phi'(z_l) R z_l
    R delta_l = phi'(z_l) (W_(l+1)^T R delta_(l+1) + V_(l+1)^T delta_(l+1))
                + phi''(z_l) R z_l (W_(l+1)^T delta_(l+1))
    (H v)_W_l = R delta_l a_(l-1)^T + delta_l (R a_(l-1))^T,   (H v)_b_l = sum of R delta_l
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from samedge_core.problems.batches import Batch

__all__ = ["DenseNetwork", "DenseOperator"]

ACTIVATIONS = {nn.ReLU: "relu", nn.Tanh: "tanh"}
LOSSES = ("mse", "half-mse", "cross-entropy")


class _Layer(NamedTuple):
    weight: Tensor  # (out, in), a view into a flat vector
    bias: Tensor  # (out, 1)


class DenseNetwork:
    """Layers of the given sizes with one activation between them, and a loss on the outputs.

    Attributes:
        size: P; w holds weight and bias of each layer in turn, as the torch module does.
    """

    def __init__(self, sizes: list[int], activation: str | None, loss: str) -> None:
        self.sizes, self.activation, self.loss = sizes, activation, loss
        self._spans = []  # shape, strides and start of each part of w
        self.size = 0
        for before, after in pairwise(sizes):
            for columns in (before, 1):
                self._spans.append(((after, columns), (columns, 1), self.size))
                self.size += after * columns

    @classmethod
    def of(cls, module: nn.Module, loss: object, data: Batch) -> DenseNetwork | None:
        """The network that `module` is, trained on `data`; None when it is no such network."""
        if type(module) is not nn.Sequential or loss not in LOSSES or _altered(module):
            return None
        linear = [layer for layer in module if type(layer) is nn.Linear and layer.bias is not None]
        kinds = {type(layer) for layer in module if layer not in linear}
        if len(kinds) > 1 or not kinds <= set(ACTIVATIONS):
            return None
        step = 2 if kinds else 1
        # layers in turn, each its own, the last without an activation
        if len(set(linear)) * step - (step - 1) != len(module) or list(module)[::step] != linear:
            return None
        # neither tied nor computed from others
        own = [p for layer in linear for p in (layer.weight, layer.bias)]
        if [id(p) for p in own] != [id(p) for p in module.parameters()]:
            return None
        network = cls(
            [linear[0].in_features, *(layer.out_features for layer in linear)],
            ACTIVATIONS[kinds.pop()] if kinds else None,
            str(loss),
        )
        return network if network._fits(data, own[0].dtype) else None

    def _fits(self, data: Batch, dtype: torch.dtype) -> bool:
        """Whether inputs and targets are such as the formulas take; what is wrong with others is
        for torch to say."""
        x, y, outputs = data.x, data.y, self.sizes[-1]
        if x.shape[1:] != (self.sizes[0],):
            return False
        if y.is_floating_point():
            return self.loss != "cross-entropy" and y.shape[1:] == (outputs,) and y.dtype == dtype
        return (
            y.ndim == 1 and y.dtype == torch.int64 and 0 <= int(y.min()) <= int(y.max()) < outputs
        )

    def layers(self, w: Tensor) -> list[_Layer]:
        """Views into w (P,), which is contiguous."""
        start = w.storage_offset()  # one call for each part is half the price of split and view
        views = [w.as_strided(shape, strides, start + i) for shape, strides, i in self._spans]
        return [_Layer(*pair) for pair in zip(views[::2], views[1::2], strict=True)]

    def target(self, y: Tensor, like: Tensor) -> Tensor:
        """What the outputs are compared with: classes for the cross-entropy, else (out, n)."""
        if y.is_floating_point():
            return y.T
        if self.loss == "cross-entropy":
            return y
        columns = torch.zeros(self.sizes[-1], len(y), dtype=like.dtype, device=like.device)
        return columns.scatter_(0, y[None], 1)


def _altered(module: nn.Module) -> bool:
    """Whether hooks, or a `forward` set on an instance, make layers other than their types say."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(
        "forward" in vars(part) or any(getattr(part, name) for name in hooks)
        for part in module.modules()
    )


class DenseOperator:
    """The Hessian at one w; also its loss and gradient. An operator like `HessianOperator`.

    Attributes:
        value: L(w), a scalar tensor.
        g: grad L(w), shape (P,).
        size, dtype, device: P, and of w.
        products: Hessian-vector products computed so far.
    """

    @torch.no_grad()
    def __init__(self, network: DenseNetwork, w: Tensor, batch: Batch) -> None:
        """Inputs (n, in); targets (n, out), or classes (n,)."""
        self._network, self._loss = network, network.loss
        self.size, self.dtype, self.device = network.size, w.dtype, w.device
        self.products = 0
        self._layers = network.layers(w.contiguous())
        self._slopes: list[Tensor] = []  # phi'(z_l)
        self._one = w.new_ones(())
        self._bends: list[Tensor] = []  # phi''(z_l) W_(l+1)^T delta_(l+1), over phi'(z_l)
        self._inputs = self._forward(batch.x.T)
        self._outputs = self._inputs.pop()
        self.value, delta = self._end(self._outputs, network.target(batch.y, w))
        self._deltas = [delta]
        self._sent: list[Tensor] = []  # W_l^T delta_l, from the last layer down
        self.g = self._backward()

    @property
    def outputs(self) -> Tensor:
        """Of the network, (n, out)."""
        return self._outputs.T.contiguous()  # what runs along it takes four times as long else

    def _forward(self, x: Tensor) -> list[Tensor]:
        """The inputs of each layer, and the outputs."""
        activations = [x]
        for layer in self._layers[:-1]:
            z = torch.addmm(layer.bias, layer.weight, activations[-1])
            activations.append(self._activate(z))
        last = self._layers[-1]
        return [*activations, torch.addmm(last.bias, last.weight, activations[-1])]

    def _activate(self, z: Tensor) -> Tensor:
        if self._network.activation == "relu":
            a = z.clamp_(min=0)
            self._slopes.append(a.sign())
            return a
        if self._network.activation == "tanh":
            a = _tanh_(z)
            self._slopes.append(torch.addcmul(self._one, a, a, value=-1))
            return a
        return z

    def _end(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and its derivative by the outputs."""
        if self._loss == "cross-entropy":
            logs = outputs - outputs.logsumexp(0)
            self._shares = logs.exp()
            share = 1 / outputs.shape[1]
            delta = self._shares * share
            columns = torch.arange(outputs.shape[1], device=outputs.device)
            delta[target, columns] -= share
            return -logs[target, columns].mean(), delta
        self._factor = (2.0 if self._loss == "mse" else 1.0) / outputs.numel()
        error = outputs - target
        return error.square().sum() * (self._factor / 2), error * self._factor

    def _backward(self) -> Tensor:
        g = torch.empty(self.size, dtype=self.dtype, device=self.device)
        out = self._network.layers(g)
        for i in reversed(range(len(self._layers))):
            delta = self._deltas[-1]
            torch.mm(delta, self._inputs[i].T, out=out[i].weight)
            torch.sum(delta, 1, keepdim=True, out=out[i].bias)
            if i:
                sent = self._layers[i].weight.T @ delta
                self._sent.append(sent)
                self._deltas.append(sent * self._slopes[i - 1] if self._slopes else sent)
        self._deltas.reverse()
        self._sent.reverse()
        return g

    @torch.no_grad()
    def matvec(self, v: Tensor) -> Tensor:
        """H v for v of shape (P,)."""
        self.products += 1
        if self._network.activation == "tanh" and not self._bends:
            # phi'' R z = -2 a phi' R z = -2 a R a
            self._bends = [-2 * s * a for s, a in zip(self._sent, self._inputs[1:], strict=True)]
        along = self._network.layers(v.contiguous())
        moved = self._moved(along)  # R a_(l-1), None for the data; then R of the outputs
        delta = self._end_moved(moved.pop())
        product = torch.empty_like(self.g)
        out = self._network.layers(product)
        for i in reversed(range(len(self._layers))):
            torch.mm(delta, self._inputs[i].T, out=out[i].weight)
            if moved[i] is not None:
                out[i].weight.addmm_(self._deltas[i], moved[i].T)
            torch.sum(delta, 1, keepdim=True, out=out[i].bias)
            if i:
                delta = torch.mm(self._layers[i].weight.T, delta)
                delta.addmm_(along[i].weight.T, self._deltas[i])
                if self._slopes:
                    delta.mul_(self._slopes[i - 1])
                if self._bends:
                    delta.addcmul_(self._bends[i - 1], moved[i])
        return product

    def _moved(self, along: list[_Layer]) -> list[Tensor]:
        moved: list = [None]
        for i, (layer, step) in enumerate(zip(self._layers, along, strict=True)):
            z = torch.addmm(step.bias, step.weight, self._inputs[i])
            if moved[-1] is not None:
                z.addmm_(layer.weight, moved[-1])
            if self._slopes and i < len(self._layers) - 1:
                z.mul_(self._slopes[i])
            moved.append(z)
        return moved

    def _end_moved(self, outputs: Tensor) -> Tensor:
        if self._loss == "cross-entropy":
            inner = (self._shares * outputs).sum(0)
            return self._shares * (outputs - inner) / outputs.shape[1]
        return outputs.mul_(self._factor)


def _tanh_(z: Tensor) -> Tensor:
    """tanh in place; NumPy's takes a sixth of the time of torch's, and is as good to an ulp."""
    if not z.is_cpu:
        return z.tanh_()
    np.tanh(z.numpy(), out=z.numpy())
    return z
