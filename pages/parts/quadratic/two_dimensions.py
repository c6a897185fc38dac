"""Part 2: trajectories over the contours of 1/2 w^T A w."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pages.parts.figures import Figure, Trace
from pages.parts.quadratic import draw
from pages.parts.quadratic.settings import RULE_NAMES, Values
from samedge_core.descent import Trajectory, sampled_steps
from samedge_core.quadratics import Quadratic, orbit_grad_norm, orbit_radius, rotation
from samedge_core.stability import multiplier

CONTOURS = "Contours and trajectories"
GRID = 61
LEVELS = 9
CHART = 170
HEIGHT = 3 * CHART + 16
GAUGE = (-2.0, 1.15)  # multipliers that the gauge shows; beyond is drawn at its end


def runs(values: Values) -> draw.Descents:
    """The descents that this part shows, in the eigenbasis of A."""
    start = rotation(values["angle"]).T @ [values["x0"], values["y0"]]
    return draw.descents(_landscape(values), values, start.tolist(), values["steps"])


def moved_to(x: float, y: float) -> Mapping[str, float]:
    """The settings that a click on the contours changes."""
    return {"x0": x, "y0": y}


def _landscape(values: Values) -> Quadratic:
    return Quadratic([values["curvature"], values["curvature"] * values["ratio"]])


def figures(values: Values, shown: draw.Descents) -> list[Figure]:
    """The plane, the multipliers, and the gradient norm and the edges at each step."""
    curvature = values["curvature"]
    norm = float(orbit_grad_norm(curvature, values["eta"], values["rho"]))
    hops = values["sam"] and values["rho"] > 0
    levels = [("‖g*‖, predicted", norm, "text", "dot")] if hops else []
    edges = draw.edge_levels(values, curvature)
    moving = {rule: run for rule, run in shown.items() if rule != "gd"}
    top = 1.25 * max(level[1] for level in edges)
    return [
        _plane(values, shown),
        _gauge(values, shown),
        draw.over_steps(
            "Gradient norm ‖g‖",
            shown,
            "grad_norm",
            values,
            title="‖g‖",
            levels=levels,
            height=CHART,
        ),
        draw.over_steps(
            "Edges", moving, "edge", values, title="curvature", levels=edges, top=top, height=CHART
        ),
    ]


def _plane(values: Values, shown: draw.Descents) -> Figure:
    turn = rotation(values["angle"])
    half = _half_width(values)
    axis = np.linspace(-2.2 * half, 2.2 * half, GRID)  # the picture may be wider than high
    x, y = np.meshgrid(axis, axis)
    inside = np.tensordot(turn.T, np.stack([x, y]), axes=1)
    height = np.sqrt(_landscape(values).loss(list(inside)))  # levels at even distances
    highest = max(float(np.sqrt(values["curvature"] / 2) * half), 1e-12)
    traces: list[Trace] = [
        {"type": "contour", "x": axis, "y": axis, "z": height, "showscale": False,
         "hoverinfo": "skip", "autocontour": False,
         "contours": {"coloring": "lines", "start": 0, "end": 3 * highest,
                      "size": highest / LEVELS},
         "colorscale": [[0, "@muted"], [1, "@border"]], "line": {"width": 1}},
        *_eigenvectors(values, turn, half),
    ]  # fmt: skip
    for rule, run in shown.items():
        x, y = turn @ run.w.T
        traces += [*draw.path(rule, run, x, y, far=100 * half), _last_hops(rule, run, x, y)]
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "x"}, "range": [-half, half]},
        "yaxis": {"title": {"text": "y"}, "range": [-half, half], "scaleanchor": "x"},
        "hovermode": "closest",
        "annotations": _leaving(shown, half),
    }
    return Figure(CONTOURS, traces, layout, columns=3, rows=3, height=HEIGHT, click=True)


def _half_width(values: Values) -> float:
    start = float(np.hypot(values["x0"], values["y0"]))
    radius = float(orbit_radius(values["curvature"], values["eta"], values["rho"]))
    orbit = radius if values["sam"] and radius < 20 * max(start, 1e-3) else 0.0
    return 1.15 * max(start, orbit, 1e-3)


def _eigenvectors(values: Values, turn: np.ndarray, half: float) -> list[Trace]:
    lines = []
    for k, (eigenvalue, dash) in enumerate(
        zip(_landscape(values).eigenvalues, ("dash", "dot"), strict=True)
    ):
        end = 3 * half * turn[:, k]
        lines.append(
            draw.line(f"v{'₁₂'[k]}: λ = {eigenvalue:.3g}", [-end[0], end[0]], [-end[1], end[1]],
                      "sharpness/0.7", dash, width=1.3, hoverinfo="skip")
        )  # fmt: skip
    return lines


def _last_hops(rule: str, run: Trajectory, x: np.ndarray, y: np.ndarray) -> Trace:
    """The last two hops, heavy: where they lie along v1 the run has found its orbit."""
    shown = sampled_steps(run.steps)
    trace = draw.line(
        f"{RULE_NAMES[rule]}, last hops", x[shown], y[shown], rule, width=5, showlegend=False,
        hoverinfo="skip", legendgroup=rule, opacity=0.45,
    )  # fmt: skip
    return trace | {"meta": {"step": shown, "trail": 3}}


def _leaving(shown: draw.Descents, half: float) -> list[dict[str, Any]]:
    notes = []
    for rule, run in shown.items():
        outside = np.hypot(*run.w.T) > 2 * half
        if not outside.any():
            continue
        first = int(np.argmax(outside))
        notes.append({
            "text": f"{RULE_NAMES[rule]} leaves at step {first:,} ↗", "xref": "paper",
            "yref": "paper", "x": 0.99, "y": 0.98 - 0.08 * len(notes), "xanchor": "right",
            "showarrow": False, "font": {"color": f"@{rule}"}, "bgcolor": "@background/0.8",
        })  # fmt: skip
    return notes


def _gauge(values: Values, shown: draw.Descents) -> Figure:
    """Multipliers of both directions at the step shown; at -1 a direction is on the edge."""
    traces, rows = [], []
    eigenvalues = _landscape(values).eigenvalues
    for rule, run in shown.items():
        steps = sampled_steps(run.steps)
        for k, eigenvalue in enumerate(eigenvalues):
            m = np.asarray(multiplier(rule, eta=run.eta, rho=run.rho, curvature=eigenvalue,
                                      grad_norm=run.grad_norm[steps]))  # fmt: skip
            m = np.broadcast_to(m, len(steps))
            label = f"{RULE_NAMES[rule]} v{'₁₂'[k]}"
            rows.append(label)
            traces.append(
                draw.dots(label, np.clip(m, *GAUGE), [label] * len(steps), rule, size=14,
                          meta={"step": steps, "trail": 1}, showlegend=False, customdata=m,
                          hovertemplate="multiplier %{x:.4~g}")
            )  # fmt: skip
    shapes = [
        _band(GAUGE[0], -1, "bad/0.16"), _band(-1, 0, "usam/0.10"), _band(0, 1, "grad/0.10"),
        {"type": "line", "xref": "x", "yref": "paper", "x0": -1, "x1": -1, "y0": 0, "y1": 1,
         "line": {"color": "@text", "width": 2, "dash": "dash"}},
    ]  # fmt: skip
    names = [
        {"text": text, "x": x, "y": 1.0, "xref": "x", "yref": "paper", "yanchor": "bottom",
         "showarrow": False}
        for text, x in (("grows", -1.5), ("flips sign, shrinks", -0.5), ("shrinks", 0.5))
    ]  # fmt: skip
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "multiplier of a step; −1 is the edge"}, "range": list(GAUGE),
                  "tickvals": [-2, -1.5, -1, -0.5, 0, 0.5, 1], "fixedrange": True},
        "yaxis": {"type": "category", "categoryarray": rows[::-1], "categoryorder": "array",
                  "fixedrange": True, "range": [-0.6, max(len(rows), 1) - 0.4]},
        "margin": {"l": 84}, "shapes": shapes, "annotations": names, "hovermode": "closest",
    }  # fmt: skip
    return Figure("Multipliers", traces, layout, height=CHART)


def _band(start: float, end: float, color: str) -> dict[str, Any]:
    return {"type": "rect", "xref": "x", "yref": "paper", "x0": start, "x1": end, "y0": 0, "y1": 1,
            "fillcolor": f"@{color}", "line": {"width": 0}, "layer": "below"}  # fmt: skip
