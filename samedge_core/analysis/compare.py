"""Several runs side by side: their lines, means with bands, names, and what differs.

Importable without torch.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from samedge_core.fields import Field
from samedge_core.theory.rules import RULES, Hyperparameters
from samedge_core.training.config import FIELDS, LIVE_FIELDS, RunConfig
from samedge_core.training.history import SYMBOLS, History, Intervention
from samedge_core.training.thinning import Envelope, envelope

Axis = Literal["step", "time", "evals"]
Run = tuple[RunConfig, Hyperparameters | None]
Ends = Sequence[Hyperparameters | None]
Points = tuple[NDArray[np.float64], NDArray[np.float64]]

AXES: Mapping[str, Axis] = {
    "Step": "step",
    "Effective time": "time",
    "Gradient evaluations": "evals",
}
QUANTITIES = ("ratio", "sharpness", "edge", "edge_value", "threshold", "grad_norm", "loss")
MOST_POINTS = 900
NAMED_CHANGES = 2  # of a run, in its name
NAMED_NUMBERS = 3  # of a list, in a name
# the rule is named anyway; step cap and measuring do not change what a run does
_FIRST = ("eta", "rho", "beta", "problem")  # in a name
_UNNAMED = ("rule", "steps", "cadence", "measure_every", "sharpness_every", "top_k", "device")


@dataclass(frozen=True)
class Line:
    """A quantity over an axis, x growing.

    Attributes:
        x, y: of one run, or the mean over several (n,); where there are too many points for a
            chart, the mean of each bucket of them.
        at, low, high: a band (m,): smallest and largest over the runs, and over each bucket; None
            for one run alone, each of whose points is drawn.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    at: NDArray[np.float64] | None = None
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


def lines(histories: Sequence[History], axis: Axis, *, most: int = MOST_POINTS) -> dict[str, Line]:
    """Return a line of at most about `most` points, with a band where there would be more, for
    each of QUANTITIES.

    One history gives its own finite values. Several give their mean: over steps, at the steps
    that all have; over another axis, on the interval that all cover, each run interpolated
    linearly. The points are those of the run that has the fewest there, so runs of equal pace
    stay exact.
    """
    if len(histories) == 1:
        (history,) = histories
        drawn = history.drawn(most=most)
        breaks = [item.step for item in history.interventions if item.changes]
        return {name: _line(drawn.envelope(name, axis, breaks)) for name in QUANTITIES}
    recorded = [history.columns() for history in histories]
    return {
        name: _mean([_known(columns, axis, name) for columns in recorded], axis, most)
        for name in QUANTITIES
    }


def _line(envelope: Envelope, *, banded: bool = False) -> Line:
    """What is drawn of an envelope, with its band where buckets hold several points, or always."""
    x, y, _ = envelope.line()
    return Line(x, y, *envelope.band()) if banded or envelope.wide.any() else Line(x, y)


def _known(columns: Mapping[str, NDArray], axis: Axis, name: str) -> Points:
    known = np.isfinite(columns[name])
    return columns[axis][known].astype(np.float64), columns[name][known].astype(np.float64)


def _mean(runs: Sequence[Points], axis: Axis, most: int) -> Line:
    if axis == "step":
        grid = functools.reduce(np.intersect1d, [x for x, _ in runs])
        values = np.array([y[np.isin(x, grid)] for x, y in runs])
    else:
        grid = _common_grid([x for x, _ in runs])
        values = np.array([np.interp(grid, x, y) if len(grid) else grid for x, y in runs])
    with np.errstate(over="ignore"):  # the sum of what diverges may leave the range: inf is right
        mean, low, high = values.mean(axis=0), values.min(axis=0), values.max(axis=0)
    return _line(envelope(grid, mean, most, low=low, high=high), banded=True)


def _common_grid(axes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Where all of the growing `axes` have values: the points of the one with the fewest."""
    if not all(map(len, axes)):
        return np.empty(0)
    low, high = max(x[0] for x in axes), min(x[-1] for x in axes)
    within = [x[(x >= low) & (x <= high)] for x in axes]
    return min(filter(len, within), key=len, default=np.empty(0))


def setting(config: RunConfig, name: str) -> Any:
    """The value of a setting or of an option of the problem; None where there is no such option."""
    return getattr(config, name) if name in FIELDS else config.options.get(name)


def settings_of(configs: Sequence[RunConfig]) -> dict[str, Field]:
    """Return every setting and option that one of the configurations has, by name."""
    options = (field for config in configs for field in config.spec.options)
    found = dict(FIELDS)
    for field in options:
        found.setdefault(field.name, field)
    return found


def course(config: RunConfig, end: Hyperparameters | None, name: str) -> tuple[Any, ...]:
    """Return the value of a setting at the start and, if it differs, at the `end`.

    >>> course(RunConfig(eta=0.2), Hyperparameters("sam", eta=0.1, rho=0.05, beta=0.9), "eta")
    (0.2, 0.1)
    >>> course(RunConfig(eta=0.2), None, "eta")
    (0.2,)
    """
    start = setting(config, name)
    last = getattr(end, name) if end and name in LIVE_FIELDS else start
    return (start,) if last == start else (start, last)


def differing(configs: Sequence[RunConfig], ends: Ends = ()) -> list[str]:
    """Return the names of the settings and options that are not equal in all runs, at the start or
    at the end; `ends` are in force at the end of each, if known."""
    runs = _runs(configs, ends)
    return [name for name in settings_of(configs) if len(_courses(runs, name)) > 1]


def _runs(configs: Sequence[RunConfig], ends: Ends) -> list[Run]:
    return list(zip(configs, ends or [None] * len(configs), strict=True))


def _courses(runs: Sequence[Run], name: str) -> set[Hashable]:
    return {course(config, end, name) for config, end in runs}


def as_text(field: Field, value: Any) -> str:
    """Return a setting's value as people read it; a dash for None. A file is shown by its name,
    without the folder in which the server keeps it.

    >>> as_text(FIELDS["rule"], "gd"), as_text(FIELDS["eta"], 0.5), as_text(FIELDS["eta"], None)
    ('GD: gradient descent', '0.5', '–')
    """
    if value is None:
        return "–"
    if field.titles and value in field.choices:
        return field.titles[field.choices.index(value)]
    return _file_name(value) if field.kind == "path" else field.text(value)


def _file_name(path: str) -> str:
    return PurePath(path).name or "–"


def names(
    configs: Sequence[RunConfig], changes: Sequence[Sequence[Intervention]] = ()
) -> list[str]:
    """Return a short name for each run: its rule, the settings in which it started unlike the
    others, and what was changed on its way (`changes`, those of each run).

    A run alone is named by the settings that its rule uses. An option of the problem is named
    where it differs between runs of one problem: others have no such option.

    >>> names([RunConfig(rule="gd", eta=1.0), RunConfig(rule="sam", eta=0.5, rho=0.05)])
    ['GD η 1', 'SAM η 0.5']
    >>> names([RunConfig(rule="sam", seed=1), RunConfig(rule="sam", eta=0.5)])
    ['SAM η 1, seed 1', 'SAM η 0.5, seed 0']
    >>> names([RunConfig(rule="gd")])
    ['GD η 1']
    >>> names([RunConfig(eta=0.2)] * 2, [[], [Intervention(40, {"rule": "gd", "eta": 0.1})]])
    ['SAM η 0.2', 'SAM η 0.2; rule → GD, η → 0.1 at step 40']
    """
    found, made = settings_of(configs), changes or [()] * len(configs)
    fields = {name: found[name] for name in dict.fromkeys((*_FIRST, *found))}
    changed = {name for items in made for item in items for name in item.changes}
    runs = _runs(configs, ())
    named = [
        name
        for name in fields
        if name not in _UNNAMED
        and (name in changed or (len(_courses(runs, name)) > 1 and _needed(runs, name)))
    ]
    if len(configs) == 1:
        named = [name for name in _FIRST if name in _used(configs[0], made[0])]
    return [_name(run, items, named, fields) for run, items in zip(configs, made, strict=True)]


def what(config: RunConfig, changes: Sequence[Intervention] = ()) -> str:
    """Return what a run is, beside no others: rule, settings and problem at its start, the options
    that are not the default ones, and what was changed on its way.

    >>> config = RunConfig(problem="digits-mlp", options={"width": 50}, eta=1.0, rho=0.05)
    >>> what(config, [Intervention(200, {"eta": 0.5}, {"eta": 1.0})])
    'SAM η 1, ρ 0.05, MLP on digits, width 50; η → 0.5 at step 200'
    """
    fields = settings_of([config])
    given = [f.name for f in config.spec.options if config.options[f.name] != f.default]
    batch = ["batch_size"] if config.batch_size else []
    return _name(config, changes, [*_FIRST, *given, *batch], fields)


def _needed(runs: Sequence[Run], name: str) -> bool:
    """Whether a name needs the setting; an option that only one problem has is not needed."""
    if name in FIELDS:
        return True
    by_problem: dict[str, list[Run]] = {}
    for run in runs:
        by_problem.setdefault(run[0].problem, []).append(run)
    return any(len(_courses(same, name)) > 1 for same in by_problem.values())


def _used(config: RunConfig, changes: Sequence[Intervention]) -> set[str]:
    rules = {config.rule, *(item.changes["rule"] for item in changes if "rule" in item.changes)}
    return {name for rule in rules for name in (*RULES[rule].uses, *RULES[rule].also)}


def _name(
    config: RunConfig,
    changes: Sequence[Intervention],
    named: Sequence[str],
    fields: Mapping[str, Field],
) -> str:
    unused = RULES[config.rule].unused - _used(config, changes)
    values = {name: setting(config, name) for name in named if name not in unused}
    parts = [_part(config, fields[n], value) for n, value in values.items() if value is not None]
    start = " ".join([RULES[config.rule].short, ", ".join(parts)]).rstrip()
    made = [item for item in changes if item.changes]
    later = [_change(item) for item in made[:NAMED_CHANGES]]
    if len(made) > NAMED_CHANGES:
        later.append(f"{len(made) - NAMED_CHANGES:,} more changes")
    return "; ".join([start, *later])


def _part(config: RunConfig, field: Field, value: Any) -> str:
    """A setting in a name."""
    if field.name == "problem":
        return config.spec.title
    if field.name == "batch_size" and not value:
        return "full batch"
    if field.kind == "path":
        return _file_name(value)
    label = SYMBOLS.get(field.name, f"{field.label[:1].lower()}{field.label[1:]}")
    return f"{label} {_brief(value)}"


def _change(item: Intervention) -> str:
    new = {n: RULES[v].short if n == "rule" else _brief(v) for n, v in item.changes.items()}
    changes = ", ".join(f"{SYMBOLS.get(name, name)} → {value}" for name, value in new.items())
    return f"{changes} at step {item.step:,}"


def _brief(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ", ".join(
            [*map(_brief, value[:NAMED_NUMBERS]), *["…"][: len(value) > NAMED_NUMBERS]]
        )
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def interventions_in_words(interventions: Sequence[Intervention]) -> str:
    """Return what was changed during the run, as text; empty if nothing was.

    >>> interventions_in_words([Intervention(1200, {"eta": 0.5}, {"eta": 1.0}), Intervention(1300)])
    'step 1,200: η 1 → 0.5'
    """
    return "; ".join(f"step {item.step:,}: {item.label}" for item in interventions if item.changes)
