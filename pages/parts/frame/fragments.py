"""Parts of a page that are drawn anew without the rest of it, by clicks in them or by the clock."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVarTuple

import streamlit as st

from pages.parts.frame.parts import part

Given = TypeVarTuple("Given")


def draw(
    body: Callable[[*Given], None],
    *given: *Given,
    every: float | None = None,
    name: str = "This part of the page",
) -> None:
    """Draw `body(*given)` as a fragment that other elements may follow, in a place that stays its
    own; again `every` so many seconds. It fails alone, as the part `name`."""

    @wraps(body)  # Streamlit tells fragments apart by what they are called
    def guarded(*given: *Given) -> None:
        with part(name):
            body(*given)

    # When a fragment ticks before a busy server has sent the page's own run, Streamlit drops what
    # the fragment drew in it; the browser then closes the gap, all that follows is one place off,
    # and the next message for it can end the page. This container is not dropped.
    with st.container():
        st.fragment(guarded, run_every=every)(*given)
