"""A map of fates whose view the browser asks for, as far as the atlas and a lesson share it."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.parts.components.fates import fate_map
from pages.parts.markdown import plain
from samedge_core.sweeps.fate_map import Plane, View, picture
from samedge_core.sweeps.fate_process import FateProcessError, shared

LABELS = {
    "eta": "step size η",
    "rho": "SAM radius ρ",
    "beta": "momentum β",
    "a": "start a",
    "b": "start b",
    "curvature": "curvature λ",
}


def draw(
    plane: Plane,
    view: View,
    points: int,
    *,
    origin: object,
    key: str,
    marks: Sequence[Sequence[float]],
    summary: Callable[[NDArray[np.uint16]], str],
    on_ask: Callable[[View, bool], None],
    on_pick: Callable[[float, float], None],
) -> None:
    """Draw a view with so many points a side, and below it its `summary` in words.

    Another `origin` moves the browser to `view`. `on_ask(view, still)` is called for another one,
    and `on_pick(x, y)` for a click, in axis units.
    """
    try:
        values = _picture(plane, view, points)
    except (FateProcessError, OSError) as error:
        st.error(plain(f"No map: {error}."))
        st.button("Draw it again", key=f"{key}:again", help="Starts another process and asks it.")
        return

    def asked() -> None:
        message = st.session_state[key]["asked"]
        on_ask(plane.within([float(v) for v in message["view"]]), bool(message["settled"]))

    def picked() -> None:
        message = st.session_state[key]["picked"]
        on_pick(float(message["x"]), float(message["y"]))

    words = summary(values)
    fate_map(
        plane,
        view,
        values,
        labels=(LABELS[plane.x], LABELS[plane.y]),
        marks=marks,
        summary=words,
        origin=str(origin),
        key=key,
        on_ask=asked,
        on_pick=picked,
    )
    st.caption(words)


@lru_cache(maxsize=24)
def _picture(plane: Plane, view: View, points: int) -> NDArray[np.uint16]:
    """Pictures of late, of all sessions: a class that follows one link asks for one."""
    return picture(plane, view, points, shared().follow_all)
