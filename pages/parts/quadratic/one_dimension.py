"""Part 1: iterates hopping on the parabola L(w) = 1/2 lambda w^2."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pages.parts.components.figures import Figure, Trace
from pages.parts.quadratic import draw
from pages.parts.quadratic.settings import RULE_NAMES, Values
from pages.parts.views.drawing import level, note
from samedge_core.theory.descent import Trajectory, sampled_steps
from samedge_core.theory.quadratics import Quadratic, orbit_grad_norm, orbit_radius
from samedge_core.theory.rules import RULES

LOSS = "Loss and iterates"
HEIGHT = 526


def runs(values: Values) -> draw.Descents:
    """The descents that this part shows."""
    return draw.descents(Quadratic([values["curvature"]]), values, [values["w0"]], values["steps"])


def moved_to(x: float, y: float) -> Mapping[str, float]:
    """The settings that a click on the parabola changes."""
    return {"w0": x}


def figures(values: Values, shown: draw.Descents) -> list[Figure]:
    """The parabola, and beside it |w|, ||g|| and the edges at each step."""
    curvature, eta, rho = values["curvature"], values["eta"], values["rho"]
    radius = float(orbit_radius(curvature, eta, rho))
    norm = float(orbit_grad_norm(curvature, eta, rho))
    orbit = [("|w*|, predicted", radius, "text", "dot")] if _hops(values, radius) else []
    orbit_norm = [("‖g*‖, predicted", norm, "text", "dot")] if _hops(values, radius) else []
    edges = draw.edge_levels(values)
    moving = {rule: run for rule, run in shown.items() if rule != "gd"}
    top = 1.25 * max(level[1] for level in edges)
    panels = [
        draw.Panel("|w|", [draw.Series(shown, "distance")], orbit),
        draw.Panel("‖g‖", [draw.Series(shown, "grad_norm")], orbit_norm),
        draw.Panel("curvature", [draw.Series(moving, "edge")], edges, top),
    ]
    beside = draw.over_steps("Distance, gradient norm, edges", values, panels, height=HEIGHT)
    return [_parabola(values, shown, radius), beside]


def _hops(values: Values, radius: float) -> bool:
    return values["sam"] and values["rho"] > 0 and values["w0"] != 0 and np.isfinite(radius)


def _half_width(values: Values, shown: draw.Descents, radius: float) -> float:
    """Half of the parabola that is drawn: start, orbit and uphill points, not what escapes."""
    reach = (
        values["rho"] if any(values[rule] for rule in RULE_NAMES if RULES[rule].perturbed) else 0
    )
    wanted = [abs(values["w0"]), abs(values["w0"]) + reach, 1e-3]
    if _hops(values, radius):
        wanted.append(min(radius + reach, 20 * max(wanted)))
    return 1.12 * max(wanted)


def _parabola(values: Values, shown: draw.Descents, radius: float) -> Figure:
    half = _half_width(values, shown, radius)
    landscape = Quadratic([values["curvature"]])
    w = np.linspace(-half, half, 201)
    top = max(half, float(landscape.loss([half])))
    traces: list[Trace] = [
        draw.line(
            "loss", w, landscape.loss([w]), "muted", width=2, hoverinfo="skip", showlegend=False
        )
    ]
    for rule, run in shown.items():
        if RULES[rule].perturbed and values["rho"] > 0:
            traces += _uphill(rule, run, 10 * half)
        traces += draw.path(rule, run, run.w[:, 0], run.loss, far=10 * top)
    orbit = [level("x", x, width=1.4, layer="below") for x in (-radius, radius)]
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "w"}, "range": [-half, half]},
        "yaxis": {
            "title": {"text": "loss"},
            "range": [-0.04 * float(landscape.loss([half])), 1.02 * float(landscape.loss([half]))],
        },
        "hovermode": "closest",
        "shapes": orbit if _hops(values, radius) else [],
        "annotations": [
            *_leaving(shown, half),
            *(_orbit_labels(radius, half) if _hops(values, radius) else []),
        ],
    }
    return Figure(LOSS, traces, layout, height=HEIGHT, click=True)


def _uphill(rule: str, run: Trajectory, far: float) -> list[Trace]:
    """SAM's look uphill: from each iterate to the point where the gradient is taken."""
    shown = sampled_steps(run.steps)
    here, there = run.w[shown, 0], run.perturbed[shown, 0]
    here, there = (np.where(np.abs(there) < far, x, np.nan) for x in (here, there))
    gap = np.full(len(shown), np.nan)
    x = np.stack([here, there, gap], axis=1).ravel()
    y = run.landscape.loss([x])
    name = f"{RULE_NAMES[rule]} looks at {RULES[rule].perturbed}"
    steps = np.repeat(shown, 3)
    trace = draw.line(
        name,
        x,
        y,
        rule,
        "dot",
        width=1.2,
        hoverinfo="skip",
        legendgroup=name,
        meta={"step": steps, "trail": 12},
    )
    points = draw.dots(
        name,
        there,
        run.landscape.loss([there]),
        rule,
        size=8,
        legendgroup=name,
        showlegend=False,
        hovertemplate="uphill point %{x:.4~g}",
        meta={"step": shown, "trail": 12},
        marker={"symbol": f"{draw.MARKERS[rule]}-open"},
    )
    return [trace, points]


def _orbit_labels(radius: float, half: float) -> list[dict[str, Any]]:
    if radius > half:
        return []
    style = {"yanchor": "top", "bgcolor": "@background/0.7"}
    return [
        note("−w*", -radius, 0.99, xanchor="right", **style),
        note("+w*", radius, 0.99, xanchor="left", **style),
    ]


def _leaving(shown: draw.Descents, half: float) -> list[dict[str, Any]]:
    """An arrow for each run that leaves the picture, at the side where it leaves."""
    arrows = []
    for rule, run in shown.items():
        outside = np.abs(run.w[:, 0]) > half
        if not outside.any():
            continue
        first = int(np.argmax(outside))
        right = run.w[first, 0] > 0
        arrows.append(
            {
                "text": f"{RULE_NAMES[rule]} leaves at step {first:,}",
                "xref": "paper",
                "yref": "paper",
                "x": 1 if right else 0,
                "y": 0.93 - 0.09 * len(arrows),
                "ax": -30 if right else 30,
                "ay": 26,
                "showarrow": True,
                "arrowhead": 2,
                "arrowwidth": 2.5,
                "arrowcolor": f"@{rule}",
                "font": {"color": f"@{rule}"},
                "xanchor": "right" if right else "left",
                "bgcolor": "@background/0.8",
            }
        )
    return arrows
