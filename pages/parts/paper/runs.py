"""The runs of the paper's tasks that this browser session shows; draws nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import streamlit as st

from pages.parts.lab import ACTIVE, registry
from pages.parts.paper import downloading
from samedge_core.paper import ALL_PRESETS, TASKS, Task
from samedge_core.worker.registry import RunView

KEY = "paper:runs"
PENDING = "paper:pending"
CHOSEN = "paper:chosen"
LINK = "runs"


@dataclass(frozen=True)
class Entry:
    """A run of a task, by the preset that it was started from."""

    task: str
    preset: str
    run_id: str

    @property
    def label(self) -> str:
        """What tells this run from the others of all tasks."""
        return f"{TASKS[self.task].short}: {self.name}"

    @property
    def name(self) -> str:
        """What tells this run from the others of its task."""
        config, task = ALL_PRESETS[self.preset].config, TASKS[self.task]
        rule = config.rule.upper()
        name = f"{rule} ρ {config.rho:g}" if config.rule == "sam" else rule
        kinds = {", full size": task.full, ", digits": task.offline}
        return name + "".join(kind for kind, presets in kinds.items() if self.preset in presets)


def entries(task: str | None = None) -> list[Entry]:
    """The runs that the server still knows, in the order of the tasks; of one task, or all."""
    known = [e for e in st.session_state.get(KEY, []) if e.run_id in registry()]
    wanted = [task] if task else list(TASKS)
    return [entry for name in wanted for entry in known if entry.task == name]


def glance(entry: Entry) -> RunView:
    """The run without any rows; looking keeps it going."""
    return registry().view(entry.run_id, most=0)


def attach() -> int:
    """On a first visit, take up the runs that the link names; returns how many are gone."""
    if KEY in st.session_state:
        return 0
    named = list(_from_link(st.query_params.get(LINK, "")))
    _keep([entry for entry in named if entry.run_id in registry()])
    return len(named) - len(st.session_state[KEY])


def _from_link(text: str) -> Iterator[Entry]:
    for part in filter(None, text.split(",")):
        task, _, rest = part.partition(":")
        preset, _, run_id = rest.partition(":")
        if task in TASKS and preset in ALL_PRESETS:
            yield Entry(task, preset, run_id)


def _keep(found: Sequence[Entry]) -> None:
    st.session_state[KEY] = list(found)
    if found:
        parts = (f"{entry.task}:{entry.preset}:{entry.run_id}" for entry in found)
        st.query_params[LINK] = ",".join(parts)
    else:
        st.query_params.pop(LINK, None)


def ask(task: Task, presets: Sequence[str], *, needs_data: bool = True) -> None:
    """Start these presets now, or as soon as their data has been downloaded."""
    if needs_data and not downloading.ready(task.data):
        downloading.begin(task.data)
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
        if downloading.ready(TASKS[name].data):
            ask(TASKS[name], presets)


def forget_waiting(task: Task) -> None:
    """Don't start what waits for data, when it comes."""
    st.session_state.get(PENDING, {}).pop(task.name, None)


def _start(task: Task, presets: Sequence[str]) -> None:
    """Runs of the same presets are replaced; others stay."""
    replaced = [e for e in entries(task.name) if e.preset in presets]
    for entry in replaced:
        registry().stop(entry.run_id)
    started = [
        Entry(task.name, preset, registry().start(ALL_PRESETS[preset].config)) for preset in presets
    ]
    _keep([entry for entry in entries() if entry not in replaced] + started)
    # of several, SAM with its moving edge is the one to look at first
    st.session_state[CHOSEN] = started[min(1, len(started) - 1)].run_id


def active(task: Task) -> bool:
    """Whether any run of the task is on its way."""
    return any(glance(entry).phase in ACTIVE for entry in entries(task.name))


def resumable(task: Task) -> bool:
    """Whether any run of the task was paused or left before its end."""
    return any(_can_go_on(glance(entry)) for entry in entries(task.name))


def pause(task: Task) -> None:
    """Pause every run of the task."""
    for entry in entries(task.name):
        if glance(entry).phase in ACTIVE:
            registry().pause(entry.run_id)


def resume(task: Task) -> None:
    """Let every run of the task go on that has not reached its end."""
    for entry in entries(task.name):
        if _can_go_on(glance(entry)):
            registry().resume(entry.run_id)


def _can_go_on(view: RunView) -> bool:
    if view.phase in ACTIVE:
        return False
    unfinished = view.last_step + 1 < view.config.steps
    return unfinished and (view.stop is None or view.stop.reason.resumable)
