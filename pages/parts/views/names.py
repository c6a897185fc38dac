"""What runs are called where several are shown: by the rule, and by what else tells them apart."""

from collections import Counter
from collections.abc import Sequence

from samedge_core.theory.rules import RULES
from samedge_core.training.history import SYMBOLS
from samedge_core.worker.view import RunView


def names(views: Sequence[RunView]) -> list[str]:
    """A name for each run, no two alike; empty for one that is alone."""
    if len(views) < 2:
        return ["" for _ in views]
    rules = [view.hyper.rule.upper() for view in views]
    if len(set(rules)) == len(rules):
        return rules
    told = _by_settings(views)
    seen: Counter[str] = Counter()
    for i, name in enumerate(told):
        seen[name] += 1
        if seen[name] > 1:
            told[i] = f"{name} #{seen[name]}"
    return told


def _by_settings(views: Sequence[RunView]) -> list[str]:
    """By what differs, be it the rule or its settings; by all of it where nothing does."""
    parts = [_parts(view) for view in views]
    one_rule = len({tuple(part) for part in parts}) == 1
    different = [n for n in parts[0] if one_rule and len({part[n] for part in parts}) > 1]
    return [" ".join(part[n] for n in different or part) for part in parts]


def _parts(view: RunView) -> dict[str, str]:
    """The rule, and the settings that it uses, by name."""
    hyper = view.hyper
    settings = {n: f"{SYMBOLS[n]} {getattr(hyper, n):.3g}" for n in RULES[hyper.rule].uses}
    return {"rule": hyper.rule.upper(), **settings}
