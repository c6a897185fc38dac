"""Loss, gradient and Hessian-vector products of many dense networks at once, written out.

The formulas are those of docs/derivatives.md; every matrix there is here a batch of them, one a
cell. A layer's weights and biases are one matrix (in + 1, out), the biases in its last row, and its
input (in + 1, n) has a last row of ones: a product less for each bias. w and its like come in
parts, one (C, (in + 1) out) a layer, each without gaps, so that matrix products write to them.
Vectors (C, P) are these parts side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from samedge_core.problems.batches import Batch
from samedge_core.problems.compiled.dense import CROSS_ENTROPY, HALF_MSE, RELU, TANH
from samedge_core.problems.problem import ModuleProblem


class Networks:
    """C dense networks of one shape, each with weights of its own, on the same examples.

    Attributes:
        size: P.
    """

    def __init__(self, problem: ModuleProblem) -> None:
        """Of a problem whose network is dense and has its derivatives written out (`compiled`)."""
        network = problem.compiled
        assert network is not None
        self.size = network.size
        self._shapes = [(inputs + 1, outputs) for outputs, inputs, *_ in network.dense.tolist()]
        self._sizes = [rows * columns for rows, columns in self._shapes]
        self._activation, self._loss = network.activation, network.loss
        self._classes, held_out = problem.classes, problem.held_out
        self._data = self._prepared(problem.full_batch())
        self._held_out = self._prepared(held_out) if held_out else None
        self._order = self._packing().to(problem.device)
        self._rooms: dict[int, Tensor] = {}

    def _prepared(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Inputs (in + 1, n) with their ones, and targets (out, n), of classes one-hot."""
        x, y = batch
        inputs = torch.cat([x.T, x.new_ones(1, len(x))])
        if y.is_floating_point():
            return inputs, y.T.contiguous()
        target = x.new_zeros(self._shapes[-1][1], len(y))
        target[y, torch.arange(len(y), device=y.device)] = 1
        return inputs, target

    def _packing(self) -> Tensor:
        """The place in the module's w of each parameter here, (P,)."""
        order = []
        for (rows, columns), at in zip(
            self._shapes, torch.arange(self.size).split(self._sizes), strict=True
        ):
            weights, biases = at.split([(rows - 1) * columns, columns])
            order.append(torch.cat([weights.view(columns, rows - 1), biases[:, None]], 1).T)
        return torch.cat([part.flatten() for part in order])

    def packed(self, w: Tensor) -> list[Tensor]:
        """The parts here of the module's w (C, P)."""
        return [part.contiguous() for part in w[:, self._order].split(self._sizes, 1)]

    def unpacked(self, parts: list[Tensor]) -> Tensor:
        """The inverse of `packed`."""
        w = torch.cat(parts, 1)
        out = torch.empty_like(w)
        out[:, self._order] = w
        return out

    def at(self, w: list[Tensor], *, keep: bool = False) -> NetworksPoint:
        """Loss and gradient at the parts w; with `keep`, all that Hessian-vector products need."""
        if len(w[0]) == 1:  # MKL takes another way, and rounds in another: two are computed as ever
            return self.at([part.repeat(2, 1) for part in w], keep=keep).select(slice(1))
        weights, (x, target) = self._layers(w), self._data
        inputs, outputs = self._forward(weights, x, None if keep else self._rooms)
        delta = self._delta(outputs, target)
        gs, deltas, sents = [], [delta], []
        for i in range(len(weights) - 1, -1, -1):
            gs.append(_outer(inputs[i], delta).flatten(1))
            if i:
                sent = torch.bmm(weights[i][:, :-1], delta)
                delta = self._slope(sent, inputs[i][:, :-1])
                if keep:  # else its memory is taken again at once, and is in the cache
                    deltas.append(delta)
                    sents.append(sent)
        return NetworksPoint(self, outputs, w, gs[::-1], inputs, deltas[::-1], sents[::-1])

    def _layers(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Views of the parts: the matrix (C, in + 1, out) of each layer."""
        pairs = zip(parts, self._shapes, strict=True)
        return [part.view(-1, *shape) for part, shape in pairs]

    def _forward(
        self, weights: list[Tensor], x: Tensor, rooms: dict[int, Tensor] | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """What each layer takes, (C, in + 1, n), and the outputs (C, out, n). `rooms` are the
        arrays of the last call, to be written over: they have their ones, and are in the cache."""
        cells, rooms = len(weights[0]), {} if rooms is None else rooms
        inputs = [x.expand(cells, -1, -1)]
        for i, weight in enumerate(weights[:-1]):
            z = torch.bmm(weight.mT, inputs[-1])
            a = rooms.get(i, x[:0])
            if len(a) != cells:
                a = rooms[i] = z.new_ones(cells, z.shape[1] + 1, z.shape[2])
            self._activate(z, a[:, :-1])
            inputs.append(a)
        return inputs, torch.bmm(weights[-1].mT, inputs[-1])

    def _activate(self, z: Tensor, out: Tensor) -> None:
        if self._activation == TANH:
            torch.tanh(z, out=out)
        elif self._activation == RELU:
            torch.clamp_min(z, 0, out=out)
        else:
            out.copy_(z)

    def loss(self, outputs: Tensor, target: Tensor | None = None) -> Tensor:
        """The loss (C,) of outputs (C, out, n)."""
        target = self._data[1] if target is None else target
        if self._loss == CROSS_ENTROPY:
            return -(log_softmax(outputs, 1) * target).flatten(1).sum(1) / target.shape[1]
        return (outputs - target).flatten(1).square().sum(1) * (self._scale(target) / 2)

    def _delta(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The derivatives of the loss by the outputs, (C, out, n)."""
        if self._loss == CROSS_ENTROPY:
            return (outputs.softmax(1) - target) / target.shape[1]
        return (outputs - target) * self._scale(target)

    def _scale(self, outputs: Tensor) -> float:
        """The second derivative of a squared error by each of the outputs (out, n)."""
        return (1.0 if self._loss == HALF_MSE else 2.0) / outputs.numel()

    def _slope(self, sent: Tensor, a: Tensor) -> Tensor:
        """phi'(z) sent, from a = phi(z)."""
        if self._activation == TANH:
            return torch.ops.aten.tanh_backward(sent, a)
        if self._activation == RELU:
            return torch.ops.aten.threshold_backward(sent, a, 0)
        return sent

    def product(self, point: NetworksPoint, v: Tensor) -> Tensor:
        """H v for v (C, P), at a point that has kept what it needs."""
        weights, along = self._layers(point.w), self._layers(v.split(self._sizes, 1))
        last, rz = len(weights) - 1, torch.bmm(along[0].mT, point.inputs[0])
        moved: list[Tensor] = [rz[:, :0]]  # R a of what each layer takes; v does not move the data
        for i in range(1, last + 1):
            moved.append(self._slope(rz, point.inputs[i][:, :-1]))
            rz = torch.bmm(along[i].mT, point.inputs[i])
            rz.baddbmm_(weights[i][:, :-1].mT, moved[i])
        rdelta = self._curved(point.outputs, rz)
        products = []
        for i in range(last, -1, -1):
            product = _outer(point.inputs[i], rdelta)
            if i:
                product[:, :-1] += torch.bmm(moved[i], point.deltas[i].mT)
                sent = torch.bmm(weights[i][:, :-1], rdelta)
                sent.baddbmm_(along[i][:, :-1], point.deltas[i])
                a = point.inputs[i][:, :-1]
                rdelta = self._slope(sent, a)
                if self._activation == TANH:  # phi''(z) R z = -2 a R a
                    rdelta.addcmul_(a * moved[i], point.sents[i - 1], value=-2)
            products.append(product.flatten(1))
        return torch.cat(products[::-1], 1)

    def _curved(self, outputs: Tensor, rz: Tensor) -> Tensor:
        """R delta of the last layer, (C, out, n)."""
        if self._loss != CROSS_ENTROPY:
            return rz * self._scale(rz[0])
        shares = outputs.softmax(1)
        part = shares * rz
        return (part - shares * part.sum(1, keepdim=True)) / rz.shape[2]

    def evaluate(self, point: NetworksPoint) -> tuple[Tensor | None, Tensor | None]:
        """Accuracy and held-out loss (C,) at a point that has kept its outputs; None where there is
        none."""
        accuracy = held_out = None
        if self._classes:
            right = point.outputs.argmax(1) == self._data[1].argmax(0)
            accuracy = right.sum(1) / right.shape[1]
        if self._held_out:
            x, target = self._held_out
            outputs = self._forward(self._layers(point.w), x)[1]
            held_out = self.loss(outputs, target)
        return accuracy, held_out


def _outer(a: Tensor, delta: Tensor) -> Tensor:
    """a delta^T, (C, in + 1, out)."""
    if delta.shape[1] == 1:  # the same numbers in half the time
        return torch.bmm(delta, a.mT).view(len(a), -1, 1)
    return torch.bmm(a, delta.mT)


class NetworksPoint(NamedTuple):
    """C networks at one w each: loss, gradient g in parts, and products with the Hessian.

    Attributes:
        outputs: (C, out, n); inputs: what each layer takes, (C, in + 1, n).
        deltas, sents: dL/dz of each layer, and W^T delta of those above the first.
    """

    networks: Networks
    outputs: Tensor
    w: list[Tensor]
    g: list[Tensor]
    inputs: list[Tensor]
    deltas: list[Tensor]
    sents: list[Tensor]

    @property
    def loss(self) -> Tensor:
        """(C,)."""
        return self.networks.loss(self.outputs)

    def hvp(self, v: Tensor) -> Tensor:
        """H v for v (C, P)."""
        return self.networks.product(self, v)

    def select(self, cells: Tensor | slice) -> NetworksPoint:
        """The same of some cells only."""
        lists = ([part[cells] for part in parts] for parts in self[2:])
        return NetworksPoint(self.networks, self.outputs[cells], *lists)
