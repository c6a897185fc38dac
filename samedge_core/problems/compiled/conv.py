"""Outputs, gradient and Hessian-vector products of convolutional layers, compiled.

Each is a 3x3 convolution with padding 1, then b, ReLU and a 2x2 max-pool. Equations and R as in
`dense`. An example is a column, and so are its pixels: an image is (channels, rows, columns, n),
and z (outputs, 4, pools), with pools = rows/2 * columns/2 * n and the place in the pool second.
P(a), the 3x3 neighbourhoods of all pixels, is (9 * channels, pixels), pixels = 4 * pools.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from samedge_core.problems.compiled.dense import (
    Floats,
    Records,
    biases,
    compiled,
    offsets,
    record,
    row_sums,
    weights,
)
from samedge_core.problems.compiled.gemm import add_matmul, matmul

OFF = 4  # in place of an index in a pool, where the ReLU is off

# inputs: 9 * channels. weights: as in `dense`. For one example, patches: where its P(a) begins in
# those kept, less than 0 where that is x; pools: those of the layers below
LAYER = record("outputs", "inputs", "channels", "rows", "columns", "weights", "patches", "pools")


class ConvPoint(NamedTuple):
    """What `forward` and `backward` find at one w, for `jvp` and `hvp`.

    Attributes:
        layers: records of LAYER, (layers,).
        x: P of the data, (inputs, pixels).
        patches: P(a) of what the layers after the first take, flat, layer after layer.
        indices: which of its four pixels each pool passes on, or OFF; flat.
        deltas: dL/dz, flat.
    """

    layers: Records
    x: Floats
    patches: Floats
    indices: NDArray[np.int8]
    deltas: Floats


def layers_of(images: Sequence[tuple[int, int, int, int]]) -> Records:
    """The records (layers,) of layers with these (outputs, channels, rows, columns), first in w."""
    outputs, channels, rows, columns = np.array(images, np.int64).reshape(-1, 4).T
    inputs = 9 * channels
    patches, pools = inputs * rows * columns, outputs * rows * columns // 4
    places = offsets(outputs * (inputs + 1)), offsets(patches) - patches[:1], offsets(pools)
    fields = outputs, inputs, channels, rows, columns, *places
    return np.array(list(zip(*fields, strict=True)), LAYER)


@compiled
def _examples(layers, x):
    """n."""
    return x.shape[1] // (layers[0].rows * layers[0].columns)


@compiled
def _patches(flat, layer, x, n):
    """P(a) of what a layer takes, (inputs, pixels): a view of `flat`, or x for the first layer."""
    if layer.patches < 0:
        return x
    pixels, start = n * layer.rows * layer.columns, n * layer.patches
    return flat[start : start + layer.inputs * pixels].reshape(layer.inputs, pixels)


@compiled
def _pools(flat, layer, n):
    """The indices of a layer, (outputs * pools,), a view of those of all layers."""
    start, size = n * layer.pools, n * layer.outputs * layer.rows * layer.columns // 4
    return flat[start : start + size]


@compiled
def _pixels(flat, layer, n):
    """dL/dz of a layer, (outputs, pixels), a view of the flat array of all layers."""
    start, pixels = 4 * n * layer.pools, n * layer.rows * layer.columns
    return flat[start : start + layer.outputs * pixels].reshape(layer.outputs, pixels)


# --- forward ------------------------------------------------------------------------------------


@compiled
def forward(w, layers, x):
    """(1): the last layer's a, flat, and a `ConvPoint` whose deltas are for `backward` to fill."""
    n, last = _examples(layers, x), layers[-1]
    pixels = n * last.rows * last.columns
    pools = n * last.pools + last.outputs * pixels // 4
    patches = np.empty(n * last.patches + last.inputs * pixels, w.dtype)
    point = ConvPoint(layers, x, patches, np.empty(pools, np.int8), np.empty(4 * pools, w.dtype))
    a = patches[:0]
    for i in range(len(layers)):
        layer = layers[i]
        p = _patches(patches, layer, x, n)
        if i:
            unfold(a.reshape(layer.channels, layer.rows, layer.columns, n), p)
        z = np.empty((layer.outputs, p.shape[1]), w.dtype)
        matmul(weights(w, layer), p, z)
        a = np.empty(z.size // 4, w.dtype)
        _pool(z, biases(w, layer), a, _pools(point.indices, layer, n))
    return a, point


@compiled
def jvp(w, v, point):
    """(4): R of the last layer's a, flat, and R of `patches`, along v (P,)."""
    layers, x, patches, indices, _ = point
    r_patches, n = np.empty_like(patches), _examples(layers, x)
    r_a = patches[:0]
    for i in range(len(layers)):
        layer = layers[i]
        p = _patches(patches, layer, x, n)
        r_z = np.empty((layer.outputs, p.shape[1]), w.dtype)
        matmul(weights(v, layer), p, r_z)
        if i:
            r_p = _patches(r_patches, layer, x, n)
            unfold(r_a.reshape(layer.channels, layer.rows, layer.columns, n), r_p)
            add_matmul(weights(w, layer), r_p, r_z)
        r_a = np.empty(r_z.size // 4, w.dtype)
        _r_pool(r_z, biases(v, layer), _pools(indices, layer, n), r_a)
    return r_a, r_patches


@compiled
def unfold(image, out):
    """P of an image (channels, rows, columns, n), 0 beyond its border, in out (inputs, pixels)."""
    channels, rows, columns, n = image.shape
    parts = out.reshape(9 * channels, 4, rows // 2, columns // 2, n)
    for c in range(channels):
        for k in range(9):
            for place in range(4):
                for i in range(rows // 2):
                    y = 2 * i + place // 2 + k // 3 - 1
                    for j in range(columns // 2):
                        x = 2 * j + place % 2 + k % 3 - 1
                        one = parts[9 * c + k, place, i, j]
                        if 0 <= y < rows and 0 <= x < columns:
                            one[:] = image[c, y, x]
                        else:
                            one[:] = 0


@compiled
def _pool(z, bias, a, indices):
    """a (outputs * pools,) = the largest of each pool of z (outputs, pixels) plus bias, where that
    is above 0; of equal ones the first."""
    outputs, pools = len(z), z.shape[1] // 4
    zero, off = z.dtype.type(0), np.int8(OFF)
    for i in range(outputs):
        b, four = bias[i], z[i].reshape(4, pools)
        best, which = a[i * pools : (i + 1) * pools], indices[i * pools : (i + 1) * pools]
        # entries are read apart: under a condition it is one at a time
        best[:] = four[0]
        for k in range(1, 4):
            one = four[k]
            for j in range(pools):
                other, top = one[j], best[j]
                # what is not finite stays so, for the caller to see
                best[j] = top if (other <= top) | (top != top) else other
        which[:] = off
        for k in range(3, -1, -1):
            one, this = four[k], np.int8(k)
            for j in range(pools):
                other, top, before = one[j], best[j], which[j]
                which[j] = this if other == top else before
        for j in range(pools):
            top, before = best[j] + b, which[j]
            best[j], which[j] = top, before if top > zero else off
        for j in range(pools):
            top = best[j]
            best[j] = zero if top <= zero else top


@compiled
def _r_pool(r_z, r_bias, indices, r_a):
    """R of `_pool`."""
    outputs, pools = len(r_z), r_z.shape[1] // 4
    zero = r_z.dtype.type(0)
    for i in range(outputs):
        b, four = r_bias[i], r_z[i].reshape(4, pools)
        out, which = r_a[i * pools : (i + 1) * pools], indices[i * pools : (i + 1) * pools]
        for j in range(pools):
            out[j] = b if which[j] < OFF else zero
        for k in range(4):
            one = four[k]
            for j in range(pools):
                out[j] += one[j] if which[j] == k else zero


# --- backward -----------------------------------------------------------------------------------


@compiled
def backward(w, point, upstream, g):
    """(2) and (3): dL/dw in g (P,), from dL/da of the last layer, flat."""
    layers, x, patches, indices, deltas = point
    n = _examples(layers, x)
    for i in range(len(layers) - 1, -1, -1):
        layer = layers[i]
        delta = _pixels(deltas, layer, n)
        _unpool(upstream, _pools(indices, layer, n), delta)
        p = _patches(patches, layer, x, n)
        matmul(delta, p.T, weights(g, layer))
        row_sums(delta, biases(g, layer))
        if i:
            upstream_p = np.empty(p.shape, w.dtype)
            matmul(weights(w, layer).T, delta, upstream_p)
            upstream = _fold(upstream_p, layer, n)


@compiled
def hvp(w, v, point, r_patches, r_upstream, hv):
    """(6) and (7): H v in hv (P,), from what `jvp` gives and R of dL/da of the last layer, flat."""
    layers, x, patches, indices, deltas = point
    n = _examples(layers, x)
    for i in range(len(layers) - 1, -1, -1):
        layer = layers[i]
        p, delta = _patches(patches, layer, x, n), _pixels(deltas, layer, n)
        r_delta = np.empty(delta.shape, w.dtype)
        _unpool(r_upstream, _pools(indices, layer, n), r_delta)
        row_sums(r_delta, biases(hv, layer))
        matmul(r_delta, p.T, weights(hv, layer))
        if i:
            add_matmul(delta, _patches(r_patches, layer, x, n).T, weights(hv, layer))
            r_upstream_p = np.empty(p.shape, w.dtype)
            matmul(weights(w, layer).T, r_delta, r_upstream_p)
            add_matmul(weights(v, layer).T, delta, r_upstream_p)
            r_upstream = _fold(r_upstream_p, layer, n)


@compiled
def _unpool(upstream, indices, delta):
    """The adjoint of `_r_pool`: dL/da (outputs * pools,) to dL/dz (outputs, pixels)."""
    outputs, pools = len(delta), delta.shape[1] // 4
    zero = delta.dtype.type(0)
    for i in range(outputs):
        four = delta[i].reshape(4, pools)
        given, which = upstream[i * pools : (i + 1) * pools], indices[i * pools : (i + 1) * pools]
        for k in range(4):
            one = four[k]
            for j in range(pools):
                value = given[j]  # apart, as above
                one[j] = value if which[j] == k else zero


@compiled
def _fold(patches, layer, n):
    """The adjoint of `unfold`: of (inputs, pixels), an image, flat."""
    channels, rows, columns = layer.channels, layer.rows, layer.columns
    image = np.zeros((channels, rows, columns, n), patches.dtype)
    parts = patches.reshape(9 * channels, 4, rows // 2, columns // 2, n)
    for c in range(channels):
        for k in range(9):
            for place in range(4):
                for i in range(rows // 2):
                    y = 2 * i + place // 2 + k // 3 - 1
                    for j in range(columns // 2):
                        x = 2 * j + place % 2 + k % 3 - 1
                        if 0 <= y < rows and 0 <= x < columns:
                            total, part = image[c, y, x], parts[9 * c + k, place, i, j]
                            for one in range(n):
                                total[one] += part[one]
    return image.reshape(image.size)
