"""How full the store is, and which of its folders are damaged."""

import streamlit as st

from pages.parts.markdown import plain
from pages.parts.runs import deleting, source
from pages.parts.runs.columns import megabytes
from samedge_core.store import Query, imports

NAMED = 5  # damaged folders


def show_damage() -> None:
    """Name the folders that can't be read, and say what is wrong with each."""
    store = source.opened()
    if not store.damaged:
        return
    folders = f"{len(store.damaged):,} folder{'s' if len(store.damaged) > 1 else ''}"
    lines = [f"- **{plain(folder)}**: {plain(wrong)}" for folder, wrong in store.damaged.items()]
    hidden = len(lines) - NAMED
    if hidden > 0:
        lines = [*lines[:NAMED], f"- … and {hidden:,} more, in the server's log"]
    st.warning(
        f"{folders} in {plain(str(store.settings.home))} can't be read and "
        f"{'are' if len(store.damaged) > 1 else 'is'} not listed; nothing is deleted. Mend them or "
        "delete them there: the next start of the server tries them again.\n" + "\n".join(lines)
    )


def show_use() -> None:
    """One line on how much of the quota is used, and what uses it."""
    store = source.opened()
    used, quota = sum(store.catalogue.bytes_used()), store.settings.quota
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"Storage: {megabytes(used)} of {megabytes(quota)} ({100 * used / quota:.2g} %)",
            width="content",
        )
        with st.popover(
            "What uses it",
            type="tertiary",
            key="runs:storage",
            on_change="rerun",
            help="Rows, snapshots, and what is removed first.",
        ) as box:
            if box.open:
                _details()


def _details() -> None:
    store = source.opened()
    rows, snapshots = store.catalogue.bytes_used()
    share = snapshots / (rows + snapshots) if rows + snapshots else 0.0
    st.markdown(
        f"**Rows** {megabytes(rows)}, **snapshots** {megabytes(snapshots)} ({share:.0%}), at most "
        f"{megabytes(store.settings.snapshots)} for each run.\n\n"
        "Beyond the quota the oldest runs lose both, starred and pinned ones never. To have more, "
        f"set `SAMEDGE_QUOTA_MB`.\n\n**Imported runs** may take {megabytes(imports.room(store))} "
        "beside it; the oldest of them go when another one needs the room."
    )
    if gone := store.deleted.ids():
        size = megabytes(sum(store.deleted.sizes().values()))
        st.markdown(
            f"**Deleted** within a day: {len(gone):,} ({size}). They go first beyond the quota."
        )
        st.button(
            "Bring them back",
            key="runs:take-back",
            icon=":material/restore_from_trash:",
            on_click=deleting.take_back,
            args=(gone,),
            help="All of them, with their notes and tags.",
        )


def removed() -> int:
    """How many runs the quota took."""
    return source.opened().find(Query(status="removed", limit=0)).total
