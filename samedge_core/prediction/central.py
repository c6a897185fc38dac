"""SAM's central flow: a centre, and a hop along v1 whose amplitude is a formula of where it is.

SAM's orbit on a quadratic has an amplitude of its own, so that nothing else has to be known of the
hop: no third derivatives as in GD's central flow (arXiv 2410.24206), and no second half of a state
as in `HopFlow`. This project's own: docs/prediction.md.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.linalg import vector_norm

from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.prediction.flows import FIRST, End, HopFlow, advanced, change_of

CORRECTIONS = 2  # of the amplitude by the true gradients


def amplitude(sharpness: float, eta: float, rho: float, across: float) -> float:
    """The distance |x| of SAM's iterates from the centre along v1, where ||g|| without its part
    along v1 is `across`.

    On the orbit the SAM-edge is the sharpness lambda: ||g|| = eta rho lambda^2/(2 - eta lambda);
    what `across` leaves of it is lambda |x|. 0 where it leaves nothing; NaN outside of
    0 < eta lambda < 2, where SAM has no orbit.

    >>> round(amplitude(5.0, 0.2, 0.1, 0.0), 12)
    0.1
    """
    if not 0 < eta * sharpness < 2:
        return math.nan
    norm = eta * rho * sharpness**2 / (2 - eta * sharpness)
    return math.sqrt(max(0.0, norm**2 - across**2)) / sharpness


class CentralFlow(HopFlow):
    """The centre alone has a state: at each row the hop follows from it.

    Where SAM has no orbit, and at the start, it takes plain steps as `HopFlow` does.
    """

    _x = math.nan

    def see(self, estimate: EigenEstimate, ratio: float) -> bool:
        v, hyper = estimate.vectors[0], self._rule.hyper
        g = self._rule.gradient(self.centre)
        across = float(vector_norm(g - (v @ g) * v))
        self._x = amplitude(estimate.value, self._eta, hyper.rho, across)
        if self._is_plain:
            return False
        for _ in range(CORRECTIONS if self._x else 0):
            plus, minus = (end.direction for end in self._at_ends(self.centre, self._x * v))
            self._x = abs(self._eta / 2 * float(v @ (plus - minus)) - self._x)
        self.hop, self._known = self._x * v, None
        return False

    def advance(self, eta: float, steps: int, ratio: float) -> int:
        def change(centre: Tensor) -> Tensor:
            return moved(centre, self._at_ends(centre, self.hop))[0]

        def moved(centre: Tensor, ends: tuple[End, End]) -> Tensor:
            return change_of(torch.stack([centre, self.hop]), ends, eta)

        first = moved(self.centre, self.ends(eta))
        plain, self._known = self._is_plain, None
        self._begun += 1
        if plain:
            self.centre, self.hop = self.centre + first[0], self.hop + first[1]
            return 0
        self.centre = advanced(change, self.centre, first[0], steps)
        return steps

    @property
    def _is_plain(self) -> bool:
        return self._begun < FIRST or not math.isfinite(self._x)
