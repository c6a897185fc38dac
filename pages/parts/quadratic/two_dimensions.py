"""Part 2: trajectories over the contours of 1/2 w^T A w."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pages.parts.components.figures import Figure, Trace
from pages.parts.quadratic import draw
from pages.parts.quadratic.settings import RULE_NAMES, Values
from pages.parts.views.drawing import band, level, note
from samedge_core.theory.descent import Trajectory, sampled_steps
from samedge_core.theory.quadratics import Quadratic, orbit_grad_norm, orbit_radius, rotation
from samedge_core.theory.stability import multiplier

CONTOURS = "Contours and trajectories"
LEVELS = 12
HEIGHT = 526
GAUGE_HEIGHT = 170
GAUGE = (-2.0, 1.15)  # multipliers that the gauge shows; beyond is drawn at its end


def runs(values: Values) -> draw.Descents:
    """The descents that this part shows, in the eigenbasis of A."""
    return draw.descents(_landscape(values), values, _start(values), values["steps"])


def moved_to(x: float, y: float) -> Mapping[str, float]:
    """The settings that a click on the contours changes."""
    return {"x0": x, "y0": y}


def steepest(values: Values) -> float:
    """The curvature of the direction in which hops stay: the larger eigenvalue, the other where the
    start has no part along v1, and 0 where it is the minimum."""
    parts = zip(_landscape(values).eigenvalues, _start(values), strict=True)
    return max((curvature for curvature, part in parts if part), default=0.0)


def _start(values: Values) -> list[float]:
    """The start in the eigenbasis of A."""
    return (rotation(values["angle"]).T @ [values["x0"], values["y0"]]).tolist()


def _landscape(values: Values) -> Quadratic:
    return Quadratic([values["curvature"], values["curvature"] * values["ratio"]])


def figures(values: Values, shown: draw.Descents) -> list[Figure]:
    """The plane, the multipliers, and the gradient norm and the edges at each step."""
    levels = []
    if values["sam"] and values["rho"] > 0 and (curvature := steepest(values)):
        norm = float(orbit_grad_norm(curvature, values["eta"], values["rho"]))
        levels.append(("‖g*‖, predicted", norm, "text", "dot"))
    edges = draw.edge_levels(values)
    moving = {rule: run for rule, run in shown.items() if rule != "gd"}
    top = 1.25 * max(level[1] for level in edges)
    panels = [
        draw.Panel("‖g‖", [draw.Series(shown, "grad_norm")], levels),
        draw.Panel("curvature", [draw.Series(moving, "edge")], edges, top),
    ]
    beside = draw.over_steps(
        "Gradient norm and edges", values, panels, height=HEIGHT - GAUGE_HEIGHT - 8
    )
    return [_plane(values, shown), _gauge(values, shown), beside]


def _plane(values: Values, shown: draw.Descents) -> Figure:
    turn = rotation(values["angle"])
    half = _half_width(values)
    traces: list[Trace] = [_contours(values, turn, half), *_eigenvectors(values, turn, half)]
    for rule, run in shown.items():
        x, y = turn @ run.w.T
        traces += [*draw.path(rule, run, x, y, far=100 * half), _last_hops(rule, run, x, y)]
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "x"}, "range": [-half, half]},
        "yaxis": {"title": {"text": "y"}, "range": [-half, half], "scaleanchor": "x"},
        "hovermode": "closest",
        "annotations": _leaving(shown, half),
    }
    return Figure(CONTOURS, traces, layout, rows=2, height=HEIGHT, click=True)


def _contours(values: Values, turn: np.ndarray, half: float) -> Trace:
    """Ellipses on which the root of the loss grows evenly."""
    around = np.linspace(0, 2 * np.pi, 73)
    steepest, flattest = np.sqrt(_landscape(values).eigenvalues)
    sizes = half * np.arange(1, LEVELS + 1)[:, None] * 2 / LEVELS
    # along v1 the ellipses are half/LEVELS * 2 apart, along v2 wider by the root of the ratio
    circle = np.stack([np.cos(around), steepest / flattest * np.sin(around)])
    x, y = np.einsum("ij,jn,k->ikn", turn, circle, sizes.ravel())
    return draw.line(
        "loss", *draw.joined(x, y), "muted", width=1, hoverinfo="skip", showlegend=False
    )


def _half_width(values: Values) -> float:
    start, orbit = float(np.hypot(values["x0"], values["y0"])), 0.0
    if values["sam"] and (curvature := steepest(values)):
        radius = float(orbit_radius(curvature, values["eta"], values["rho"]))
        orbit = radius if radius < 20 * max(start, 1e-3) else 0.0
    return 1.15 * max(start, orbit, 1e-3)


def _eigenvectors(values: Values, turn: np.ndarray, half: float) -> list[Trace]:
    lines = []
    for k, (eigenvalue, dash) in enumerate(
        zip(_landscape(values).eigenvalues, ("dash", "dot"), strict=True)
    ):
        end = 3 * half * turn[:, k]
        lines.append(
            draw.line(
                f"v{'₁₂'[k]}: λ = {eigenvalue:.3g}",
                [-end[0], end[0]],
                [-end[1], end[1]],
                "sharpness/0.7",
                dash,
                width=1.3,
                hoverinfo="skip",
            )
        )
    return lines


def _last_hops(rule: str, run: Trajectory, x: np.ndarray, y: np.ndarray) -> Trace:
    """The last two hops, heavy: where they lie along v1 the run has found its orbit."""
    shown = sampled_steps(run.steps)
    trace = draw.line(
        f"{RULE_NAMES[rule]}, last hops",
        x[shown],
        y[shown],
        rule,
        width=5,
        showlegend=False,
        hoverinfo="skip",
        legendgroup=rule,
        opacity=0.45,
    )
    return trace | {"meta": {"step": shown, "trail": 3}}


def _leaving(shown: draw.Descents, half: float) -> list[dict[str, Any]]:
    far = {rule: np.hypot(*run.w.T) > 2 * half for rule, run in shown.items()}
    return draw.corner_notes(
        {
            rule: f"{RULE_NAMES[rule]} leaves at step {int(np.argmax(outside)):,} ↗"
            for rule, outside in far.items()
            if outside.any()
        }
    )


def _gauge(values: Values, shown: draw.Descents) -> Figure:
    """Multipliers of both directions at the step shown; at -1 a direction is on the edge."""
    traces, rows = [], []
    eigenvalues = np.array(_landscape(values).eigenvalues)
    for rule, run in shown.items():
        steps = sampled_steps(run.steps)
        m = multiplier(
            rule,
            eta=run.eta,
            rho=run.rho,
            curvature=eigenvalues,
            grad_norm=run.grad_norm[steps][:, None],
        )
        m = np.broadcast_to(m, (len(steps), 2)).ravel()
        labels = [f"{RULE_NAMES[rule]} v₁", f"{RULE_NAMES[rule]} v₂"]
        rows += labels
        traces.append(
            draw.dots(
                RULE_NAMES[rule],
                np.clip(m, *GAUGE),
                labels * len(steps),
                rule,
                size=14,
                meta={"step": np.repeat(steps, 2), "trail": 1},
                showlegend=False,
                hovertemplate="multiplier %{x:.4~g}",
            )
        )
    shapes = [
        band("x", GAUGE[0], -1, "bad/0.16"),
        band("x", -1, 0, "usam/0.10"),
        band("x", 0, 1, "grad/0.10"),
        level("x", -1),
    ]
    words = (("grows", -1.5), ("flips sign, shrinks", -0.5), ("shrinks", 0.5))
    layout: dict[str, Any] = {
        "xaxis": {
            "title": {"text": "multiplier of a step; −1 is the edge"},
            "range": list(GAUGE),
            "tickvals": [-2, -1.5, -1, -0.5, 0, 0.5, 1],
            "fixedrange": True,
        },
        "yaxis": {
            "type": "category",
            "dtick": 1,
            "categoryarray": rows[::-1],
            "categoryorder": "array",
            "fixedrange": True,
            "range": [-0.6, max(len(rows), 1) - 0.4],
        },
        "margin": {"l": 84},
        "shapes": shapes,
        "annotations": [note(text, x, 1.0, yanchor="bottom") for text, x in words],
        "hovermode": "closest",
    }
    return Figure("Multipliers", traces, layout, height=GAUGE_HEIGHT)
