"""What an `ExplicitOperator` computes of its convolutions, compiled.

Each is a 3x3 convolution with padding 1, then b, ReLU and a 2x2 max-pool. An example is a column,
and so are its pixels: an image is (channels, rows, columns, n), and of z (outputs, 4, pools), with
pools = rows/2 * columns/2 * n, the second index is the place in a pool. P(a), the `patches` of an
image, is (9 * channels, 4 * pools), and W (outputs, 9 * channels).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from samedge_core.problems.compiled.dense import Numbers, compiled, matrix, row_sums
from samedge_core.problems.compiled.gemm import add_product, product

NOTHING = 4


class Convolved(NamedTuple):
    """The layers at one w; what there is of each is in one flat array, layer after layer.

    Attributes:
        images: outputs, channels, rows and columns of each, (layers, 4).
        x: P of the data.
        inner: P of what the others than the first get.
        chosen: which of its four pixels a pool passes on, (outputs, pools); NOTHING where none is
            above 0.
        deltas: dL/dz, (outputs, 4, pools).
    """

    images: NDArray[np.int64]
    x: Numbers
    inner: Numbers
    chosen: NDArray[np.int8]
    deltas: Numbers


# --- what the layers give -----------------------------------------------------------------------


@compiled
def forward(w, images, x):
    """What the last one gives, flat, and a `Convolved` whose deltas are for `backward` to fill."""
    kept, pools = _sizes(images, x)
    inner, chosen = np.empty(kept, w.dtype), np.empty(pools, np.int8)
    start = at = place = 0
    p, a = x, inner[:0]
    for layer in range(len(images)):
        outputs, inputs, pixels = _shape(images, layer, x)
        if layer:
            p = matrix(inner, at, inputs, pixels)
            _patches_of(a, images[layer], p)
            at += p.size
        z = np.empty((outputs, pixels), w.dtype)
        product(matrix(w, start, outputs, inputs), p, z)
        start += outputs * inputs
        a = np.empty(outputs * pixels // 4, w.dtype)
        _pool(z, w[start : start + outputs], a, chosen[place : place + len(a)])
        start, place = start + outputs, place + len(a)
    return a, Convolved(images, x, inner, chosen, np.empty(4 * pools, w.dtype))


@compiled
def forward_along(w, v, known):
    """R of what the last one gives, flat, and R of `inner`."""
    images, x, inner, chosen, _ = known
    moved = np.empty_like(inner)
    start = at = place = 0
    p = m = x
    a = inner[:0]
    for layer in range(len(images)):
        outputs, inputs, pixels = _shape(images, layer, x)
        z = np.empty((outputs, pixels), w.dtype)
        if layer:
            p, m = matrix(inner, at, inputs, pixels), matrix(moved, at, inputs, pixels)
            _patches_of(a, images[layer], m)
            at += p.size
        product(matrix(v, start, outputs, inputs), p, z)
        if layer:
            add_product(matrix(w, start, outputs, inputs), m, z)
        start += outputs * inputs
        a = np.empty(outputs * pixels // 4, w.dtype)
        _pool_along(z, v[start : start + outputs], chosen[place : place + len(a)], a)
        start, place = start + outputs, place + len(a)
    return a, moved


@compiled
def _shape(images, layer, x):
    """Outputs, inputs and pixels of all examples: W is (outputs, inputs), z (outputs, pixels)."""
    outputs, channels, rows, columns = images[layer]
    n = x.shape[1] // (images[0, 2] * images[0, 3])
    return outputs, 9 * channels, rows * columns * n


@compiled
def _sizes(images, x):
    """Of `inner` and of `chosen`."""
    kept = pools = 0
    for layer in range(len(images)):
        outputs, inputs, pixels = _shape(images, layer, x)
        kept += inputs * pixels if layer else 0
        pools += outputs * pixels // 4
    return kept, pools


@compiled
def patches(image, out):
    """The 3x3 neighbourhoods of all pixels of an image (channels, rows, columns, n), 0 beyond its
    border, in out (9 * channels, 4, rows/2, columns/2, n)."""
    for c in range(image.shape[0]):
        for k in range(9):
            for place in range(4):
                for i in range(out.shape[2]):
                    y = 2 * i + place // 2 + k // 3 - 1
                    for j in range(out.shape[3]):
                        x = 2 * j + place % 2 + k % 3 - 1
                        one = out[9 * c + k, place, i, j]
                        if 0 <= y < image.shape[1] and 0 <= x < image.shape[2]:
                            one[:] = image[c, y, x]
                        else:
                            one[:] = 0


@compiled
def _patches_of(a, layer, out):
    """`patches` of a, flat, as the input of a layer."""
    _, channels, rows, columns = layer
    n = out.shape[1] // (rows * columns)
    patches(
        a.reshape(channels, rows, columns, n),
        out.reshape(9 * channels, 4, rows // 2, columns // 2, n),
    )


@compiled
def _pool(z, bias, a, chosen):
    """a = the largest of each pool plus bias, where that is above 0; of equal ones the first."""
    outputs, pools = len(z), z.shape[1] // 4
    zero, nothing = z.dtype.type(0), np.int8(NOTHING)
    for i in range(outputs):
        b, four = bias[i], z[i].reshape(4, pools)
        best, which = a[i * pools : (i + 1) * pools], chosen[i * pools : (i + 1) * pools]
        # entries are read apart: under a condition it is one at a time
        best[:] = four[0]
        for k in range(1, 4):
            one = four[k]
            for j in range(pools):
                other, top = one[j], best[j]
                # what is not finite stays so, for the caller to see
                best[j] = top if (other <= top) | (top != top) else other
        which[:] = nothing
        for k in range(3, -1, -1):
            one, this = four[k], np.int8(k)
            for j in range(pools):
                other, top, before = one[j], best[j], which[j]
                which[j] = this if other == top else before
        for j in range(pools):
            top, before = best[j] + b, which[j]
            best[j], which[j] = top, before if top > zero else nothing
        for j in range(pools):
            top = best[j]
            best[j] = zero if top <= zero else top


@compiled
def _pool_along(z, bias, chosen, a):
    """R of `_pool`."""
    outputs, pools = len(z), z.shape[1] // 4
    zero = z.dtype.type(0)
    for i in range(outputs):
        b, four = bias[i], z[i].reshape(4, pools)
        out, which = a[i * pools : (i + 1) * pools], chosen[i * pools : (i + 1) * pools]
        for j in range(pools):
            out[j] = b if which[j] < NOTHING else zero
        for k in range(4):
            one = four[k]
            for j in range(pools):
                out[j] += one[j] if which[j] == k else zero


# --- and what comes back ------------------------------------------------------------------------


@compiled
def backward(w, known, sent, g):
    """dL/dw in g, from the derivative by what the last one gives, `sent`, flat."""
    images, x, inner, chosen, deltas = known
    start, at, place = len(w), len(inner), len(chosen)
    for layer in range(len(images) - 1, -1, -1):
        outputs, inputs, pixels = _shape(images, layer, x)
        start, place = start - outputs * (inputs + 1), place - outputs * pixels // 4
        delta = matrix(deltas, 4 * place, outputs, pixels)
        _spread_pools(sent, chosen[place : place + len(sent)], delta)
        if layer:
            at -= inputs * pixels
        p = matrix(inner, at, inputs, pixels) if layer else x
        product(delta, p.T, matrix(g, start, outputs, inputs))
        bias = start + outputs * inputs
        row_sums(delta, g[bias : bias + outputs])
        if layer:
            back = np.empty((inputs, pixels), w.dtype)
            product(matrix(w, start, outputs, inputs).T, delta, back)
            sent = _spread_patches(back, images[layer])


@compiled
def product_along(w, v, known, moved, sent, hv):
    """H v in hv, from R of `inner`, and R of the derivative by what the last one gives, flat."""
    images, x, inner, chosen, deltas = known
    start, at, place = len(w), len(inner), len(chosen)
    for layer in range(len(images) - 1, -1, -1):
        outputs, inputs, pixels = _shape(images, layer, x)
        start, place = start - outputs * (inputs + 1), place - outputs * pixels // 4
        delta = np.empty((outputs, pixels), w.dtype)
        _spread_pools(sent, chosen[place : place + len(sent)], delta)
        out, bias = matrix(hv, start, outputs, inputs), start + outputs * inputs
        row_sums(delta, hv[bias : bias + outputs])
        if not layer:
            product(delta, x.T, out)
            break
        at -= inputs * pixels
        plain = matrix(deltas, 4 * place, outputs, pixels)
        product(delta, matrix(inner, at, inputs, pixels).T, out)
        add_product(plain, matrix(moved, at, inputs, pixels).T, out)
        back = np.empty((inputs, pixels), w.dtype)
        product(matrix(w, start, outputs, inputs).T, delta, back)
        add_product(matrix(v, start, outputs, inputs).T, plain, back)
        sent = _spread_patches(back, images[layer])


@compiled
def _spread_pools(sent, chosen, delta):
    """The adjoint of `_pool_along`, in delta (outputs, pixels)."""
    outputs, pools = len(delta), delta.shape[1] // 4
    zero = delta.dtype.type(0)
    for i in range(outputs):
        four = delta[i].reshape(4, pools)
        given, which = sent[i * pools : (i + 1) * pools], chosen[i * pools : (i + 1) * pools]
        for k in range(4):
            one = four[k]
            for j in range(pools):
                value = given[j]  # apart, as above
                one[j] = value if which[j] == k else zero


@compiled
def _spread_patches(back, layer):
    """The adjoint of `patches`, of (inputs, pixels); an image, flat."""
    _, channels, rows, columns = layer
    n = back.shape[1] // (rows * columns)
    image = np.zeros((channels, rows, columns, n), back.dtype)
    parts = back.reshape(9 * channels, 4, rows // 2, columns // 2, n)
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
