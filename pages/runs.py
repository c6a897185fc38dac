"""SAMEdge, runs: find what was recorded, compare any of it, and start it again."""

from collections.abc import Sequence

import streamlit as st

from pages.parts.frame import fragments, navigation
from pages.parts.frame.parts import part
from pages.parts.lab import session
from pages.parts.runs import (
    actions,
    at_work,
    deleting,
    differences,
    editing,
    family,
    filters,
    overlay,
    predicted,
    records,
    repeating,
    selection,
    source,
    storage,
    table,
)
from samedge_core.store import Entry, Listing, Query

POLL_SECONDS = 2.0
BUSY = "runs:busy"


def main() -> None:
    """Compose the page."""
    navigation.begin("Runs")
    if source.store() is None:
        st.error(
            f"The store of runs could not be opened ({source.why_none()}), so nothing is recorded. "
            "It is tried again every few seconds, and what runs meanwhile is recorded then. "
            "`SAMEDGE_HOME` and `SAMEDGE_DATABASE_URL` say where it is."
        )
        return
    selection.attach()
    if run := st.session_state.pop(table.OPEN, None):
        session.go([run])
    with part("What is damaged"):
        storage.show_damage()
    busy = st.session_state.get(BUSY, False)
    fragments.draw(_body, busy, every=POLL_SECONDS if busy else None, name="The list of runs")


def _body(busy: bool) -> None:
    """What follows the store, drawn anew at every tick; `busy` is what the ticks were set by."""
    if table.OPEN in st.session_state:
        st.rerun()  # pages are switched by the whole script
    if not navigation.embedded():
        with st.container(), part("The waiting and unattended runs"):
            at_work.draw()
    if not source.opened().find(Query(removed=True, limit=0)).total:
        _nothing_yet()
        return
    listing, chosen = Listing((), 0), []
    with part("The search"):
        listing = _find()
    with part("The selection"):
        chosen = selection.entries()
    alive = any(entry.status == "recording" for entry in (*listing.entries, *chosen))
    st.session_state[BUSY] = alive or bool(at_work.runs())
    if st.session_state[BUSY] != busy:
        st.rerun()  # to tick, or not to
    # lines come and go in containers, so that what is below keeps its place and its zoom
    with st.container(), part("The table"):
        _list(listing)
    with st.container(), part("What can be done with the selected runs"):
        if not navigation.embedded():
            if chosen:
                actions.draw(chosen)
                repeating.complain()
            deleting.draw()
    with st.container(), part("What can be done with the selected run"):
        if len(chosen) == 1 and not navigation.embedded():
            _about(chosen[0])
    with part("The comparison"):
        if chosen:
            _compare(chosen)


def _nothing_yet() -> None:
    st.info("Nothing is recorded yet. Every run of the live lab is, from its first step on.")
    st.page_link("app.py", label="Start one in the live lab", icon=":material/monitoring:")


def _find() -> Listing:
    """What the boxes over the table ask for."""
    query = filters.draw(storage.removed())
    listing = source.opened().find(query)
    if listing.total and not listing.entries:
        filters.to_first_page()
        st.rerun()  # runs have gone, and with them this page of the table
    return listing


def _list(listing: Listing) -> None:
    if listing.entries:
        table.draw(listing.entries)
    else:
        st.info("No run is like this: change the search or the filters.")
    with st.container(horizontal=True, vertical_alignment="center"):
        filters.draw_pages(listing.total)
        with part("The use of the storage"):
            storage.show_use()
    if not selection.ids():
        st.markdown(
            ":gray[Tick runs to compare, tag, repeat or delete them; Shift ticks all in between.]"
        )


def _about(entry: Entry) -> None:
    """What can be done with one run alone."""
    left, right = st.columns(2, vertical_alignment="top")
    with left, st.expander("Title, note and tags", icon=":material/edit:", key="runs:edit"):
        editing.draw(entry)
    with right:
        repeating.draw(entry)


def _compare(chosen: Sequence[Entry]) -> None:
    """Charts, predictions, differences, and the family of the run that was selected last."""
    runs = records.compared(chosen)
    if not runs:
        st.info("There is nothing to draw: the rows of these runs were removed by the quota.")
        return
    with part("The charts"):
        overlay.draw(runs, len(chosen))
    with st.container(), part("Predicted against measured"):
        if found := predicted.read(runs):
            st.markdown("##### Predicted against measured")
            predicted.draw(runs, found)
    with part("What differs"):
        st.markdown("##### What differs")
        differences.draw(runs)
    with part("The family"):
        relatives = family.relatives(chosen[-1])
        if len(relatives) > 1:
            st.markdown("##### Family")
            family.draw([entry.id for entry in chosen], relatives)


main()
