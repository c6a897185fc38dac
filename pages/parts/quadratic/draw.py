"""What the pictures of the quadratic page share: how each rule looks, and charts over steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pages.parts.components.figures import Figure, Scrub, Trace
from pages.parts.quadratic.settings import RULE_NAMES, Values
from pages.parts.views import drawing
from pages.parts.views.drawing import UNLISTED, axis, line, log_ticks, markers, note, rim
from samedge_core.theory.descent import PLAIN_RULES, Landscape, Trajectory, descend, sampled_steps
from samedge_core.theory.edges import gd_edge
from samedge_core.theory.rules import RULES
from samedge_core.training.thinning import buckets, envelope, means

# Dash and marker tell the rules apart too, for eyes that do not see the hues.
MARKERS = {rule: RULES[rule].look.marker for rule in PLAIN_RULES}
DASHES = {rule: RULES[rule].look.path for rule in PLAIN_RULES}
EDGE_DASH = "10px,4px"  # as in the live lab: what lies under it shows through
MOST_POINTS = 600  # of a line, about its pixels; of more steps, the envelope
TRAIL = 60  # hops drawn behind the current one; more would be a blot
GONE = 1e-12  # on a log scale what is smaller is rounding, not dynamics

Descents = Mapping[str, Trajectory]
Quantity = Callable[[Trajectory], np.ndarray]  # at each step, (n + 1,)
Level = tuple[str, float, str, str]  # name, height, colour, dash


def descents(landscape: Landscape, values: Values, start: Sequence[float], steps: int) -> Descents:
    """The descents of the rules that are switched on, all from the same start."""
    return {
        rule: descend(landscape, rule, values["eta"], values["rho"], start, steps)
        for rule in PLAIN_RULES
        if values[rule]
    }


def dots(name: str, x: Any, y: Any, rule: str, size: int = 7, **rest: Any) -> Trace:
    """Markers of a rule."""
    return markers(name, x, y, rule, MARKERS[rule], size, **rest)


def joined(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Many lines, each a row of x and y (lines, n), as the coordinates of one with gaps."""
    gap = np.full((len(x), 1), np.nan)
    return np.hstack([x, gap]).ravel(), np.hstack([y, gap]).ravel()


def path(rule: str, run: Trajectory, x: np.ndarray, y: np.ndarray, *, far: float) -> list[Trace]:
    """The iterates of a run at (x, y), both of shape (n + 1,): hops, and the current one large.

    Hops and markers go back TRAIL steps: more would be a blot. Where steps are left out, so is the
    line to the next one: no such hop was made. Points beyond `far` are left out: SVG has no room
    for them, and the picture neither.
    """
    near = (np.abs(x) < far) & (np.abs(y) < far)
    x, y = np.where(near, x, np.nan), np.where(near, y, np.nan)
    shown = sampled_steps(run.steps)
    hops = _with_gaps(shown)
    name, look = RULE_NAMES[rule], {"width": 1.5, "hoverinfo": "skip"}
    hover = {"hovertemplate": "(%{x:.4~g}, %{y:.4~g})", "showlegend": False}
    traces = [
        (line(name, *_at(hops, x, y), f"{rule}/0.55", DASHES[rule], **look), hops, TRAIL),
        (dots(name, x[shown], y[shown], rule, size=6, **hover), shown, TRAIL),
        (dots(f"{name} now", *_at(shown, x, y), rule, 13, marker=rim(2), **UNLISTED), shown, 1),
    ]
    return [
        trace | {"legendgroup": rule, "meta": {"step": np.abs(steps), "trail": length}}
        for trace, steps, length in traces
    ]


def middle(rule: str, x: np.ndarray, y: np.ndarray, *, far: float) -> Trace:
    """The middle of a run's hops as a line: where it drifts while it hops to and fro.

    The weights (1, 2, 2, 1) / 6 of four iterates leave nothing of hops of period two or three.
    """
    x, y = np.where((np.abs(x) < far) & (np.abs(y) < far), (x, y), np.nan)
    x, y = ((w[:-3] + 2 * w[1:-2] + 2 * w[2:-1] + w[3:]) / 6 for w in (x, y))
    starts = buckets(len(x), MOST_POINTS // 3)  # it bends little
    name, look = f"{RULE_NAMES[rule]}: middle of its hops", {"width": 3, "hoverinfo": "skip"}
    drawn = line(name, means(x, starts), means(y, starts), rule, DASHES[rule], **look)
    return drawn | {"legendgroup": rule, "meta": {"step": starts + 3}}


def _with_gaps(steps: np.ndarray) -> np.ndarray:
    """Steps (n,), with the negative of each that does not follow the one before put before it."""
    late = np.flatnonzero(np.diff(steps) > 1) + 1
    return np.insert(steps, late, -steps[late])


def _at(steps: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y (n + 1,) at these steps, with a gap at the negative ones."""
    gap, steps = steps < 0, np.abs(steps)
    return np.where(gap, np.nan, x[steps]), np.where(gap, np.nan, y[steps])


@dataclass(frozen=True)
class Series:
    """A quantity of some runs; `colors` replaces a rule's own colour, `suffix` follows its name."""

    runs: Descents
    quantity: str | Quantity
    colors: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True)
class Panel:
    """One of the charts over steps that share an axis: what is drawn, and constant levels.

    `top` is the upper end, or None to take it from what is drawn and does not escape; `laws` are
    lines of a prediction.
    """

    title: str
    series: Sequence[Series]
    levels: Sequence[Level] = ()
    top: float | None = None
    laws: Sequence[Trace] = ()


GAP = 0.07  # between panels, as a share of the height


def over_steps(name: str, values: Values, panels: Sequence[Panel], **place: Any) -> Figure:
    """Panels over steps, one above the other; they share the axis, the cursor and the legend.

    A run that leaves a panel is clipped there, and an arrow says so.
    """
    every = [run for panel in panels for series in panel.series for run in series.runs.values()]
    most = max((run.steps for run in every), default=1)
    layout: dict[str, Any] = {
        "xaxis": axis("step", range=[0, most], exponentformat="SI", anchor=f"y{len(panels)}"),
        "annotations": [],
        "hovermode": "x unified",
    }
    height = (1 - GAP * (len(panels) - 1)) / len(panels)
    traces, named = [], set()
    for k, panel in enumerate(panels):
        y_axis = f"y{k + 1}" if k else "y"
        y_range = _range(panel, values["log"])
        bottom = max(0.0, 1 - (k + 1) * height - k * GAP)
        scale = {"type": "linear", "range": y_range}
        if values["log"]:
            scale = {"type": "log", "range": np.log10(y_range).tolist(), **log_ticks(*y_range)}
        domain = [bottom, min(1.0, bottom + height)]
        layout[f"yaxis{y_axis[1:]}"] = axis(panel.title, nticks=5, domain=domain, **scale)
        for trace in _lines(panel, values["log"], y_range[1], most):
            listed = trace.get("showlegend", True) and trace["name"] not in named
            traces.append(trace | {"yaxis": y_axis, "showlegend": listed})
            if listed:
                named.add(trace["name"])
        layout["annotations"] += _arrows(panel, values["log"], y_range[1], y_axis)
    return Figure(name, traces, layout, cursor=True, **place)


def _lines(panel: Panel, log: bool, ceiling: float, most: int) -> list[Trace]:
    traces = [
        line(text, [0, most], [y, y], color, dash, legendgroup=text)
        for text, y, color, dash in panel.levels
        if np.isfinite(y) and not (log and y <= 0)
    ]
    for series in panel.series:
        for rule, run in series.runs.items():
            y = column(run, series.quantity)
            # far above the picture SVG has no room for it, and at 0 a log axis has no place
            y = np.clip(y, GONE / 100 if log else 0.0, 100 * ceiling)
            edge = series.quantity == "edge"
            label = RULES[rule].edge_name if edge else RULE_NAMES[rule] + series.suffix
            color, dash = series.colors.get(rule, rule), EDGE_DASH if edge else DASHES[rule]
            traces += _over_steps(label, y, color, dash)
    return [*traces, *panel.laws]


def _over_steps(label: str, y: np.ndarray, color: str, dash: str) -> list[Trace]:
    """Values at each step as a line; of many, the envelope as a band and its mean."""
    if len(y) <= MOST_POINTS:
        steps = np.arange(len(y))
        drawn = line(label, steps, y, color, dash)
        return [drawn | {"legendgroup": label, "meta": {"step": steps}}]
    found = envelope(np.arange(len(y)), y, MOST_POINTS)
    x, middle, bucket = found.line()
    text = [
        f"mean of steps {first:,.0f} to {last:,.0f}: least {low:.5g}, most {high:.5g}"
        for first, last, low, high in zip(
            found.first, found.last, found.low, found.high, strict=True
        )
    ]
    hover = {"text": [text[k] for k in bucket], "hovertemplate": "%{y:.5~g} (%{text})"}
    drawn = line(label, x, middle, color, dash, **hover) | {"meta": {"step": x}}
    at, low, high = found.band()
    band = drawing.envelope(label, at, low, high, color, meta={"step": at})
    return [trace | {"legendgroup": label} for trace in (*band, drawn)]


def _range(panel: Panel, log: bool) -> list[float]:
    """The range of a panel: what stays is inside, what escapes is not."""
    found = [column(run, s.quantity) for s in panel.series for run in s.runs.values()]
    ceiling = panel.top or _ceiling(panel, found)
    ceiling = ceiling if ceiling > 100 * GONE else 1.0  # all is 0: an axis needs some height
    if not log:
        return [0.0, ceiling]
    lowest = [float(y[y > GONE].min()) for y in found if (y > GONE).any()]
    return [max(min([*lowest, ceiling / 10]) * 0.8, GONE), ceiling]


def _ceiling(panel: Panel, found: Sequence[np.ndarray]) -> float:
    finite = [level[1] for level in panel.levels if np.isfinite(level[1])]
    base = max([*finite, *(float(y[0]) for y in found), GONE]) if found else 1.0
    highest = [float(y.max()) for y in found]
    stays = [y for y in highest if y < 8 * base]
    return 1.15 * max([base, *stays]) if stays or not found else 2.5 * base


def _arrows(panel: Panel, log: bool, ceiling: float, y_axis: str) -> list[Trace]:
    """An arrow at the top of a panel for each run that leaves it."""
    arrows, top = [], np.log10(ceiling) if log else ceiling
    for series in panel.series:
        for rule, run in series.runs.items():
            y = column(run, series.quantity)
            over = y > ceiling
            if not over.any() or series.quantity == "edge":
                continue
            step = int(np.argmax(over))
            how = "grows on" if over[-1] or run.escaped else f"goes up to {y.max():.3g}"
            side = "left" if step < run.steps / 2 else "right"
            place = {"x": step, "xref": "x", "y": top, "yref": y_axis, "xanchor": side}
            tail = (0, 30 + 18 * len(arrows))
            arrows.append(arrow(f"{RULE_NAMES[rule]} {how}", rule, tail, **place))
    return arrows


def arrow(text: str, rule: str, tail: tuple[int, int], **place: Any) -> Trace:
    """A note with an arrow in a rule's colour; `tail` lies so many pixels right of and below its
    head, which is at `place`."""
    color = f"@{rule}"
    line = {"ax": tail[0], "ay": tail[1], "arrowhead": 2, "arrowwidth": 2, "arrowcolor": color}
    style = {"font": {"color": color}, "bgcolor": "@background/0.8", "showarrow": True}
    return {"text": text, **line, **style, **place}


def column(run: Trajectory, quantity: str | Quantity) -> np.ndarray:
    """A measured quantity of a run, shape (n + 1,); "distance" is |w|."""
    if not isinstance(quantity, str):
        return quantity(run)
    if quantity == "distance":
        return np.hypot.reduce(run.w, axis=1)
    return getattr(run, quantity)


def moving_edges(runs: Descents) -> Series:
    """The edges of the rules but GD, whose 2/η is a level."""
    return Series({rule: run for rule, run in runs.items() if rule != "gd"}, "edge")


def edges_panel(values: Values, runs: Descents) -> Panel:
    """The edges on a quadratic at each step, with its sharpness λ and 2/η as levels."""
    curvature, edge = values["curvature"], float(gd_edge(values["eta"]))
    levels = [("sharpness λ", curvature, "sharpness", "solid"), ("2/η", edge, "gd", "dash")]
    return Panel("curvature", [moving_edges(runs)], levels, 1.25 * max(curvature, edge))


def predicted(name: str, value: float) -> Level:
    """The value of ‖g‖ or |w| where hops stay, as a level."""
    return (f"{name}, predicted", value, "text", "dot")


def corner_notes(texts: Mapping[str, str]) -> list[Trace]:
    """A sentence on each rule, one under the other in the upper right corner of a picture."""
    style = {"xref": "paper", "xanchor": "right", "bgcolor": "@background/0.8"}
    return [
        note(text, 0.99, 0.98 - 0.08 * k, font={"color": f"@{rule}"}, **style)
        for k, (rule, text) in enumerate(texts.items())
    ]


def scrub(runs: Descents) -> Scrub | None:
    """The steps that can be played, with the numbers of each rule at them."""
    if not runs:
        return None
    steps = sampled_steps(max(run.steps for run in runs.values()))
    rows = []
    for rule, run in runs.items():
        numbers = np.full((5, len(steps)), np.nan)  # a run that has escaped ends before the others
        inside = steps[steps <= run.steps]
        for row, quantity in zip(numbers, _READ, strict=False):
            row[: len(inside)] = column(run, quantity)[inside]
        _, sharpness, _, edge, ratio = numbers
        np.divide(sharpness, edge, out=ratio, where=edge > 0)
        rows.append((RULE_NAMES[rule], f"@{rule}", list(numbers)))
    return Scrub(steps, ("loss", "sharpness", "‖g‖", "edge", "sharpness / edge"), rows)


_READ = ("loss", "sharpness", "grad_norm", "edge")
