"""The Pareto front of cost and error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Point", "front"]


class Point(NamedTuple):
    """A method's cost and error, both the smaller the better."""

    cost: float
    error: float


def front(points: Iterable[Point]) -> list[Point]:
    """The points that no other beats in one and equals or beats in the other, by rising cost.

    >>> front([Point(1, 5), Point(2, 5), Point(3, 1), Point(4, 2)])
    [Point(cost=1, error=5), Point(cost=3, error=1)]
    """
    best: list[Point] = []
    for point in sorted(set(points)):
        if not best or point.error < best[-1].error:
            best.append(point)
    return best
