"""How far a prediction is off a run; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray]


@dataclass(frozen=True)
class Deviation:
    """The error of a prediction, relative to the run, at the rows that both have.

    A row of a prediction belongs to the centre of two consecutive iterates, so it is held against
    the mean of the run's two rows: hops to both sides cancel in it. What is left of them is half
    the curvature of the sharpness along the hop times its square: some .1 % on most presets
    (docs/prediction.md).

    Attributes:
        step: of the rows, (n,).
        sharpness, loss: predicted over measured, minus 1, (n,).
    """

    step: NDArray[np.int64]
    sharpness: NDArray[np.float64]
    loss: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.step)

    @property
    def median(self) -> float:
        """The median size of the error of the sharpness; NaN without a row."""
        return float(np.median(np.abs(self.sharpness))) if len(self) else np.nan

    @property
    def most(self) -> float:
        """Its largest size."""
        return float(np.abs(self.sharpness).max()) if len(self) else np.nan

    @property
    def at(self) -> int | None:
        """The step where it is largest; None without a row."""
        return int(self.step[np.argmax(np.abs(self.sharpness))]) if len(self) else None

    @property
    def words(self) -> str:
        """The sharpness's error in a sentence; why there is none, where no row is known to both.

        >>> Deviation(np.array([0, 1]), np.array([0.01, -0.03]), np.zeros(2)).words
        'off by 2 % at the median, 3 % at most, at step 1'
        """
        if not len(self):
            return "not comparable: no two consecutive steps of the run were measured"
        median, most = (
            f"{100 * value:,.0f} %" if value >= 1 else f"{100 * value:.2g} %"
            for value in (self.median, self.most)
        )
        return f"off by {median} at the median, {most} at most, at step {self.at:,}"


def deviation(predicted: Columns, measured: Columns) -> Deviation:
    """Return how far the columns of a prediction are off those of a run.

    Rows: the steps that are predicted and at which, as at the next step, the run's sharpness was
    measured.
    """
    both = np.isfinite(measured["sharpness"])
    pairs = both[:-1] & both[1:] & (np.diff(measured["step"]) == 1)
    first = np.flatnonzero(pairs)
    steps, of_run, of_flow = np.intersect1d(
        measured["step"][first], predicted["step"], return_indices=True
    )
    off = {}
    for name in ("sharpness", "loss"):
        values = measured[name].astype(np.float64)
        middle = (values[first] + values[first + 1])[of_run] / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            off[name] = predicted[name][of_flow] / middle - 1
        # what is no number is not near
        off[name][np.isnan(off[name])] = np.inf
    return Deviation(steps, off["sharpness"], off["loss"])
