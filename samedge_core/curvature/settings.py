"""TrackerSettings: the constants by which the tracker decides what to multiply, with reasons."""

from __future__ import annotations

from typing import Any, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray


class TrackerSettings(NamedTuple):
    """The tuning constants of `SharpnessTracker`; the defaults are those that were measured.

    "Share" is relative to the sharpness unless it says otherwise; a "measurement" is one call of
    `measure` at steps of one parity. `benchmarks/README.md` has the figures.

    Attributes:
        error: share by which the sharpness may be low where the estimates below say it can't be
            lower; .001 is promised. Larger: low readings; smaller: more products.
        invalid: prediction error, a share, above which the model is dropped and a search starts.
            Larger: a model of another batch is repaired, product by product; smaller: searches at
            every kink.
        kept, further: basis vectors kept, at least; so many more where the model has `high` pairs,
            and at least so many more than eigenvalues are asked for. Fewer: what turns next is
            outside the basis.
        high: share above which pairs mix with the leader: such pairs of the model are kept, and
            such Ritz vectors turned by their residuals, at no product. Larger: readings .25 % low
            where many lie near the top.
        crowded, unsettled: shares; where even the last of `kept` and `further` pairs lies above
            the first, and the leader's residual too is above the second, others may lie outside the
            basis and lead: no such measurement counts as converged. Larger: of 24 eigenvalues
            within 2 % that turn, an eighth of the measurements were low; smaller: false alarms.
        slack: basis vectors more than are kept before it is truncated. 0: readings 1 % low; 12: up
            to twice the products.
        search_residual, search_residual_further: shares; residuals at which a search ends for the
            eigenvalues that are asked for, and for the further pairs of the model, above which two
            may pass for one. Larger: the second is not found for long.
        search_pairs, search_least: pairs that a search finds, and starts from where there is an
            invalid model; its least number of products.
        learned: share of a prediction error that is put into the drift. 0: no drift, more products;
            1: noise is carried on.
        lasting: share of the drift that still holds a measurement later. Larger (.97): what has
            turned since hides what rises, two presets were .1 to .3 % low.
        first_error: prediction error, a share, of a model that was never checked.
        error_weight: weight of the newest prediction error in its running mean.
        others_fading: share by which the prediction error of directions other than the leader is
            forgotten at each measurement. Larger: what rises while the leader stands still is late.
        gap: share below the leader at which eigenvalues outside the basis lie at most, or are
            probed for. Smaller: a third more products and nothing found; larger: corrections late.
        gap_forgotten: share by which what residuals said of that is forgotten at each measurement.
        least_gap: share; the same for a further eigenvalue, far down the spectrum.
        touched: remainder of a unit vector below which it counts as multiplied already.
        bulk: share at which eigenvalues outside the basis lie where residuals turn it.
        refresh_every: measurements between products with another pair than the leader. Larger:
            steps .11 % low at eight.
        refresh_near: share; pairs nearer to the leader count as about as near, else they have every
            refresh and what lies further below none.
        probe_every, probe_change: measurements, and change of the model as a share, after which a
            vector outside the basis is multiplied. Larger: new eigenvectors found later.
        probe_residual: weight of the leader's residual in a probe, against its own last image.
        probe_noise: share of noise in a probe. 0: no probe ever leaves an invariant subspace.
        hint_margin, hint_age: the leader, and a second within this share below it, are hints for
            the other parity, which multiplies what its model has lower by this share, older than so
            many measurements.
        new: squared part outside, above which a vector is new: a leader outside the last one, or a
            hint outside the basis, which then counts where it is a new leader only. Larger: what
            comes up from nowhere is late.
    """

    error: float = 4e-4
    invalid: float = 0.08
    kept: int = 8
    further: int = 2
    high: float = 0.8
    crowded: float = 0.95
    unsettled: float = 0.002
    slack: int = 3
    search_residual: float = 1e-4
    search_residual_further: float = 1e-3
    search_pairs: int = 6
    search_least: int = 20
    learned: float = 0.5
    lasting: float = 0.8
    first_error: float = 0.01
    error_weight: float = 0.4
    others_fading: float = 0.05
    gap: float = 0.1
    gap_forgotten: float = 1 / 8
    least_gap: float = 0.004
    touched: float = 1e-2
    bulk: float = 0.3
    refresh_every: int = 4
    refresh_near: float = 0.07
    probe_every: int = 4
    probe_change: float = 0.015
    probe_residual: float = 3.0
    probe_noise: float = 0.1
    hint_margin: float = 0.03
    hint_age: float = 1.5
    new: float = 0.3


MEASURED = TrackerSettings()

_CONSTANTS = np.dtype((np.record, list(get_type_hints(TrackerSettings).items())))


def packed(settings: TrackerSettings) -> NDArray[Any]:
    """Return the settings as one record (1,): compiled code takes it as quickly as one array."""
    return np.array([tuple(settings)], _CONSTANTS)
