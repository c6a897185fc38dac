"""Repeat a run with other seeds: the same settings and changes, from other initial weights."""

import itertools
from collections.abc import Collection

import streamlit as st

from pages.parts.markdown import plain
from pages.parts.runs import selection, source
from pages.parts.server import begin
from samedge_core.fields import ConfigError
from samedge_core.sharing.files import SavedError
from samedge_core.store import Entry, Query
from samedge_core.training.config import FIELDS, RunConfig
from samedge_core.worker.registry import BusyError

STARTED = "runs:repeated"
COMPLAINT = "runs:repeat-complaint"
MOST = 20
_LARGEST = int(FIELDS["seed"].high or 0)


def draw(entry: Entry) -> None:
    """How many, and the button."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        # without bounds of its own: beyond them the browser would keep the number before, and say
        # nothing
        st.number_input(
            "Repeat with other seeds",
            value=4,
            step=1,
            key="runs:repeats",
            persist_state="session",
            width=200,
            help="How many runs to start with the settings of this one and the changes "
            f"made on its way, each from another seed that has not been used yet: 1 to {MOST}.",
        )
        st.button(
            "Start them",
            key="runs:repeat",
            icon=":material/repeat:",
            on_click=_pressed,
            args=(entry,),
            help="They are recorded and go on without a page. Those beyond the number of workers "
            "wait, and all of them while somebody watches a run.",
        )


def complain() -> None:
    """Say why the last repeats could not be started, while their run is selected."""
    run, complaint = st.session_state.get(COMPLAINT, ("", ""))
    if run in selection.ids():
        st.error(complaint)


def _pressed(entry: Entry) -> None:
    n = st.session_state["runs:repeats"]
    if not 1 <= n <= MOST:
        st.session_state[COMPLAINT] = entry.id, f"Repeats must be from 1 to {MOST}, got {n:,}."
        return
    st.session_state.pop(COMPLAINT, None)
    try:
        repeat(entry, n)
    except (ConfigError, SavedError) as error:
        complaint = f"This run can't be repeated: {plain(str(error))}"
        st.session_state[COMPLAINT] = entry.id, complaint
    except BusyError as error:  # what has begun before it goes on
        st.session_state[COMPLAINT] = entry.id, f"No more repeats: {plain(str(error))}."


def repeat(entry: Entry, n: int) -> list[str]:
    """Start `n` runs that differ from the entry's in the seed alone, and select them with it;
    returns their ids.

    Raises:
        ConfigError: its settings are of a newer version.
        SavedError: its folder is damaged.
        BusyError: too many unattended runs; those before it are started.
    """
    config = RunConfig.from_json(entry.config)
    record = source.opened().folder(entry.id).record()
    planned = tuple(item for item in record.interventions if item.changes)
    started: dict[str, dict[str, int]] = st.session_state.setdefault(STARTED, {})
    group = started.setdefault(entry.group_key, {})
    ids = []
    for seed in next_seeds(config.seed, n, {*_seeds(entry.group_key), *group.values()}):
        again = config.replace(seed=seed)
        run = begin(again, planned=planned, watched=False, arithmetic=record.arithmetic)
        group[run] = seed
        ids.append(run)
        selection.put([entry.id, *ids])  # one by one: those before a BusyError, too
    return ids


def next_seeds(after: int, n: int, taken: Collection[int]) -> list[int]:
    """The next `n` seeds after one that are not taken; 0 follows the largest."""
    candidates = (seed % (_LARGEST + 1) for seed in itertools.count(after + 1))
    return list(itertools.islice((seed for seed in candidates if seed not in taken), n))


def _seeds(group_key: str) -> set[int]:
    group = source.opened().find(Query(group_key=group_key, removed=True, limit=None)).entries
    return {entry.seed for entry in group}
