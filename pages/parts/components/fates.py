"""A map of fates that zooms, drawn by static/fates.js."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from streamlit.components.v2 import component

from pages.parts.components.wire import encode
from pages.parts.frame import assets
from samedge_core.sweeps.fate_map import POINTS, PREVIEW, WORDS, Plane, View, finest, lines

OUTSIDE = 9.0  # views beside the picture, as far as its curves are sent


def fate_map(
    plane: Plane,
    view: View,
    values: NDArray[np.uint16],
    *,
    labels: Sequence[str],
    marks: Sequence[Sequence[float]],
    summary: str,
    origin: str,
    key: str,
    on_ask: Callable[[], None],
    on_pick: Callable[[], None],
) -> None:
    """Draw the picture `values` (n, n) of a view. Another `origin` moves the browser to that view,
    else it stays at its own.

    `on_ask` is called for another picture: `st.session_state[key]["asked"]` then has its view, and
    whether it is still: then a fine one; `on_pick` for a click, with x and y in axis units.
    """
    data = {
        "key": key,
        "origin": origin,
        "picture": np.frombuffer(zlib.compress(values.astype("<u2").tobytes(), 1), np.uint8),
        "count": len(values),
        "coarse": PREVIEW,
        "fine": POINTS,
        "view": view,
        "whole": plane.whole,
        "finest": (finest(*view[:2]), finest(*view[2:])),
        "log": (plane.is_log(plane.x), plane.is_log(plane.y)),
        "labels": labels,
        "words": [WORDS[fate] for fate in sorted(WORDS)],
        "lines": _shares(plane, view),
        "marks": marks,
        "summary": summary,
    }
    _mount(key=key, data=encode(data), on_asked_change=on_ask, on_picked_change=on_pick)


def _shares(plane: Plane, view: View) -> list[Mapping[str, Any]]:
    """Theory's curves as shares of the view, which Float32 holds at every zoom."""
    found = []
    for dash, (name, curves) in enumerate(lines(plane, view).items()):
        for x, y in curves:
            u = np.clip((x - view[0]) / (view[1] - view[0]), -OUTSIDE, OUTSIDE)
            v = np.clip((y - view[2]) / (view[3] - view[2]), -OUTSIDE, OUTSIDE)
            found.append({"name": name, "dash": dash, "x": u, "y": v})
    return found


_mount = component(
    "samedge_fates", js=assets.module("fates.js", tall=460, wide=660), isolate_styles=False
)
