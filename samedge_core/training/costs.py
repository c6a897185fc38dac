"""Costs: what measuring the curvature adds to training, and what taking steps again would cost;
importable without torch."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

RECENT = 50  # measurements that are averaged over
REPEATED = 3.0  # seconds of computing that a rewind, a fork or an inspection repeats at most


@dataclass(frozen=True)
class Cost:
    """The cost of the last measurements; NaN where it is not known.

    Attributes:
        seconds, hvps: a measurement's, on average.
        overhead: time spent on measuring the curvature, over that of training in the same steps;
            evaluating accuracy and held-out data counts as neither.
        batches: seconds of the newest batch sharpness, which count as neither too.
    """

    seconds: float = math.nan
    hvps: float = math.nan
    overhead: float = math.nan
    batches: float = math.nan

    @property
    def words(self) -> str:
        """The overhead as text for a status line; empty where it is not known.

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
    """Averages of the time of steps, without pauses of the run.

    An interval is a measured step and the unmeasured ones that follow it. Averages are over whole
    intervals: in an unfinished one, training steps are missing. The first is left out, since its
    measurement starts from noise and torch warms up in it.

    >>> costs = Costs()
    >>> for measuring in (9.0, 0.0, 3.0, 0.0, 3.0):
    ...     costs.add(measuring + 1.0, measuring, hvps=int(measuring))
    >>> costs.recent()
    Cost(seconds=3.0, hvps=3.0, overhead=1.5, batches=nan)
    """

    def __init__(self) -> None:
        self._intervals: deque[_Interval] = deque(maxlen=RECENT)
        self._now: _Interval | None = None
        self._first = True

    def add(self, seconds: float, measuring: float, hvps: int) -> None:
        """Add a step of `seconds`, evaluation not included, of which `measuring` seconds and `hvps`
        products were for curvature."""
        if hvps:
            if self._now and not self._first:
                self._intervals.append(self._now)
            self._first = self._now is None
            self._now = _Interval(measuring, hvps)
        if self._now:
            self._now.training += seconds - measuring

    def recent(self) -> Cost:
        """Return the cost over the last whole intervals; at first, of the newest measurement."""
        if self._intervals:
            measuring = sum(part.measuring for part in self._intervals)
            training = sum(part.training for part in self._intervals)
            count, hvps = len(self._intervals), sum(part.hvps for part in self._intervals)
            ratio = measuring / training if training > 0 else math.nan
            return Cost(measuring / count, hvps / count, ratio)
        return Cost(self._now.measuring, float(self._now.hvps)) if self._now else Cost()


@dataclass
class _Interval:
    measuring: float
    hvps: int
    training: float = 0.0


class Spacing:
    """How far apart the kept states of a run may be, measured as it goes on."""

    def __init__(self, step: int) -> None:
        """The run is about to take `step`."""
        self._step, self._cpu, self._wall = step, time.process_time(), time.perf_counter()

    def steps(self, step: int) -> int:
        """Return how many steps take `REPEATED` seconds at the speed since the last call, or since
        the beginning; 0 without a new step."""
        cpu, wall = time.process_time(), time.perf_counter()
        # a pause takes no processor time, several threads take more than passes
        seconds = min(cpu - self._cpu, wall - self._wall)
        taken = step - self._step
        if taken <= 0 or seconds <= 0:
            return 0
        self._step, self._cpu, self._wall = step, cpu, wall
        return int(REPEATED * taken / seconds)


class Throttle:
    """Tells when a task that is repeated is due: `seconds` after the last time, or later, so that
    it takes at most this `share` of the time.

    >>> times = iter([0.0, 1.0, 1.1, 2.9, 3.1])
    >>> rare = Throttle(seconds=1.0, share=0.05, clock=lambda: next(times))
    >>> with rare.task():  # takes 0.1 s, so that 2 s pass to the end of the next one
    ...     pass
    >>> round(rare.due_at, 3)
    3.0
    >>> rare.due(), rare.due()
    (False, True)
    """

    def __init__(
        self, seconds: float, share: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._share, self._clock = seconds, share, clock
        self.due_at = clock() + seconds

    def due(self) -> bool:
        """Whether it is time for the task."""
        return self._clock() >= self.due_at

    @contextmanager
    def task(self) -> Iterator[None]:
        """A `with` block that holds the task."""
        began = self._clock()
        yield
        now = self._clock()
        took = now - began
        self.due_at = now + max(self._seconds, took / self._share - took)
