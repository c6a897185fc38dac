"""The curve that a reader draws before a run: how a link writes it, and how far it is off."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samedge_core.experiments.lessons.observations import AT_EDGE
from samedge_core.fields import ConfigError, abridged
from samedge_core.prediction.deviation import Deviation, deviation
from samedge_core.training.history import History

COLUMNS, LEVELS = 60, 1000  # of a chart: spaces between its points, and steps of their height
_POINTS = re.compile(rf"(?:--|[0-9a-z]{{2}}){{{COLUMNS + 1}}}")
_WHOLE = 0.95  # share of the steps from which on a curve counts as drawn to its end


@dataclass(frozen=True)
class Canvas:
    """An empty chart of the sharpness that a lesson has for a guess.

    Attributes:
        start: the sharpness at which its runs begin.
        top: the sharpness at the upper end of the chart; its lower end is 0.
        pace: steps a second at which the runs are shown.
    """

    start: float
    top: float
    pace: float

    def read(self, text: str) -> NDArray[np.float64]:
        """Return the sharpness at each point of a curve, (COLUMNS + 1,), evenly from step 0 to the
        end of a run; NaN where nothing is drawn. `text` has two digits of base 36 for each, in
        thousandths of the chart's height, and "--" for none; or it is empty.

        Raises:
            ConfigError: a text that is no curve.
        """
        points = text or "--" * (COLUMNS + 1)
        levels = [points[i : i + 2] for i in range(0, len(points), 2)]
        if not _POINTS.fullmatch(points) or max(_level(one) for one in levels) > LEVELS:
            allowed = f"{COLUMNS + 1} times '--' or two digits of base 36 up to {_LAST!r}"
            raise ConfigError("sketch", f"a curve has {allowed}, got {abridged(text)}. Draw it.")
        found = np.array([_level(one) for one in levels], dtype=np.float64)
        return np.where(found < 0, np.nan, found * self.top / LEVELS)


_LAST = np.base_repr(LEVELS, 36).lower()


def _level(digits: str) -> int:
    return -1 if digits == "--" else int(digits, 36)


def at_steps(curve: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Return a curve, (COLUMNS + 1,), at each of the steps of its chart, (steps,); NaN where it has
    not been drawn."""
    return np.interp(np.arange(steps), np.linspace(0, steps, COLUMNS + 1), curve)


def error(curve: NDArray[np.float64], steps: int, history: History) -> Deviation:
    """Return how far the curve of so many steps is off a run, measured as for a prediction."""
    values = at_steps(curve, steps)
    (step,) = np.nonzero(np.isfinite(values))
    no_loss = np.full(len(step), np.nan)
    drawn = {"step": step, "sharpness": values[step], "loss": no_loss}
    return deviation(drawn, history.columns())


def verdict(
    curve: NDArray[np.float64], steps: int, history: History, flow: Deviation | None
) -> str:
    """Return how far curve and flow are off a run that has ended, and what its end says of the
    curve's."""
    values = at_steps(curve, steps)
    (drawn,) = np.nonzero(np.isfinite(values))
    theory = f" The flow, which knew the initial weights alone, is {flow.words}." if flow else ""
    if not len(drawn):
        return f"You have drawn no curve.{theory}"
    words = f"Your curve is {error(curve, steps, history).words}."
    if len(drawn) < _WHOLE * steps:
        words += f" You have drawn {len(drawn):,} of {steps:,} steps: only those are compared."
    return f"{words}{_end(int(drawn[-1]), float(values[drawn[-1]]), history)}{theory}"


def _end(step: int, drawn: float, history: History) -> str:
    """Why the run is where it is at the step at which the curve ends; empty beyond the run's."""
    columns = history.columns()
    near = np.abs(columns["step"] - step) <= 5  # hops to both sides cancel in the median
    if not np.isfinite(columns["sharpness"][near]).any():
        return ""
    run, edge, gd = (
        float(np.nanmedian(columns[n][near])) for n in ("sharpness", "edge", "gd_edge")
    )
    where = f" It ends at {drawn:.3g}, at step {step:,}"
    if abs(drawn / run - 1) <= AT_EDGE:
        return f"{where}, where the run is at {run:.3g}: there you have it."
    if abs(edge / gd - 1) > AT_EDGE and abs(drawn / gd - 1) <= AT_EDGE:
        return (
            f"{where}, near 2/η, which is the edge of GD. SAM's edge is {edge:.3g} there, and the "
            f"run is at {run:.3g}."
        )
    if drawn > (1 + AT_EDGE) * edge:
        return (
            f"{where}, and the run at {run:.3g}: above its edge, {edge:.3g}, each hop is larger "
            "than the one before, until they push the run back."
        )
    peak = float(np.nanmax(columns["sharpness"][columns["step"] <= step + 5]))
    if drawn > run and peak > (1 + AT_EDGE) * run:
        return f"{where}, and the run at {run:.3g}: it has come down from {peak:.3g}."
    if drawn > run:
        return f"{where}, and the run at {run:.3g}: it has not sharpened as far."
    return f"{where}, and the run at {run:.3g}: sharpening goes on until an edge ends it."
