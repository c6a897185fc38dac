"""What becomes of many settings on two weights, L(a, b) = 1/2 (ab - 1)^2.

Plain Python here, for a point or two; `fate_program` compiles the same function for pictures. It is
one function, for numba notices only a change of the very file that holds what it has compiled.
"""

from __future__ import annotations

import math

from numpy.typing import NDArray

GD, SAM, USAM, POLYAK = range(4)
CONVERGED, HOPS, SETTLING, DIVERGED = range(4)
FATE = 1 << 14  # a fate times this, plus its number
PERIOD = 1 << 10  # of a hop: the period times this, plus |multiplier| in thousandths
LONGEST_PERIOD = 15
# Of a step's length. A hop that drifts comes back as the same step from near the same place; in a
# sawtooth one step is like the next, but ever farther on.
SAME, NEAR = 0.003, 0.5
STAYS = 0.999  # a hop that shrinks by more than this a step will have died out some day


# compiled by `fate_program`
def follow(rule: int, points: NDArray, steps: int, out: NDArray) -> None:
    """Write into `out` (n,), uint16, what becomes of each row (eta, rho, beta, a, b) of `points`
    (n, 5), whose a and b become those of the end.

    DIVERGED and CONVERGED, at a step: the training loop's own tests. Of what does neither within
    `steps` steps, |multiplier| is the mean factor of the largest step near the end. It HOPS where
    that is at least STAYS and steps turn back (negative inner product with the one before) at
    least once in twenty, with the period after which a step comes back (0: none up to
    LONGEST_PERIOD); else it is SETTLING.
    """
    for k in range(len(points)):
        eta, rho, beta = float(points[k, 0]), float(points[k, 1]), float(points[k, 2])
        a, b = float(points[k, 3]), float(points[k, 4])
        va = vb = da = db = from_a = from_b = at_a = at_b = early = late = most = least = 0.0
        turns = period = 0
        fate, number = SETTLING, 0
        for step in range(steps + LONGEST_PERIOD + 1):
            r = a * b - 1.0
            ga, gb = r * b, r * a
            norm = math.sqrt(ga * ga + gb * gb)
            if step == 0:
                most, least = 1e8 * max(1.0, 0.5 * (r * r)), 1e-12 * norm
            if not 0.5 * (r * r) <= most:  # NaN, too
                fate, number = DIVERGED, min(step, steps)
                break
            reach = 0.0
            if rule == SAM and norm > 0.0:
                reach = rho / norm
            elif rule == USAM:
                reach = rho
            if reach > 0.0:
                pa, pb = a + reach * ga, b + reach * gb
                r = pa * pb - 1.0
                ga, gb = r * pb, r * pa
            if rule == POLYAK:
                va, vb = beta * va + ga, beta * vb + gb
            else:
                va, vb = ga, gb
            was_a, was_b = da, db
            da, db = eta * va, eta * vb
            if step == steps:
                from_a, from_b, at_a, at_b = a, b, da, db
            elif step > steps + 1:
                apart = math.hypot(da - at_a, db - at_b)
                away = math.hypot(a - from_a, b - from_b)
                length = math.hypot(at_a, at_b)
                if apart <= SAME * length and away <= NEAR * length:
                    period = step - steps
                    break
            elif 2 * step >= steps:
                turns += da * was_a + db * was_b < 0.0
                if 6 * steps <= 8 * step < 7 * steps:
                    early = max(early, da * da + db * db)
                elif 8 * step >= 7 * steps:
                    late = max(late, da * da + db * db)
            a, b = a - da, b - db
            if norm <= least and math.sqrt(da * da + db * db) <= 2.0 * eta * least:
                fate, number = CONVERGED, min(step, steps)
                break
        if fate == SETTLING:
            # over an eighth of the steps, of squares
            multiplier = (late / early) ** (4.0 / steps) if early > 0.0 else 0.0
            number = min(round(1000.0 * multiplier), PERIOD - 1)
            if 40 * turns >= steps and multiplier >= STAYS:
                fate, number = HOPS, number + period * PERIOD
        points[k, 3], points[k, 4] = a, b
        out[k] = fate * FATE + number
