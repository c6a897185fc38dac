"""Portrait: how GD's hop and its sharpness drive each other at the edge; importable without torch.

`samedge_core.training.self_stabilization` makes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samedge_core.theory.rules import Hyperparameters

Array = NDArray[np.float64]
STEPS, MOST_STEPS = 300, 2000  # of a portrait
DEAD = 0.1  # of the predicted amplitude: what hops less than that has died
TURNED = 0.9  # |cosine| between the v1 of two steps, below which another direction leads


def why_not(hyper: Hyperparameters, *, batches: bool, constant: bool) -> str:
    """Why a run with these settings has no portrait, in words, or empty: the law is that of GD with
    one step size on one loss."""
    needed = "Self-stabilisation is a law of GD on all the data, at one step size, without decay"
    if hyper.rule != "gd":
        return f"{needed}; this run's rule is {hyper.rule}"
    if batches:
        return f"{needed}; this run takes mini-batches"
    if not constant:
        return f"{needed}; this run's step size follows a schedule"
    if hyper.weight_decay:
        return f"{needed}; this run has weight decay {hyper.weight_decay:g}"
    return ""


@dataclass(frozen=True)
class Portrait:
    """The distance x of the iterates from the middle of their hops along v1, and y = sharpness -
    2/eta, at successive steps of GD, with what drives them.

    With S the sharpness, alpha = -<grad L, grad S> and b = ||grad S||^2, both without their part
    along v1, the law is x' = -(1 + eta y) x and
    y' = y + eta (alpha - b x^2/2), per step. Its fixed point is x^2 = 2 alpha/b, and small cycles
    around it take 2 pi/(eta sqrt(2 alpha)) steps. Source: Damian, Nichani and Lee, arXiv
    2209.15594. Its energy drifts, so no level line of it is an orbit.

    All between two successive iterates, where the hop cancels, of n steps.

    Attributes:
        step: the first one.
        x: half the hop along v1; signed so that it keeps its sign while each step hops, (n,).
        sharpness: S, the mean of both iterates, (n,).
        alpha, b: what they are above, (n,).
        turns: |cosine| of the v1 of both iterates, (n,).
    """

    step: int
    eta: float
    x: Array
    sharpness: Array
    alpha: Array
    b: Array
    turns: Array

    @property
    def y(self) -> Array:
        """Sharpness minus 2/eta, (n,)."""
        return self.sharpness - 2 / self.eta

    @property
    def driven(self) -> tuple[float, float]:
        """The means of alpha and b, without the steps at which v1 became another direction."""
        steady = self.turns >= TURNED
        if not steady.any():
            return 0.0, 0.0
        return float(self.alpha[steady].mean()), float(self.b[steady].mean())

    @property
    def amplitude(self) -> float:
        """The predicted |x|, sqrt(2 alpha/b); 0 where the loss doesn't push the sharpness up."""
        alpha, b = self.driven
        return math.sqrt(2 * alpha / b) if alpha > 0 and b else 0.0

    @property
    def period(self) -> float:
        """The predicted steps of a small cycle; infinite without a push."""
        alpha = self.driven[0]
        return 2 * math.pi / (self.eta * math.sqrt(2 * alpha)) if alpha > 0 else math.inf

    @property
    def _rises(self) -> NDArray[np.intp]:
        """Where the sharpness has risen through 2/eta, indices."""
        return np.flatnonzero((self.y[1:] > 0) & (self.y[:-1] <= 0)) + 1

    @property
    def cycles(self) -> int:
        """Whole cycles seen: from one rise of the sharpness through 2/eta to the next."""
        return max(0, len(self._rises) - 1)

    @property
    def measured_period(self) -> float:
        """Steps of a whole cycle, the mean; NaN where none was seen."""
        rises = self._rises
        return float(rises[-1] - rises[0]) / self.cycles if self.cycles else math.nan

    @property
    def measured_amplitude(self) -> float:
        """The root mean square of x over whole cycles, else over all of the window: what the law
        says is sqrt(2 alpha/b), however large the cycles."""
        rises = self._rises
        seen = self.x[rises[0] : rises[-1]] if self.cycles else self.x
        return float(np.sqrt(np.mean(seen**2)))

    @property
    def died(self) -> bool:
        """Whether the oscillation has died: below DEAD of the predicted amplitude in the last
        quarter of the window, or without a push."""
        end = self.x[-max(1, len(self.x) // 4) :]
        return not self.amplitude or float(np.sqrt(np.mean(end**2))) < DEAD * self.amplitude

    @property
    def turned(self) -> int | None:
        """The first step whose v1 is another direction than the one before; None without."""
        other = self.turns < TURNED
        return self.step + 1 + int(np.argmax(other)) if other.any() else None
