"""Which runs are selected: kept for the session and in the link, over pages and filters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from pages.parts.frame import navigation
from pages.parts.runs import source
from samedge_core.store import Entry, Query
from samedge_core.store.texts import is_id

IDS = "runs:selected"
VERSION = "runs:selection-version"
LINK = "select"
MOST = 1000  # selected at once
LINKED = 50  # a longer address is refused by some servers


def attach() -> None:
    """On a first visit, and after Back or Forward, select what the link names."""
    if IDS not in st.session_state or navigation.by_history():
        put(filter(is_id, st.query_params.get(LINK, "").split(",")))


def put(ids: Iterable[str]) -> None:
    """Select these runs and no others."""
    st.session_state[VERSION] = version() + 1
    _keep(ids)


def version() -> int:
    """The number of times that the server, not the reader, has changed the selection."""
    return st.session_state.get(VERSION, 0)


def ticked(message: Mapping[str, Any]) -> None:
    """Select what the reader has ticked, unless the server has changed the selection meanwhile."""
    if message["version"] == version():
        _keep(message["ids"])


def ids() -> list[str]:
    """The selected ids, in the order in which they were selected."""
    return st.session_state.get(IDS, [])


def entries() -> list[Entry]:
    """The selected runs that there still are, in the order in which they were selected."""
    if not ids():
        return []
    found = source.opened().find(Query(ids=ids(), removed=True, limit=None)).entries
    place = {run: index for index, run in enumerate(ids())}
    return sorted(found, key=lambda entry: place[entry.id])


def drop(gone: Sequence[str]) -> None:
    """Select these deleted runs no longer."""
    put(run for run in ids() if run not in gone)


def _keep(chosen: Iterable[str]) -> None:
    kept = list(dict.fromkeys(chosen))[:MOST]
    st.session_state[IDS] = kept
    if kept:
        st.query_params[LINK] = ",".join(kept[:LINKED])
    else:
        st.query_params.pop(LINK, None)
