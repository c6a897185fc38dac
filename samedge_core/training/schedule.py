"""Schedule: the share of eta that a step takes, from the start of a run to its end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SCHEDULES = {"constant": "constant", "linear-warmup": "linear warm-up", "cosine": "cosine"}
LENGTHS = {"warmup": "linear-warmup", "period": "cosine"}
"""The setting that says how long a schedule takes, and of which it does."""


@dataclass(frozen=True)
class Schedule:
    """eta_t = eta s(t), with s in (0, 1].

    Attributes:
        kind: "constant" (s = 1), "linear-warmup" (s = (t + 1)/warmup until that is 1) or "cosine"
            (s = (1 + cos(pi t/period))/2, as `torch.optim.lr_scheduler.CosineAnnealingLR` has it,
            and from the period on the last s before it).
        warmup, period: of the warm-up and of the cosine, in steps.

    >>> Schedule("linear-warmup", 4, 100).share([0, 1, 9]).tolist()
    [0.25, 0.5, 1.0]
    """

    kind: str
    warmup: int
    period: int

    @property
    def constant(self) -> bool:
        """Whether all steps take eta itself."""
        return self.kind == "constant"

    def share(self, step: ArrayLike) -> NDArray[np.float64]:
        """s at steps, same shape."""
        t = np.asarray(step, dtype=np.float64)
        if self.kind == "linear-warmup":
            return np.minimum((t + 1) / self.warmup, 1.0)
        if self.kind == "cosine":
            return (1 + np.cos(np.pi * np.minimum(t, self.period - 1) / self.period)) / 2
        return np.ones_like(t)

    def total(self, step: ArrayLike) -> NDArray[np.float64]:
        """The sum of s over all steps before these, same shape."""
        t = np.asarray(step, dtype=np.float64)
        if self.kind == "linear-warmup":
            rising = np.minimum(t, self.warmup)
            return rising * (rising + 1) / (2 * self.warmup) + (t - rising)
        if self.kind == "cosine":
            x = math.pi / self.period  # of cos(k x), k < t, the sum is that of a geometric series
            falling = np.minimum(t, self.period)
            wave = np.sin(falling * x / 2) * np.cos((falling - 1) * x / 2) / math.sin(x / 2)
            return (falling + wave) / 2 + (t - falling) * self.share(self.period)
        return t
