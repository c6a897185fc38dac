"""Costs: what measuring the curvature costs beside the training; importable without torch."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

RECENT = 50  # measurements that are averaged over


@dataclass(frozen=True)
class Cost:
    """Over the last measurements; NaN where that is not known.

    Attributes:
        seconds, hvps: means a measurement.
        overhead: time spent on measuring the curvature, over that of training in the same steps;
            what accuracy and held-out data take is neither.
    """

    seconds: float = math.nan
    hvps: float = math.nan
    overhead: float = math.nan

    @property
    def words(self) -> str:
        """The overhead, for a status line; empty where it is not known.

        >>> Cost(overhead=0.8).words
        'curvature costs 0.8 × training'
        """
        if not math.isfinite(self.overhead):
            return ""
        if self.overhead < 0.01:
            return "curvature costs less than 0.01 × training"
        digits = f"{self.overhead:,.0f}" if self.overhead >= 10 else f"{self.overhead:.2g}"
        return f"curvature costs {digits} × training"


class Costs:
    """Averages what steps took, pauses between them apart.

    A measured step and those without a measurement after it make a stretch. Averages are over whole
    ones, or their ratio would depend on where in a stretch one looks. The first is left out: it
    measures from noise, and torch warms up in it.

    >>> costs = Costs()
    >>> for measuring in (9.0, 0.0, 3.0, 0.0, 3.0):
    ...     costs.add(measuring + 1.0, measuring, hvps=int(measuring))
    >>> costs.recent()
    Cost(seconds=3.0, hvps=3.0, overhead=1.5)
    """

    def __init__(self) -> None:
        self._stretches: deque[_Stretch] = deque(maxlen=RECENT)
        self._now: _Stretch | None = None
        self._first = True

    def add(self, seconds: float, measuring: float, hvps: int) -> None:
        """A step took `seconds`, evaluation apart; `measuring` of them and `hvps` products were for
        curvature."""
        if hvps:
            if self._now and not self._first:
                self._stretches.append(self._now)
            self._first = self._now is None
            self._now = _Stretch(measuring, hvps)
        if self._now:
            self._now.training += seconds - measuring

    def recent(self) -> Cost:
        """Over the last whole stretches; before there is one, what the newest measurement took."""
        if self._stretches:
            measuring = sum(stretch.measuring for stretch in self._stretches)
            training = sum(stretch.training for stretch in self._stretches)
            count, hvps = len(self._stretches), sum(stretch.hvps for stretch in self._stretches)
            ratio = measuring / training if training > 0 else math.nan
            return Cost(measuring / count, hvps / count, ratio)
        return Cost(self._now.measuring, float(self._now.hvps)) if self._now else Cost()


@dataclass
class _Stretch:
    measuring: float
    hvps: int
    training: float = 0.0
