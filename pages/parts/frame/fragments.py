"""Parts of a page that are drawn anew without the rest of it, by clicks in them or by the clock."""

from collections.abc import Callable
from typing import TypeVarTuple

import streamlit as st
from streamlit.delta_generator_singletons import context_dg_stack, get_default_dg_stack_value

Given = TypeVarTuple("Given")


def draw(body: Callable[[*Given], None], *given: *Given, every: float | None = None) -> None:
    """Draw `body(*given)` as a fragment that other elements may follow, in a place that stays its
    own; again `every` so many seconds."""
    # When a fragment ticks before a busy server has sent the page's own run, Streamlit drops what
    # the fragment drew in it; the browser then closes the gap, all that follows is one place off,
    # and the next message for it can end the page. This container is not dropped.
    with st.container():
        st.fragment(body, run_every=every)(*given)


def leave() -> None:
    """Go on at the top of the page: call it first in a page's run."""
    # A click that arrives as a fragment ends is answered by the fragment's own thread, in which
    # Streamlit leaves the fragment's container open: the page would be drawn anew inside of it,
    # and the next message for the fragment would end the page in the browser.
    context_dg_stack.set(get_default_dg_stack_value())
