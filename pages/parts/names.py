"""What runs are called where several are shown: by the rule, and by what else tells them apart."""

from collections import Counter
from collections.abc import Sequence

from samedge_core.rules import RULES
from samedge_core.training.history import SYMBOLS
from samedge_core.worker.view import RunView


def names(views: Sequence[RunView]) -> list[str]:
    """A name for each run, no two alike; empty for one that is alone."""
    if len(views) < 2:
        return ["" for _ in views]
    rules = [view.hyper.rule.upper() for view in views]
    if len(set(rules)) == len(rules):
        return rules
    told = [_with_settings(view) for view in views]
    seen: Counter[str] = Counter()
    for i, name in enumerate(told):
        seen[name] += 1
        if seen[name] > 1:
            told[i] = f"{name} #{seen[name]}"
    return told


def _with_settings(view: RunView) -> str:
    hyper = view.hyper
    used = [f"{SYMBOLS[name]} {getattr(hyper, name):.3g}" for name in RULES[hyper.rule].uses]
    return f"{hyper.rule.upper()} {' '.join(used)}"
