"""Figures that answer to sliders: whole Plotly figures, drawn in place by static/figures.js.

A figure is plain data, traces and a layout as Plotly names them; building it costs microseconds,
where `plotly.graph_objects` checks for tens of milliseconds (the tests let it check them all).
Colours are names of the page's theme: "@sam", or "@sam/0.3" with an opacity.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from streamlit.components.v2 import component

from pages.parts.components.wire import encode
from pages.parts.frame import assets

Trace = dict[str, Any]


@dataclass(frozen=True)
class Raster:
    """A coloured grid: `z` of shape (rows, columns), its first row lowest, over the ranges x and y.

    Ranges are in axis units, so logarithms (base 10) on a log axis; `stops` are (value, colour).
    """

    z: np.ndarray
    x: Sequence[float]
    y: Sequence[float]
    stops: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: what it shows; its aria-label, and its identity: zoom is kept under this name.
        traces, layout: as in Plotly. A trace with `meta={"step": array}`, one step number for each
            point, is cut at the step of the scrubber; "trail" keeps only the last so many steps.
        columns, rows: how much of the grid, 6 columns wide, it takes.
        height: in pixels; less on a low screen, more with large text.
        rasters: coloured grids under the traces.
        click: a click anywhere in it is reported.
        cursor: x is the step; the scrubber is drawn as a line.
        summary: what it shows now, in words; in place of where its lines have come to.
    """

    name: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any]
    columns: int = 3
    rows: int = 1
    height: int = 300
    rasters: Sequence[Raster] = ()
    click: bool = False
    cursor: bool = False
    summary: str = ""


@dataclass(frozen=True)
class Scrub:
    """What can be played: the steps that are drawn, and the numbers at each of them.

    Attributes:
        steps: step numbers, shape (n,).
        columns: names of the numbers.
        rows: (label, colour, one array of shape (n,) for each column); NaN shows as a dash.
        loop: plays by itself, again and again, unless the reader asks for less motion.
    """

    steps: np.ndarray
    columns: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[np.ndarray]]] = field(default_factory=list)
    loop: bool = False


def figures(
    shown: Sequence[Figure],
    *,
    scene: str,
    key: str,
    scrub: Scrub | None = None,
    on_click: Callable[[], None],
) -> None:
    """Draw figures in place of the ones before. Another `scene` sets the scrubber to its end.

    A click on a figure with `click` calls `on_click`; `st.session_state[key]["clicked"]` then is
    {"figure": name, "x": ..., "y": ...}, in data units.
    """
    data = {"key": key, "scene": scene, "figures": shown, "scrub": scrub}
    _mount(key=key, data=encode(data), on_clicked_change=on_click)


_mount = component(
    "samedge_figures", js=assets.module("figures.js", tall=1100, wide=620), isolate_styles=False
)
