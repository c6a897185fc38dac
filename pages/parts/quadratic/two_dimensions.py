"""Part 2: trajectories over the contours of 1/2 w^T A w."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pages.parts.components.figures import Figure, Trace
from pages.parts.quadratic import draw
from pages.parts.quadratic.settings import RULE_NAMES, Values
from pages.parts.views.drawing import UNLISTED, axis, band, level, note
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
        levels.append(draw.predicted("‖g*‖", norm))
    norms = draw.Panel("‖g‖", [draw.Series(shown, "grad_norm")], levels)
    panels, height = [norms, draw.edges_panel(values, shown)], HEIGHT - GAUGE_HEIGHT - 8
    beside = draw.over_steps("Gradient norm and edges", values, panels, height=height)
    return [_plane(values, shown), _gauge(values, shown), beside]


def _plane(values: Values, shown: draw.Descents) -> Figure:
    turn = rotation(values["angle"])
    half = _half_width(values)
    traces: list[Trace] = [_contours(values, turn, half), *_eigenvectors(values, turn, half)]
    for rule, run in shown.items():
        x, y = turn @ run.w.T
        traces += [*draw.path(rule, run, x, y, far=100 * half), _last_hops(rule, run, x, y)]
    layout: dict[str, Any] = {
        "xaxis": axis("x", range=[-half, half]),
        "yaxis": axis("y", range=[-half, half], scaleanchor="x"),
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
    return draw.line("loss", *draw.joined(x, y), "muted", width=1, **UNLISTED)


def _half_width(values: Values) -> float:
    start, orbit = float(np.hypot(values["x0"], values["y0"])), 0.0
    if values["sam"] and (curvature := steepest(values)):
        radius = float(orbit_radius(curvature, values["eta"], values["rho"]))
        orbit = radius if radius < 20 * max(start, 1e-3) else 0.0
    return 1.15 * max(start, orbit, 1e-3)


def _eigenvectors(values: Values, turn: np.ndarray, half: float) -> list[Trace]:
    look = {"color": "sharpness/0.7", "width": 1.3, "hoverinfo": "skip"}
    eigenvalues, ends = _landscape(values).eigenvalues, 3 * half * turn.T
    return [
        draw.line(f"{name}: λ = {eigenvalue:.3g}", [-x, x], [-y, y], dash=dash, **look)
        for name, eigenvalue, dash, (x, y) in zip(
            ("v₁", "v₂"), eigenvalues, ("dash", "dot"), ends, strict=True
        )
    ]


def _last_hops(rule: str, run: Trajectory, x: np.ndarray, y: np.ndarray) -> Trace:
    """The last two hops, heavy: where they lie along v1 the run has found its orbit."""
    shown = sampled_steps(run.steps)
    name, look = f"{RULE_NAMES[rule]}, last hops", {"width": 5, "opacity": 0.45, **UNLISTED}
    hops = draw.line(name, x[shown], y[shown], rule, legendgroup=rule, **look)
    return hops | {"meta": {"step": shown, "trail": 3}}


def _leaving(shown: draw.Descents, half: float) -> list[Trace]:
    far = {rule: np.flatnonzero(np.hypot(*run.w.T) > 2 * half) for rule, run in shown.items()}
    return draw.corner_notes(
        {r: f"{RULE_NAMES[r]} leaves at step {at[0]:,} ↗" for r, at in far.items() if len(at)}
    )


def _gauge(values: Values, shown: draw.Descents) -> Figure:
    """Multipliers of both directions at the step shown; at -1 a direction is on the edge."""
    traces, rows = [], []
    curvature = np.array(_landscape(values).eigenvalues)
    for rule, run in shown.items():
        steps = sampled_steps(run.steps)
        norms, name = run.grad_norm[steps][:, None], RULE_NAMES[rule]
        m = multiplier(rule, eta=run.eta, rho=run.rho, curvature=curvature, grad_norm=norms)
        m = np.clip(np.broadcast_to(m, (len(steps), 2)).ravel(), *GAUGE)
        labels = [f"{name} v₁", f"{name} v₂"]
        rows += labels
        hover = {"hovertemplate": "multiplier %{x:.4~g}", "showlegend": False}
        now = draw.dots(name, m, labels * len(steps), rule, size=14, **hover)
        traces.append(now | {"meta": {"step": np.repeat(steps, 2), "trail": 1}})
    shapes = [
        band("x", GAUGE[0], -1, "grows/0.45"),
        band("x", -1, 0, "flips/0.4"),
        band("x", 0, 1, "shrinks"),
        level("x", -1),
    ]
    words = (("grows", -1.5), ("flips sign, shrinks", -0.5), ("shrinks", 0.5))
    layout: dict[str, Any] = {
        "xaxis": axis(
            "multiplier of a step; −1 is the edge",
            range=list(GAUGE),
            tickvals=[-2, -1.5, -1, -0.5, 0, 0.5, 1],
            fixedrange=True,
        ),
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
