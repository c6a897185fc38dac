"""The runs of the paper's tasks that this browser session shows; draws nothing."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import streamlit as st

from pages.parts.frame import navigation
from pages.parts.lab import session
from pages.parts.paper.downloading import downloads
from pages.parts.server import begin, known, registry, seen, steers
from samedge_core.experiments.paper import ALL_PRESETS, TASKS, Task
from samedge_core.fields import ConfigError
from samedge_core.theory.rules import RULES
from samedge_core.training.config import FIELDS
from samedge_core.worker.view import RunView

KEY = "paper:runs"
PENDING = "paper:pending"
CHOSEN = "paper:chosen"
SEED = "paper:seed"
LINK = "runs"
MOST = 100  # runs that a link names


@dataclass(frozen=True)
class Entry:
    """A run of a task, by the preset and the seed that it was started from."""

    task: str
    preset: str
    seed: int
    run_id: str

    @property
    def label(self) -> str:
        """What tells this run from the others of all tasks."""
        return f"{TASKS[self.task].short}: {self.name}"

    @property
    def name(self) -> str:
        """What tells this run from the others of its task."""
        config, task = ALL_PRESETS[self.preset].config, TASKS[self.task]
        rule = RULES[config.rule]
        name = f"{rule.short} ρ {config.rho:g}" if "rho" in rule.uses else rule.short
        kinds = {", full size": task.full, ", digits": task.offline}
        name += "".join(kind for kind, presets in kinds.items() if self.preset in presets)
        return f"{name}, seed {self.seed}" if self.seed else name


@dataclass(frozen=True)
class Watched:
    """A run, and how it stands now, without its rows."""

    entry: Entry
    view: RunView

    @property
    def active(self) -> bool:
        """Whether it is on its way."""
        return self.view.phase.active

    @property
    def resumable(self) -> bool:
        """Whether it was paused or left before its end."""
        unfinished = self.view.last_step + 1 < self.view.config.steps
        stop = self.view.stop
        return not self.active and unfinished and (stop is None or stop.reason.resumable)


def entries() -> list[Entry]:
    """The runs that the server still knows, in the order of the tasks."""
    return [one.entry for one in look()]


def look() -> list[Watched]:
    """All of them as of now; looking keeps them going."""
    kept: list[Entry] = st.session_state.get(KEY, [])
    ordered = [entry for task in TASKS for entry in kept if entry.task == task]
    return [Watched(entry, view) for entry in ordered if (view := seen(entry.run_id))]


def attach() -> int:
    """On a first visit, and after Back or Forward, take up the runs that the link names; returns
    how many are gone."""
    if KEY in st.session_state and not navigation.by_history():
        return 0
    named = list(_from_link(st.query_params.get(LINK, "")))[:MOST]
    _keep([entry for entry in named if known(entry.run_id)])
    return len(named) - len(st.session_state[KEY])


def _from_link(text: str) -> Iterator[Entry]:
    for part in dict.fromkeys(text.split(",")):
        match part.split(":"):
            case [task, preset, seed, run_id] if task in TASKS and preset in ALL_PRESETS:
                with suppress(ConfigError):  # as any part that this page has not written
                    yield Entry(task, preset, FIELDS["seed"].check(seed), run_id)


def _keep(found: Sequence[Entry]) -> None:
    st.session_state[KEY] = list(found)
    if found:
        parts = (f"{e.task}:{e.preset}:{e.seed}:{e.run_id}" for e in found)
        st.query_params[LINK] = ",".join(parts)
    else:
        st.query_params.pop(LINK, None)


def ask(task: Task, presets: Sequence[str], *, needs_data: bool = True) -> None:
    """Start these presets now, or as soon as their data has been downloaded."""
    if needs_data and not downloads().ready(task.data):
        downloads().begin(task.data)
        st.session_state.setdefault(PENDING, {})[task.name] = tuple(presets)
        return
    st.session_state.get(PENDING, {}).pop(task.name, None)
    _start(task, presets)


def waiting(task: Task) -> bool:
    """Whether runs of this task wait for their data."""
    return task.name in st.session_state.get(PENDING, {})


def start_waiting() -> None:
    """Start what waited for data that has come."""
    for name, presets in list(st.session_state.get(PENDING, {}).items()):
        if downloads().ready(TASKS[name].data):
            ask(TASKS[name], presets)


def forget_waiting(task: Task) -> None:
    """Don't start what waits for data, when it comes."""
    st.session_state.get(PENDING, {}).pop(task.name, None)


def _start(task: Task, presets: Sequence[str]) -> None:
    """Runs of the same presets and seed are replaced; others stay."""
    seed = st.session_state.get(SEED, 0)
    wanted = {(task.name, preset, seed) for preset in presets}
    replaced = [e for e in entries() if (e.task, e.preset, e.seed) in wanted]
    for entry in replaced:
        if steers(entry.run_id):
            registry().stop(entry.run_id)
    started = []
    for preset in presets:
        run_id = begin(ALL_PRESETS[preset].config.replace(seed=seed))
        started.append(Entry(task.name, preset, seed, run_id))
    _keep([entry for entry in entries() if entry not in replaced] + started)
    # of several, SAM with its moving edge is the one to look at first
    st.session_state[CHOSEN] = started[min(1, len(started) - 1)].run_id


def pause(watched: Sequence[Watched]) -> None:
    """Pause those that are on their way."""
    for one in watched:
        if one.active and steers(one.entry.run_id):
            registry().pause(one.entry.run_id)


def resume(watched: Sequence[Watched]) -> None:
    """Let those go on that have not reached their end; none that has been deleted meanwhile."""
    for one in watched:
        if one.resumable and known(one.entry.run_id) and steers(one.entry.run_id):
            session.resume(one.entry.run_id)
