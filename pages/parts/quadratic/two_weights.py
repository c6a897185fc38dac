"""Part 3: the two-weight network, the smallest landscape whose curvature moves."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pages.parts.components.figures import Figure, Raster, Trace
from pages.parts.quadratic import draw
from pages.parts.quadratic.settings import RULE_NAMES, Values
from pages.parts.views.drawing import UNLISTED, axis, markers, rim
from samedge_core.theory.edges import gd_edge
from samedge_core.theory.two_weight import (
    TwoWeightLandscape,
    loss_level,
    sharpness_level,
    valley_at,
)

MAP = "Loss and sharpness"
GRID = 43
LOSS_LEVELS = (0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
SHADES = 255  # of the sharpness: what an eye tells apart, a byte each
BENDS = 13  # points of each branch of a level line; even in log a, they bend alike everywhere
STOPS = ((0, "@grad/0.05"), (2, "@grad/0.22"), (6, "@loss/0.30"), (12, "@bad/0.45"))
FAR = 2.0  # an iterate this much further out than the start is outside of the picture
LANDSCAPE = TwoWeightLandscape()


def runs(values: Values) -> draw.Descents:
    """The descents that this part shows."""
    return draw.descents(LANDSCAPE, values, [values["a0"], values["b0"]], values["walk"])


def moved_to(x: float, y: float) -> Mapping[str, float]:
    """The settings that a click on the map changes."""
    return {"a0": x, "b0": y}


def figures(values: Values, shown: draw.Descents) -> list[Figure]:
    """The landscape, and beside it the sharpness with its edges and ||g|| at each step."""
    levels = [
        ("2/η", float(gd_edge(values["eta"])), "gd/0.6", "dash"),
        ("flattest minimum: 2", 2.0, "text/0.6", "dot"),
    ]
    colors = {"sam": "sharpness", "usam": "loss"}
    sharpness = draw.Series(shown, "sharpness", colors, " sharpness")
    panels = [
        draw.Panel("sharpness and edge", [sharpness, draw.moving_edges(shown)], levels),
        draw.Panel("‖g‖", [draw.Series(shown, "grad_norm", suffix=" ‖g‖")]),
    ]
    beside = draw.over_steps("Sharpness, edges, gradient norm", values, panels, height=528)
    return [_landscape(values, shown), beside]


def _window(values: Values, shown: draw.Descents) -> tuple[list[float], list[float]]:
    """Ranges of a and b: the flattest point and all iterates, but for what is far away."""
    fixed = np.array([[0.0, 0.0], [2.0, 1.5], [values["a0"], values["b0"]]])
    reach = FAR + float(np.hypot(values["a0"], values["b0"]))
    near = np.concatenate([fixed, *(run.w[np.hypot(*run.w.T) < reach] for run in shown.values())])
    low, high = near.min(axis=0), near.max(axis=0)
    margin = 0.07 * (high - low)
    low, high = low - margin, high + margin
    return [float(low[0]), float(high[0])], [float(low[1]), float(high[1])]


def _landscape(values: Values, shown: draw.Descents) -> Figure:
    a_range, b_range = _window(values, shown)
    a, b = (np.linspace(low, high, GRID) for low, high in (a_range, b_range))
    grid = list(np.meshgrid(a, b))
    by = SHADES / STOPS[-1][0]
    shades = np.clip(by * LANDSCAPE.sharpness(grid), 0, SHADES).astype(np.uint8)
    raster = Raster(shades, a_range, b_range, [(by * value, color) for value, color in STOPS])
    traces = [_color_bar(), *_levels(values, a_range, b_range), *_valley(values, a_range, b_range)]
    for rule, run in shown.items():
        a, b = run.w.T
        hops = draw.path(rule, run, a, b, far=100)
        traces += [draw.middle(rule, a, b, far=100), *(one | {"showlegend": False} for one in hops)]
    layout: dict[str, Any] = {
        "xaxis": axis("a", range=a_range),
        "yaxis": axis("b", range=b_range),
        "hovermode": "closest",
        "annotations": _leaving(shown),
        "margin": {"r": 86},
    }
    return Figure(MAP, traces, layout, height=528, rasters=[raster], click=True)


def _color_bar() -> Trace:
    """A trace without points that carries the colour bar of the raster."""
    top, ticks = STOPS[-1][0], [0, 2, 4, 6, 8, 10, 12]
    bar = axis("sharpness", thickness=12, len=0.9, outlinewidth=0, tickvals=ticks)
    bar["ticktext"] = [*map(str, ticks[:-1]), f"≥ {top}"]
    scale = {"colorscale": [[value / top, color] for value, color in STOPS], "showscale": True}
    marker = {"color": [0], "cmin": 0, "cmax": top, "colorbar": bar, **scale}
    return markers("", [None], [None], "text", "circle", 0, marker=marker, **UNLISTED)


def _levels(values: Values, a_range: list[float], b_range: list[float]) -> list[Trace]:
    """Level lines of the loss, and that of the sharpness at 2/eta."""
    x, y = draw.joined(*_branches(a_range, b_range))
    curves = sharpness_level(float(gd_edge(values["eta"])), points=41)
    edge = draw.joined(*np.array(curves).transpose(1, 0, 2)) if curves else ([], [])
    return [
        draw.line("loss", x, y, "text/0.35", width=1, **UNLISTED),
        draw.line("sharpness 2/η", *edge, "gd", "dash", width=2.2, hoverinfo="skip"),
    ]


def _branches(a_range: list[float], b_range: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """The level lines of the loss as far as they are in the picture, which has (0, 0) inside:
    a and b, both of shape (branches, BENDS)."""
    a, b = [], []
    for level in LOSS_LEVELS:
        for product in loss_level(level, np.ones(1)).ravel():  # ab, the same all along
            for end in a_range:
                start = product / b_range[int(product * end > 0)]
                if abs(start) < abs(end):
                    a.append(np.geomspace(start, end, BENDS))
                    b.append(product / a[-1])
    return np.array(a), np.array(b)


def _valley(values: Values, a_range: list[float], b_range: list[float]) -> list[Trace]:
    """The minima ab = 1, the flattest of them, and those on GD's edge."""
    a = np.geomspace(1 / b_range[1], a_range[1], 40)
    valley = draw.line("minima, ab = 1", a, 1 / a, "sharpness", width=2.4, hoverinfo="text")
    valley |= {
        "hovertemplate": "minimum (%{x:.3~g}, %{y:.3~g}), sharpness %{text}",
        "text": [f"{x * x + 1 / (x * x):.3g}" for x in a],
    }
    about = {"showlegend": False, "hovertemplate": "sharpness 2, the flattest minimum"}
    label = {"mode": "markers+text", "text": ["a = b"], "textposition": "bottom left"}
    flattest = markers(
        "flattest", [1.0], [1.0], "sharpness", "star", 13, marker=rim(1.5), **about, **label
    )
    x, y = valley_at(float(gd_edge(values["eta"])))
    about["hovertemplate"] = "minimum with sharpness 2/η"
    on_edge = markers("minima at 2/η", [x, y], [y, x], "gd", "x", 10, **about)
    return [valley, flattest, *([on_edge] if np.isfinite(x) else [])]


def _leaving(shown: draw.Descents) -> list[Trace]:
    return draw.corner_notes(
        {
            rule: f"{RULE_NAMES[rule]} diverges: beyond 1e30 at step {run.steps + 1} ↗"
            for rule, run in shown.items()
            if run.escaped
        }
    )
