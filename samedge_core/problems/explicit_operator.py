"""Loss, gradient and Hessian-vector products written out, without autograd.

At these sizes the bookkeeping of autograd costs as much as the arithmetic. Other networks than an
`ExplicitNetwork` go through `HessianOperator`, against which this is tested.

An example is a column: a_l is (width, n). With n rows, a layer of ten outputs takes MKL twice as
long. For z_l = W_l P(a_(l-1)) + b_l and a_l = phi(z_l), with delta_l = dL/dz_l, and R the
derivative along a direction with weights V_l and biases c_l (Pearlmutter, Neural Computation 6,
1994), and with P and P^T as `layers` says:

    R z_l     = W_l P(R a_(l-1)) + V_l P(a_(l-1)) + c_l,      R a_l = phi'(z_l) R z_l
    R delta_l = phi'(z_l) P^T(W_(l+1)^T R delta_(l+1) + V_(l+1)^T delta_(l+1))
                + phi''(z_l) R z_l P^T(W_(l+1)^T delta_(l+1))
    (H v)_W_l = R delta_l P(a_(l-1))^T + delta_l P(R a_(l-1))^T,   (H v)_b_l = sum of R delta_l

Pooling is part of phi, which then is no map of each entry: phi' is linear and has an adjoint.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from samedge_core.problems.batches import Batch
from samedge_core.problems.dense_operator import DenseOperator
from samedge_core.problems.explicit_network import ExplicitNetwork, Weights

__all__ = ["Explicit", "ExplicitOperator", "operator"]


class ExplicitOperator:
    """The Hessian at one w; also its loss and gradient. An operator like `HessianOperator`.

    Attributes:
        value: L(w), a scalar tensor.
        g: grad L(w), shape (P,).
        size, dtype, device: P, and of w.
        products: Hessian-vector products computed so far.
    """

    @np.errstate(all="ignore")  # what is not finite is for the caller to see
    def __init__(self, network: ExplicitNetwork, w: Tensor, batch: Batch) -> None:
        """Inputs (n, in) or (n, channels, rows, columns); targets (n, out), or classes (n,)."""
        self._network, self._loss = network, network.loss
        self.size, self.dtype, self.device = network.size, w.dtype, w.device
        self.products = 0
        prepared = network.prepared(batch)
        self._weights = network.weights(w.detach().contiguous())
        self._inputs = [prepared.inputs]  # P(a_(l-1))
        self._slopes: list[Any] = []  # phi'(z_l) as the layers have it
        # phi''(z_l) P^T(W_(l+1)^T delta_(l+1)), over phi'(z_l); None where phi'' is 0
        self._bends: list[Tensor | None] = []
        self._outputs = self._forward()
        self.value, delta = self._end(self._outputs, prepared.target)
        self._deltas = [delta]
        self._sent: list[Tensor | None] = []  # P^T(W_(l+1)^T delta_(l+1)), None where phi'' is 0
        self.g = self._backward()

    @property
    def outputs(self) -> Tensor:
        """Of the network, (n, out)."""
        # what runs along it takes four times as long else
        return self._outputs.T.contiguous()

    def _forward(self) -> Tensor:
        """The outputs; the inputs and slopes of the layers are kept."""
        a = self._inputs[0]
        for layer, (weight, bias) in zip(self._network.layers, self._weights, strict=True):
            if self._slopes:
                self._inputs.append(layer.patches(a))
            z = torch.addmm(bias, weight, self._inputs[-1])
            a, slope = layer.activate(z)
            self._slopes.append(slope)
        return a

    def _end(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and its derivative by the outputs."""
        if self._loss == "cross-entropy":
            logs = outputs - outputs.logsumexp(0)
            self._shares, n = logs.exp(), outputs.shape[1]
            return (logs * target).sum() / -n, (self._shares - target) * (1 / n)
        entries = outputs.shape[0] * outputs.shape[1]
        self._factor = (2.0 if self._loss == "mse" else 1.0) / entries
        error = outputs - target
        return (error * error).sum() * (self._factor / 2), error * self._factor

    def _backward(self) -> Tensor:
        g, out = self._gradient()
        layers = self._network.layers
        for i in reversed(range(len(layers))):
            delta = self._deltas[-1]
            torch.mm(delta, self._inputs[i].T, out=out[i].weight)
            torch.sum(delta, 1, keepdim=True, out=out[i].bias)
            if i:
                sent = layers[i].spread(torch.mm(self._weights[i].weight.T, delta))
                smooth = layers[i - 1].smooth
                self._sent.append(sent if smooth else None)
                self._deltas.append(layers[i - 1].back(self._slopes[i - 1], sent, keep=smooth))
        self._deltas.reverse()
        self._sent.reverse()
        return g

    def _gradient(self) -> tuple[Tensor, list[Weights]]:
        """A vector (P,) to fill, and the layers' views into it."""
        g = torch.empty(self.size, dtype=self.dtype, device=self.device)
        return g, self._network.weights(g)

    @np.errstate(all="ignore")
    def matvec(self, v: Tensor) -> Tensor:
        """H v for v of shape (P,)."""
        self.products += 1
        layers = self._network.layers
        if not self._bends:
            self._bends = self._bend()
        along = self._network.weights(v.detach().contiguous())
        moved = self._moved(along)  # P(R a_(l-1)), the data for the first; then R of the outputs
        delta = self._end_moved(moved.pop())
        product, out = self._gradient()
        for i in reversed(range(len(layers))):
            torch.mm(delta, self._inputs[i].T, out=out[i].weight)
            if i:
                out[i].weight.addmm_(self._deltas[i], moved[i].T)
            torch.sum(delta, 1, keepdim=True, out=out[i].bias)
            if i:
                delta = torch.mm(self._weights[i].weight.T, delta)
                delta.addmm_(along[i].weight.T, self._deltas[i])
                delta = layers[i - 1].back(self._slopes[i - 1], layers[i].spread(delta))
                bend = self._bends[i - 1]
                if bend is not None:
                    delta += bend * moved[i]
        return product

    def _bend(self) -> list[Tensor | None]:
        # phi'' R z = -2 a phi' R z = -2 a R a
        inner = zip(self._sent, self._inputs[1:], strict=True)
        return [None if sent is None else -2 * sent * a for sent, a in inner]

    def _moved(self, along: list[Weights]) -> list[Tensor]:
        moved = [self._inputs[0]]
        a = self._inputs[0]
        for i, layer in enumerate(self._network.layers):
            z = torch.addmm(along[i].bias, along[i].weight, self._inputs[i])
            if i:
                moved.append(layer.patches(a))
                z.addmm_(self._weights[i].weight, moved[i])
            a = layer.along(self._slopes[i], z)
        return [*moved, a]

    def _end_moved(self, outputs: Tensor) -> Tensor:
        if self._loss == "cross-entropy":
            inner = (self._shares * outputs).sum(0)
            return self._shares * (outputs - inner) / outputs.shape[1]
        outputs *= self._factor
        return outputs


Explicit = ExplicitOperator | DenseOperator


def operator(network: ExplicitNetwork, w: Tensor, batch: Batch) -> Explicit:
    """That of the two which is faster."""
    if not (network.dense and w.is_cpu):
        return ExplicitOperator(network, w, batch)
    inputs, target = network.prepared(batch)[1:]
    return DenseOperator(
        network.shapes, network.activation, network.loss, w, inputs.numpy(), target.numpy()
    )
