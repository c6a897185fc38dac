"""What `ExplicitOperator` computes, compiled, for dense networks so small that a call of NumPy or
torch costs more than its arithmetic.

The formulas are those of `explicit_operator`, the names too. What there is a list with one matrix a
layer is one flat array here, layer after layer: with R, `acts` holds a_l, `deltas` delta_l, `sent`
W_(l+1)^T delta_(l+1), and `moved` R a_l, all (width, n).
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

__all__ = ["SmallOperator"]

NONE, RELU, TANH = range(3)
MEAN, HALF, CROSS_ENTROPY = range(3)
ACTIVATIONS = {None: NONE, "relu": RELU, "tanh": TANH}
LOSSES = {"mse": MEAN, "half-mse": HALF, "cross-entropy": CROSS_ENTROPY}

# NaN is for the caller to see, as for the operators of torch
compiled = njit(cache=True, error_model="numpy")


class SmallOperator:
    """The Hessian at one w; also its loss and gradient. Attributes as of `ExplicitOperator`."""

    def __init__(self, shapes: np.ndarray, activation: str | None, loss: str, w: Tensor,
                 inputs: np.ndarray, target: np.ndarray) -> None:  # fmt: skip
        """`shapes` (layers, 2) are (out, in); `inputs` (in, n); `target` (out, n) in the precision
        of w, for the cross-entropy one-hot."""
        self.size, self.dtype, self.device = len(w), w.dtype, w.device
        self.products = 0
        self._w = w.detach().contiguous().numpy()
        kinds = ACTIVATIONS[activation], LOSSES[loss]
        value, g, *kept = _at(self._w, shapes, *kinds, inputs, target)
        self._known = (shapes, *kinds, inputs, *kept)
        self._outputs = kept[0][-target.size :].reshape(target.shape)
        self.value, self.g = torch.tensor(value, dtype=w.dtype), torch.from_numpy(g)

    @property
    def outputs(self) -> Tensor:
        """Of the network, (n, out)."""
        return torch.from_numpy(self._outputs.T.copy())

    def matvec(self, v: Tensor) -> Tensor:
        """H v for v of shape (P,)."""
        self.products += 1
        along = v.detach().contiguous().numpy()
        return torch.from_numpy(_product(self._w, along, *self._known))


@compiled
def _matrix(flat, start, rows, columns):
    return flat[start : start + rows * columns].reshape(rows, columns)


@compiled
def _at(w, shapes, activation, loss, x, target):
    """Loss and gradient, and what products take: acts, deltas, sent and, for the cross-entropy,
    the shares (out, n)."""
    n, size = x.shape[1], 0
    for layer in range(len(shapes)):
        size += shapes[layer, 0] * n
    acts, deltas, sent = np.empty(size, w.dtype), np.empty(size, w.dtype), np.empty(size, w.dtype)
    outputs = _forward(w, shapes, activation, x, acts)
    shares = outputs.copy()
    value = _end(loss, shares, target, _matrix(deltas, size - outputs.size, *outputs.shape))
    g = np.empty_like(w)
    _backward(w, shapes, activation, x, acts, deltas, sent, g)
    return value, g, acts, deltas, sent, shares


@compiled
def _forward(w, shapes, activation, x, acts):
    n, start, at, a = x.shape[1], 0, 0, x
    for layer in range(len(shapes)):
        rows, columns = shapes[layer]
        z = _matrix(acts, at, rows, n)
        np.dot(_matrix(w, start, rows, columns), a, z)
        start += rows * columns
        inner = layer < len(shapes) - 1
        for i in range(rows):
            for j in range(n):
                z[i, j] += w[start + i]
                if inner and activation == RELU:
                    z[i, j] = max(z[i, j], w.dtype.type(0))
                elif inner and activation == TANH:
                    z[i, j] = np.tanh(z[i, j])
        a, start, at = z, start + rows, at + rows * n
    return a


@compiled
def _end(loss, shares, target, delta):
    """The loss and, in `delta`, its derivative by the outputs that `shares` holds: for the
    cross-entropy, their softmax follows there."""
    rows, n = shares.shape
    value = 0.0
    if loss == CROSS_ENTROPY:
        for j in range(n):
            top = shares[:, j].max()
            total = 0.0
            for i in range(rows):
                value -= target[i, j] * (shares[i, j] - top) / n
                shares[i, j] = np.exp(shares[i, j] - top)
                total += shares[i, j]
            value += np.log(total) / n
            for i in range(rows):
                shares[i, j] /= total
                delta[i, j] = (shares[i, j] - target[i, j]) / n
        return value
    factor = (2.0 if loss == MEAN else 1.0) / shares.size
    for i in range(rows):
        for j in range(n):
            error = shares[i, j] - target[i, j]
            value += error * error * (factor / 2)
            delta[i, j] = error * factor
    return value


@compiled
def _backward(w, shapes, activation, x, acts, deltas, sent, g):
    n, start, at = x.shape[1], len(w), len(acts)
    for layer in range(len(shapes) - 1, -1, -1):
        rows, columns = shapes[layer]
        start, at = start - rows * (columns + 1), at - rows * n
        delta = _matrix(deltas, at, rows, n)
        before = at - columns * n  # of the layer below
        a = _matrix(acts, before, columns, n) if layer else x
        np.dot(delta, a.T, _matrix(g, start, rows, columns))
        _row_sums(delta, g[start + rows * columns : start + rows * (columns + 1)])
        if layer:
            back = _matrix(sent, before, columns, n)
            np.dot(_matrix(w, start, rows, columns).T, delta, back)
            below = _matrix(deltas, before, columns, n)
            below[:] = back
            _times_slope(activation, a, below)


@compiled
def _row_sums(a, out):
    for i in range(len(a)):
        out[i] = a[i].sum()


@compiled
def _times_slope(activation, a, z):
    """z *= phi', by a = phi."""
    if activation == NONE:
        return
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            if activation == TANH:
                z[i, j] *= 1 - a[i, j] * a[i, j]
            elif a[i, j] == 0:
                z[i, j] = 0


@compiled
def _product(w, v, shapes, activation, loss, x, acts, deltas, sent, shares):
    """H v."""
    moved = np.empty_like(acts)
    delta = _forward_along(w, v, shapes, activation, x, acts, moved).copy()
    _end_along(loss, shares, delta)
    product = np.empty_like(w)
    n, start, at = x.shape[1], len(w), len(acts)
    for layer in range(len(shapes) - 1, -1, -1):
        rows, columns = shapes[layer]
        start, at = start - rows * (columns + 1), at - rows * n
        before = at - columns * n
        out = _matrix(product, start, rows, columns)
        _row_sums(delta, product[start + rows * columns : start + rows * (columns + 1)])
        if not layer:
            np.dot(delta, x.T, out)
            break
        a, along = _matrix(acts, before, columns, n), _matrix(moved, before, columns, n)
        plain = _matrix(deltas, at, rows, n)
        np.dot(delta, a.T, out)
        out += np.dot(plain, along.T)
        delta = np.dot(_matrix(w, start, rows, columns).T, delta)
        delta += np.dot(_matrix(v, start, rows, columns).T, plain)
        _times_slope(activation, a, delta)
        if activation == TANH:  # phi'' R z = -2 a R a
            back = _matrix(sent, before, columns, n)
            for i in range(columns):
                for j in range(n):
                    delta[i, j] -= 2 * a[i, j] * along[i, j] * back[i, j]
    return product


@compiled
def _forward_along(w, v, shapes, activation, x, acts, moved):
    """R of the outputs; R a_l in `moved`."""
    n, start, at, a, along = x.shape[1], 0, 0, x, x
    for layer in range(len(shapes)):
        rows, columns = shapes[layer]
        z = _matrix(moved, at, rows, n)
        np.dot(_matrix(v, start, rows, columns), a, z)
        if layer:
            z += np.dot(_matrix(w, start, rows, columns), along)
        start += rows * columns
        for i in range(rows):
            z[i] += v[start + i]
        a, along = _matrix(acts, at, rows, n), z
        if layer < len(shapes) - 1:
            _times_slope(activation, a, z)
        start, at = start + rows, at + rows * n
    return along


@compiled
def _end_along(loss, shares, delta):
    """R of the loss's derivative by the outputs, in place of R of the outputs."""
    rows, n = delta.shape
    if loss == CROSS_ENTROPY:
        for j in range(n):
            inner = 0.0
            for i in range(rows):
                inner += shares[i, j] * delta[i, j]
            for i in range(rows):
                delta[i, j] = shares[i, j] * (delta[i, j] - inner) / n
    else:
        delta *= (2.0 if loss == MEAN else 1.0) / delta.size
