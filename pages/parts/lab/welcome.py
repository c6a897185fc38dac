"""The first minute: a step that hops in a valley, for whoever opens the live lab without a link.

It stays closed for a browser that has closed it, or seen a run; a cookie says so.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from pages.parts.components.sliders import sliders
from pages.parts.components.valley import valley
from pages.parts.frame import fragments, navigation
from pages.parts.lab import presets
from samedge_core.fields import Field
from samedge_core.theory.descent import Trajectory, descend
from samedge_core.theory.edges import gd_edge, gd_multiplier
from samedge_core.theory.quadratics import Quadratic
from samedge_core.worker.view import RunView

CURVATURE, START, HALF = 5.0, 1.0, 1.6  # lambda; where the step starts; half of what is drawn
LIMIT = float(gd_edge(CURVATURE))  # the step size 2/lambda: that has this curvature as its edge
STEPS, RESTS = 20, 0.02  # steps that are played at most, and |w| at which they end earlier
ETA = Field(
    *("eta", "float", 0.42, "η, the step size"),
    "How far a step of gradient descent goes, per unit of slope. It has no unit here.",
    low=0.0,
    open_low=True,
    high=1.0,
    suggested=(0.02, 0.6),
)
OPEN, SEEN, VALUE, WATCHED = "welcome", "welcome:seen", "welcome:eta", "welcome:watched"
COOKIE = "samedge-seen"
_REMEMBER = (
    f"<script>document.cookie = '{COOKIE}=1; path=/; max-age=31536000; SameSite=Lax'</script>"
)
_SHOW_RUN = """<script>
const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
document.querySelector(".st-key-primary")?.scrollIntoView({ behavior, block: "start" });
</script>"""
_WHY = (
    "**Why it matters.** A step that is too large for the curvature is thrown out of a sharp "
    "valley. So training ends up where its step size still allows it: at the edge of stability, "
    "a sharpness (largest curvature) of 2/η. Sharpness-aware minimization (SAM), which looks for "
    "flat minima, moves that limit lower."
)


def arrive() -> None:
    """On a first visit: open it, unless the address says what to show, or the browser knows it."""
    known = st.session_state.get(SEEN) or COOKIE in st.context.cookies.to_dict()
    says = st.query_params.to_dict().keys() - {navigation.LARGE}
    st.session_state[OPEN] = not (known or navigation.embedded() or says)


def draw(views: Sequence[RunView]) -> None:
    """The panel while it is open. Once it is closed, or a run is there, the browser remembers."""
    seen = st.session_state.get(SEEN) or views
    if st.session_state[OPEN]:
        with st.container(border=True, key="welcome"):
            _panel()
    if seen and not navigation.embedded():
        st.session_state[SEEN] = True
        scroll = _SHOW_RUN if st.session_state.pop(WATCHED, False) else ""
        st.html(_REMEMBER + scroll, unsafe_allow_javascript=True)


def sentence(eta: float) -> str:
    """What is seen at this step size."""
    factor = float(gd_multiplier(CURVATURE, eta))
    compared = f"η = {eta:g} is {{}} 2/λ = {LIMIT:g}"
    if factor == 0:
        return f"**η = {eta:g} is 1/λ**: one step reaches the bottom."
    if factor > 0:
        less = f"each step is {_percent(1 - factor)} shorter than the one before"
        return f"**{compared.format('far below')}**: the step slides down one side, and {less}."
    if abs(factor + 1) < 1e-9:  # eta * lambda is 2, but for rounding
        return f"**{compared.format('exactly')}**: each hop is as long as the one before, for ever."
    if factor > -1:
        less = f"each hop is {_percent(1 + factor)} shorter than the one before"
        return f"**{compared.format('below')}**: {less}, and the step settles at the bottom."
    more = f"each hop is {_percent(-factor - 1)} longer than the one before"
    out = "in the end the step is thrown out of the valley"
    return f"**{compared.format('above')}**: {more}, and {out}."


def run(eta: float) -> Trajectory:
    """The iterates, until they rest or have left the picture."""
    landscape = Quadratic([CURVATURE])
    whole = descend(landscape, "gd", eta, 0.0, [START], STEPS)
    size = np.abs(whole.w[:, 0])
    ended = np.flatnonzero((size > HALF) | (size < RESTS))
    return descend(landscape, "gd", eta, 0.0, [START], int(ended[0]) if len(ended) else STEPS)


def _percent(share: float) -> str:
    return "less than 0.001 %" if share < 1e-5 else f"{100 * share:.3g} %"


def _panel() -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.markdown("**A step in a valley.** Move η: where is the edge of stability?")
        st.button(
            "Close",
            key="welcome-close",
            icon=":material/close:",
            type="tertiary",
            on_click=_close,
            help="The live lab alone; this browser does not show the valley again.",
        )
    fragments.draw(_valley, name="The valley")
    with st.container(horizontal=True):
        st.button(
            "Watch a network do it",
            key="welcome-watch",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_watch,
            help="Trains a small network on handwritten digits under SAM, below on this page.",
        )
        lessons = st.button(
            "Take the lessons",
            key="welcome-lessons",
            icon=":material/school:",
            help="Guess what a run will do, watch it, and read why.",
        )
    if lessons:
        _close()
        st.switch_page("pages/lessons.py")


def _valley() -> None:
    """Picture, slider and what is seen, drawn anew as the slider moves."""
    eta = st.session_state.setdefault(VALUE, ETA.default)
    left, right = st.columns([5, 4], gap="medium", vertical_alignment="center")
    with left:
        valley("A step in a valley", run(eta), HALF, key="welcome-valley")
    with right:
        mark = (LIMIT, f"2/λ = {LIMIT:g}")
        sliders([ETA], {"eta": eta}, key="welcome-eta", on_move=_moved, marks={"eta": mark})
        st.markdown(sentence(eta))
        st.markdown(_WHY)


def _moved(changed: dict[str, Any], _settled: bool) -> None:
    st.session_state[VALUE] = changed.get("eta", st.session_state[VALUE])


def _close() -> None:
    st.session_state[OPEN], st.session_state[SEEN] = False, True


def _watch() -> None:
    presets.begin()
    st.session_state[WATCHED] = True
