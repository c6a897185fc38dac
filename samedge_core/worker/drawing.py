"""Drawing: what the network of a run computes, sent to the server while it learns. Needs torch."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from samedge_core.problems.problem import Problem
from samedge_core.training.compute import compute, examples_of
from samedge_core.training.computed import Computed, Examples
from samedge_core.training.config import RunConfig
from samedge_core.training.costs import Throttle

DRAW_SECONDS = 0.25  # between two pictures, at least; a page asks twice a second
DRAW_SHARE = 0.03  # of the time, at most, goes into pictures

Send = Callable[[Examples | None, Computed], None]


class Drawing:
    """Pictures of the newest iterate, sparing in time; none of a problem without a Domain."""

    def __init__(
        self,
        config: RunConfig,
        problem: Problem,
        send: Send,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`send` is given the examples with the first picture, and None with the others."""
        self._problem, self._send = problem, send
        self._domain = problem.domain()
        self._examples = examples_of(self._domain) if self._domain else None
        self._probabilities = config.options.get("loss") == "cross-entropy"
        self._newest: tuple[int, Tensor] | None = None
        self._throttle = Throttle(DRAW_SECONDS, DRAW_SHARE, clock)

    def saw(self, step: int, w: Tensor) -> None:
        """Take the iterate w (P,) of a step as the newest."""
        self._newest = step, w

    def due(self) -> bool:
        """Whether it is time for a picture."""
        return self._domain is not None and self._newest is not None and self._throttle.due()

    def draw(self) -> None:
        """Send a picture of the newest iterate, unless it was drawn already or is not finite."""
        if self._domain is None or self._newest is None:
            return
        (step, w), self._newest = self._newest, None
        with self._throttle.task():
            made = compute(self._problem, self._domain, w, step, probabilities=self._probabilities)
            if made:
                self._send(self._examples, made)
                self._examples = None
