"""What the pictures of the quadratic page share: how each rule looks, and charts over steps."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from pages.parts.figures import Figure, Scrub, Trace
from pages.parts.quadratic.settings import RULE_NAMES, Values
from samedge_core.descent import (
    PLAIN_RULES,
    Landscape,
    Trajectory,
    descend,
    extreme_steps,
    sampled_steps,
)
from samedge_core.edges import gd_edge

# Dash and marker tell the rules apart too, for eyes that do not see the hues.
MARKERS = {"gd": "circle", "sam": "diamond", "usam": "square"}
DASHES = {"gd": "dash", "sam": "solid", "usam": "dot"}
EDGE_DASH = "10px,4px"  # as in the live lab: what lies under it shows through
TRAIL = 60  # hops drawn behind the current one; more would be a blot
GONE = 1e-12  # on a log scale what is smaller is rounding, not dynamics

Descents = Mapping[str, Trajectory]
Level = tuple[str, float, str, str]  # name, height, colour, dash


def descents(landscape: Landscape, values: Values, start: Sequence[float], steps: int) -> Descents:
    """The descents of the rules that are switched on, all from the same start."""
    return {
        rule: descend(landscape, rule, values["eta"], values["rho"], start, steps)
        for rule in PLAIN_RULES
        if values[rule]
    }


def line(name: str, x: Any, y: Any, color: str, dash: str = "solid", **rest: Any) -> Trace:
    """A line without markers."""
    style = {"color": f"@{color}", "dash": dash, "width": rest.pop("width", 2)}
    hover = {"hovertemplate": "%{y:.5~g}"} if "hoverinfo" not in rest else {}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": style,
            **hover, **rest}  # fmt: skip


def dots(name: str, x: Any, y: Any, rule: str, size: int = 7, **rest: Any) -> Trace:
    """Markers of a rule."""
    marker = {"color": f"@{rule}", "symbol": MARKERS[rule], "size": size, **rest.pop("marker", {})}
    return {"type": "scatter", "mode": "markers", "name": name, "x": x, "y": y, "marker": marker,
            **rest}  # fmt: skip


def path(
    rule: str, run: Trajectory, x: np.ndarray, y: np.ndarray, *, far: float, trail: int = TRAIL
) -> list[Trace]:
    """The iterates of a run at (x, y), both of shape (n + 1,): hops, and the current one large.

    Points beyond `far` are left out: SVG has no room for them, and the picture neither.
    """
    shown = sampled_steps(run.steps)
    near = (np.abs(x[shown]) < far) & (np.abs(y[shown]) < far)
    x, y = np.where(near, x[shown], np.nan), np.where(near, y[shown], np.nan)
    name = RULE_NAMES[rule]
    marker = {"color": f"@{rule}", "symbol": MARKERS[rule], "size": 6}
    hops = line(name, x, y, f"{rule}/0.55", DASHES[rule], width=1.5, legendgroup=rule,
                meta={"step": shown, "trail": trail})  # fmt: skip
    hops |= {"mode": "lines+markers", "marker": marker, "hovertemplate": "(%{x:.4~g}, %{y:.4~g})"}
    rim = {"line": {"color": "@background", "width": 2}}
    now = dots(f"{name} now", x, y, rule, size=13, showlegend=False, legendgroup=rule,
               hoverinfo="skip", marker=rim, meta={"step": shown, "trail": 1})  # fmt: skip
    return [hops, now]


def over_steps(
    name: str,
    runs: Descents,
    quantity: str,
    values: Values,
    *,
    title: str,
    levels: Sequence[Level] = (),
    top: float | None = None,
    colors: Mapping[str, str] = MappingProxyType({}),
    suffix: str = "",
    **place: Any,
) -> Figure:
    """A chart of `quantity` of each run over steps, with constant `levels`.

    A run that leaves the picture, above `top`, is clipped there, and an arrow says so. `colors`
    replaces a rule's own colour; `suffix` follows its name.
    """
    log = values["log"]
    most = max((run.steps for run in runs.values()), default=1)
    ceiling = top or _ceiling(runs, quantity, [level[1] for level in levels])
    traces = [
        line(text, [0, most], [y, y], color, dash)
        for text, y, color, dash in levels
        if np.isfinite(y) and not (log and y <= 0)
    ]
    arrows = []
    for rule, run in runs.items():
        y = column(run, quantity)
        shown = extreme_steps(y)
        # far above the picture SVG has no room for it, and at 0 a log axis has no place
        drawable = (y[shown] < 100 * ceiling) & ((y[shown] > GONE) | (not log))
        label = _edge_name(rule) if quantity == "edge" else RULE_NAMES[rule] + suffix
        dash = EDGE_DASH if quantity == "edge" else DASHES[rule]
        traces.append(line(label, shown, np.where(drawable, y[shown], np.nan),
                           colors.get(rule, rule), dash, meta={"step": shown}))  # fmt: skip
        if (over := y > ceiling).any():
            arrows.append(_arrow_up(rule, int(np.argmax(over)), run, log, ceiling))
    floor = _floor(runs, quantity, ceiling) if log else 0
    layout = {
        "xaxis": {"title": {"text": "step"}, "range": [0, most], "exponentformat": "SI"},
        "yaxis": {"title": {"text": title}, "type": "log" if log else "linear",
                  "range": np.log10([floor, ceiling]).tolist() if log else [floor, ceiling]},
        "annotations": arrows,
        "hovermode": "x unified",
    }  # fmt: skip
    return Figure(name, traces, layout, cursor=True, **place)


def column(run: Trajectory, quantity: str) -> np.ndarray:
    """A measured quantity of a run, shape (n + 1,); "distance" is |w|."""
    if quantity == "distance":
        return np.hypot.reduce(run.w, axis=1)
    return getattr(run, quantity)


def _edge_name(rule: str) -> str:
    return {"gd": "2/η", "sam": "SAM-edge", "usam": "USAM-edge"}[rule]


def _ceiling(runs: Descents, quantity: str, levels: Sequence[float]) -> float:
    """The top of the picture: what stays is inside, what escapes is not."""
    finite = [level for level in levels if np.isfinite(level)]
    starts = [float(column(run, quantity)[0]) for run in runs.values()]
    base = max([*finite, *starts, 1e-300])
    stays = [
        float(np.max(values))
        for run in runs.values()
        if not run.escaped and np.max(values := column(run, quantity)) < 8 * base
    ]
    return 1.15 * max([base, *stays]) if stays else 2.5 * base


def _floor(runs: Descents, quantity: str, ceiling: float) -> float:
    lowest = [
        v[v > GONE].min() for run in runs.values() if ((v := column(run, quantity)) > GONE).any()
    ]
    return max(min([*lowest, ceiling / 10]) * 0.8, GONE)


def _arrow_up(rule: str, step: int, run: Trajectory, log: bool, ceiling: float) -> dict[str, Any]:
    """An arrow at the top edge, where a run leaves the picture."""
    ends = f"{RULE_NAMES[rule]} leaves: beyond 1e30 at step {run.steps}" if run.escaped else (
        f"{RULE_NAMES[rule]} grows on"
    )  # fmt: skip
    return {
        "text": ends, "x": step, "y": np.log10(ceiling) if log else ceiling, "ax": 0, "ay": 34,
        "showarrow": True, "arrowhead": 2, "arrowwidth": 2, "arrowcolor": f"@{rule}",
        "font": {"color": f"@{rule}"}, "bgcolor": "@background/0.8",
        "xanchor": "left" if step < run.steps / 2 else "right",
    }  # fmt: skip


def edge_levels(values: Values, curvature: float | None = None) -> list[Level]:
    """2/η, and λ where it is constant, as levels of a chart of edges."""
    levels = [("2/η", float(gd_edge(values["eta"])), "gd", "dash")]
    if curvature is not None:
        levels.insert(0, ("sharpness λ", curvature, "sharpness", "solid"))
    return levels


def scrub(runs: Descents) -> Scrub | None:
    """The steps that can be played, with the numbers of each rule at them."""
    if not runs:
        return None
    steps = sampled_steps(max(run.steps for run in runs.values()))
    rows = []
    for rule, run in runs.items():
        inside = steps[steps <= run.steps]
        numbers = [_padded(column(run, q)[inside], len(steps)) for q in _READ]
        ratio = np.divide(numbers[1], numbers[3], out=np.full(len(steps), np.nan),
                          where=numbers[3] > 0)  # fmt: skip
        rows.append((RULE_NAMES[rule], f"@{rule}", [*numbers, ratio]))
    return Scrub(steps, ("loss", "sharpness", "‖g‖", "edge", "sharpness / edge"), rows)


_READ = ("loss", "sharpness", "grad_norm", "edge")


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([values, np.full(length - len(values), np.nan)])
