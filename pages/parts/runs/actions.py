"""What can be done with the selected runs, all at once."""

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.parts.markdown import plain
from pages.parts.runs import deleting, exporting, selection, source, table
from pages.parts.runs.columns import COLUMNS, megabytes
from samedge_core.store import Entry, Query
from samedge_core.store.texts import checked_tags


def draw(entries: Sequence[Entry]) -> None:
    """The bar of buttons."""
    count = f"{len(entries):,} run{'s' if len(entries) > 1 else ''}"
    size = megabytes(sum(entry.row_bytes + entry.snapshot_bytes for entry in entries))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{count} selected** :gray[· {size}]", width="content")
        _toggle(entries, "starred", "Star", "star")
        _toggle(entries, "pinned", "Pin", "keep")
        with st.popover("Tags", icon=":material/label:", help="Add or remove tags."):
            _tags(entries)
        exporting.draw(entries)
        _open(entries)
        st.button(
            "Delete …",
            key="runs:delete",
            icon=":material/delete:",
            on_click=deleting.ask,
            args=([entry.id for entry in entries],),
            help="Delete the selected runs: asks first, and can be undone for a day.",
        )
        st.button(
            "Select repeats",
            key="runs:select-repeats",
            icon=":material/library_add_check:",
            type="tertiary",
            on_click=_with_repeats,
            args=(entries,),
            help="Select, too, all runs that differ from a selected one in the seed alone.",
        )
        st.button(
            "Select none",
            key="runs:none",
            icon=":material/close:",
            type="tertiary",
            on_click=selection.put,
            args=((),),
            help="Clear the selection.",
        )


def _toggle(entries: Sequence[Entry], name: str, do: str, icon: str) -> None:
    """One button that sets a label on all of them, or takes it away when all have it."""
    on = not all(getattr(entry, name) for entry in entries)
    st.button(
        do if on else f"Un{do.lower()}",
        key=f"runs:{name}-all",
        icon=f":material/{icon}:",
        on_click=_label,
        args=(entries, name, on),
        help=COLUMNS[name].help,
    )


def _label(entries: Sequence[Entry], name: str, on: bool) -> None:
    for entry in entries:
        source.opened().label(entry.id, **{name: on})


def _with_repeats(entries: Sequence[Entry]) -> None:
    found = [entry.id for entry in entries]
    for key in dict.fromkeys(entry.group_key for entry in entries):
        found += [
            entry.id for entry in source.opened().find(Query(group_key=key, limit=None)).entries
        ]
    more = len({*found}) - len(entries)
    selection.put(found)
    st.toast(f"{more:,} more selected." if more else "No other run differs in the seed alone.")


def _open(entries: Sequence[Entry]) -> None:
    several = len(entries) > 1
    removed = any(entry.status == "removed" for entry in entries)
    st.button(
        "Open in the live lab",
        key="runs:open-button",
        icon=":material/monitoring:",
        disabled=several or removed,
        on_click=_to_open,
        args=(entries[0],),
        help="To scrub through it, to resume it or to fork it. One run at a time."
        + (" Its rows have been removed." if removed else ""),
    )


def _to_open(entry: Entry) -> None:
    st.session_state[table.OPEN] = entry.id


def _tags(entries: Sequence[Entry]) -> None:
    used = sorted({word for entry in entries for word in entry.tags})
    known = source.opened().catalogue.known_tags()
    above = st.container()  # below the box, its list would cover what is wrong with it
    with _beside():
        added = st.multiselect(
            "Tags to add",
            known,
            accept_new_options=True,
            key="runs:tags-to-add",
            placeholder="choose, or type a new one",
            help="Given to all selected runs.",
        )
        complaint = _refused(entries, added)
        st.button(
            "Add", key="runs:add-tags", on_click=_add, args=(entries,), disabled=bool(complaint)
        )
    if complaint:
        above.error(complaint)
    if used:
        with _beside():
            st.multiselect(
                "Tags to remove",
                used,
                key="runs:tags-to-remove",
                help="Taken from all selected runs that have them.",
            )
            st.button("Remove", key="runs:remove-tags", on_click=_remove, args=(entries,))


def _beside() -> DeltaGenerator:
    """For a box and its button: below the box, its list would cover the button."""
    return st.container(horizontal=True, vertical_alignment="bottom", width=420)


def _refused(entries: Sequence[Entry], added: Sequence[str]) -> str:
    """Why these tags can't be given to all of the runs, or empty."""
    try:
        for entry in entries:
            checked_tags({*entry.tags, *added})
    except ValueError as error:
        return f"{plain(str(error))}."
    return ""


def _add(entries: Sequence[Entry]) -> None:
    added = st.session_state["runs:tags-to-add"]
    if not _refused(entries, added):  # else they stay in the box, and the reason above it
        del st.session_state["runs:tags-to-add"]
        for entry in entries:
            source.opened().label(entry.id, tags={*entry.tags, *added})


def _remove(entries: Sequence[Entry]) -> None:
    gone = st.session_state.pop("runs:tags-to-remove", [])
    for entry in entries:
        source.opened().label(entry.id, tags={*entry.tags} - {*gone})
