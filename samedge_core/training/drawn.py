"""What is drawn of a history: its rows, or buckets of them with their least, mean and most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samedge_core.training.thinning import Envelope, least, means

AT_FIRST, AT_LEAST = ("step", "time", "evals"), ("converged",)
AT_MOST = ("residual", "edge_residual")
"""Columns of which a bucket of rows has its first value, least or greatest instead of the mean."""

CHUNK = 50_000  # rows of which all columns are held at once


@dataclass(frozen=True)
class Drawn:
    """Rows, or buckets of rows, of a history by column; all arrays of shape (n,).

    Attributes:
        columns: of a row its value, of a bucket the mean of the known ones; of `AT_FIRST` the first
            value, and of a residual, or whether it converged, the worst.
        low, high: least and most, by column, where these differ anywhere; of the columns of
            `AT_FIRST`, `high` has the last value.
    """

    columns: dict[str, NDArray]
    low: dict[str, NDArray]
    high: dict[str, NDArray]

    def envelope(self, name: str, axis: str = "step", breaks: Sequence[int] = ()) -> Envelope:
        """The finite values of a column over an axis; a stretch begins at each of the steps
        `breaks`."""
        middle = self.columns.get(name, np.full(len(self.columns["step"]), np.nan))
        known = np.isfinite(middle)
        steps = self.columns["step"][known]
        opening = np.searchsorted(steps, [-1, *breaks])
        first, low = (self.low.get(of, self.columns.get(of, middle)) for of in (axis, name))
        last, high = (self.high.get(of, self.columns.get(of, middle)) for of in (axis, name))
        opens = np.isin(np.arange(len(steps)), opening)
        parts = [values[known].astype(np.float64) for values in (first, last, low, middle, high)]
        return Envelope(parts[0], parts[1], parts[2], parts[3], parts[4], opens)


def bucketed(
    columns: Callable[[int, int], Mapping[str, NDArray]], starts: NDArray[np.int64], end: int
) -> Drawn:
    """Return the buckets of rows that begin at `starts` (n,), the last of which ends before the row
    `end`; `columns` gives those of the rows from one up to another."""
    ahead = np.append(starts[1:], end)
    parts = []
    for chunk in np.split(np.arange(len(starts)), np.flatnonzero(np.diff(starts // CHUNK)) + 1):
        first, past = int(starts[chunk[0]]), int(ahead[chunk[-1]])
        parts.append(_bucketed(columns(first, past), starts[chunk] - first))
    middle, low, high = (
        {name: np.concatenate([part[k][name] for part in parts]) for name in parts[0][k]}
        for k in range(3)
    )
    wide = [name for name in low if np.any(low[name] < high[name])]
    lows = {name: low[name] for name in wide if name not in AT_FIRST}
    return Drawn(middle, lows, {name: high[name] for name in wide})


def _bucketed(
    columns: Mapping[str, NDArray], starts: NDArray[np.int64]
) -> tuple[dict[str, NDArray], dict[str, NDArray], dict[str, NDArray]]:
    """The middle, the least and the most of each column in buckets that begin at `starts`."""
    last = np.append(starts[1:], len(columns["step"])) - 1
    middle, low, high = {}, {}, {}
    for name, values in columns.items():
        if name == "rule":
            middle[name] = values[starts]
        elif (values == values[0]).all():  # settings, mostly: quick, and exact
            middle[name] = low[name] = high[name] = values[starts]
        elif name in AT_FIRST:
            low[name], high[name] = values[starts], values[last]
            middle[name] = low[name]
        else:
            known = np.where(np.isfinite(values), values, np.nan)
            low[name], high[name] = least(known, starts), -least(-known, starts)
            side = low if name in AT_LEAST else high if name in AT_MOST else None
            middle[name] = side[name] if side else means(known, starts)
    return middle, low, high
