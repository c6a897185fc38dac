"""The library's own measurement: one pass for slope and operator, and the tracker."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from benchmarks.curvature.answer import Answer, Measure
from benchmarks.curvature.window import Subject
from samedge_core.curvature import SharpnessTracker
from samedge_core.training.observe import observe

__all__ = ["tracker"]


def tracker(top_k: int) -> Callable[[Subject], Measure]:
    """Follows `top_k` eigenvalues from step to step; the first measurement starts cold."""

    def prepare(subject: Subject) -> Measure:
        tracking = SharpnessTracker(top_k=top_k, seed=subject.config.seed + 2)

        def measure(w: Tensor, seed: int) -> Answer:
            _, operator = observe(subject.problem, w, subject.batch, 1.0)
            found = tracking.measure(operator)
            return Answer(found.sharpness, found.products, found.converged)

        return measure

    return prepare
