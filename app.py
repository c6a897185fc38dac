"""SAMEdge, the live lab: watch gradient descent and SAM at the edge of stability."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.parts import server
from pages.parts.components.live import BANDS, LONG, Cursor, View, cursor_step, live_charts
from pages.parts.frame import fragments, keys, navigation, ticks
from pages.parts.frame.parts import part
from pages.parts.lab import (
    branches,
    chart_options,
    comparing,
    controls,
    following,
    inspection,
    notes,
    predicting,
    presets,
    session,
    share,
    welcome,
)
from pages.parts.paper import downloading
from pages.parts.views import computed, feed, formula, numbers, status
from pages.parts.views.names import names
from samedge_core.fields import ConfigError
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig
from samedge_core.worker.view import RunView

CHARTS = "live"
# what a run says of itself comes and goes in lines that are kept free for it
STYLE = """
<style>
  .st-key-lab-status { gap: 0; min-height: calc(1.6rem * {lines}); }
  :has(> .st-key-lab-status) { min-width: min(540px, 100%); }
  @media (max-width: 1000px) {  /* the room that is kept free for the lines stands below them */
    .stHorizontalBlock:has(> * > .st-key-lab-status) > :last-child { order: -1; }
  }
  .st-key-lab-formula .stColumn { min-width: min(18rem, 100%); }
  /* on a phone, and two of them on a low screen, formulas stand under the charts */
  @media (max-width: 640px) {
    :has(> .st-key-lab-head), .st-key-lab-head { display: contents; }
    :has(> .st-key-lab-formula) { order: 1; }
  }
  @media (max-height: 760px) {
    :has(> .st-key-lab-head), .st-key-lab-head { display: contents; }
    :has(> .st-key-lab-formula .stColumn + .stColumn) { order: 1; }
  }
</style>
"""
PACES = (1, 2, 5, 10, 20, 50, 100, None)


def main() -> None:
    """Compose the page."""
    navigation.begin("Live lab")
    ticks.begin()
    gone = session.attach()
    predicting.arrive()
    if presets.KEY not in st.session_state:
        with part("What the address names"):
            welcome.arrive()
            presets.first()
    elif st.session_state.pop("adopt", False) and (shown := session.glances()):
        controls.load(session.lead(shown).entered)
    # read once: the buttons and what the fragment compares with must show the same state
    views = session.glances()
    with st.container(), part("The first minute"):  # before all else, to be there first
        welcome.draw(views)
    if not navigation.embedded():
        _sidebar()
    config, complaint = None, ""
    with part("The settings as entered"):
        config, complaint = _config()
    _head(config, views)
    # messages come and go in a container of their own: what changes its place on the page is
    # mounted anew, and the charts would lose their zoom
    with st.container(), part("A note"):
        notes.draw(gone)
        if config and config.spec.data:
            downloading.offer(config.spec.data)
    seen = _Seen.of(views)
    every = seen.every if views else None
    rule = config.rule if config else "sam"
    note = notes.of_settings(config, complaint, views)
    fragments.draw(_live, rule, note, seen, every=every, name="The live part of the page")
    with st.container(), part("The hints"):
        notes.draw_hints(config, views)
    if not navigation.embedded():
        _further(config, views, seen.cursor)


def _further(config: RunConfig | None, views: list[RunView], cursor: int | None) -> None:
    """What most readers do not need at once."""
    with part("The closer look at a step"):
        inspection.draw(views, cursor, ticks.BRISK)
    with part("Share and export"):
        share.draw(config, views)
    with (
        part("The numbers"),
        st.expander("Numbers", icon=":material/table:", on_change="rerun", key="numbers") as box,
    ):
        if box.open:
            numbers.show(session.glances())


def _sidebar() -> None:
    with st.sidebar, part("The controls"):
        controls.draw(_live_changed, comparison=session.comparison())
        st.select_slider(
            "Speed limit (steps/s)",
            PACES,
            format_func=lambda v: "none" if v is None else str(v),
            key="pace",
            value=None,
            on_change=_pace_changed,
            persist_state="session",
            help="Slow the run down to watch single steps. The training itself does not change.",
        )


def _config() -> tuple[RunConfig | None, str]:
    """The settings as entered, and ""; or None and why, while one of them can't be used, if only
    by one run of a comparison."""
    try:
        config = controls.current()
        if comparison := session.comparison():
            comparison.configs(config)
        return config, ""
    except ConfigError as error:
        return None, controls.complaint(error, located=True)


def _live_changed() -> None:
    session.apply_live(controls.live_values())


def _pace_changed() -> None:
    for run_id in filter(server.steers, session.shown()):
        server.registry().pace(run_id, st.session_state["pace"])


def _head(config: RunConfig | None, views: list[RunView]) -> None:
    """Preset picker with what to see, and the buttons; the buttons alone in a frame."""
    if not navigation.embedded():
        with part("The presets"):
            presets.draw(config, views)
    action = session.primary(config, views)
    blocked = config is None
    icons = {"Start": "play_arrow", "Pause": "pause", "Resume": "play_arrow"}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            action,
            key="primary",
            type="primary",
            icon=f":material/{icons[action]}:",
            shortcut="p",
            disabled=blocked and action == "Start",
            on_click=session.press_primary,
            args=(config,),
        )
        st.button(
            "Step",
            key="step",
            icon=":material/skip_next:",
            shortcut="s",
            disabled=blocked,
            on_click=session.step,
            args=(config,),
            help="One update, then pause.",
        )
        st.button(
            "Reset",
            key="reset",
            icon=":material/restart_alt:",
            disabled=blocked,
            on_click=session.reset,
            args=(config,),
            help="Back to the same initial weights, with the settings as they are now. Key: r",
        )
        with part("Runs side by side"):
            comparing.draw(config, views)
    keys.bind(r="reset", d=predicting.KEY)


@dataclass(frozen=True)
class _Seen:
    """What the part of the page outside of the fragment was drawn for."""

    running: bool
    every: float
    cursor: int | None
    placed: Cursor

    @classmethod
    def of(cls, views: list[RunView]) -> "_Seen":
        """What there is to draw it for."""
        running = any(item.phase.active for item in views)
        return cls(running, ticks.seconds(views), cursor_step(CHARTS), branches.place())


def _live(rule: str, note: str, seen: _Seen) -> None:
    """The part that is drawn anew at every tick."""
    predicted = predicting.on()
    if predicted:
        with part("The predictions"):
            predicting.ask(session.glances(), predicting.chosen())
    views = feed.poll(session.listed(), CHARTS)
    if len(views) < len(session.listed()):
        st.rerun()  # one has been deleted, and the page says so
    now = _Seen.of(views)
    if now != seen:
        if now == replace(seen, every=ticks.SLOW):
            ticks.settle()
        st.rerun()  # what stands outside of this fragment must follow
    if _behind(views):
        st.session_state["adopt"] = True
        st.rerun()
    called = names(views)
    # keeps the charts in their place, however many elements there are
    with st.container(key="lab-head"):
        view = _bar(views, called, note)
        with st.container(key="lab-formula"), part("The formula"):
            formula.show(views, rule, session.lead(views) if views else None)
        if following.on():
            with part("The picture of a step"):
                following.draw(views, called, now.cursor)
    updates = feed.updates(views, called, CHARTS, now.cursor, predicted=predicted)
    first = views[0].config.rule if views else rule
    charts, beside = _halves(views)
    with beside, part("What the network computes"):
        computed.draw(views, called)
    with charts, part("The charts"):
        live_charts(
            updates,
            replace(view, operator=RULES[first].preconditioned),
            key=CHARTS,
            on_resync=lambda: feed.forget_sent(CHARTS),
            on_cursor=_moved,
            cursor=now.placed,
        )
    with st.container(), part("How far the prediction is off"):
        if predicted:
            predicting.draw(views, called)
    with st.container(), part("What measuring costs"):
        if any(item.last_step > LONG for item in views):
            st.caption(BANDS)
        status.costs(views, called)
    # here, drawn at every tick: a busy server can lose an element, and the next tick brings it back
    with part("The way on from a step"):
        branches.draw(views, now.cursor)
    with st.container(), part("The faults of the runs"):
        status.faults(views, called)


def _halves(views: list[RunView]) -> Sequence[DeltaGenerator]:
    """Places for the charts, and beside them for what the networks compute, where that is drawn."""
    if any(view.config.spec.drawn and not computed.absent(view) for view in views):
        return st.columns([3, 2])
    return st.container(), st.container()


def _bar(views: list[RunView], called: list[str], note: str) -> View:
    """How the runs go, the ways back from a divergence, and how the charts are drawn."""
    view = View()
    st.html(STYLE.replace("{lines}", str(2 * max(1, len(views)) + 1)))
    with st.container(horizontal=True):
        with st.container(key="lab-status"), part("The status of the runs"):
            status.show(views, called)
            if not views:
                st.markdown(":gray[Press **Start** to train and watch.]", help=status.MEANING)
            if note:
                st.markdown(note)
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            with part("The ways back"):
                branches.draw_ways_back(views)
            predicting.toggle()
            following.toggle()
            with part("The choices for the charts"):
                view = chart_options.draw()
    return view


def _behind(views: list[RunView]) -> bool:
    """Whether a planned intervention has changed what the controls say."""
    if not views or session.comparison():
        return False
    entered = controls.live_values()
    return any(getattr(views[-1].hyper, name) != value for name, value in entered.items())


def _moved() -> None:
    """The cursor is elsewhere: what belongs to its step follows in the next run of the page."""


main()
