"""What can be done at the step of the cursor: continue from there, or fork; and the way back after
a divergence."""

from typing import Any

import streamlit as st

from pages.parts import server
from pages.parts.components.live import Cursor
from pages.parts.lab import controls, session
from pages.parts.views.names import names
from samedge_core.experiments.hints import GOOD_ETA, too_large
from samedge_core.fields import ConfigError
from samedge_core.theory.rules import RULES
from samedge_core.training.config import FIELDS, Changes
from samedge_core.worker.view import RunView

PLACE = "cursor"


def draw_ways_back(views: list[RunView]) -> None:
    """For each run that has diverged, the button that takes it back."""
    for view, name in zip(views, names(views), strict=True):
        if view.stable is not None:
            _way_back(view, name)


def draw(views: list[RunView], step: int | None) -> None:
    """The buttons; none without a cursor."""
    if step is None or not views:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Continue from step {step:,}",
            key="rewind",
            icon=":material/undo:",
            shortcut="b",
            on_click=_rewind,
            args=(step,),
            help="Goes back to this step and takes another path, with the settings as they are in "
            "the sidebar now. What came after it stays in the charts, in grey, and among the runs.",
        )
        with st.popover(f"Fork from step {step:,}", icon=":material/call_split:"):
            _fork_form(views, step)


def _way_back(view: RunView, name: str) -> None:
    eta = view.hyper.eta / 2
    st.button(
        f"{name} Back to step {view.stable:,} with half the step size (η = {eta:.3g})".strip(),
        key=f"rescue:{view.id}",
        icon=":material/healing:",
        type="primary",
        on_click=_rescue,
        args=(view,),
        help="The last step whose loss was no larger than at the start.",
    )


# A run that was drawn may have been deleted since; then nothing is done, and the page says so.


def _rewind(step: int) -> None:
    if not session.lost():
        session.rewind(step, **controls.live_values())
        _adopt()


def _rescue(view: RunView) -> None:
    assert view.stable is not None
    if not session.lost():
        entered = session.lead(session.glances()) if session.comparison() else view
        session.rewind(view.stable, eta=entered.hyper.eta / 2)
        _adopt()


def _fork(run_id: str, step: int, changes: Changes) -> None:
    if not session.lost():
        session.fork(run_id, step, changes)
        _adopt()


def _adopt() -> None:
    """The controls say what is in force in the run that they act on; the cursor is let go."""
    controls.load(session.lead(session.glances()).entered)
    st.session_state[PLACE] = Cursor(count=place().count + 1)


def place() -> Cursor:
    """Where the page has last put the cursor."""
    return st.session_state.get(PLACE, Cursor())


def _fork_form(views: list[RunView], step: int) -> None:
    """Which run, and its own rule, eta, rho and beta."""
    if len(views) >= session.MOST:
        st.caption(f"At most {session.MOST} runs in one chart: Reset or open another page.")
        return
    labels = dict(zip([view.id for view in views], names(views), strict=True))
    chosen = views[-1].id
    if len(views) > 1:
        chosen = st.selectbox(
            "Run",
            list(labels),
            index=len(labels) - 1,
            format_func=lambda i: labels[i],
            key="fork:run",
            help="The run whose past is shared.",
        )
    view = next(view for view in views if view.id == chosen)
    if not 0 <= step <= view.last_step + 1:
        st.caption(f"This run has no step {step:,}; its last one is {view.last_step:,}.")
        return
    changes = _entered(view, step)
    st.button(
        "Fork",
        key="fork",
        type="primary",
        icon=":material/call_split:",
        disabled=changes is None,
        on_click=_fork,
        args=(chosen, step, changes),
        help="A second run in the same charts, from the same weights. Unchanged, it repeats the "
        "first to the bit.",
    )


def _entered(view: RunView, step: int) -> Changes | None:
    """The fork's own settings as far as they differ; None while one of them can't be used."""
    in_force = server.registry().history(view.id).entered(step)
    rule = st.selectbox(
        FIELDS["rule"].label,
        list(RULES),
        index=list(RULES).index(in_force.rule),
        format_func=lambda name: RULES[name].title,
        key=f"fork:{view.id}:{step}:rule",
        help=FIELDS["rule"].help,
    )
    changes: dict[str, Any] = {} if rule == in_force.rule else {"rule": rule}
    complete = True
    for name in RULES[rule].uses:
        field, now = FIELDS[name], getattr(in_force, name)
        text = st.text_input(
            field.label,
            field.text(now),
            key=f"fork:{view.id}:{step}:{name}",
            help=f"{field.help}\n\nAllowed: {field.allowed()}. In force at this step: "
            f"{field.text(now)}.",
        )
        try:
            value = field.check(text)
        except ConfigError as error:
            st.markdown(f":red[:material/error: {controls.complaint(error)}]")
            complete = False
            continue
        if value != now:
            changes[name] = value
    if too_large(RULES[rule], changes.get("eta", in_force.eta)):
        st.caption(
            f":orange[:material/lightbulb: η is far too large for {RULES[rule].short}, which moves "
            f"each weight by about η a step. Try {GOOD_ETA:g}.]"
        )
    return Changes(changes) if complete else None
