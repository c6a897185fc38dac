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
    controls,
    following,
    inspection,
    presets,
    session,
    share,
    welcome,
)
from pages.parts.markdown import brief
from pages.parts.paper import downloading
from pages.parts.paper.downloading import downloads
from pages.parts.views import computed, feed, formula, numbers, status
from pages.parts.views.names import names
from samedge_core.analysis.compare import AXES
from samedge_core.experiments.comparisons import COMPARISONS
from samedge_core.experiments.hints import hints
from samedge_core.fields import ConfigError
from samedge_core.problems.downloads import missing_megabytes
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig
from samedge_core.worker.view import RunView

CHARTS = "live"
HINTED = "hinted"  # in the session: the hints that stand under the charts
SIDE_BY_SIDE = {  # title, key, help
    "rule": (
        "Same start under GD and SAM",
        "g",
        "Two runs from identical weights in the same charts: the paper's comparison.",
    ),
    "eta": (
        "Three η",
        "t",
        "Three runs from identical weights, at half the step size, at η and at twice η: the "
        "sharpness of each goes to its own edge.",
    ),
    "rho": (
        "Three ρ",
        "a",
        "Three runs from identical weights, at half the radius, at ρ and at twice ρ. Needs a rule "
        "with a radius, and a ρ above 0 whose double is allowed.",
    ),
}
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
AXIS_HELP = (  # of AXES, in that order
    "One update of the weights each.",
    "The sum of η over the steps: at equal times, runs of different small η have come equally far.",
    "What training has cost: a step of SAM takes two gradients, one of GD one.",
)
PACES = (1, 2, 5, 10, 20, 50, 100, None)


def main() -> None:
    """Compose the page."""
    navigation.begin("Live lab")
    ticks.begin()
    gone = session.attach()
    if presets.KEY not in st.session_state:
        with part("What the address names"):
            welcome.arrive()
            presets.first()
    elif st.session_state.pop("adopt", False) and (shown := session.glances()):
        controls.load(session.lead(shown).in_force)
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
        _notes(config, views, gone)
    seen = _Seen.of(views)
    every = seen.every if views else None
    rule = config.rule if config else "sam"
    note = _settings_note(config, complaint, views)
    fragments.draw(_live, rule, note, seen, every=every, name="The live part of the page")
    with st.container(), part("The hints"):
        _hints(config, views)
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
            for name in COMPARISONS:
                _comparison_button(name, config, views)
    keys.bind(r="reset")


def _comparison_button(name: str, config: RunConfig | None, views: list[RunView]) -> None:
    title, key, text = SIDE_BY_SIDE[name]
    running = session.comparison() is COMPARISONS[name]
    if running and len(views) > 1:
        with st.popover("One run only", icon=":material/compare_arrows:"):
            for view, called in zip(views, names(views), strict=True):
                st.button(
                    f"Keep {called}",
                    key=f"keep:{view.id}",
                    on_click=session.keep,
                    args=(view.id,),
                    help="It goes on from where it is; the others end, and stay on the page Runs.",
                )
        return
    st.button(
        "One run only" if running else title,
        key=f"comparison:{name}",
        shortcut=key,
        disabled=config is None or not (running or COMPARISONS[name].fits(config)),
        icon=":material/compare_arrows:" if name == "rule" else None,
        on_click=session.compare if running else presets.compare,
        args=(None if running else name, config),
        help=text,
    )


def _notes(config: RunConfig | None, views: list[RunView], gone: list[str]) -> None:
    """What stands above the charts before a run, and what passes over the page."""
    if gone:
        st.warning(
            f"The run {', '.join(map(brief, gone))} is not on this server: it was deleted, or "
            "recorded elsewhere. Press Start for a new one."
        )
    if notice := st.session_state.pop("notice", None):
        st.toast(notice, icon=":material/info:", duration="infinite")
    share.note()
    data = config.spec.data if config else None
    if data and not downloads().ready(data):
        fragments.draw(_absent, data, every=ticks.BRISK)


def _settings_note(config: RunConfig | None, complaint: str, views: list[RunView]) -> str:
    """What is to be said of the settings as entered, as Markdown; empty for none."""
    if complaint:
        return f":red[A setting can't be used: {complaint}. What runs goes on unchanged.]"
    if config and views and (different := session.restart_needed(config, views[0])):
        return f":orange[Changed, and in force after a Reset: {', '.join(different)}.]"
    return ""


def _hints(config: RunConfig | None, views: list[RunView]) -> None:
    """Warnings of settings that mislead; a new one is shown over the page too."""
    if not config:
        return
    comparison = session.comparison()
    begun = comparison.configs(config) if comparison else [config]
    if comparison and comparison.name != "rule":
        begun = begun[comparison.lead : comparison.lead + 1]
    changed = any(view.marks or view.origin for view in views)
    found = []
    for one in begun:
        name = f"{RULES[one.rule].short}: " if len(begun) > 1 else ""
        found += [name + hint for hint in hints(one, from_start=not changed)]
    for hint in found:
        st.warning(hint, icon=":material/lightbulb:")
        if hint not in st.session_state.get(HINTED, ()):
            st.toast(hint, icon=":material/lightbulb:", duration="long")
    st.session_state[HINTED] = found


def _absent(data: str) -> None:
    """Offers the download of a data set, and follows it."""
    if downloads().ready(data):
        st.rerun()  # this note stands outside of what follows the run
    downloading.show(data)
    if not downloads().running(data):
        st.button(
            f"Download {data} ({missing_megabytes(data):.3g} MB)",
            key=f"download:{data}",
            icon=":material/download:",
            on_click=downloads().begin,
            args=(data,),
            help="Once for this server. Without it, a run of this problem can't start; digits are "
            "always there.",
        )


def _chart_options() -> View:
    with st.popover("Axes and lines", icon=":material/tune:"):
        title = st.radio(
            "Horizontal axis",
            list(AXES),
            captions=list(AXIS_HELP),
            key="x_axis",
            persist_state="session",
        )
        log_y = st.toggle(
            "Log scale",
            key="log_y",
            persist_state="session",
            help="Vertical axes in powers of ten; accuracies and alignments stay from 0 to 1.",
        )
        top_k = st.toggle(
            "All eigenvalues",
            key="show_top_k",
            persist_state="session",
            help="Draws λ₂ … λₖ, the next largest eigenvalues of the Hessian, where more than one "
            "is measured.",
        )
        previous = st.toggle(
            "Previous run",
            value=True,
            key="previous",
            persist_state="session",
            help="Keeps the run before this one as a faint line.",
        )
        smooth = st.slider(
            "Smoothing",
            0.0,
            0.99,
            0.0,
            key="smooth",
            persist_state="session",
            help="Weight of the past in an exponential average, from 0 (none) to 0.99 (about 100 "
            "steps); the measured line stays visible.",
        )
    return View(x=AXES[title or "Step"], log_y=log_y, smooth=smooth, top_k=top_k, previous=previous)


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
    updates = feed.updates(views, called, CHARTS, now.cursor)
    charts, beside = _halves(views)
    with beside, part("What the network computes"):
        computed.draw(views, called)
    with charts, part("The charts"):
        live_charts(
            updates,
            view,
            key=CHARTS,
            on_resync=lambda: feed.forget_sent(CHARTS),
            on_cursor=_moved,
            cursor=now.placed,
        )
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
            following.toggle()
            with part("The choices for the charts"):
                view = _chart_options()
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
