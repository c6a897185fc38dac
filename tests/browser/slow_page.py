"""Slow callbacks beside a slow fragment that ticks: a page for test_clicks.py, not of the app."""

import os
import time

import streamlit as st

from pages.parts.frame import fragments, streamlit_patches


class Counts:
    """Of all visits: callbacks `begun`, `ended`, and begun while a tick was being `drawn`."""

    def __init__(self) -> None:
        self.begun = self.ended = self.beside = self.drawn = 0


@st.cache_resource
def counts() -> Counts:
    """Streamlit runs this file anew each time."""
    return Counts()


def pressed() -> None:
    """A callback that can be interrupted, and takes its time."""
    counts().begun += 1
    counts().beside += counts().drawn
    time.sleep(0.5)
    st.session_state["pressed"] = True
    counts().ended += 1


def ticking() -> None:
    """Draw what was counted."""
    counts().drawn += 1
    time.sleep(0.8)  # nearly all of the time
    counts().drawn -= 1
    told = counts()
    st.text(f"{told.begun} begun, {told.ended} ended, {told.beside} beside a tick")


if "UNPATCHED" not in os.environ:
    streamlit_patches.hear()
st.button("One", on_click=pressed)
st.button("Two", on_click=pressed)
fragments.draw(ticking, every=1.0)
