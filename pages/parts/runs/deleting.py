"""Deleting runs: asks first, says what was refused, and takes it back."""

from collections.abc import Sequence

import streamlit as st

from pages.parts.runs import selection, source
from pages.parts.runs.columns import megabytes
from pages.parts.server import registry
from samedge_core.store import Entry, Query

ASKED = "runs:deleting"
DONE = "runs:deleted"  # ids of what was deleted last, and what is said of it


def ask(ids: Sequence[str]) -> None:
    """Ask before these runs are deleted."""
    st.session_state[ASKED] = list(ids)
    st.session_state.pop(DONE, None)


def draw() -> None:
    """The question, while it is open; else what the last deletion did, and its way back."""
    _draw_done()
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
            st.markdown(f"**Delete {_count(len(going))} ({size})?** For a day, this can be undone.")
        with st.container(horizontal=True):
            _answers(going)


def _answers(going: Sequence[Entry]) -> None:
    if going:
        st.button(
            f"Delete {_count(len(going))}",
            key="runs:delete-now",
            type="primary",
            icon=":material/delete:",
            on_click=_delete,
            args=([entry.id for entry in going],),
            help="Rows, snapshots, notes and tags. For a day, this can be undone.",
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
    st.session_state[DONE] = list(gone), f"{_count(len(gone))} deleted{refused}."
    _forget()


def _draw_done() -> None:
    if not (done := st.session_state.get(DONE)):
        return
    gone, text = done
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/delete: {text}", width="content")
        if set(gone) & set(source.opened().deleted.ids()):
            st.button(
                "Undo",
                key="runs:undo",
                on_click=take_back,
                args=(gone,),
                help="Brings them back with their notes and tags.",
            )


def take_back(ids: Sequence[str]) -> None:
    """Bring back what was deleted."""
    back = registry().restore(ids)
    left = len(ids) - len(back)
    lost = f"; {_count(left)} can't be: deleted more than a day ago" if left else ""
    st.session_state[DONE] = [], f"{_count(len(back))} brought back{lost}."


def _forget() -> None:
    st.session_state.pop(ASKED, None)


def _count(number: int) -> str:
    return f"{number:,} run{'s' if number != 1 else ''}"
