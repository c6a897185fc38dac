"""How the live charts are drawn: the menu of axes and lines."""

import streamlit as st

from pages.parts.components.live import View
from samedge_core.analysis.compare import AXES

AXIS_HELP = (  # of AXES, in that order
    "One update of the weights each.",
    "The sum of η over the steps: at equal times, runs of different small η have come equally far.",
    "What training has cost: a step of SAM takes two gradients, one of GD one.",
)


def draw() -> View:
    """The menu, and what is chosen in it."""
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
