"""Operations on vectors of P numbers, compiled: each in as few passes over memory as it takes.

The rows (room, P) of a basis do not fit into the caches beside the network, so that a pass over
them costs as much as a tenth of a Hessian-vector product. Blocks of a pass do. Sums over P run in
the precision of the vectors within a block, and in double precision over the blocks.

In all functions rows, basis, hv and scratch are (room, P), x, z and out (P,), in one precision;
coordinates are double.
"""

import numpy as np
from numba import njit

BLOCK = 1024
ROUNDING = 10  # units of rounding: a unit vector's remainder that is shorter is no direction
TWICE = 0.5  # a remainder shorter than this is orthogonalised once more

# sums may be taken in any order, so that they are vectorised
summing = njit(cache=True, fastmath={"reassoc", "contract"})
compiled = njit(cache=True)


@summing
def combine(c, rows, out):
    """Write c^T rows, for the first len(c) rows, to out (P,)."""
    out[:] = 0
    _add(c, rows, out)


@summing
def _add(c, rows, out):
    """Add c^T rows, for the first len(c) rows, to out (P,)."""
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


@summing
def project(rows, size, x):
    """The products of the first `size` rows with x, (size,)."""
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


@summing
def _square(x):
    """|x|^2 in double precision: squares of float32 do not overflow."""
    total = 0.0
    for j in range(len(x)):
        total += np.float64(x[j]) * x[j]
    return total


@summing
def split(x, rows, size):
    """The coordinates (size,) of x in the basis, and the squared norm of its part outside, up to
    rounding; not finite where x or a sum is not."""
    coordinates = project(rows, size, x)
    return coordinates, _square(x) - np.dot(coordinates, coordinates)


@summing
def orthogonalise(z, rows, k):
    """Make row k the part of z outside the rows before it, as a unit vector, by Gram-Schmidt, twice
    where that part is short; False where nothing but rounding is outside."""
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


@summing
def residual(mix, theta, hv, directions, out):
    """Write H x - theta x to out (P,), for x = mix^T directions; returns its norm."""
    combine(mix, hv, out)
    _add(-theta * mix, directions, out)
    return np.sqrt(_square(out))


@summing
def correct(basis, residuals, inside, steps, ritz_vectors, coordinates, scratch):
    """Replace x by x + steps * (r - inside^T basis), made orthonormal, in the rows of the basis.

    Args:
        residuals: r (count, P), with coordinates `inside` (count, size) in the basis.
        ritz_vectors, coordinates: x (count, P), and in the basis (count, size).
        scratch: (count, P), overwritten.
    """
    count = len(inside)
    for a in range(count):
        new = scratch[a]
        new[:] = residuals[a]
        _add(-inside[a], basis, new)
        new *= basis.dtype.type(steps[a])
        new += ritz_vectors[a]
    # corrected vectors overlap, and each correction would magnify the rounding in the length of x
    triangle = cholesky_qr(_gram(scratch[:count]))
    for a in range(count - 1, -1, -1):  # lower triangular: the rows below are needed no more
        new = scratch[a]
        new *= basis.dtype.type(triangle[a, a])
        _add(triangle[a, :a], scratch, new)
        new -= ritz_vectors[a]
    for i in range(inside.shape[1]):
        _add(coordinates[:count, i].copy(), scratch, basis[i])


@summing
def _gram(rows):
    """The products (n, n) of the rows (n, P) with each other."""
    gram = np.empty((len(rows), len(rows)))
    for i in range(len(rows)):
        gram[i, : i + 1] = project(rows, i + 1, rows[i])
        gram[: i + 1, i] = gram[i, : i + 1]
    return gram


@summing
def rotate(pairs, basis, scratch):
    """Make the combinations `pairs` (kept, size) of the basis its first rows, orthonormal again;
    `scratch` (kept, P) is overwritten."""
    kept = scratch[: len(pairs)]
    for a in range(len(pairs)):
        combine(pairs[a], basis, kept[a])
    # rounding has bent the basis a little by now
    triangle = cholesky_qr(_gram(kept))
    for a in range(len(pairs)):
        combine(triangle[a, : a + 1], kept, basis[a])


@summing
def stretch(x, ratio):
    """Multiply x by `ratio` (P,), component by component, and make it a unit vector; returns the
    length that it had then."""
    x *= ratio
    norm = np.sqrt(_square(x))
    if norm > 0:
        x *= x.dtype.type(1 / norm)
    return norm


@summing
def stretch_basis(basis, size, ratio):
    """Multiply the first `size` rows by `ratio` (P,), component by component, and make them
    orthonormal again.

    Returns the lower triangular matrix (size, size) that makes the products so; of shape (0, 0)
    where they have become dependent but for rounding, and are left as unit vectors.
    """
    norms = np.empty(size)
    for i in range(size):
        norms[i] = stretch(basis[i], ratio)
    gram = _gram(basis[:size])
    least = ROUNDING * size * np.finfo(basis.dtype.type).eps
    if not np.isfinite(gram).all() or np.linalg.eigvalsh(gram)[0] < least:
        return np.empty((0, 0))
    triangle = cholesky_qr(gram)
    for a in range(size - 1, -1, -1):  # as in `correct`
        basis[a] *= basis.dtype.type(triangle[a, a])
        _add(triangle[a, :a], basis, basis[a])
    return triangle / norms


@compiled
def cholesky_qr(gram):
    """L^-1 of a Gram matrix L L^T: it makes the rows of that orthonormal (CholeskyQR)."""
    n = len(gram)
    if n == 1:
        return 1 / np.sqrt(gram)
    return np.tril(np.linalg.inv(np.linalg.cholesky(gram)))
