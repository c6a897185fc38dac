"""Cadence: at which steps the sharpness is measured."""

from __future__ import annotations

from typing import Any

from samedge_core.training.config import LONGEST_GAP, RunConfig

TOLERATED = 0.01  # how far the sharpness may move, relatively, between two measurements
LEAP = 2.0  # growth of the gradient norm since the last measurement that makes the next step due


class Cadence:
    """Every k-th step, or as often as the sharpness moves by 1 %.

    At the edge the iterates hop with period 2, and so does the sharpness. So adaptive measurements
    come in pairs of consecutive steps, and speeds are taken between steps of the same parity. The
    next pair comes after as many steps as it would take to move by `TOLERATED` at the larger speed
    of the last pair, `LONGEST_GAP` at most; or at once, when the gradient norm leaps or a setting
    changes.
    """

    def __init__(self, config: RunConfig) -> None:
        self._every = config.measure_every
        self._adaptive = config.cadence == "adaptive"
        self._next = 0  # the first step of the next pair
        self._last: dict[int, tuple[int, float]] = {}  # parity: step and sharpness
        self._speed = {0: 1.0, 1: 1.0}  # relative, a step
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
        parity, first = step % 2, step == self._next
        if parity in self._last and sharpness > 0:
            before, value = self._last[parity]
            self._speed[parity] = abs(sharpness - value) / sharpness / (step - before)
        self._last[parity] = step, sharpness
        self._norm = norm if first else max(norm, self._norm)
        if not first:
            moved = max(self._speed.values())
            gap = int(min(TOLERATED / moved, LONGEST_GAP)) if moved > 0 else LONGEST_GAP
            self._next = step + max(1, gap)

    def changed(self, step: int) -> None:
        """Forget the speed from `step` on, since a setting has changed."""
        self._next = step
        self._speed = {0: 1.0, 1: 1.0}

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        state = {"next": self._next, "last": self._last, "speed": self._speed}
        return {**state, "norm": float(self._norm)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken."""
        self._next, self._norm = state["next"], state["norm"]
        self._last, self._speed = dict(state["last"]), dict(state["speed"])
