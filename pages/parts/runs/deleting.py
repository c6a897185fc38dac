"""Deleting runs: asks first, and says what was refused."""

from collections.abc import Sequence

import streamlit as st

from pages.parts.runs import selection, source
from pages.parts.runs.columns import megabytes
from pages.parts.server import registry
from samedge_core.store import Entry, Query

ASKED = "runs:deleting"
DONE = "runs:deleted"


def ask(ids: Sequence[str]) -> None:
    """Ask before these runs are deleted."""
    st.session_state[ASKED] = list(ids)
    st.session_state.pop(DONE, None)


def draw() -> None:
    """The question, while it is open; else what the last deletion did."""
    if done := st.session_state.pop(DONE, None):
        st.info(done, icon=":material/delete:")
    if not (asked := st.session_state.get(ASKED)):
        return
    entries = source.opened().find(Query(ids=asked, removed=True, limit=None)).entries
    kept = [entry for entry in entries if _refused(entry)]
    going = [entry for entry in entries if not _refused(entry)]
    with st.container(border=True):
        if kept:
            st.warning(_why_kept(kept))
        if going:
            size = megabytes(sum(entry.row_bytes + entry.snapshot_bytes for entry in going))
            st.markdown(
                f"**Delete {_count(len(going))} ({size})?** Rows, snapshots, notes and tags go for "
                "good."
            )
        with st.container(horizontal=True):
            _answers(going)


def _answers(going: Sequence[Entry]) -> None:
    if going:
        st.button(
            f"Delete {_count(len(going))} for good",
            key="runs:delete-now",
            type="primary",
            icon=":material/delete_forever:",
            on_click=_delete,
            args=([entry.id for entry in going],),
            help="There is no way back.",
        )
    st.button(
        "Keep them" if going else "Close",
        key="runs:keep",
        on_click=_forget,
        help="Nothing is deleted.",
    )


def _refused(entry: Entry) -> bool:
    return entry.pinned or entry.status == "recording"


def _why_kept(kept: Sequence[Entry]) -> str:
    pinned = sum(entry.pinned for entry in kept)
    recording = len(kept) - pinned
    parts = []
    if pinned:
        parts.append(
            f"{_count(pinned)} stay{'s' if pinned == 1 else ''} because pinned: unpin first"
        )
    if recording:
        stays = "stays" if recording == 1 else "stay"
        parts.append(f"{_count(recording)} {stays} because still being recorded: stop first")
    return "; ".join(parts) + "."


def _delete(ids: Sequence[str]) -> None:
    gone = registry().delete(ids)
    selection.drop(gone)
    left = len(ids) - len(gone)
    refused = f"; {_count(left)} could not be deleted: pinned or being recorded" if left else ""
    st.session_state[DONE] = f"{_count(len(gone))} deleted{refused}."
    _forget()


def _forget() -> None:
    st.session_state.pop(ASKED, None)


def _count(number: int) -> str:
    return f"{number:,} run{'s' if number != 1 else ''}"
