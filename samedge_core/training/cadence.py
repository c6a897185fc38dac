"""Cadence: at which steps the sharpness is measured."""

from __future__ import annotations

import math
from typing import Any

from samedge_core.training.config import LONGEST_GAP, RunConfig

MOVE = 0.02  # how far the sharpness may move, relatively, from one pair to the next
BEND = 0.005  # how far it may leave the straight line between them, relatively
REMEMBERED = 0.75  # share of the strongest bend that is still expected a pair later
LEAP = 2.0  # growth of the gradient norm since the last pair that makes the next step due


class Cadence:
    """Every k-th step, or as often as straight lines between the measurements need it.

    At the edge the iterates hop with period 2, and so does the sharpness, by up to a tenth. So
    adaptive measurements come in pairs of consecutive steps, and lines join steps of the same
    parity. Three pairs tell speed and bend, relative to the sharpness s: s'/s and (s''/2)/s. Over a
    gap of k steps the line is off by k^2/4 times the bend. The next pair comes before that exceeds
    `BEND`, before s has moved by `MOVE`, and after `LONGEST_GAP` steps at most; or at once, when
    the gradient norm leaps or a setting changes.
    """

    def __init__(self, config: RunConfig) -> None:
        self._every = config.measure_every
        self._adaptive = config.cadence == "adaptive"
        self._next = 0  # the first step of the next pair
        # parity: step and sharpness of its last three measurements
        self._seen: dict[int, list[tuple[int, float]]] = {0: [], 1: []}
        self._bend = 0.0  # relative, a squared step; of earlier pairs too, as they fade
        self._norm = 0.0  # the largest gradient norm of the last pair

    def due(self, step: int) -> bool:
        """Whether the sharpness is to be measured at `step`."""
        if not self._adaptive:
            return step % self._every == 0
        return step >= self._next

    def saw(self, step: int, norm: float) -> None:
        """Take the gradient norm of an unmeasured step; a leap makes the next step due."""
        if norm > LEAP * self._norm:
            self._next = step + 1

    def measured(self, step: int, sharpness: float, norm: float) -> None:
        """Take a measurement, and choose the step of the next."""
        if not self._adaptive:
            return
        first = step == self._next
        self._seen[step % 2] = [*self._seen[step % 2], (step, sharpness)][-3:]
        self._norm = norm if first else max(norm, self._norm)
        if not first:
            self._next = step + self._gap()

    def _gap(self) -> int:
        """Return how many steps after this pair the next one comes."""
        values = [value for seen in self._seen.values() for _, value in seen]
        if len(values) < 6 or not all(0 < value < math.inf for value in values):
            return 1
        speed = bend = 0.0
        for (i, a), (j, b), (k, c) in self._seen.values():
            before, now = (b - a) / (j - i), (c - b) / (k - j)
            speed = max(speed, abs(now) / c)
            bend = max(bend, abs(now - before) / (k - i) / c)
        self._bend = max(bend, REMEMBERED * self._bend)
        needed = max(speed / MOVE, math.sqrt(self._bend / (4 * BEND)))  # pairs a step
        return max(1, int(LONGEST_GAP / max(1.0, needed * LONGEST_GAP)))

    def changed(self, step: int) -> None:
        """Forget what was measured before `step`, since a setting has changed."""
        self._next, self._seen, self._bend = step, {0: [], 1: []}, 0.0

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        state = {"next": self._next, "seen": self._seen}
        return {**state, "bend": float(self._bend), "norm": float(self._norm)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken."""
        self._next, self._norm = state["next"], state["norm"]
        self._bend = state.get("bend", 0.0)
        # an earlier version has kept one measurement of a parity
        kept = state.get("seen") or {parity: [last] for parity, last in state["last"].items()}
        self._seen = {parity: list(kept.get(parity, ())) for parity in (0, 1)}
