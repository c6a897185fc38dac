"""What an `ExplicitOperator` computes of its dense layers, compiled.

The formulas and the names are those of `explicit_operator`; of each quantity the matrices
(width, n) of all layers are in one flat array, layer after layer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from samedge_core.problems.compiled.gemm import add_product, product

Numbers = NDArray[np.floating]

NONE, RELU, TANH = range(3)
MEAN, HALF, CROSS_ENTROPY = range(3)
ACTIVATIONS = {None: NONE, "relu": RELU, "tanh": TANH}
LOSSES = {"mse": MEAN, "half-mse": HALF, "cross-entropy": CROSS_ENTROPY}
MANY = 4096  # from so many entries on, NumPy takes their tanh in a fifth of the time

# NaN is for the caller to see, as for the operators of torch
compiled = njit(cache=True, error_model="numpy")
reordering = njit(cache=True, error_model="numpy", fastmath={"reassoc"})


class Dense(NamedTuple):
    """The layers at one w.

    Attributes:
        shapes: (out, in) of each, (layers, 2).
        activation, loss: of ACTIVATIONS and LOSSES.
        x: what the first of them gets, (in, n).
        acts, deltas: a_l and delta_l.
        sent: W_(l+1)^T delta_(l+1), for the tanh.
        shares: of the classes in each example, (out, n), for the cross-entropy.
    """

    shapes: NDArray[np.int64]
    activation: int
    loss: int
    x: Numbers
    acts: Numbers
    deltas: Numbers
    sent: Numbers
    shares: Numbers


@compiled
def matrix(flat, start, rows, columns):
    return flat[start : start + rows * columns].reshape(rows, columns)


# --- loss and gradient --------------------------------------------------------------------------


def at(
    w: Numbers,
    shapes: NDArray[np.int64],
    activation: int,
    loss: int,
    x: Numbers,
    target: Numbers,
    g: Numbers,
    sent_x: Numbers,
) -> tuple[float, Dense]:
    """The loss; its derivatives by w and x are written to g and sent_x, the latter only where that
    is not empty. `target` is (out, n), for the cross-entropy one-hot."""
    many = activation == TANH and shapes[0, 0] * x.shape[1] > MANY
    forward = _forward.py_func if many else _forward
    with np.errstate(all="ignore"):
        acts = forward(w, shapes, activation, x)
    value, *kept = _backward(w, shapes, activation, loss, x, acts, target, g, sent_x)
    return value, Dense(shapes, activation, loss, x, acts, *kept)


@compiled
def _forward(w, shapes, activation, x):
    """acts; not compiled, the same by NumPy's tanh."""
    acts, start, at, a = _acts(w, shapes, x), 0, 0, x
    for layer in range(len(shapes)):
        rows, columns = shapes[layer]
        z = matrix(acts, at, rows, x.shape[1])
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
    product(matrix(w, start, rows, columns), a, z)
    for i in range(rows):
        b = w[start + rows * columns + i]
        for j in range(z.shape[1]):
            z[i, j] += b
        if rectified:
            for j in range(z.shape[1]):
                z[i, j] = zero if z[i, j] < zero else z[i, j]


@compiled
def _backward(w, shapes, activation, loss, x, acts, target, g, sent_x):
    """As `at`; returns the loss, deltas, sent and shares."""
    deltas = np.empty_like(acts)
    sent = np.empty_like(acts) if activation == TANH else acts[:0]
    n, start, at = x.shape[1], len(w), len(acts)
    shares = matrix(acts, at - target.size, *target.shape).copy()
    value = _end(loss, shares, target, matrix(deltas, at - target.size, *target.shape))
    for layer in range(len(shapes) - 1, -1, -1):
        rows, columns = shapes[layer]
        start, at = start - rows * (columns + 1), at - rows * n
        delta = matrix(deltas, at, rows, n)
        before = at - columns * n  # of the layer below
        a = matrix(acts, before, columns, n) if layer else x
        product(delta, a.T, matrix(g, start, rows, columns))
        row_sums(delta, g[start + rows * columns : start + rows * (columns + 1)])
        if layer:
            below = matrix(deltas, before, columns, n)
            product(matrix(w, start, rows, columns).T, delta, below)
            if activation == TANH:  # only its phi'' is not 0
                matrix(sent, before, columns, n)[:] = below
            _times_slope(activation, a, below)
        elif sent_x.size:
            product(matrix(w, start, rows, columns).T, delta, sent_x)
    return value, deltas, sent, shares


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
def row_sums(a, out):
    for i in range(a.shape[0]):
        total = a.dtype.type(0)
        for j in range(a.shape[1]):
            total += a[i, j]
        out[i] = total


@compiled
def _times_slope(activation, a, z):
    """z *= phi', by a = phi."""
    for i in range(len(z)):
        _row_times_slope(activation, a[i], z[i])


@compiled
def _row_times_slope(activation, a, z):
    zero, one = z.dtype.type(0), z.dtype.type(1)
    if activation == RELU:
        for j in range(len(z)):
            given = z[j]  # read apart: under a condition it is one entry at a time
            z[j] = zero if a[j] == zero else given
    elif activation == TANH:
        for j in range(len(z)):
            z[j] *= one - a[j] * a[j]


@compiled
def largest(outputs):
    """The first row in which each column is largest, (n,)."""
    rows, n = outputs.shape
    found, most = np.zeros(n, np.int64), outputs[0].copy()
    for i in range(1, rows):
        for j in range(n):
            if outputs[i, j] > most[j]:
                most[j], found[j] = outputs[i, j], i
    return found


# --- products -----------------------------------------------------------------------------------


@compiled
def product_along(w, v, known, moved_x, hv, spread_x):
    """H v in hv, and R of dL/dx in spread_x, for a `Dense` and R x, which are empty where x are the
    data."""
    shapes, activation, loss, x, acts, deltas, sent, shares = known
    moved, spread = np.empty_like(acts), np.empty_like(acts)  # R a_l and R delta_l
    delta = _forward_along(w, v, shapes, activation, x, acts, moved_x, moved)
    _end_along(loss, shares, delta)
    n, start, at = x.shape[1], len(w), len(acts)
    for layer in range(len(shapes) - 1, -1, -1):
        rows, columns = shapes[layer]
        start, at = start - rows * (columns + 1), at - rows * n
        before = at - columns * n
        out = matrix(hv, start, rows, columns)
        row_sums(delta, hv[start + rows * columns : start + rows * (columns + 1)])
        a = matrix(acts, before, columns, n) if layer else x
        product(delta, a.T, out)
        along = matrix(moved, before, columns, n) if layer else moved_x
        if not along.size:
            break
        plain = matrix(deltas, at, rows, n)
        add_product(plain, along.T, out)
        below = matrix(spread, before, columns, n) if layer else spread_x
        product(matrix(w, start, rows, columns).T, delta, below)
        add_product(matrix(v, start, rows, columns).T, plain, below)
        if layer:
            _times_slope(activation, a, below)
            if activation == TANH:
                _add_bend(a, along, matrix(sent, before, columns, n), below)
        delta = below


@compiled
def _forward_along(w, v, shapes, activation, x, acts, moved_x, moved):
    """R of the outputs; R a_l in `moved`."""
    n, start, at, a, along = x.shape[1], 0, 0, x, moved_x
    for layer in range(len(shapes)):
        rows, columns = shapes[layer]
        z = matrix(moved, at, rows, n)
        product(matrix(v, start, rows, columns), a, z)
        if along.size:
            add_product(matrix(w, start, rows, columns), along, z)
        start += rows * columns
        a, along = matrix(acts, at, rows, n), z
        slope = activation if layer < len(shapes) - 1 else NONE
        for i in range(rows):  # each while it is in the cache
            z[i] += v[start + i]
            _row_times_slope(slope, a[i], z[i])
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
