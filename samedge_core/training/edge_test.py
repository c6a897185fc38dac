"""EdgeTest: a fork with twice the step size or half the batch, beside the run itself, and what it
says; importable without torch.

`samedge_core.training.fork_test` makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ForkChange = Literal["eta", "batch"]
CHANGES: dict[ForkChange, str] = {"eta": "twice the step size", "batch": "half the batch"}

CATAPULT = 3.0  # times the largest loss of the unforked run
STEPS = 200  # that both take


@dataclass(frozen=True)
class EdgeTest:
    """The training loss of a run from one of its steps on, and of its fork with one change.

    At its edge a run can bear no more: with twice the step size, or with the noise of half the
    batch, it is thrown out of its valley and the loss leaps (a catapult). Below the edge the fork
    goes on much as the run does.

    The verdict: a catapult is a fork whose loss exceeds CATAPULT times the largest loss that the
    unforked run has from the fork on, within as many steps.

    Attributes:
        step: of the fork.
        change: "eta", twice the step size, or "batch", half the batch.
        before, after: of the step size, or of the batch size.
        unforked, forked: loss over all the data (or the part that is evaluated) before the update
            of `step` and of each step after it, (n,). `forked` may be shorter: it ends with the
            first loss that is not finite, or beyond the range in which a run is stopped.
    """

    step: int
    change: ForkChange
    before: float
    after: float
    unforked: NDArray[np.float64]
    forked: NDArray[np.float64]

    @property
    def rise(self) -> float:
        """The largest loss of the fork over that of the unforked run; infinite where not finite,
        1 at rest in a minimum of loss 0."""
        largest = float(np.max(np.where(np.isfinite(self.forked), self.forked, np.inf)))
        unforked = float(np.max(self.unforked))
        return largest / unforked if unforked else 1.0

    @property
    def catapult(self) -> bool:
        """Whether the fork was thrown out of its valley: the run was at its edge."""
        return self.rise > CATAPULT

    @property
    def within(self) -> int | None:
        """After how many steps the loss of the fork was beyond that limit; None without."""
        beyond = ~(self.forked <= CATAPULT * np.max(self.unforked))
        return int(np.argmax(beyond)) if beyond.any() else None
