"""The choice of the next direction: each reason one function, in the order of `next_direction`.

A function returns whether it has chosen a direction; that is then in `HessianModel.chosen`. One
outside the basis has been appended to it. In all, m is a `HessianModel`, carried a `Carried`,
settings a record of `TrackerSettings`; `known` (top_k or fewer,) are eigenvalues by magnitude, and
`wanted` is how many.
"""

import numpy as np
from numba import njit

from samedge_core.curvature import bounds, vectors
from samedge_core.curvature import hessian_model as hm

compiled = njit(cache=True)


@compiled
def next_direction(m, carried, settings, top_k):
    """Choose what H is applied to next; False where nothing more is asked for.

    The `top_k` leading eigenvalues must be known first: nothing may lead that was not multiplied,
    by the projected Hessian, by a residual, or by an upper confidence bound. Then follow what the
    other parity found, a refresh of another pair, and a probe outside the basis.
    """
    wanted = min(top_k, m.counts[0].dimension)
    known = _known(m, wanted)
    sure = wanted == 1 and _is_sure(m, carried, settings, known[0])
    return (
        (not sure and leader(m, settings, known))
        or residual_correction(m, carried, settings, known[-1], wanted)
        or (not sure and upper_bound(m, carried, settings, known))
        or hint(m, carried, settings)
        or refresh(m, carried, settings)
        or probe(m, carried, settings)
    )


@compiled
def _known(m, wanted):
    """The leading eigenvalues by magnitude, as far as multiplied in this measurement; else -inf."""
    known = np.full(wanted, -np.inf)
    for i in range(min(wanted, m.counts[0].products)):
        known[i] = abs(m.ritz[i])
    return known


@compiled
def _is_sure(m, carried, settings, known):
    """Whether nothing in the basis may be above what is known, at a tenth of the cost of finding
    out what."""
    scale, state = abs(m.ritz[0]), carried.state[0]
    limit = known + settings.error * scale
    return bounds.stays_below(m, limit, state.error * scale, state.change * scale)


@compiled
def leader(m, settings, known):
    """A pair of T that is above what is known, and not multiplied yet."""
    hm.solve(m)
    for i in range(len(known)):
        above = abs(m.values[i]) - known[i] > settings.error * abs(m.ritz[0])
        if above and hm.choose_within(m, m.pairs[i, : m.counts[0].dimension], settings.touched):
            return True
    return False


@compiled
def residual_correction(m, carried, settings, known, wanted):
    """The residual of a Ritz pair outside the basis, where that may raise it above `known` by more
    than the error that is allowed: by the residual squared over the gap to what is outside."""
    scale, norms = abs(m.ritz[0]), bounds.residual_bounds(m)
    for i in range(len(norms)):
        margin = max(0.0, known - abs(m.ritz[i])) + settings.error * scale
        level = max(known, abs(m.ritz[i]))  # that it has, or must reach
        gap = (
            gap_outside(carried, settings)
            if wanted == 1
            else _gap_below(m, settings, level, wanted)
        )
        least = np.sqrt(margin * gap * scale)
        if norms[i] > least and bounds.residual(m, i) > least and hm.append(m, m.residuals[i]):
            carried.state[0].correction = m.counts[0].products
            return True
    return False


@compiled
def gap_outside(carried, settings):
    """How far, as a share of the sharpness, eigenvalues outside the basis lie below the leading
    one, as a residual sees them.

    Of a residual with Rayleigh quotient b, whose eigenvalues reach from 0 to 1 - gap, the share
    1/(1 - l) of each, by which the leading value may rise, is below 1 + l / gap, and its mean below
    1 + b / gap.
    """
    return settings.gap / (settings.gap + carried.state[0].rayleigh_outside)


@compiled
def _gap_below(m, settings, level, wanted):
    """The same for further eigenvalues, below this level: far down the spectrum they are close.
    What was new to the basis since it was truncated may lie anywhere."""
    scale, kept = abs(m.ritz[0]), max(settings.kept, wanted + settings.further)
    below = level - abs(m.values[min(kept, m.counts[0].dimension) - 1])
    return min(settings.gap, max(settings.least_gap, below / scale if scale > 0 else below))


@compiled
def upper_bound(m, carried, settings, known):
    """A pair whose upper confidence bound is above what is known, as far as not multiplied.

    If T was off by as much at every measurement since H was applied to it, or has changed by as
    much where its drift is not learned, could it lead by now? So a crossing within the basis is
    not missed, whatever its speed, and nothing is paid for pairs far below.
    """
    scale, state, wanted = abs(m.ritz[0]), carried.state[0], len(known)
    upper, pairs = bounds.upper_bounds(m, state.error * scale, state.change * scale)
    for i in range(wanted + 1):
        above = upper[i] > known[min(i, wanted - 1)] + settings.error * scale
        if above and hm.choose_within(m, pairs[i], settings.touched):
            return True
    return False


@compiled
def hint(m, carried, settings):
    """What the other parity found, as far as not multiplied."""
    if not carried.state[0].has_hint:
        return False
    carried.state[0].has_hint = False
    c = vectors.project(m.basis, m.counts[0].dimension, carried.hint)
    if 1 - np.dot(c, c) > settings.new:
        return hm.append(m, carried.hint)
    return hm.choose_within(m, c, settings.touched)


@compiled
def refresh(m, carried, settings):
    """Every `refresh_every`-th measurement: the pair that would lead first if all eigenvalues had
    risen at one rate since they were multiplied.

    While the leader stands still, nothing else tells how fast the others move. Those much nearer
    than `refresh_near` count as about as near: upper bounds watch them, and they would have every
    refresh.
    """
    size = m.counts[0].dimension
    if carried.state[0].unrefreshed < settings.refresh_every or size < 2:
        return False
    carried.state[0].unrefreshed -= settings.refresh_every
    hm.solve(m)
    first, soonest = 1, -1.0
    for i in range(1, size):
        age = bounds.form(m.age, m.pairs[i, :size])
        gap = (1 + settings.refresh_near) * abs(m.values[0]) - abs(m.values[i])
        gap = max(gap, np.finfo(np.float64).tiny)
        if age / gap > soonest:
            first, soonest = i, age / gap
    return hm.choose_within(m, m.pairs[first, :size], settings.touched)


@compiled
def probe(m, carried, settings):
    """Every `probe_every`-th measurement, or as soon as T has changed by `probe_change`: a vector
    outside the basis.

    It is what the basis does not hold of the last probe's image, and of the leader's: over some
    measurements a Lanczos process outside the basis. Without it, an eigenvector that was never in
    the basis stays out, and its mixing with v1 is invisible: near the top such a mixture has almost
    no residual.
    """
    state = carried.state[0]
    if state.probe >= 0 or state.unprobed < settings.probe_change:
        return False
    state.unprobed, state.probe = 0.0, m.counts[0].products
    outside, z = bounds.residual(m, 0), m.scratch[0]
    z[:] = carried.probe
    if outside > 0:
        z += z.dtype.type(settings.probe_residual / outside) * m.residuals[0]
    return hm.append(m, z)
