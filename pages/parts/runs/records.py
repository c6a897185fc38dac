"""The selected runs as they were recorded, read once for each state of theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.parts.runs import source
from samedge_core.analysis import compare
from samedge_core.fields import ConfigError, Field
from samedge_core.sharing.files import SavedError
from samedge_core.store import Entry
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention

MOST = 12
"""So many runs can be told apart in a chart."""

SHORT_ID = 8


@dataclass(frozen=True)
class Compared:
    """A selected run that can be compared, with what it started with and its name here."""

    entry: Entry
    config: RunConfig
    interventions: tuple[Intervention, ...]
    name: str

    @property
    def end(self) -> Hyperparameters:
        """What is in force at its newest row."""
        return end(self.entry)

    def course(self, name: str) -> tuple[Any, ...]:
        """A setting at the start and, where that has changed, at the end."""
        return compare.course(self.config, self.end, name)

    def text(self, field: Field) -> str:
        """That as people read it."""
        return course_text(field, self.course(field.name))


def end(entry: Entry) -> Hyperparameters:
    """What is in force at the newest row of a run."""
    return Hyperparameters(entry.rule, entry.eta, entry.rho, entry.beta)


def course_text(field: Field, values: Sequence[Any]) -> str:
    """A setting's value, or two of them: at the start and at the end."""
    return " → ".join(compare.as_text(field, value) for value in values)


def compared(entries: Sequence[Entry]) -> list[Compared]:
    """The first MOST of the entries whose settings can be read and whose rows are there."""
    kept = [(entry, config_of(entry.config)) for entry in entries if entry.status != "removed"]
    readable = [(entry, config, made(entry)) for entry, config in kept if config][:MOST]
    return [Compared(*run, name) for run, name in zip(readable, _names(readable), strict=True)]


def _names(runs: Sequence[tuple[Entry, RunConfig, tuple[Intervention, ...]]]) -> list[str]:
    """Titles, where people gave one; what tells equal ones apart is added."""
    entries = [entry for entry, _, _ in runs]
    own = compare.names([config for _, config, _ in runs], [changes for _, _, changes in runs])
    names = [entry.title or name for entry, name in zip(entries, own, strict=True)]
    for more in (
        [f" ({name})" if entry.title else "" for entry, name in zip(entries, own, strict=True)],
        [f" · {came(entry)}" if entry.parent else "" for entry in entries],
        [f" · {entry.id[:6]}" for entry in entries],
    ):
        names = [n + m if names.count(n) > 1 else n for n, m in zip(names, more, strict=True)]
    return names


def came(entry: Entry) -> str:
    """How a run left its parent, and at which step."""
    verb = "rewound" if entry.branch == "rewind" else "forked"
    return f"{verb} at step {entry.parent_step or 0:,}"


def config_of(text: str) -> RunConfig | None:
    """What a run started with; None where a newer version of the program recorded it."""
    try:
        return RunConfig.from_json(text)
    except ConfigError:  # of a newer version
        return None


def lines(runs: Sequence[Compared], axis: compare.Axis) -> dict[str, compare.Line]:
    """The lines of one run, or of the mean of several.

    Raises:
        SavedError: a folder is missing or damaged.
    """
    return _lines(tuple((one.entry.id, one.entry.updated) for one in runs), axis)


@st.cache_resource(show_spinner=False, max_entries=300)
def _lines(runs: tuple[tuple[str, float], ...], axis: compare.Axis) -> dict[str, compare.Line]:
    # keyed by the last change, too: a run that is being recorded grows
    return compare.lines([source.opened().load(run)[1] for run, _ in runs], axis)


def what(entry: Entry) -> str:
    """What a run is, its start and its changes; the beginning of its id where a newer version of
    the program recorded it."""
    config = config_of(entry.config)
    return compare.what(config, made(entry)) if config else entry.id[:SHORT_ID]


def name_of(entry: Entry) -> str:
    """The run's title, or what it is."""
    return entry.title or what(entry)


def made(entry: Entry) -> tuple[Intervention, ...]:
    """The changes of settings on the run's way; none of one whose record is gone or damaged, of
    which the charts tell."""
    if not entry.interventions or entry.id not in source.opened():
        return ()
    try:
        return _made(entry.id, entry.interventions)
    except SavedError:
        return ()


@st.cache_resource(show_spinner=False, max_entries=2000)
def _made(run: str, count: int) -> tuple[Intervention, ...]:
    record = source.opened().folder(run).record()
    return tuple(item for item in record.interventions if item.changes)
