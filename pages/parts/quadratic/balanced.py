"""Part 4: GD from a balanced start, a = b, beyond its edge: cycles, chaos, and no bound."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pages.parts.components.figures import Figure, Raster, Trace
from pages.parts.quadratic import draw
from pages.parts.quadratic.settings import Values
from pages.parts.quadratic.two_weights import LANDSCAPE
from pages.parts.views.drawing import axis, level, markers, note, rim
from samedge_core.theory.balanced import (
    BOUNDED_TO,
    CROSSES_FROM,
    CYCLE_TO,
    FIXED_TO,
    FOUR_TO,
    balanced_step,
    bifurcations,
    bound,
    period,
    settled,
    spreading,
)
from samedge_core.theory.descent import descend

DIAGRAM = "Where GD ends, for every η"
SPAN, REACH = (0.6, 2.1), 1.5
COLUMNS, ROWS = 480, 240
NAMES = {  # of what lies between two values of eta
    "at rest": (SPAN[0], FIXED_TO),
    "2": (FIXED_TO, CYCLE_TO),
    "4": (CYCLE_TO, FOUR_TO),
    "chaos and windows": (FOUR_TO, BOUNDED_TO),
    "gone": (BOUNDED_TO, SPAN[1]),
}


def runs(values: Values) -> draw.Descents:
    """The descent that this part shows."""
    start = [values["a_balanced"]] * 2
    return {"gd": descend(LANDSCAPE, "gd", values["eta_balanced"], 0.0, start, values["hops"])}


def moved_to(x: float, y: float) -> Mapping[str, float]:
    """The settings that a click on the diagram changes."""
    return {"eta_balanced": x}


def figures(values: Values, shown: draw.Descents) -> list[Figure]:
    """The bifurcation diagram, and beside it the hops as a cobweb and over the steps."""
    a = shown["gd"].w[:, 0]
    a = np.where(np.abs(a) < 10, a, np.nan)  # SVG has no room for what diverges
    return [_diagram(values, a), _cobweb(values, a), _over_steps(values, a)]


def _diagram(values: Values, a: np.ndarray) -> Figure:
    eta = values["eta_balanced"]
    visited = bifurcations(*SPAN, COLUMNS, REACH, ROWS)
    colors = [(0, "@sharpness/0"), (1, "@sharpness/0.75")]
    raster = Raster(visited, SPAN, (-REACH, REACH), colors)
    end = a[-64:]
    hover = {"hovertemplate": "η %{x:.4~g}, a %{y:.4~g}", "marker": rim(1)}
    dots = markers("your last hops", np.full(len(end), eta), end, "gd", "circle", 7, **hover)
    heights = {"4": 0.07, "2": 0.02, "gone": 0.07}
    names = [
        note(name, (low + high) / 2, heights.get(name, 0.02), bgcolor="@background/0.7")
        for name, (low, high) in NAMES.items()
    ]
    edges = [level("x", high, "muted", "dot", width=1) for _, high in list(NAMES.values())[:-1]]
    layout = {
        "xaxis": axis("step size η", range=SPAN),
        "yaxis": axis("a = b in the end", range=(-REACH, REACH)),
        "shapes": [*edges, level("x", eta, "gd", "solid")],
        "annotations": names,
        "hovermode": "closest",
    }
    summary = f"At η = {eta:g} GD {fate(values)}."
    look: dict[str, Any] = {"height": 600, "rows": 2, "click": True, "summary": summary}
    return Figure(DIAGRAM, [dots], layout, rasters=[raster], **look)


def _cobweb(values: Values, a: np.ndarray) -> Figure:
    """Each hop from a on the diagonal to a' on the curve, and across to the diagonal."""
    eta = values["eta_balanced"]
    half = 1.1 * max(bound(eta), abs(values["a_balanced"]))
    along, steps = np.linspace(-half, half, 161), np.arange(len(a))
    x, y = np.repeat(a, 2)[:-1], np.repeat(a, 2)[1:]
    web = draw.line("hops", x, y, "gd/0.7", width=1.4, hoverinfo="skip")
    now = draw.dots("a now", a, a, "gd", 11, marker=rim(2), showlegend=False)
    traces: list[Trace] = [
        draw.line("a′ = a (1 + η − ηa²)", along, balanced_step(along, eta), "sharpness"),
        draw.line("a′ = a", along, along, "muted", "dash", width=1.4, hoverinfo="skip"),
        web | {"meta": {"step": np.repeat(steps, 2)[1:], "trail": draw.TRAIL}},
        now | {"meta": {"step": steps, "trail": 1}},
    ]
    layout = {
        "xaxis": axis("a", range=[-half, half]),
        "yaxis": axis("a′, after a step", range=[-half, half]),
        "hovermode": "closest",
    }
    return Figure("Its hops, from a to a′", traces, layout, height=340)


def _over_steps(values: Values, a: np.ndarray) -> Figure:
    steps, hover = np.arange(len(a)), {"hovertemplate": "a %{y:.5~g} at step %{x}"}
    look = {"marker": {"size": 5, "color": "@gd"}, "mode": "lines+markers", **hover}
    traces = [draw.line("a = b", steps, a, "gd/0.45", width=1, meta={"step": steps}, **look)]
    layout = {
        "xaxis": axis("step", range=[0, values["hops"]]),
        "yaxis": axis("a = b"),
        "shapes": [level("y", at, "sharpness", width=1.2) for at in (1, -1)],
        "showlegend": False,
    }
    return Figure("Its hops over the steps", traces, layout, height=250, cursor=True)


def fate(values: Values) -> str:
    """What GD does with this eta from this start, in words; by the closed forms where they say it,
    else as an orbit of some hundred steps shows it."""
    eta, a = values["eta_balanced"], values["a_balanced"]
    if a == 0:
        return "stays at the saddle point a = b = 0"
    if abs(a) > bound(eta):
        return f"diverges: it starts beyond √(1 + 2/η) = {bound(eta):.4g}"
    if eta <= FIXED_TO:
        return "comes to rest in a minimum, of sharpness 2 and not above 2/η"
    if eta <= CYCLE_TO:
        return "hops between two points for ever, whose product is 1/η"
    if eta <= FOUR_TO:
        return "hops between four points for ever"
    if eta > BOUNDED_TO:
        return "leaves for good, from almost every start"
    orbit = settled(a, eta)
    if not np.isfinite(orbit).all():
        return "diverges from this start"
    sides = "both valleys" if eta > CROSSES_FROM and orbit.min() * orbit.max() < 0 else "one valley"
    if length := period(orbit):
        return f"hops in {sides}, in a period of {length}"
    apart = np.exp(spreading(orbit, eta))
    if apart > 1:
        return f"is in chaos, in {sides}: neighbouring starts part {apart:.2f} times a step"
    return f"hops in {sides}; no period up to 64 is seen"
