"""How far a run has come, as a bar with a line of words in it."""

import math

import streamlit as st

from samedge_core.theory.rules import RULES
from samedge_core.worker.view import Phase, RunView

_WORDS = {
    Phase.WAITING: "waits for a worker",
    Phase.STARTING: "starting",
    Phase.RUNNING: "running",
    Phase.PAUSED: "paused",
    Phase.ENDED: "ended",
}


def show(view: RunView, name: str = "") -> None:
    """Draw the bar; `name` tells the run from others beside it."""
    done = view.last_step + 1
    parts = [f"**{name}**"] if name else []
    parts.append(f"{done:,} of {view.config.steps:,} steps")
    word = "pausing" if view.pausing else _WORDS[view.phase]
    parts.append(f"{left} left" if (left := _seconds_left(view)) else word)
    if view.latest and not math.isnan(view.latest["ratio"]):
        parts.append(f"{RULES[view.latest['rule']].ratio} {view.latest['ratio']:.2f}")
    st.progress(min(1.0, done / view.config.steps), " · ".join(parts))


def _seconds_left(view: RunView) -> str:
    if view.phase is not Phase.RUNNING or not view.status or not view.status.steps_per_second:
        return ""
    seconds = (view.config.steps - view.last_step - 1) / view.status.steps_per_second
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
