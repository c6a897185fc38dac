"""A chart of the sharpness to draw on, by hand or by keys, and the lines that are held beside that.

static/sketch.js draws it; a curve travels as `Canvas.read` has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from streamlit.components.v2 import component

from pages.parts.components.wire import encode
from pages.parts.frame import assets
from samedge_core.experiments.lessons.sketch import COLUMNS, LEVELS, Canvas


@dataclass(frozen=True)
class Line:
    """A line beside the curve: `role` is its colour in static/theme.js, `dash` as SVG has it, and
    `marker` "circle" at its end, "diamond" along it, or ""; x are steps and y sharpness, (n,)."""

    name: str
    role: str
    dash: str
    width: float
    marker: str
    x: np.ndarray
    y: np.ndarray


def sketch(
    name: str,
    canvas: Canvas,
    text: str,
    *,
    steps: int,
    lines: Sequence[Line],
    scene: str,
    locked: bool,
    heard: int,
    key: str,
    on_drawn: Callable[[], None],
) -> None:
    """Draw the curve `text` and the lines, in place of those before; another `scene` has another
    curve, a `locked` one can't be changed.

    After a change, `st.session_state[key]["drawn"]` is {"text": curve, "count": changes so far},
    and `on_drawn` is called. `heard` is the newest count that the page knows: what the browser has
    drawn since is newer than `text`.
    """
    data = {
        "key": key,
        "name": name,
        "scene": scene,
        "text": text,
        "heard": heard,
        "locked": locked,
        "steps": steps,
        "start": canvas.start,
        "top": canvas.top,
        "columns": COLUMNS,
        "levels": LEVELS,
        "lines": lines,
    }
    _mount(key=key, data=encode(data), on_drawn_change=on_drawn)


_mount = component(
    "samedge_sketch", js=assets.module("sketch.js", tall=400, wide=520), isolate_styles=False
)
