"""What a flow says of each cell of a sweep: the switch, how often it is right, and the button that
has it computed."""

import streamlit as st

from pages.parts.frame import navigation
from pages.parts.frame.parts import action
from pages.parts.markdown import plain
from pages.parts.sweeps import form, source
from pages.parts.sweeps.board import Board
from samedge_core.fields import TRUE
from samedge_core.sweeps import launching
from samedge_core.sweeps.store import RecordedSweep
from samedge_core.sweeps.sweep import Sweep
from samedge_core.theory.rules import RULES

LABEL, NAME = "Predicted fate", "predicted"  # of the switch, and in a link
HELP = (
    "Lays over the picture what a flow says of each run from the same initial weights, without a "
    "look at the run. Lines are the borders between predicted fates; a ring is where the run has "
    "ended otherwise."
)
_CATAPULTS = (
    "Under {} the hop dies out below the edge, and rounding errors decide when it comes back in a "
    "catapult: that time is an estimate."
)
_KEY = "sweeps:predicted"


def on(sweep: Sweep) -> bool:
    """Whether predictions are drawn."""
    return source.shown().get(NAME, "").lower() in TRUE and not form.refusal(sweep.base)


def toggle(sweep: Sweep) -> None:
    """Draw the switch, which the page's link holds; it says by name why it can't be used."""
    why = form.refusal(sweep.base)
    st.session_state[_KEY] = on(sweep)
    st.toggle(
        LABEL,
        key=_KEY,
        disabled=bool(why),
        on_change=lambda: source.show(**{NAME: "true" if st.session_state[_KEY] else None}),
        help=f"Not here: {plain(why)}" if why else HELP,
    )


def draw(board: Board, name: str = "") -> None:
    """How often the flow is right of a sweep, which is named where there are two, where it is not
    to be trusted, and of a single sweep what is not computed yet."""
    recorded = board.recorded
    if not on(recorded.sweep):
        return
    rule = recorded.sweep.base.rule
    said = [board.agreement().words] if recorded.predicts else []
    said += [_CATAPULTS.format(RULES[rule].short)] if rule != "sam" else []
    if recorded.sweep.base.has_batches:
        said.append("It follows the mean of the mini-batches.")
    if not recorded.predicts and name:
        said.insert(0, "Nothing is predicted yet.")
    st.caption(" ".join([*([f"**{plain(name)}**"] if name else []), *said]))
    if not recorded.predicts and not name and not navigation.embedded():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Predict these runs",
                icon=":material/timeline:",
                key="sweeps:predict",
                on_click=_predict,
                args=(recorded,),
                help="Computes what a flow says of each run; what is computed already stays.",
            )
            cost = form.expected(recorded.sweep, predict=True)
            st.markdown(f"{recorded.sweep.count:,} predictions, {cost}", width="content")


def _predict(recorded: RecordedSweep) -> None:
    with action("The predictions"):
        recorded.want_predictions()
        if recorded.state in ("stopped", "failed"):
            launching.launch(source.sweeps().folder.parent, recorded.id)
