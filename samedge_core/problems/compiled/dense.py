"""Loss, gradient and Hessian-vector products of dense layers, compiled.

docs/derivatives.md derives the equations, whose numbers stand here in brackets. r_ is R, the
derivative along a direction v. An example is a column; the matrices (outputs, n) of all layers are
in one flat array, layer after layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from samedge_core.problems.compiled.gemm import add_matmul, matmul

Floats = NDArray[np.floating]
Records = NDArray[Any]

NONE, RELU, TANH = range(3)
MSE, HALF_MSE, CROSS_ENTROPY = range(3)
ACTIVATIONS = {None: NONE, "relu": RELU, "tanh": TANH}
LOSSES = {"mse": MSE, "half-mse": HALF_MSE, "cross-entropy": CROSS_ENTROPY}
NUMPY_TANH = 4096  # from so many entries on, NumPy takes their tanh in a fifth of the time


def record(*fields: str) -> np.dtype:
    """The type of records of integers, whose fields compiled code and Python read by name."""
    return np.dtype((np.record, [(field, np.int64) for field in fields]))


# weights: where in w its W begins, (outputs, inputs); b follows. units: those of the layers below
LAYER = record("outputs", "inputs", "weights", "units")

# NaN is for the caller to see, as for the operators of torch
compiled = njit(cache=True, error_model="numpy")
reordering = njit(cache=True, error_model="numpy", fastmath={"reassoc"})


class DensePoint(NamedTuple):
    """What `loss_and_gradient` finds at one w, for `hvp`.

    Attributes:
        layers: records of LAYER, (layers,).
        activation, loss: codes of ACTIVATIONS and LOSSES.
        x: the inputs of the first layer, (inputs, n).
        acts, deltas: a_l and delta_l, flat.
        upstream: u_l, flat; for the tanh only, else empty.
        probabilities: of the classes, (outputs, n), for the cross-entropy.
    """

    layers: Records
    activation: int
    loss: int
    x: Floats
    acts: Floats
    deltas: Floats
    upstream: Floats
    probabilities: Floats


def layers_of(shapes: Sequence[tuple[int, int]], start: int) -> Records:
    """The records (layers,) of layers with these (outputs, inputs), from `start` on in w."""
    outputs, inputs = np.array(shapes).T
    places = start + offsets(outputs * (inputs + 1)), offsets(outputs)
    return np.array(list(zip(outputs, inputs, *places, strict=True)), LAYER)


def offsets(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each part begins of parts of these sizes that follow each other."""
    return np.cumsum(sizes) - sizes


@compiled
def weights(w, layer):
    """W of a layer, (outputs, inputs), a view of w (P,)."""
    end = layer.weights + layer.outputs * layer.inputs
    return w[layer.weights : end].reshape(layer.outputs, layer.inputs)


@compiled
def biases(w, layer):
    """b of a layer, (outputs,), a view of w (P,)."""
    start = layer.weights + layer.outputs * layer.inputs
    return w[start : start + layer.outputs]


@compiled
def units(flat, layer, n):
    """The matrix of a layer, (outputs, n), a view of the flat array of all layers."""
    start, size = n * layer.units, n * layer.outputs
    return flat[start : start + size].reshape(layer.outputs, n)


# --- loss and gradient --------------------------------------------------------------------------


def loss_and_gradient(
    w: Floats,
    layers: Records,
    activation: int,
    loss: int,
    x: Floats,
    target: Floats,
    g: Floats,
    upstream_x: Floats,
) -> tuple[float, DensePoint]:
    """The loss at w (P,) for x (inputs, n) and target (outputs, n), of classes one-hot.

    The derivatives by w are written to g (P,), those by x to upstream_x, unless that is empty.
    """
    many = activation == TANH and layers["outputs"][0] * x.shape[1] > NUMPY_TANH
    forward = _forward.py_func if many else _forward
    with np.errstate(all="ignore"):
        acts = forward(w, layers, activation, x)
    value, *kept = _backward(w, layers, activation, loss, x, acts, target, g, upstream_x)
    return value, DensePoint(layers, activation, loss, x, acts, *kept)


@compiled
def _forward(w, layers, activation, x):
    """(1): a_l of all layers, flat. Not compiled it is the same by NumPy's tanh."""
    acts, a = _empty(w, layers, x), x
    for i in range(len(layers)):
        inner = i < len(layers) - 1
        a = _affine(w, layers, i, a, acts, inner and activation == RELU)
        if inner and activation == TANH:
            np.tanh(a, a)
    return acts


@compiled
def _empty(w, layers, x):
    """Room for the matrices of all layers, flat."""
    return np.empty(x.shape[1] * (layers[-1].units + layers[-1].outputs), w.dtype)


@compiled
def _affine(w, layers, i, a, acts, rectified):
    """z = W a + b of layer i, or its ReLU, (outputs, n), in its place in acts."""
    layer = layers[i]
    z, bias, zero = units(acts, layer, a.shape[1]), biases(w, layer), w.dtype.type(0)
    matmul(weights(w, layer), a, z)
    for k in range(len(z)):
        b = bias[k]
        for j in range(z.shape[1]):
            z[k, j] += b
        if rectified:
            for j in range(z.shape[1]):
                z[k, j] = zero if z[k, j] < zero else z[k, j]
    return z


@compiled
def _backward(w, layers, activation, loss, x, acts, target, g, upstream_x):
    """(2) and (3): the loss; deltas, upstream and probabilities of a `DensePoint`."""
    deltas, n = np.empty_like(acts), x.shape[1]
    upstream = np.empty_like(acts) if activation == TANH else acts[:0]
    delta = units(deltas, layers[-1], n)
    probabilities = units(acts, layers[-1], n).copy()
    value = _loss(loss, probabilities, target, delta)
    for i in range(len(layers) - 1, -1, -1):
        layer, below = layers[i], layers[i - 1]
        a = units(acts, below, n) if i else x
        matmul(delta, a.T, weights(g, layer))
        row_sums(delta, biases(g, layer))
        if i:
            delta_below = units(deltas, below, n)
            matmul(weights(w, layer).T, delta, delta_below)
            if activation == TANH:  # only its phi'' is not 0
                units(upstream, below, n)[:] = delta_below
            _times_derivative(activation, a, delta_below)
            delta = delta_below
        elif upstream_x.size:
            matmul(weights(w, layer).T, delta, upstream_x)
    return value, deltas, upstream, probabilities


@compiled
def _loss(loss, outputs, target, delta):
    """The loss; its derivatives by the outputs (outputs, n) in delta. For the cross-entropy, the
    probabilities replace the outputs."""
    rows, n = outputs.shape
    value = 0.0
    if loss == CROSS_ENTROPY:
        for j in range(n):
            top = outputs[:, j].max()
            total = 0.0
            for i in range(rows):
                value -= target[i, j] * (outputs[i, j] - top) / n
                outputs[i, j] = np.exp(outputs[i, j] - top)
                total += outputs[i, j]
            value += np.log(total) / n
            for i in range(rows):
                outputs[i, j] /= total
                delta[i, j] = (outputs[i, j] - target[i, j]) / n
        return value
    factor = (2.0 if loss == MSE else 1.0) / outputs.size
    for i in range(rows):
        for j in range(n):
            error = outputs[i, j] - target[i, j]
            value += error * error * (factor / 2)
            delta[i, j] = error * factor
    return value


@reordering
def row_sums(a, out):
    """The sum of each row of a (rows, n), in out (rows,)."""
    for i in range(a.shape[0]):
        total = a.dtype.type(0)
        for j in range(a.shape[1]):
            total += a[i, j]
        out[i] = total


@compiled
def _times_derivative(activation, a, z):
    """z *= phi', from a = phi, (outputs, n) both."""
    for i in range(len(z)):
        _row_times_derivative(activation, a[i], z[i])


@compiled
def _row_times_derivative(activation, a, z):
    """The same of one row, (n,)."""
    zero, one = z.dtype.type(0), z.dtype.type(1)
    if activation == RELU:
        for j in range(len(z)):
            given = z[j]  # read apart: under a condition it is one entry at a time
            z[j] = zero if a[j] == zero else given
    elif activation == TANH:
        for j in range(len(z)):
            z[j] *= one - a[j] * a[j]


@compiled
def argmax(outputs):
    """The first row in which each column of (outputs, n) is largest, (n,)."""
    rows, n = outputs.shape
    found, most = np.zeros(n, np.int64), outputs[0].copy()
    for i in range(1, rows):
        for j in range(n):
            if outputs[i, j] > most[j]:
                most[j], found[j] = outputs[i, j], i
    return found


# --- Hessian-vector products --------------------------------------------------------------------


@compiled
def hvp(w, v, point, r_x, hv, r_upstream_x):
    """(5) to (7): H v in hv, for w, v and hv (P,), and R of dL/dx in r_upstream_x, given r_x: both
    (inputs, n), or empty where x is the data."""
    layers, activation, loss, x, acts, deltas, upstream, probabilities = point
    r_acts, r_deltas, n = np.empty_like(acts), np.empty_like(acts), x.shape[1]
    r_delta = _jvp(w, v, layers, activation, x, acts, r_x, r_acts)
    _times_loss_hessian(loss, probabilities, r_delta)
    for i in range(len(layers) - 1, -1, -1):
        layer, below = layers[i], layers[i - 1]
        row_sums(r_delta, biases(hv, layer))
        a = units(acts, below, n) if i else x
        r_a = units(r_acts, below, n) if i else r_x
        matmul(r_delta, a.T, weights(hv, layer))
        if not r_a.size:
            break
        delta = units(deltas, layer, n)
        add_matmul(delta, r_a.T, weights(hv, layer))
        r_delta_below = units(r_deltas, below, n) if i else r_upstream_x
        matmul(weights(w, layer).T, r_delta, r_delta_below)
        add_matmul(weights(v, layer).T, delta, r_delta_below)
        if i:
            _times_derivative(activation, a, r_delta_below)
            if activation == TANH:
                _add_second_derivative(a, r_a, units(upstream, below, n), r_delta_below)
        r_delta = r_delta_below


@compiled
def _jvp(w, v, layers, activation, x, acts, r_x, r_acts):
    """(4): R of the outputs (outputs, n); R a_l of all layers in r_acts, flat."""
    a, r_a = x, r_x
    for i in range(len(layers)):
        layer = layers[i]
        r_z, bias = units(r_acts, layer, x.shape[1]), biases(v, layer)
        matmul(weights(v, layer), a, r_z)
        if r_a.size:
            add_matmul(weights(w, layer), r_a, r_z)
        a, r_a = units(acts, layer, x.shape[1]), r_z
        slope = activation if i < len(layers) - 1 else NONE
        for k in range(len(r_z)):  # each row while it is in the cache
            r_z[k] += bias[k]
            _row_times_derivative(slope, a[k], r_z[k])
    return r_a


@compiled
def _times_loss_hessian(loss, probabilities, r_z):
    """(5): R delta of the last layer in place of its R z, (outputs, n)."""
    rows, n = r_z.shape
    if loss == CROSS_ENTROPY:
        for j in range(n):
            mean = 0.0
            for i in range(rows):
                mean += probabilities[i, j] * r_z[i, j]
            for i in range(rows):
                r_z[i, j] = probabilities[i, j] * (r_z[i, j] - mean) / n
    else:
        r_z *= r_z.dtype.type((2.0 if loss == MSE else 1.0) / r_z.size)


@compiled
def _add_second_derivative(a, r_a, upstream, r_delta):
    """r_delta += phi'' R z * upstream, for the tanh: phi'' R z = -2 a R a; all (outputs, n)."""
    two = r_delta.dtype.type(2)
    for i in range(r_delta.shape[0]):
        for j in range(r_delta.shape[1]):
            r_delta[i, j] -= two * a[i, j] * r_a[i, j] * upstream[i, j]
