"""The end of a measurement: the basis is corrected and truncated; in all, m is a `HessianModel`.

Sources: Davidson, J. Comput. Phys. 17, 1975 (`correct`); Wu and Simon, SIMAX 22, 2000 (`truncate`).
"""

import numpy as np
from numba import njit

from samedge_core.curvature import bounds, vectors
from samedge_core.curvature import hessian_model as hm

compiled = njit(cache=True)


@compiled
def correct(m, count, bulk):
    """Turn the basis where the leading `count` Ritz vectors should have pointed: to H x - theta x.

    One step of Davidson's method without a product: the eigenvalues outside are taken to lie at
    the share `bulk` of the sharpness. T stays as it is, which is right to first order.
    """
    lacking = False
    for i in range(count):
        lacking |= bounds.residual(m, i) > 0
    # 1 / ritz must be a number of this precision: a batch that is fitted may leave 1e-42 of H
    least = np.abs(m.ritz[:count]).min() * (1 - bulk) if lacking else 0.0
    if not least * np.finfo(m.basis.dtype.type).max > 1:
        return
    _write_ritz_vectors(m, count)
    inside = np.empty((count, m.counts[0].dimension))
    for i in range(count):
        inside[i] = bounds.residual_inside(m, i)
    steps = 1 / (m.ritz[:count] * (1 - bulk))
    vectors.correct(m.basis, m.residuals, inside, steps, m.ritz_vectors, m.coordinates, m.scratch)


@compiled
def _write_ritz_vectors(m, count):
    """Write out the leading `count` Ritz vectors, as far as they are not."""
    n = m.counts[0].products
    for i in range(m.counts[0].ritz_vectors, count):
        vectors.combine(m.mix[i, :n], m.directions, m.ritz_vectors[i])
    m.counts[0].ritz_vectors = max(m.counts[0].ritz_vectors, count)


@compiled
def eigenvectors(m, count):
    """Estimates (count, P) of the eigenvectors of the leading Ritz pairs, by T on the corrected
    basis: nearer to them than the Ritz vectors, by what the residuals say that these lack."""
    hm.solve(m)
    size = m.counts[0].dimension
    pairs = m.pairs[:size, :size].copy()
    found, taken = np.empty((count, m.basis.shape[1]), m.basis.dtype), np.zeros(size)
    for i in range(count):
        closest = np.argmax(np.abs(pairs @ m.coordinates[i, :size]) - taken)
        taken[closest] = np.inf
        vectors.combine(pairs[closest], m.basis, found[i])
    return found


@compiled
def truncate(m, kept):
    """Keep the leading `kept` pairs of T as the basis (thick restart); returns them, one a row."""
    hm.solve(m)
    size = m.counts[0].dimension
    kept = min(kept, size)
    pairs = m.pairs[:kept, :size].copy()
    for matrix in (m.projected, m.uncertainty, m.drift, m.drift_uncertainty, m.age):
        matrix[:kept, :kept] = pairs @ (matrix[:size, :size].copy() @ pairs.T.copy())
    vectors.rotate(pairs, m.basis, m.scratch)
    m.counts[0].dimension, m.counts[0].solved = kept, False
    hm.forget(m)
    return pairs
