"""Part 4: where a step contracts, oscillates or grows, and the edge as a function of ||g||."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pages.parts.components.figures import Figure, Raster, Trace
from pages.parts.quadratic import draw
from pages.parts.quadratic.settings import AXES, FIELDS, Values
from pages.parts.views.drawing import log_ticks, markers, note, rim
from samedge_core.theory.edges import gd_edge, sam_edge
from samedge_core.theory.rules import RULES
from samedge_core.theory.stability import CONTRACTS, GROWS, OSCILLATES, edge_in, multiplier, regions

MAP = "Stability map"
EDGE = "SAM-edge over ‖g‖"
GRID = 200
REGIONS = {  # the colour of each, and what a step does there
    CONTRACTS: ("shrinks", "shrinks"),
    OSCILLATES: ("flips", "flips sign, shrinks"),
    GROWS: ("grows", "grows"),
}
LEAST_NAMED = 0.02  # of the map; in less, a name would hide all of it


def span(name: str) -> tuple[float, float]:
    """The part of a quantity's range that an axis covers."""
    suggested = FIELDS[name].suggested
    assert suggested is not None
    return suggested


def settings_at(figure: str, x: float, y: float, values: Values) -> Mapping[str, float]:
    """The settings that a click changes: both axes of the map, or the gradient norm."""
    if figure == EDGE:
        return {"grad_norm": x}
    return {values["map_x"]: x, values["map_y"]: y}


def region_map(values: Values, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """The regions of `samedge_core.theory.stability`, shape (len(ys), len(xs))."""
    settings = {name: values[name] for name in AXES}
    settings |= {values["map_x"]: xs, values["map_y"]: ys[:, None]}
    return np.broadcast_to(regions(multiplier(values["map_rule"], **settings)), (len(ys), len(xs)))


def figures(values: Values) -> list[Figure]:
    """The map of the two chosen quantities, and the SAM-edge over the gradient norm."""
    return [_map(values), _edge_over_norm(values)]


def _map(values: Values) -> Figure:
    x_name, y_name, rule = values["map_x"], values["map_y"], values["map_rule"]
    xs, ys = np.geomspace(*span(x_name), GRID), np.geomspace(*span(y_name), GRID)
    now = float(multiplier(rule, **{name: values[name] for name in AXES}))
    name, x, y = f"now: multiplier {now:.4g}", [values[x_name]], [values[y_name]]
    hover = {"hovertemplate": "%{x:.4~g}, %{y:.4~g}", "marker": rim(2.5)}
    dot = markers(name, x, y, "sharpness", "circle", 15, **hover)
    edge = _boundary(values, xs, ys)
    halo = edge | {"line": {"color": "@background", "width": 6}, "showlegend": False}
    regions = region_map(values, xs, ys)
    layout = {"xaxis": _axis(x_name), "yaxis": _axis(y_name), "hovermode": "closest"}
    layout["annotations"] = _names(regions, np.log10(xs), np.log10(ys))
    colors = [(region, f"@{color}") for region, (color, _) in REGIONS.items()]
    raster = Raster(regions, _exponents(x_name), _exponents(y_name), colors)
    traces = [halo, edge, dot]
    return Figure(MAP, traces, layout, height=560, rasters=[raster], click=True)


def _exponents(name: str) -> list[float]:
    """Where an axis begins and ends, as powers of ten."""
    return np.log10(span(name)).tolist()


def _axis(name: str) -> dict[str, Any]:
    return {
        "title": {"text": AXES[name], "standoff": 14},
        "type": "log",
        "range": _exponents(name),
        "exponentformat": "power",
        "dtick": 1,
        "minor": {"ticks": "outside"},
    }


def _names(regions: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> list[Trace]:
    """What a step does, written into the middle of each region; xs and ys are exponents."""
    notes = []
    for region, (_, name) in REGIONS.items():
        cells = np.argwhere(regions == region)
        if len(cells) < LEAST_NAMED * regions.size:
            continue
        # the middle of a bent region may lie outside of it: the cell next to it does not
        row, column = cells[np.argmin(np.abs(cells - np.median(cells, axis=0)).sum(axis=1))]
        place = {"yref": "y", "bgcolor": "@background/0.85", "borderpad": 3}
        notes.append(note(name, float(xs[column]), float(ys[row]), **place))
    return notes


def _boundary(values: Values, xs: np.ndarray, ys: np.ndarray) -> Trace:
    """Where the multiplier is -1: solved for y or for x, whichever crosses more of the map."""
    x_name, y_name, rule = values["map_x"], values["map_y"], values["map_rule"]
    fixed = {name: values[name] for name in AXES}
    y = np.broadcast_to(edge_in(y_name, rule, **{**fixed, x_name: xs}), xs.shape)
    x = np.broadcast_to(edge_in(x_name, rule, **{**fixed, y_name: ys}), ys.shape)
    crosses_x = np.sum((ys[0] <= y) & (y <= ys[-1]))
    crosses_y = np.sum((xs[0] <= x) & (x <= xs[-1]))
    line = (xs, y) if crosses_x >= crosses_y else (x, ys)
    return draw.line(RULES[rule].edge_name, *line, "text", width=3, hoverinfo="skip")


def _edge_over_norm(values: Values) -> Figure:
    eta, rho, norm = values["eta"], values["rho"], values["grad_norm"]
    norms = np.geomspace(*span("grad_norm"), 160)
    plain = float(gd_edge(eta))
    flat = np.ones(len(norms))
    traces = [draw.line(f"2/η = {plain:.4g}", norms, plain * flat, "gd", "dash")]
    around = [rho / 4, rho, 4 * rho] if rho else []
    for value, dash, width in zip(around, ("dot", "solid", "dashdot"), (2, 3.2, 2), strict=False):
        color, edge = "sam" if value == rho else "sam/0.65", sam_edge(eta, value, norms)
        traces.append(draw.line(f"ρ = {value:.3g}", norms, edge, color, dash, width=width))
    if rho:
        limit = np.sqrt(2 * norms / (eta * rho))
        traces.append(draw.line("√(2‖g‖/(ηρ))", norms, limit, "text", "2px,4px", width=1.6))
    now = sam_edge(eta, rho, norm)
    curvature = values["curvature"]
    hover = {"hovertemplate": "‖g‖ %{x:.4~g}, SAM-edge %{y:.4~g}", "marker": rim(2.5)}
    traces += [
        draw.line("curvature λ", norms, curvature * flat, "sharpness", "longdash", width=1.6),
        markers(f"now: SAM-edge {now:.4g}", [norm], [now], "sam", "diamond", 15, **hover),
    ]
    low = 0.7 * min(float(np.min(sam_edge(eta, 4 * rho, norms))), plain, curvature)
    top = 2.2 * max(plain, curvature)
    layout: dict[str, Any] = {
        "xaxis": _axis("grad_norm"),
        "yaxis": _axis("curvature")
        | {
            "title": {"text": "edge", "standoff": 4},
            "range": np.log10([low, top]).tolist(),
            **log_ticks(low, top),
        },
        "hovermode": "closest",
    }
    return Figure(EDGE, traces, layout, height=560, click=True)
