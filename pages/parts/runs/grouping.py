"""Which of the compared runs become one line: by seeds, or by a setting."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pages.parts.runs.records import Compared, course_text
from samedge_core.analysis import compare
from samedge_core.training.history import SYMBOLS

Key = TypeVar("Key", bound=Hashable)
EACH, SEEDS = "each", "seeds"


@dataclass(frozen=True)
class Group:
    """Runs that are drawn as one line."""

    name: str
    runs: tuple[Compared, ...]


def choices(runs: Sequence[Compared]) -> dict[str, str]:
    """Ways to group, with their titles: settings that differ between the runs come first."""
    configs = [one.config for one in runs]
    fields = compare.settings_of(configs)
    telling = compare.differing(configs, [one.end for one in runs])
    ordered = [*telling, *(name for name in fields if name not in telling)]
    kinds = {EACH: "each run by itself", SEEDS: "mean over seeds"}
    return kinds | {name: f"mean, by {fields[name].label}" for name in ordered}


def groups(runs: Sequence[Compared], by: str) -> list[Group]:
    """The groups by `by`, in the order of their first runs."""
    if by == EACH:
        return [Group(one.name, (one,)) for one in runs]
    if by == SEEDS:
        return _over_seeds(runs)
    field = compare.settings_of([one.config for one in runs])[by]
    label = SYMBOLS.get(by, field.label)
    return [
        Group(_named(f"{label} {course_text(field, values)}", members), members)
        for values, members in _split(runs, lambda one: one.course(by))
    ]


def _over_seeds(runs: Sequence[Compared]) -> list[Group]:
    split = _split(runs, lambda one: one.entry.group_key)
    # the seed no longer tells them apart
    first = [members[0] for _, members in split]
    names = compare.names(
        [one.config.replace(seed=0) for one in first], [one.interventions for one in first]
    )
    found = []
    for name, (_, members) in zip(names, split, strict=True):
        alone = members[0].name if len(members) == 1 else name
        found.append(Group(_named(alone, members), members))
    return found


def _split(
    runs: Sequence[Compared], key: Callable[[Compared], Key]
) -> list[tuple[Key, tuple[Compared, ...]]]:
    found: dict[Key, list[Compared]] = {}
    for one in runs:
        found.setdefault(key(one), []).append(one)
    return [(value, tuple(members)) for value, members in found.items()]


def _named(name: str, members: Sequence[Compared]) -> str:
    return f"{name}: mean of {len(members)}, band min–max" if len(members) > 1 else name
