"""The measurement: all methods in turn at each step, so that the machine's drift hits all alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
from torch import Tensor

from benchmarks.curvature.answer import Answer, Measure
from benchmarks.curvature.methods import METHODS, Method
from benchmarks.curvature.timing import timed
from benchmarks.curvature.window import Window

__all__ = ["GradientCost", "Record", "Sample", "run_rounds"]

T = TypeVar("T")

REPEATS = 5  # gradients timed at each step; their median is the unit there
# what a library raises when it gives up or does not fit; anything else is a fault of ours
FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, ArithmeticError)


@dataclass(frozen=True)
class GradientCost:
    """Milliseconds of one gradient at a step: plain torch autograd's, and the library's own."""

    plain: float
    own: float


@dataclass(frozen=True)
class Sample:
    """One measurement of one method.

    Attributes:
        ms: CPU milliseconds.
        gradients, own_gradients: that in plain torch gradients, and in the library's, timed at the
            same step.
        error: relative, against the reference.
    """

    step: int
    ms: float
    gradients: float
    own_gradients: float
    products: int
    sharpness: float
    error: float
    converged: bool


@dataclass
class Record:
    """All samples of one method, and why it failed, if it did."""

    method: Method
    samples: list[Sample] = field(default_factory=list)
    failure: str = ""


def run_rounds(window: Window, visits: int) -> tuple[list[Record], list[GradientCost]]:
    """Ours at every step; the others, which know no earlier step, at `visits` of them."""
    records = [Record(method) for method in METHODS.values()]
    ready = {record.method.name: _warmed_up(record, window) for record in records}
    costs, visited = [], _spread(list(window.weights), visits)
    for step, w in window.weights.items():
        cost = _gradient_cost(window, w)
        costs.append(cost)
        for record in _turn(records, step):
            measure, due = (
                ready[record.method.name],
                record.method.kind == "ours" or step in visited,
            )
            if measure and due and not record.failure:
                window.subject.plain.load(w)
                found = _try(record, partial(timed, partial(measure, w, step)))
                if found:
                    record.samples.append(_sample(step, *found, cost, window.reference[step]))
    return records, costs


def _warmed_up(record: Record, window: Window) -> Measure | None:
    """The method, ready to start; another instance of it has run once before."""
    w = next(iter(window.weights.values()))
    window.subject.plain.load(w)
    _try(record, lambda: record.method.prepare(window.subject)(w, 0))
    return _try(record, lambda: record.method.prepare(window.subject))


def _spread(steps: list[int], count: int) -> set[int]:
    """`count` of the steps, evenly spaced, the first and the last among them."""
    chosen = np.linspace(0, len(steps) - 1, min(count, len(steps))).round().astype(int)
    return {steps[i] for i in chosen}


def _turn(records: list[Record], step: int) -> Iterator[Record]:
    """The records, a different one first at each step: none always comes after the same."""
    start = step % len(records)
    yield from records[start:]
    yield from records[:start]


def _try(record: Record, call: Callable[[], T]) -> T | None:
    """What `call` returns; when a peer fails, None, and its record says why."""
    try:
        return call()
    except FAILURES as error:
        if record.method.kind == "ours":
            raise
        record.failure = f"{type(error).__name__}: {error}"
        return None


def _sample(step: int, answer: Answer, ms: float, cost: GradientCost, true: float) -> Sample:
    return Sample(
        step=step,
        ms=ms,
        gradients=ms / cost.plain,
        own_gradients=ms / cost.own,
        products=answer.products,
        sharpness=answer.sharpness,
        error=abs(answer.sharpness - true) / true,
        converged=answer.converged,
    )


def _gradient_cost(window: Window, w: Tensor) -> GradientCost:
    subject = window.subject
    subject.plain.load(w)

    def median(call: Callable[[], object]) -> float:
        return statistics.median(timed(call)[1] for _ in range(REPEATS))

    return GradientCost(
        plain=median(subject.plain.gradient),
        own=median(lambda: subject.problem.loss_and_gradient(w, subject.batch)),
    )
