"""SAMEdge, phase diagrams: a thousand runs as one picture."""

from collections.abc import Mapping, Sequence

import streamlit as st

from pages.parts.frame import fragments, navigation
from pages.parts.frame.parts import part
from pages.parts.markdown import plain
from pages.parts.sweeps import (
    actions,
    atlas,
    cell,
    comparing,
    example,
    form,
    picture,
    predicted,
    reading,
    source,
)
from pages.parts.sweeps.board import Board, board_of
from samedge_core.sharing.files import SavedError
from samedge_core.sweeps.store import RecordedSweep

POLL_SECONDS = 1.0
BUSY = ("waiting", "computing")
SWEEPS, MAP = "sweeps", "map"
PARTS = {SWEEPS: "Sweeps of runs", MAP: "Map of fates"}
KEY = "sweeps:part"
LEAD = (
    "**For which step size η and radius ρ?** One run answers for one pair. A phase diagram runs a "
    "whole grid of them and shows where runs train at their edge, stay below it, or diverge."
)


def main() -> None:
    """Compose the page."""
    arrived = navigation.begin("Phase diagrams")
    cell.leave()
    shown = _part(arrived)
    with st.container(), part(PARTS[shown]):
        if shown == MAP:
            atlas.draw()
        else:
            _sweeps()


def _part(arrived: bool) -> str:
    """The part of the page that is shown: as chosen, or as the link says where it is a new one."""
    linked = MAP if st.query_params.get("part") == MAP else SWEEPS
    link = set(st.query_params) - {navigation.LARGE}
    if KEY not in st.session_state or navigation.by_history() or (arrived and link):
        st.session_state[KEY] = linked
    st.segmented_control(
        "Part",
        list(PARTS),
        format_func=PARTS.__getitem__,
        key=KEY,
        required=True,
        label_visibility="collapsed",
        persist_state="session",
    )
    return st.session_state[KEY]


def _sweeps() -> None:
    source.load()
    store = source.sweeps()
    found = store.find()
    if found and not source.shown().get("sweep"):
        source.show(sweep=found[0].id)
    recorded, wrong = source.find("sweep")
    with st.container(), part("What was done last"):
        for why in filter(None, (wrong, source.find("with")[1])):
            st.warning(f"{plain(why)}.")
        actions.undo()
        source.show_damage(store.damaged)
        if found and recorded is None:
            _sweep(None, source.names(found))
    asked = st.session_state.get(form.OPEN, False)
    with st.container(), part("The new sweep"):
        if not navigation.embedded() and (recorded is None or asked):
            if recorded is None:
                st.markdown(LEAD)
            with st.container(key="sweeps-new"):
                with st.container(border=True, key="sweeps-form"):
                    form.draw()
                if recorded is None:
                    with st.container(), part("The example"):
                        example.draw()
    if recorded and not asked:
        busy = recorded.state in BUSY
        every = POLL_SECONDS if busy else None
        fragments.draw(_body, recorded.id, busy, every=every, name="The diagram")


def _sweep(now: str | None, names: Mapping[str, str]) -> None:
    """The choice of the sweep that is shown."""
    about = "All sweeps of this server, newest first."
    _choice("Sweep", "sweep", now, list(names), names, about)


def _quantity(board: Board) -> str:
    """The choice of the quantity that colours the cells, which is returned."""
    rule, known = board.recorded.sweep.base.rule, board.known() or [picture.FIRST]
    labels = {name: picture.label_of(name, rule) for name in known}
    wanted = source.shown().get("quantity", picture.FIRST)
    now = wanted if wanted in labels else next(iter(labels))
    about = "What the colour of a cell is; its mark says how its run has ended."
    _choice("Colour", "quantity", now, list(labels), labels, about)
    return now


def _compare(recorded: RecordedSweep, names: Mapping[str, str]) -> None:
    """The sweep beside the one that is shown, where there are others."""
    others = [sweep_id for sweep_id in names if sweep_id != recorded.id]
    about = "Draws another sweep beside this one, and their difference."
    if others:
        with st.popover("Compare", icon=":material/compare:", key="sweeps:compare", help=about):
            _choice("Compare with", "with", source.shown().get("with"), others, names, about)


def _choice(
    label: str,
    name: str,
    now: str | None,
    options: Sequence[str],
    titles: Mapping[str, str],
    about: str,
) -> None:
    """A choice that the page's link holds as `name`."""
    key = f"sweeps:{name}"
    st.session_state[key] = now if now in options else None
    st.selectbox(
        label,
        options,
        index=None if name == "with" or now is None else 0,
        format_func=titles.__getitem__,
        key=key,
        on_change=lambda: source.show(**{name: st.session_state[key]}),
        placeholder="none",
        help=about,
    )


def _body(sweep_id: str, busy: bool) -> None:
    """The diagram and what belongs to it, drawn anew at every tick; `busy` has set the ticks."""
    if any(name in st.session_state for name in (cell.OPEN, form.OPEN, actions.COMPLAINT)):
        st.rerun()  # what stands outside of this fragment
    recorded, _ = source.find("sweep")
    if recorded is None or recorded.id != sweep_id:
        st.rerun()
    if (recorded.state in BUSY) != busy:
        st.rerun()  # to tick, or not to
    names = source.names(source.sweeps().find())
    left, right = st.columns([2, 1.3])
    with left, part("The choice of the sweep"):
        _sweep(recorded.id, names)
    try:
        board = board_of(recorded)
    except SavedError as error:
        st.error(plain(f"{error}. Mend that file, or delete the sweep."))
        if not navigation.embedded():
            with st.container(horizontal=True):
                actions.draw_damaged(recorded)
        return
    with right:
        quantity = _quantity(board)
    other, _ = source.find("with")
    if not navigation.embedded():
        with st.container(horizontal=True, vertical_alignment="center"), part("The buttons"):
            actions.draw(recorded, board, quantity)
            _compare(recorded, names)
            reading.draw()
            predicted.toggle(recorded.sweep)
    with st.container(), part("The progress"):
        actions.progress(board)
    with st.container(), part("The diagram"):
        if other is None:
            picture.draw(board, quantity, key="sweeps-diagram", name=source.title(recorded))
        else:
            titles = [names[one.id] for one in (recorded, other)]
            comparing.draw(board, board_of(other), quantity, titles)
    with st.container(), part("The prediction"):
        both = (recorded,) if other is None else (recorded, other)
        for one in both:
            predicted.draw(board_of(one), names[one.id] if len(both) > 1 else "")
    with st.container(), part("The chosen cell"):
        cell.draw(board, quantity)


main()
