"""Part 3: the two-weight network, the smallest landscape whose curvature moves."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pages.parts.components.figures import Figure, Raster, Trace
from pages.parts.quadratic import draw
from pages.parts.quadratic.checks import Check
from pages.parts.quadratic.settings import RULE_NAMES, Values
from pages.parts.views.drawing import UNLISTED, axis, markers, rim
from samedge_core.theory.descent import REACHES, Trajectory
from samedge_core.theory.drift import (
    alternating,
    drift,
    end_of_flow,
    factor_of_a_step,
    flow,
    imbalance,
)
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
SETTLING = 10  # steps within which SAM's hops get their size, mostly
FAR = 2.0  # an iterate this much further out than the start is outside of the picture
LANDSCAPE = TwoWeightLandscape()


def runs(values: Values) -> draw.Descents:
    """The descents that this part shows."""
    return draw.descents(LANDSCAPE, values, [values["a0"], values["b0"]], values["walk"])


def moved_to(x: float, y: float) -> Mapping[str, float]:
    """The settings that a click on the map changes."""
    return {"a0": x, "b0": y}


def figures(values: Values, shown: draw.Descents) -> list[Figure]:
    """The landscape, and beside it sharpness and edges, ||g|| and |a^2 - b^2| at each step."""
    levels = [
        ("2/η", float(gd_edge(values["eta"])), "gd/0.6", "dash"),
        ("flattest minimum: 2", 2.0, "text/0.6", "dot"),
    ]
    colors = {"sam": "sharpness", "usam": "loss"}
    sharpness = draw.Series(shown, "sharpness", colors, " sharpness")
    panels = [
        draw.Panel("sharpness and edge", [sharpness, draw.moving_edges(shown)], levels),
        draw.Panel("‖g‖", [draw.Series(shown, "grad_norm", suffix=" ‖g‖")]),
        _imbalances(values, shown),
    ]
    beside = draw.over_steps("Sharpness, edges, gradient norm", values, panels, height=528)
    return [_landscape(values, shown), beside]


def _imbalances(values: Values, shown: draw.Descents) -> draw.Panel:
    """How far from balanced the runs are, beside what gradient flow keeps and SAM's drift."""
    kept = abs(float(imbalance([values["a0"], values["b0"]])))
    laws = []
    if hops := _hops(shown):
        steps = np.arange(hops[0], hops[1], max(1, (hops[1] - hops[0]) // draw.MOST_POINTS))
        c, _ = _drifts(shown["sam"], hops)
        drawn = np.abs(drift(c, values["eta"], values["rho"], steps - hops[0]))
        laws = [draw.line("SAM's drift, predicted", steps, drawn, "text", "dot", width=2.5)]
    series = [draw.Series(shown, lambda run: np.abs(imbalance(list(run.w.T))), suffix=" |c|")]
    levels = [("c of gradient flow", kept, "muted", "dot")]
    return draw.Panel("|a² − b²|", series, levels, laws=laws)


def _hops(shown: draw.Descents) -> tuple[int, int] | None:
    """First and last step of SAM's hops in a period of two, once they have their size."""
    run = shown.get("sam")
    if run is None or run.rho == 0 or run.escaped:
        return None
    first, last = alternating(run.w[:, 0] * run.w[:, 1])
    return (first + SETTLING, last) if last - first > 3 * SETTLING else None


def has_no_drift(shown: draw.Descents) -> bool:
    """Whether SAM hops on, but not in a period of two."""
    run = shown.get("sam")
    if run is None or run.rho == 0 or run.escaped or run.steps <= 3 * SETTLING:
        return False
    return run.grad_norm[-1] > 0 and not _hops(shown)


def _drifts(run: Trajectory, hops: tuple[int, int]) -> tuple[float, float]:
    """c between two iterates, where the hops cancel, at the beginning and at the end of `hops`."""
    c = imbalance(list(run.w.T))
    first, last = hops
    return float(c[first] + c[first + 1]) / 2, float(c[last - 1] + c[last]) / 2


def checks(values: Values, shown: draw.Descents) -> list[Check]:
    """The exact laws of c, step after step, and the rate of SAM's drift."""
    found = []
    for rule, run in shown.items():
        if run.escaped:
            continue
        w = list(run.w.T)
        reach = REACHES[rule](run.rho, run.grad_norm)
        c, factors = imbalance(w), factor_of_a_step(w, run.eta, reach)
        law = "1 − η²r²" if rule == "gd" else "(1 − ηr̃k)² − (ηr̃)²"
        what = f"{RULE_NAMES[rule]}: c = a² − b² at the end, c₀ times all {law}"
        found.append(Check(what, float(c[0] * factors[:-1].prod()), float(c[-1]), slack=1e-12))
    if hops := _hops(shown):
        c, end = _drifts(shown["sam"], hops)
        law = drift(c, values["eta"], values["rho"], [hops[1] - 1 - hops[0]])[0]
        if c * law * end > 0:
            what = f"SAM's drift, ln c from step {hops[0]:,} to {hops[1]:,}: 8ηρ²/(2 − ηλ)² a step"
            found.append(Check(what, np.log(c / law), np.log(c / end), near=0.01))
    return found


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
    traces += _flow(values)
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


def _flow(values: Values) -> list[Trace]:
    """The path of gradient flow from the start, and its end."""
    start = [values["a0"], values["b0"]]
    a, b = end_of_flow(start)
    if not np.isfinite(a):
        return []
    name, sharpness = "gradient flow keeps c", float(np.hypot(imbalance(start), 2))
    about = f"its end: sharpness √(c² + 4) = {sharpness:.4g}"
    hover, along = {"hovertemplate": about, "showlegend": False, "marker": rim(1.5)}, flow(start)
    return [
        draw.line(name, along[0], along[1], "text", "2px,4px", width=2.4, hoverinfo="skip"),
        markers(name, [a], [b], "text", "square", 9, **hover),
    ]


def _leaving(shown: draw.Descents) -> list[Trace]:
    return draw.corner_notes(
        {
            rule: f"{RULE_NAMES[rule]} diverges: beyond 1e30 at step {run.steps + 1} ↗"
            for rule, run in shown.items()
            if run.escaped
        }
    )
