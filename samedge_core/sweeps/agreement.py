"""How many runs end as a flow has said, and which do not; importable without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from samedge_core.prediction.prediction import Assumption

DOUBTS = {
    "domain": "the flow leaps {}, and takes the run's own steps there",
    "centre": "its centre hops {}, as a run does",
    "seed": "its hop dies out {}, and when it comes back is an estimate",
    "batch": "it follows the mean of the mini-batches",
}
"""By assumption, what the `what` of a prediction says where it did not hold."""
_REPEATING = tuple(DOUBTS[key].partition("{")[0] for key in ("domain", "centre"))


def doubts(assumptions: Iterable[Assumption]) -> list[str]:
    """Return what has to be said of those that did not hold.

    >>> doubts([Assumption("centre", "", ((10, 19), (30, 1200)))])
    ['its centre hops at steps 10 to 1,200, as a run does']
    """
    spans = {one.key: (one.broken[0][0], one.broken[-1][1]) for one in assumptions if one.broken}
    return [DOUBTS[key].format(f"at steps {a:,} to {b:,}") for key, (a, b) in spans.items()]


def repeats(what: str) -> bool:
    """Whether a prediction may repeat the run instead of predicting it, as its `what` says."""
    return any(words in what for words in _REPEATING)


class Agreement(NamedTuple):
    """Fates of runs against those that a flow predicts.

    Attributes:
        right: runs whose fate is the predicted one.
        wrong: how many there are of each other pair (fate, predicted fate), commonest first.
        doubted: right ones whose prediction may repeat the run.
    """

    right: int
    wrong: tuple[tuple[tuple[str, str], int], ...]
    doubted: int

    @property
    def compared(self) -> int:
        """Runs of which both are known."""
        return self.right + sum(count for _, count in self.wrong)

    @property
    def words(self) -> str:
        """The same in sentences.

        >>> agreement([("diverged", "diverged", False), ("dead", "converged", False)]).words
        'The flow names the fate of 1 of 2 runs; wrong: 1 dead (predicted: converged).'
        """
        if not self.compared:
            return "No run is predicted yet."
        of = f"{self.right:,} of " if self.wrong else "all "
        wrong = ", ".join(f"{n:,} {fate} (predicted: {other})" for (fate, other), n in self.wrong)
        named = f"The flow names the fate of {of}{self.compared:,} runs"
        ones = "one" if self.doubted == 1 else "ones"
        doubt = f" In {self.doubted:,} right {ones} it leaps or hops, and may repeat the run."
        return f"{named}{'; wrong: ' if wrong else ''}{wrong}.{doubt if self.doubted else ''}"


def agreement(fates: Iterable[tuple[str, str, bool]]) -> Agreement:
    """Return the Agreement of triples: fate, predicted fate, and whether that prediction may repeat
    the run. A fate that is empty is not known; a cell that failed has none."""
    known = Counter(one for one in fates if all(one[:2]) and "failed" not in one[:2])
    pairs: Counter[tuple[str, str]] = Counter()
    for (fate, predicted, _), n in known.items():
        pairs[fate, predicted] += n
    wrong = tuple((pair, n) for pair, n in pairs.most_common() if pair[0] != pair[1])
    doubted = sum(n for (fate, said, doubt), n in known.items() if doubt and fate == said)
    return Agreement(known.total() - sum(n for _, n in wrong), wrong, doubted)
