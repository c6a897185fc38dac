"""What `ExplicitOperator` computes, compiled, for dense networks in main memory.

torch has a call for each product, sum and mask; on small networks the calls cost more than their
arithmetic, and on large ones each goes once more through memory.

The formulas are those of `explicit_operator`, the names too. What there is a list with one matrix a
layer is one flat array here, layer after layer: with R, `acts` holds a_l, `deltas` delta_l, `sent`
W_(l+1)^T delta_(l+1), `moved` R a_l and `spread` R delta_l, all (width, n).
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from samedge_core.problems.blas import add_product, product

__all__ = ["DenseOperator"]

NONE, RELU, TANH = range(3)
MEAN, HALF, CROSS_ENTROPY = range(3)
ACTIVATIONS = {None: NONE, "relu": RELU, "tanh": TANH}
LOSSES = {"mse": MEAN, "half-mse": HALF, "cross-entropy": CROSS_ENTROPY}
MANY = 4096  # from so many entries on, NumPy takes their tanh in a fifth of the time

# NaN is for the caller to see, as for the operators of torch
compiled = njit(cache=True, error_model="numpy")
reordering = njit(cache=True, error_model="numpy", fastmath={"reassoc"})


class DenseOperator:
    """The Hessian at one w; also its loss and gradient. Attributes as of `ExplicitOperator`."""

    def __init__(self, shapes: np.ndarray, activation: str | None, loss: str, w: Tensor,
                 inputs: np.ndarray, target: np.ndarray) -> None:  # fmt: skip
        """`shapes` (layers, 2) are (out, in); `inputs` (in, n); `target` (out, n) in the precision
        of w, for the cross-entropy one-hot."""
        self.size, self.dtype, self.device = len(w), w.dtype, w.device
        self.products = 0
        self._w = w.detach().contiguous().numpy()
        kinds = ACTIVATIONS[activation], LOSSES[loss]
        many = kinds[0] == TANH and shapes[0, 0] * inputs.shape[1] > MANY
        forward = _forward.py_func if many else _forward
        with np.errstate(all="ignore"):
            acts = forward(self._w, shapes, kinds[0], inputs)
        value, g, *kept = _backward(self._w, shapes, *kinds, inputs, target, acts)
        self._known = (shapes, *kinds, inputs, acts, *kept)
        self._outputs = acts[-target.size :].reshape(target.shape)
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


# --- loss and gradient --------------------------------------------------------------------------


@compiled
def _forward(w, shapes, activation, x):
    """acts; not compiled, the same by NumPy's tanh."""
    acts, start, at, a = _acts(w, shapes, x), 0, 0, x
    for layer in range(len(shapes)):
        rows, columns = shapes[layer]
        z = _matrix(acts, at, rows, x.shape[1])
        inner = layer < len(shapes) - 1
        _affine(w, start, inner and activation == RELU, a, z)
        if inner and activation == TANH:
            np.tanh(z, z)
        a, start, at = z, start + rows * (columns + 1), at + z.size
    return acts


@compiled
def _acts(w, shapes, x):
    size = 0
    for layer in range(len(shapes)):
        size += shapes[layer, 0] * x.shape[1]
    return np.empty(size, w.dtype)


@compiled
def _affine(w, start, rectified, a, z):
    """z = W a + b, or its ReLU, with W from `start` on and b after it."""
    rows, columns, zero = len(z), len(a), z.dtype.type(0)
    product(_matrix(w, start, rows, columns), a, z)
    for i in range(rows):
        b = w[start + rows * columns + i]
        for j in range(z.shape[1]):
            z[i, j] += b
        if rectified:
            for j in range(z.shape[1]):
                z[i, j] = zero if z[i, j] < zero else z[i, j]


@compiled
def _backward(w, shapes, activation, loss, x, target, acts):
    """Loss and gradient, and what else products take: deltas, sent and, for the cross-entropy, the
    shares (out, n)."""
    g, deltas = np.empty_like(w), np.empty_like(acts)
    sent = np.empty_like(acts) if activation == TANH else acts[:0]
    n, start, at = x.shape[1], len(w), len(acts)
    shares = _matrix(acts, at - target.size, *target.shape).copy()
    value = _end(loss, shares, target, _matrix(deltas, at - target.size, *target.shape))
    for layer in range(len(shapes) - 1, -1, -1):
        rows, columns = shapes[layer]
        start, at = start - rows * (columns + 1), at - rows * n
        delta = _matrix(deltas, at, rows, n)
        before = at - columns * n  # of the layer below
        a = _matrix(acts, before, columns, n) if layer else x
        product(delta, a.T, _matrix(g, start, rows, columns))
        _row_sums(delta, g[start + rows * columns : start + rows * (columns + 1)])
        if layer:
            below = _matrix(deltas, before, columns, n)
            product(_matrix(w, start, rows, columns).T, delta, below)
            if activation == TANH:  # only its phi'' is not 0
                _matrix(sent, before, columns, n)[:] = below
            _times_slope(activation, a, below)
    return value, g, deltas, sent, shares


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


@reordering
def _row_sums(a, out):
    for i in range(a.shape[0]):
        total = a.dtype.type(0)
        for j in range(a.shape[1]):
            total += a[i, j]
        out[i] = total


@compiled
def _times_slope(activation, a, z):
    """z *= phi', by a = phi."""
    zero, one = z.dtype.type(0), z.dtype.type(1)
    for i in range(z.shape[0]):
        if activation == RELU:
            for j in range(z.shape[1]):
                given = z[i, j]  # read apart: under a condition it is one entry at a time
                z[i, j] = zero if a[i, j] == zero else given
        elif activation == TANH:
            for j in range(z.shape[1]):
                z[i, j] *= one - a[i, j] * a[i, j]


# --- products -----------------------------------------------------------------------------------


@compiled
def _product(w, v, shapes, activation, loss, x, acts, deltas, sent, shares):
    """H v."""
    hv, moved, spread = np.empty_like(w), np.empty_like(acts), np.empty_like(acts)
    delta = _forward_along(w, v, shapes, activation, x, acts, moved)
    _end_along(loss, shares, delta)
    n, start, at = x.shape[1], len(w), len(acts)
    for layer in range(len(shapes) - 1, -1, -1):
        rows, columns = shapes[layer]
        start, at = start - rows * (columns + 1), at - rows * n
        out = _matrix(hv, start, rows, columns)
        _row_sums(delta, hv[start + rows * columns : start + rows * (columns + 1)])
        if not layer:
            product(delta, x.T, out)
            break
        before = at - columns * n
        a, along = _matrix(acts, before, columns, n), _matrix(moved, before, columns, n)
        plain = _matrix(deltas, at, rows, n)
        product(delta, a.T, out)
        add_product(plain, along.T, out)
        below = _matrix(spread, before, columns, n)
        product(_matrix(w, start, rows, columns).T, delta, below)
        add_product(_matrix(v, start, rows, columns).T, plain, below)
        _times_slope(activation, a, below)
        if activation == TANH:
            _add_bend(a, along, _matrix(sent, before, columns, n), below)
        delta = below
    return hv


@compiled
def _forward_along(w, v, shapes, activation, x, acts, moved):
    """R of the outputs; R a_l in `moved`."""
    n, start, at, a, along = x.shape[1], 0, 0, x, x
    for layer in range(len(shapes)):
        rows, columns = shapes[layer]
        z = _matrix(moved, at, rows, n)
        product(_matrix(v, start, rows, columns), a, z)
        if layer:
            add_product(_matrix(w, start, rows, columns), along, z)
        start += rows * columns
        for i in range(rows):
            c = v[start + i]
            for j in range(n):
                z[i, j] += c
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
        delta *= delta.dtype.type((2.0 if loss == MEAN else 1.0) / delta.size)


@compiled
def _add_bend(a, along, sent, delta):
    """delta += phi'' R z times what was sent, for the tanh: phi'' R z = -2 a R a."""
    two = delta.dtype.type(2)
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            delta[i, j] -= two * a[i, j] * along[i, j] * sent[i, j]
