"""What runs are called where the live charts show several."""

from collections import Counter
from collections.abc import Sequence

from samedge_core.analysis import compare
from samedge_core.worker.view import RunView


def names(views: Sequence[RunView]) -> list[str]:
    """A name for each run, by what is in force in it, no two alike; empty for one that is alone."""
    if len(views) < 2:
        return ["" for _ in views]
    called = compare.names([view.in_force for view in views])
    seen: Counter[str] = Counter()
    for i, name in enumerate(called):
        seen[name] += 1
        if seen[name] > 1:
            called[i] = f"{name} #{seen[name]}"
    return called
