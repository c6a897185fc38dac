"""What is drawn of a long run: buckets of rows, the envelope of each, and the rows of a table.

A line through some of the rows of an oscillation shows one that is not there: of every second row
of a hop, or every 121st, remains a straight line or a slow square wave. So where there are more
rows than pixels, what is drawn is the least and the most of each bucket of rows, and their mean.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

SMALLEST = 6
"""Rows of a bucket, at least: of hops of period two and three nothing then remains in its mean, of
period four a twelfth."""

_RAMP = np.array([1.0, 3.0, 5.0, 6.0])  # sums of the weights 1, 2, 2, 1


def buckets(
    rows: int, most: int, breaks: Indices | Sequence[int] = (), *, smallest: int = SMALLEST
) -> Indices:
    """Return the first rows, growing, of buckets of `rows` rows: about `most` of equal length, of
    `smallest` rows or more, but that one begins at each of `breaks`, too.

    Rows that fit, at most `most`, have a bucket each.
    """
    if rows <= most:
        return np.arange(rows)
    inside = np.unique(np.asarray(breaks, dtype=np.int64))
    inside = inside[(inside > 0) & (inside < rows)]
    stretches = itertools.pairwise([0, *inside.tolist(), rows])
    parts = []
    for begin, end in stretches:
        length = end - begin
        here = max(1, min(length // smallest, most * length // rows))
        parts.append(begin + np.arange(here) * length // here)
    return np.concatenate(parts)


@dataclass(frozen=True)
class Envelope:
    """What is drawn of values over x, a bucket each; all arrays of shape (n,).

    Attributes:
        first, last: x at its first and last value.
        low, high: its least and greatest value.
        middle: its mean, with weights that fall off towards its ends (see `means`).
        opens: whether a new stretch begins with it: there, lines may jump.
    """

    first: Floats
    last: Floats
    low: Floats
    middle: Floats
    high: Floats
    opens: NDArray[np.bool_]

    @property
    def wide(self) -> NDArray[np.bool_]:
        """Which buckets hold more than one value."""
        return self.first < self.last

    def above(self, floor: float) -> "Envelope":
        """What a log axis can show of it: the buckets with a positive mean, none below `floor`."""
        kept = self.middle > 0
        return Envelope(
            first=self.first[kept],
            last=self.last[kept],
            low=np.maximum(self.low[kept], floor),
            middle=np.maximum(self.middle[kept], floor),
            high=self.high[kept],
            opens=self.opens[kept],
        )

    def line(self) -> tuple[Floats, Floats, Indices]:
        """The middle line: x, y, and the bucket of each of its points.

        A point in the middle of each bucket; a stretch begins and ends at its first and last x.
        """
        closes = np.append(self.opens[1:], True)[: len(self.opens)]
        centre = (self.first + self.last) / 2
        x = np.stack([self.first, centre, self.last], axis=1)
        bucket, place = np.nonzero(
            np.stack([self.opens & self.wide, np.ones(len(x), bool), closes & self.wide], axis=1)
        )
        return x[bucket, place], self.middle[bucket], bucket

    def band(self) -> tuple[Floats, Floats, Floats]:
        """x, least and most at both ends of each bucket, so that the band has no corner cut off."""
        bucket = np.repeat(np.arange(len(self.first)), 1 + self.wide)
        x = np.stack([self.first, self.last], axis=1)
        at_last = np.zeros(len(bucket), dtype=np.int64)
        at_last[1:] = bucket[1:] == bucket[:-1]
        return x[bucket, at_last], self.low[bucket], self.high[bucket]


def envelope(
    x: NDArray[np.number],
    y: NDArray[np.number],
    most: int,
    breaks: Indices | Sequence[int] = (),
    *,
    low: NDArray[np.number] | None = None,
    high: NDArray[np.number] | None = None,
) -> Envelope:
    """Return the envelope of y over growing x, both (n,), in about `most / 3` buckets, or in one
    for each value where there are at most `most`: either way so many numbers.

    Values that are not finite are left out. A bucket begins at each of the rows `breaks`. `low` and
    `high` are the rims, where y itself is the middle of something.
    """
    known = np.flatnonzero(np.isfinite(y))
    opening = np.unique(np.append(np.searchsorted(known, np.asarray(breaks, dtype=np.int64)), 0))
    opening = opening[opening < len(known)]
    fits = len(known) <= most
    starts = buckets(len(known), most if fits else max(1, most // 3), opening)
    x, y = np.asarray(x, np.float64)[known], np.asarray(y, np.float64)[known]
    rims = [y if rim is None else np.asarray(rim, np.float64)[known] for rim in (low, high)]
    ends = np.append(starts[1:], len(x)) - 1
    return Envelope(
        first=x[starts],
        last=x[ends] if len(x) else x,
        low=least(rims[0], starts),
        middle=means(y, starts),
        high=-least(-rims[1], starts),
        opens=np.isin(starts, opening),
    )


def least(values: Floats, starts: Indices) -> Floats:
    """The least value, NaN apart, of each bucket (n,) of `values`; NaN where there is none."""
    return np.fmin.reduceat(values, starts) if len(starts) else np.empty(0)


def means(values: Floats, starts: Indices) -> Floats:
    """The mean of the values that are not NaN, of each bucket (n,); NaN where there is none.

    The first and last three values count 1/6, 1/2 and 5/6: sums of the weights (1, 2, 2, 1) / 6,
    to which a hop of period two or three adds nothing, wherever a bucket begins and ends. A plain
    mean of an odd number of hops is off by a part of one, and goes up and down from bucket to
    bucket. A median would be one of the two rims.
    """
    if not len(starts):
        return np.empty(0)
    known = ~np.isnan(values)
    index = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(values))))[known]
    count = np.bincount(index, minlength=len(starts))
    rank = np.arange(len(index)) - (np.cumsum(count) - count)[index]
    weight = _weights(rank, count[index])
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.bincount(index, weight, len(starts))
        scale = np.maximum(np.fmax.reduceat(np.abs(values), starts), np.finfo(np.float64).tiny)
        shares = np.bincount(index, weight * (values[known] / scale[index]), len(starts))
        mean = np.where(total > 0, shares / np.where(total > 0, total, 1) * scale, np.nan)
    # rounding must not leave the band, nor change what is constant
    return np.clip(mean, least(values, starts), -least(-values, starts))


def _weights(rank: Indices, count: Indices) -> Floats:
    """The weights in `means` of the values at `rank` (from 0) among `count`; for fewer than four,
    1; 1, 1; and 1, 2, 1."""
    few = np.where((count == 3) & (rank == 1), 2.0, 1.0)
    late = rank - (count - 3)
    ramp = _RAMP[np.minimum(rank, 3)] - np.where(late >= 0, _RAMP[np.clip(late, 0, 3)], 0.0)
    return np.where(count < 4, few, ramp)


def thin(
    watched: Sequence[NDArray[np.floating]],
    most: int,
    around: NDArray[np.int64] | Sequence[int] = (),
) -> NDArray[np.int64]:
    """Return the indices, growing, of at most `most` rows of the `watched` columns, each (n,), for
    a table: a line through them would show oscillations that are not there.

    Kept are both ends and, in every bucket of rows, the least and the greatest finite value of each
    column. Rows `around` a change are kept too, the newest of them up to half of `most`.
    """
    rows, per_bucket = len(watched[0]), 2 * len(watched)
    if rows <= most:
        return np.arange(rows)
    around = np.unique(np.asarray(around, dtype=np.int64))
    around = around[(around >= 0) & (around < rows)]
    around = around[max(0, len(around) - max(0, (most - 2 - per_bucket) // 2)) :]
    kept = {0, rows - 1, *around.tolist()}
    starts = buckets(rows, max(1, (most - 2 - len(around)) // per_bucket), smallest=1)
    for bucket in np.split(np.arange(rows), starts[1:]):
        for values in watched:
            finite = bucket[np.isfinite(values[bucket])]
            if len(finite):
                kept |= {int(finite[values[finite].argmin()]), int(finite[values[finite].argmax()])}
    # few can't hold one bucket and both ends: the newest of these then
    return np.array(sorted(kept), dtype=np.int64)[-most:]
