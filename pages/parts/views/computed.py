"""What the network of each run computes, drawn while it learns: the regions of its classes in the
plane with their points, or the function of one number with its examples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from pages.parts.components.figures import Figure, Raster, Trace, figures
from pages.parts.views.drawing import axis, line, markers, rim
from pages.parts.views.numerals import number
from samedge_core.training.computed import Computed, Examples, inside
from samedge_core.worker.view import Phase, RunView

MOST_POINTS = 400  # of all pictures together, so that an update of two stays within 20 KB
COLOURS = "classA", "classB", "classC"
SYMBOLS = "circle", "square", "diamond"
FAINT, STRONG = 0.08, 0.42  # opacity where two classes are level, and where one leads by 1

REGIONS = (
    "Each colour is where the network predicts that class, the stronger the further it leads; the "
    "line is where two classes are level. Filled points are trained on, hollow ones are held out."
)
FUNCTION = "The line is what the network computes, the circles are the examples that it learns."
ABSENT = (
    "What the network computes is drawn while a run goes on here; it is not part of its record."
)


def draw(views: Sequence[RunView], called: Sequence[str]) -> None:
    """A picture for each run that can be drawn, all to one scale; nothing for other runs."""
    known = [
        (view.examples, view.computed, name)
        for view, name in zip(views, called, strict=True)
        if view.examples and view.computed
    ]
    if known:
        shown = _figures(known)
        figures(shown, scene="computed", key="computed", on_click=lambda: None)
        of_classes = {bool(examples.classes) for examples, *_ in known}
        st.caption(" ".join(REGIONS if classes else FUNCTION for classes in sorted(of_classes)))
    if any(absent(view) for view in views):
        st.caption(ABSENT)


def absent(view: RunView) -> bool:
    """Whether there is no picture of what this run computes, and none to come."""
    still = view.phase in (Phase.ENDED, Phase.PAUSED)
    return still and view.config.spec.drawn and view.computed is None and view.last_step >= 0


def _figures(known: Sequence[tuple[Examples, Computed, str]]) -> list[Figure]:
    most = MOST_POINTS // (2 * len(known))
    functions = [(given, made) for given, made, _ in known if not given.classes]
    span = _span(functions) if functions else (0.0, 1.0)
    return [
        regions(given, made, name, most) if given.classes else function(given, made, name, span)
        for given, made, name in known
    ]


def _titled(kind: str, name: str) -> tuple[str, str]:
    """The name of a figure, and the first line of its title."""
    return (f"{kind} ({name})", f"<b>{name}</b><br>") if name else (kind, "")


# --- classes in the plane


def regions(given: Examples, made: Computed, name: str, most: int) -> Figure:
    """The predicted class over the plane, at most so many points of each kind over it."""
    title, head = _titled("Decision surface", name)
    (left, right), (low, high) = given.ranges
    rows, across = made.values.shape
    dx, dy = (right - left) / (across - 1), (high - low) / (rows - 1)
    levels = 256 // given.classes
    stops = [
        (k * levels + lead, f"@{COLOURS[k]}/{opacity}")
        for k in range(given.classes)
        for lead, opacity in ((0, FAINT), (levels - 1, STRONG))
    ]
    # a colour stands around its point of the grid
    around = (left - dx / 2, right + dx / 2), (low - dy / 2, high + dy / 2)
    right_ones = f"{100 * made.accuracy:.3g} % right"
    if given.sizes[1]:
        right_ones += f", held out {100 * made.held_out_accuracy:.3g} %"
    look: dict[str, Any] = {"showgrid": False, "constrain": "domain"}
    layout = {
        "xaxis": axis(
            f"{head}step {made.step:,}: {right_ones}", range=[left, right], automargin=True, **look
        ),
        "yaxis": axis("", range=[low, high], scaleanchor="x", **look),
        "hovermode": "closest",
        "dragmode": False,
    }
    lines = [_boundary(made, k, given.classes, (left, low), (dx, dy)) for k in _all_but_one(given)]
    return Figure(
        title,
        [*lines, *_points(given, most)],
        layout,
        columns=6,
        height=400,
        rasters=[Raster(made.values, *around, stops)],
        summary=f"{title} at step {made.step:,}: {right_ones}",
    )


def _all_but_one(given: Examples) -> range:
    """The classes whose borders are all borders that there are."""
    return range(1, given.classes)


def _boundary(
    made: Computed, k: int, classes: int, start: tuple[float, float], by: tuple[float, float]
) -> Trace:
    """The border of a class."""
    return {
        "type": "contour",
        "z": inside(made.values.astype(np.uint8), k, classes),
        **dict(zip(("x0", "y0", "dx", "dy"), (*start, *by), strict=True)),
        "autocontour": False,
        "contours": {"start": 127.5, "end": 127.5, "size": 1, "coloring": "none"},
        "line": {"color": "@text", "width": 2},
        "showscale": False,
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _points(given: Examples, most: int) -> list[Trace]:
    """Those held out under those trained on."""
    hollow = [_class_of(given.x_test[:most], given.y_test[:most], k, "-open") for k in _each(given)]
    filled = [_class_of(given.x[:most], given.y[:most], k, "") for k in _each(given)]
    return [*filter(None, hollow), *filter(None, filled)]


def _each(given: Examples) -> range:
    return range(given.classes)


def _class_of(x: np.ndarray, y: np.ndarray, k: int, kind: str) -> Trace | None:
    """The points of a class; one legend entry stands for all that are held out."""
    its = x[y == k]
    if not len(its):
        return None
    group = "held out" if kind else f"class {k}"
    return markers(
        group,
        its[:, 0],
        its[:, 1],
        COLOURS[k],
        f"{SYMBOLS[k]}{kind}",
        7,
        marker={"line": {"width": 1.6}} if kind else rim(1),
        legendgroup=group,
        showlegend=not (kind and k),
        legendrank=1001 if kind else 1000,
        hovertemplate=f"class {k}{', held out' if kind else ''}<br>(%{{x:.2f}}, %{{y:.2f}})"
        "<extra></extra>",
    )


# --- a function of one number


def _span(functions: Sequence[tuple[Examples, Computed]]) -> tuple[float, float]:
    """The values of all functions and examples, with room around them."""
    parts = [(given.y.ravel(), made.values) for given, made in functions]
    values = np.concatenate([part for both in parts for part in both])
    low, high = float(values.min()), float(values.max())
    room = 0.05 * ((high - low) or 1.0)
    return low - room, high + room


def function(given: Examples, made: Computed, name: str, span: tuple[float, float]) -> Figure:
    """The function of one number with the examples, over values in `span`."""
    title, head = _titled("Function", name)
    at = np.linspace(*given.ranges[0], len(made.values))
    traces = [
        line("f(x)", at, made.values, "loss", width=2.5),
        markers("examples", given.x[:, 0], given.y.ravel(), "text", "circle-open", 7),
    ]
    words = f"loss {number(made.loss)}"
    layout = {
        "xaxis": axis(f"{head}input x, step {made.step:,}: {words}", automargin=True),
        "yaxis": axis("output f(x)", range=list(span)),
        "hovermode": "x unified",
        "dragmode": False,
    }
    summary = f"{title} at step {made.step:,}: {words}"
    return Figure(title, traces, layout, columns=6, height=340, summary=summary)
