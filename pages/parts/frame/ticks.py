"""How often the live part of a page is drawn anew: rarely, once nothing moves any more.

A tick keeps a browser busy for some 100 ms, whatever has changed: a page that is left open on a
paused run would take a fifth of a core.
"""

from collections.abc import Sequence
from time import monotonic as clock

import streamlit as st

from samedge_core.worker.view import RunView

BRISK, SLOW = 0.5, 2.0  # seconds
STILL_AFTER = 5.0  # seconds without a click, or anything new of a run
_MOVED = "moved"  # in the session: how the runs stood, and since when
_SETTLED = "settled"  # in the session: no click has caused this run of the page


def begin() -> None:
    """Call it first in a page's run: after a click, ticks are brisk again."""
    if not st.session_state.pop(_SETTLED, False):
        st.session_state.pop(_MOVED, None)


def seconds(views: Sequence[RunView]) -> float:
    """The seconds until the next tick."""
    now = [(view.id, view.phase, view.last_step, view.prediction) for view in views]
    before, since = st.session_state.get(_MOVED, (None, 0.0))
    if now != before:
        before, since = now, clock()
        st.session_state[_MOVED] = before, since
    running = any(view.phase.active or view.prediction.pending for view in views)
    return BRISK if running or clock() - since < STILL_AFTER else SLOW


def settle() -> None:
    """Call it before a rerun that no click has caused."""
    st.session_state[_SETTLED] = True
