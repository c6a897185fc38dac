"""Part 1: iterates hopping on the parabola L(w) = 1/2 lambda w^2."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pages.parts.components.figures import Figure, Trace
from pages.parts.quadratic import draw
from pages.parts.quadratic.settings import RULE_NAMES, Values
from pages.parts.views.drawing import UNLISTED, axis, level, note
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
    hops = _hops(values, radius)
    orbit = [draw.predicted("|w*|", radius)] if hops else []
    orbit_norm = [draw.predicted("‖g*‖", norm)] if hops else []
    panels = [
        draw.Panel("|w|", [draw.Series(shown, "distance")], orbit),
        draw.Panel("‖g‖", [draw.Series(shown, "grad_norm")], orbit_norm),
        draw.edges_panel(values, shown),
    ]
    beside = draw.over_steps("Distance, gradient norm, edges", values, panels, height=HEIGHT)
    return [_parabola(values, shown, radius), beside]


def _hops(values: Values, radius: float) -> bool:
    return values["sam"] and values["rho"] > 0 and values["w0"] != 0 and np.isfinite(radius)


def _half_width(values: Values, shown: draw.Descents, radius: float) -> float:
    """Half of the width that is drawn: start, orbit and perturbed points, not what escapes."""
    perturbs = any(values[rule] for rule in RULE_NAMES if RULES[rule].perturbed)
    reach = values["rho"] if perturbs else 0
    wanted = [abs(values["w0"]), abs(values["w0"]) + reach, 1e-3]
    if _hops(values, radius):
        wanted.append(min(radius + reach, 20 * max(wanted)))
    return 1.12 * max(wanted)


def _parabola(values: Values, shown: draw.Descents, radius: float) -> Figure:
    half = _half_width(values, shown, radius)
    landscape = Quadratic([values["curvature"]])
    w = np.linspace(-half, half, 201)
    highest = float(landscape.loss([half]))
    traces = [draw.line("loss", w, landscape.loss([w]), "muted", **UNLISTED)]
    for rule, run in shown.items():
        if RULES[rule].perturbed and values["rho"] > 0:
            traces += _perturbed(rule, run, 10 * half)
        traces += draw.path(rule, run, run.w[:, 0], run.loss, far=10 * max(half, highest))
    orbit, labels = [], _leaving(shown, half)
    if _hops(values, radius):
        orbit = [level("x", x, width=1.4, layer="below") for x in (-radius, radius)]
        labels += _orbit_labels(radius, half)
    layout: dict[str, Any] = {
        "xaxis": axis("w", range=[-half, half]),
        "yaxis": axis("loss", range=[-0.04 * highest, 1.02 * highest]),
        "hovermode": "closest",
        "shapes": orbit,
        "annotations": labels,
    }
    return Figure(LOSS, traces, layout, height=HEIGHT, click=True)


def _perturbed(rule: str, run: Trajectory, far: float) -> list[Trace]:
    """SAM's ascent steps: from each iterate to the perturbed point, which has the gradient."""
    shown = sampled_steps(run.steps)
    here, there = run.w[shown, 0], run.perturbed[shown, 0]
    here, there = (np.where(np.abs(there) < far, x, np.nan) for x in (here, there))
    x = np.stack([here, there, np.full(len(shown), np.nan)], axis=1).ravel()  # NaN: a gap
    name = f"{RULE_NAMES[rule]}: gradient at {RULES[rule].perturbed}"
    ascent = draw.line(name, x, run.landscape.loss([x]), rule, "dot", width=1.2, hoverinfo="skip")
    hover = {"hovertemplate": "perturbed point %{x:.4~g}", "showlegend": False}
    hollow = {"symbol": f"{draw.MARKERS[rule]}-open"}
    heights = run.landscape.loss([there])
    points = draw.dots(name, there, heights, rule, size=8, marker=hollow, **hover)
    return [
        trace | {"legendgroup": name, "meta": {"step": steps, "trail": 12}}
        for trace, steps in ((ascent, np.repeat(shown, 3)), (points, shown))
    ]


def _orbit_labels(radius: float, half: float) -> list[Trace]:
    if radius > half:
        return []
    style = {"yanchor": "top", "bgcolor": "@background/0.7"}
    return [
        note("−w*", -radius, 0.99, xanchor="right", **style),
        note("+w*", radius, 0.99, xanchor="left", **style),
    ]


def _leaving(shown: draw.Descents, half: float) -> list[Trace]:
    """An arrow for each run that leaves the picture, at the side where it leaves."""
    arrows = []
    for rule, run in shown.items():
        outside = np.abs(run.w[:, 0]) > half
        if not outside.any():
            continue
        first = int(np.argmax(outside))
        right = run.w[first, 0] > 0
        place = {"xref": "paper", "yref": "paper", "xanchor": "right" if right else "left"}
        place |= {"x": int(right), "y": 0.93 - 0.09 * len(arrows)}
        text = f"{RULE_NAMES[rule]} leaves at step {first:,}"
        arrows.append(draw.arrow(text, rule, (-30 if right else 30, 26), **place))
    return arrows
