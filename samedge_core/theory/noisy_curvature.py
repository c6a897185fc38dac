"""The step size at which momentum loses stability on a parabola whose curvature is noisy."""

from __future__ import annotations

import math


def mean_square_eta(mean: float, variance: float, beta: float = 0.0) -> float:
    """The eta above which E[w^2] grows under v <- beta v + h w, w <- w - eta v, where the curvature
    h is drawn anew at each step, with this mean m and variance s^2.

    1/eta = m/(2 (1 + beta)) + (s^2/m)/(2 (1 - beta)). Without noise that is Polyak's edge,
    m = 2 (1 + beta)/eta; where the noise rules it is s^2/m = 2 (1 - beta)/eta.

    Own derivation, not published: it joins the two plateaus of arXiv 2604.14108. How far the
    batches of a network act like such an h is to be measured.

    Raises:
        ValueError: a mean that is not > 0, a variance < 0, or beta outside [0, 1).

    >>> mean_square_eta(4.0, 0.0), mean_square_eta(4.0, 16.0)
    (0.5, 0.25)
    """
    if not (math.isfinite(mean) and mean > 0 and 0 <= variance < math.inf and 0 <= beta < 1):
        allowed = "a mean > 0, a variance >= 0 and beta in [0, 1)"
        raise ValueError(f"{allowed} are needed, got {mean}, {variance} and {beta}")
    return 1 / (mean / (2 * (1 + beta)) + variance / mean / (2 * (1 - beta)))
