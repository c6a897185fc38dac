"""What a `Subspace` does with vectors of P numbers, compiled: each in as few passes as it takes.

The rows (room, P) of a basis do not fit into the caches beside the network, so that a pass over
them costs as much as a tenth of a product. Blocks of a pass do. Sums over P run in the precision
of the vectors within a block, and in double precision over the blocks.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from samedge_core.curvature.model import straightening

BLOCK = 1024
ROUNDING = 10  # what is left of a unit vector below this many units of rounding is no direction
TWICE = 0.5  # what is new of a unit vector and shorter than this is orthogonalised once more

# sums may be taken in any order, so that they are vectorised
compiled = njit(cache=True, fastmath={"reassoc", "contract"})


@compiled
def combine(c, rows, out):
    """out (P,) = c^T rows, for the first len(c) rows."""
    out[:] = 0
    _add(c, rows, out)


@compiled
def _add(c, rows, out):
    """out (P,) += c^T rows, for the first len(c) rows."""
    weights = c.astype(out.dtype)
    for start in range(0, len(out), BLOCK):
        end = min(start + BLOCK, len(out))
        part = out[start:end]  # of slices, the compiler sees that they do not overlap
        # four at once: they come from memory side by side
        left = len(c) % 4
        for i in range(left):
            one = rows[i, start:end]
            for j in range(len(part)):
                part[j] += weights[i] * one[j]
        for i in range(left, len(c), 4):
            one, two = rows[i, start:end], rows[i + 1, start:end]
            three, four = rows[i + 2, start:end], rows[i + 3, start:end]
            for j in range(len(part)):
                part[j] += (weights[i] * one[j] + weights[i + 1] * two[j]) + (
                    weights[i + 2] * three[j] + weights[i + 3] * four[j]
                )


@compiled
def project(rows, size, x):
    """Products of the first `size` rows with x, (size,)."""
    products, zero = np.zeros(size), x.dtype.type(0)
    for start in range(0, len(x), BLOCK):
        end = min(start + BLOCK, len(x))
        part, left = x[start:end], size % 4
        for i in range(left):
            one, a = rows[i, start:end], zero
            for j in range(len(part)):
                a += one[j] * part[j]
            products[i] += a
        for i in range(left, size, 4):  # as in `_add`
            one, two = rows[i, start:end], rows[i + 1, start:end]
            three, four = rows[i + 2, start:end], rows[i + 3, start:end]
            a = b = c = d = zero
            for j in range(len(part)):
                a += one[j] * part[j]
                b += two[j] * part[j]
                c += three[j] * part[j]
                d += four[j] * part[j]
            products[i] += a
            products[i + 1] += b
            products[i + 2] += c
            products[i + 3] += d
    return products


@compiled
def _square(x):
    """|x|^2; of float32 too, squares do not overflow."""
    total = 0.0
    for j in range(len(x)):
        total += np.float64(x[j]) * x[j]
    return total


@compiled
def apart(image, rows, size):
    """Coordinates of an image (size,), and the squared norm of what it has outside the basis, but
    for rounding; this is not finite where the image or a sum is not."""
    row = project(rows, size, image)
    return row, _square(image) - np.dot(row, row)


@compiled
def orthogonalise(z, rows, k):
    """Make row k what of z is outside the rows before, as a unit vector; is there anything?"""
    new, kind = rows[k], rows.dtype.type
    norm = np.sqrt(_square(z))
    if not norm > 0:
        return False
    new[:] = z * kind(1 / norm)
    for _ in range(2):
        _add(-project(rows, k, new), rows, new)
        norm = np.sqrt(_square(new))
        if not norm > ROUNDING * np.finfo(kind).eps:
            return False
        new *= kind(1 / norm)
        if norm > TWICE:  # else rounding brings back copies of what was taken out
            break
    return True


@compiled
def residual(mix, theta, images, vectors, out):
    """out (P,) = H x - theta x, for x = mix^T vectors; returns its norm."""
    combine(mix, images, out)
    _add(-theta * mix, vectors, out)
    return np.sqrt(_square(out))


@compiled
def improve(rows, residuals, inside, steps, before, coordinates, turned):
    """As `Subspace.improve`: for x, the rows of `before` (count, P), and residuals r (count, P)
    with coordinates `inside` (count, size) in the basis, x + steps * (r - inside^T rows) as
    orthonormal vectors take the place of x in the rows. `turned` is to write to."""
    count = len(inside)
    for a in range(count):
        new = turned[a]
        new[:] = residuals[a]
        _add(-inside[a], rows, new)
        new *= rows.dtype.type(steps[a])
        new += before[a]
    # what they turn to overlaps, and rounding in the length of x would come back magnified at
    # each improvement
    straight = straightening(_gram(turned[:count]))
    for a in range(count - 1, -1, -1):  # a lower triangle: what is overwritten is needed no more
        new = turned[a]
        new *= rows.dtype.type(straight[a, a])
        _add(straight[a, :a], turned, new)
        new -= before[a]
    for i in range(inside.shape[1]):
        _add(coordinates[:count, i].copy(), turned, rows[i])


@compiled
def _gram(rows):
    gram = np.empty((len(rows), len(rows)))
    for i in range(len(rows)):
        gram[i, : i + 1] = project(rows, i + 1, rows[i])
        gram[: i + 1, i] = gram[i, : i + 1]
    return gram


@compiled
def shrink(pairs, rows, turned):
    """The combinations `pairs` (kept, size) of the rows become the first rows. `turned` is to
    write to."""
    kept = turned[: len(pairs)]
    for a in range(len(pairs)):
        combine(pairs[a], rows, kept[a])
    # rounding has bent the basis a little by now
    straight = straightening(_gram(kept))
    for a in range(len(pairs)):
        combine(straight[a, : a + 1], kept, rows[a])
