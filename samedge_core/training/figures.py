"""The charts of a run as Plotly figures: the lab's in one, and the paper's four.

Importable without torch. The paper's have no background and colours of medium lightness, so that
they read on a light and on a dark page; the lab's are drawn on white, for notebooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from samedge_core.theory.rules import RULES, Rule
from samedge_core.training.drawn import Drawn
from samedge_core.training.history import History
from samedge_core.training.thinning import Envelope

MOST_POINTS = 1200  # of a line: about the pixels of a wide figure; of more rows, the envelope
FAR = 20  # times the rest: what lies above is cut off, as in static/layout.js
INK, GRID = "#7a7a7a", "rgba(128, 128, 128, 0.25)"
CLEAR, LIGHT, DARK = "rgba(0, 0, 0, 0)", "#ffffff", "#1b1f24"

Columns = dict[str, NDArray]
LOG_SCALE = "log scale"


@dataclass(frozen=True)
class _Line:
    """How a column is drawn; the dash says what it is where colours can't be distinguished."""

    column: str
    name: str
    colour: str
    dash: str = "solid"
    width: float = 2
    residual: str = ""  # the column of its residuals


@dataclass(frozen=True)
class _Chart:
    """A chart over steps.

    Attributes:
        title: of the y axis; with LOG_SCALE in it, the axis is logarithmic where it can be.
        lines: those of a column without a finite value are left out.
        axis: further settings of the y axis.
        level: a value that gets a horizontal line.
    """

    title: str
    lines: Sequence[_Line]
    axis: Mapping[str, Any]
    level: float | None = None


_BLUE, _ORANGE, _GREEN = "#3d7fe0", "#dd7a00", "#4a9d8f"
_SHARPNESS = _Line("sharpness", "sharpness |λ₁|", _BLUE, residual="residual")
_EDGE_VALUE = _Line("edge_value", "edge value λ₁(A)", _BLUE, residual="edge_residual")
_PLAIN_VALUE = _Line("plain_value", "without SAM's factor", _GREEN, width=1)
_BAND, _BAND_COLOUR = "± residual: an eigenvalue lies within", "rgba(61, 127, 224, 0.3)"
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_BATCH_SHARPNESS = _Line("batch_sharpness", "batch sharpness", "#7b3fa0")
_FURTHER = tuple(
    _Line(f"lambda_{k}", f"|λ{k}|".translate(_SUBSCRIPTS), _GREEN, width=1) for k in range(2, 11)
)
_GD_EDGE = _Line("gd_edge", "2/η", "#c0504d", "dot")
_EDGE_STYLE = (_ORANGE, "dash")
_ALIGNMENTS = (
    _Line("align_grad", "gradient at w", _BLUE),
    _Line("align_sam", "gradient at w + ρu (SAM)", _ORANGE, "dash"),
)
_SUBSPACE = (
    _Line("align_grad_k", "gradient at w, leading subspace", _BLUE, "dot"),
    _Line("align_sam_k", "gradient at w + ρu, leading subspace", _ORANGE, "dashdot"),
)
_LOSSES = (
    _Line("loss", "training loss", _BLUE),
    _Line("held_out_loss", "held-out loss", _ORANGE, "dash"),
)
_ACCURACIES = (
    _Line("accuracy", "training accuracy", _BLUE),
    _Line("held_out_accuracy", "held-out accuracy", _ORANGE, "dash"),
)
_SHARE, _LOG = {"range": [0, 1.02]}, {"type": "log", "exponentformat": "power"}
_ALIGNMENT_CHART = _Chart("alignment with v₁ (0 to 1)", _ALIGNMENTS, _SHARE)
_LOSS_CHART = _Chart("loss (log scale)", _LOSSES, _LOG)
_NORM_CHART = _Chart("gradient norm (log scale)", (_Line("grad_norm", "‖g‖", _GREEN),), _LOG)
_BOTH_ALIGNMENTS = replace(_ALIGNMENT_CHART, lines=(*_ALIGNMENTS, *_SUBSPACE))
_ACCURACY_CHART = _Chart("accuracy (0 to 1)", _ACCURACIES, _SHARE)


def history_figure(history: History) -> go.Figure:
    """The live lab's charts of a run below each other, over the same steps: sharpness and edges (or
    edge value and threshold), their ratio, gradient norm, loss, alignments and, where it is known,
    accuracy.

    The numbers are the history's. Of a run of more than MOST_POINTS rows, the least, mean and most
    of buckets of rows are drawn, as a band and its middle line (`History.drawn`).
    """
    drawn = _drawn(history)
    charts = [*_leading(history, drawn), _ratio(drawn), _NORM_CHART, _LOSS_CHART]
    charts += [_BOTH_ALIGNMENTS]
    if np.isfinite(drawn.columns["accuracy"]).any():
        charts += [_ACCURACY_CHART]
    figure = _figure(history, drawn, charts)
    light = {"paper_bgcolor": LIGHT, "plot_bgcolor": LIGHT, "font": {"color": DARK, "size": 12}}
    return figure.update_layout(light, height=280 * len(charts))


def eigenvalue_figure(history: History, *, gd_edge: bool = True) -> go.Figure:
    """Sharpness, further eigenvalues by magnitude, and the edge in force, over steps.

    The residual is a band around the sharpness: an eigenvalue lies within. Estimates that have not
    converged, which are lower bounds, stand out as open markers. `gd_edge` draws 2/eta too, which
    may lie so far above that it flattens the rest. Under a preconditioned rule, edge value and
    threshold come first, and the sharpness where it was measured.
    """
    drawn = _drawn(history)
    return _figure(history, drawn, _leading(history, drawn, gd_edge=gd_edge))


def alignment_figure(history: History) -> go.Figure:
    """|<g, v1>|/||g|| of the gradients at w and at SAM's perturbed point, over steps."""
    return _figure(history, _drawn(history), [_ALIGNMENT_CHART])


def loss_figure(history: History) -> go.Figure:
    """Training loss, and the held-out one where there is one, over steps; on a log scale, unless a
    loss falls below 0."""
    return _figure(history, _drawn(history), [_LOSS_CHART])


def paper_figures(history: History) -> dict[str, go.Figure]:
    """The paper's four figures by title, in its order (Plotly; `figure.show()` draws one)."""
    return {
        "Eigenvalues and both edges": eigenvalue_figure(history),
        "Eigenvalues and the edge in force": eigenvalue_figure(history, gd_edge=False),
        "Alignment of the gradients with the leading eigenvector": alignment_figure(history),
        "Loss": loss_figure(history),
    }


def _drawn(history: History) -> Drawn:
    """What is drawn of a run; edge value and threshold where the rule in force is held against a
    threshold, 2/eta elsewhere."""
    drawn = history.drawn(most=MOST_POINTS, magnitudes=True)
    own = np.isin(drawn.columns["rule"], [r.name for r in RULES.values() if r.preconditioned])
    for name, there in {"edge_value": own, "threshold": own, "gd_edge": ~own}.items():
        drawn.columns[name] = np.where(there, drawn.columns[name], np.nan)
    return drawn


def _leading(history: History, drawn: Drawn, *, gd_edge: bool = True) -> list[_Chart]:
    """Edge value and threshold, and sharpness and edges: what there is of both."""
    config, rules = history.config, _rules(drawn) or [RULES[history.config.rule]]
    note = f"<br><sub>{config.measured_part}</sub>" if config.measured_part else ""
    charts = []
    if any(rule.preconditioned for rule in rules):
        threshold = _Line("threshold", _names(rules, 0, True), *_EDGE_STYLE)
        lines = (_EDGE_VALUE, _PLAIN_VALUE, threshold)
        axis = _cut(drawn, _EDGE_VALUE, [threshold])
        charts.append(_Chart("eigenvalue of the edge operator" + note, lines, axis))
    edges = _edges(rules, config.weight_decay, gd_edge)
    if edges or np.isfinite(drawn.columns["sharpness"]).any():
        title = "eigenvalue of the Hessian (magnitude)" + note
        axis = _cut(drawn, _SHARPNESS, edges)
        charts.append(_Chart(title, (_SHARPNESS, _BATCH_SHARPNESS, *_FURTHER, *edges), axis))
    return charts


def _cut(drawn: Drawn, main: _Line, edges: Sequence[_Line]) -> Mapping[str, Any]:
    """The range of an axis where an edge is far above all else for a while, as while a warm-up
    begins; without one, nothing."""
    known = [values[np.isfinite(values)] for values in (drawn.columns[e.column] for e in edges)]
    known = [values for values in known if len(values)]
    high = drawn.high.get(main.column, drawn.columns[main.column])
    tops = [values.min() for values in known] + high[np.isfinite(high)].tolist()
    top = 1.3 * max(tops, default=0.0)
    far = known and top > 0 and max(values.max() for values in known) > FAR * top
    return {"range": [0, top]} if far else {}


def _rules(drawn: Drawn) -> list[Rule]:
    """The rules that were in force, in order."""
    return [RULES[rule] for rule in dict.fromkeys(drawn.columns["rule"].tolist())]


def _names(rules: Sequence[Rule], weight_decay: float, preconditioned: bool) -> str:
    """What the edge in force, or the threshold, was called on the way."""
    own = [rule for rule in rules if rule.preconditioned is preconditioned]
    return ", then ".join(dict.fromkeys(rule.edge_named(weight_decay) for rule in own))


def _edges(rules: Sequence[Rule], weight_decay: float, gd_edge: bool) -> list[_Line]:
    """The edge in force, if there is one on the Hessian, and 2/eta."""
    gd, name = RULES["gd"].edge_named(weight_decay), _names(rules, weight_decay, False)
    lines = [_Line("edge", name, *_EDGE_STYLE)] if name else []
    return [*lines, replace(_GD_EDGE, name=gd)] if lines and gd_edge and name != gd else lines


def _ratio(drawn: Drawn) -> _Chart:
    rules = _rules(drawn) or [RULES["gd"]]
    name = ", then ".join(dict.fromkeys(rule.ratio for rule in rules))
    return _Chart(name, (_Line("ratio", name, _BLUE),), {}, level=1)


def _figure(history: History, drawn: Drawn, charts: Sequence[_Chart]) -> go.Figure:
    """The charts below each other, each with a legend of its own."""
    figure = make_subplots(
        rows=len(charts), shared_xaxes=True, vertical_spacing=0.3 / (1 + len(charts))
    )
    figure.update_layout(_layout() | _marks(history, charts))
    axis = {"gridcolor": GRID, "linecolor": INK, "zeroline": False, "automargin": True}
    figure.update_xaxes(axis).update_yaxes(axis)
    figure.update_xaxes(title="step (updates of w)", row=len(charts))
    breaks = [item.step for item in history.interventions if item.changes]
    for row, chart in enumerate(charts, 1):
        number = row if row > 1 else ""
        found = [(line, drawn.envelope(line.column, breaks=breaks)) for line in chart.lines]
        title, scale, found = _scaled(chart, [pair for pair in found if len(pair[1].first)])
        figure.update_yaxes(title=title, **scale, row=row)
        for line, envelope in found:
            for trace in _traces(drawn, line, envelope):
                figure.add_trace(trace.update(legend=f"legend{number}"), row=row, col=1)
        (axis,) = figure.select_yaxes(row=row)
        legend = {"orientation": "h", "x": 0, "y": axis.domain[1], "yanchor": "bottom"}
        figure.update_layout({f"legend{number}": legend})
    return figure


_Found = list[tuple[_Line, Envelope]]


def _scaled(chart: _Chart, found: _Found) -> tuple[str, Mapping[str, Any], _Found]:
    """Title and settings of the y axis, and what can be drawn on it.

    A log axis has no place below 0: then it is linear. Single zeros are left out; the axis says so.
    """
    lowest = min((float(envelope.low.min()) for _, envelope in found), default=1.0)
    positive = [envelope.high[envelope.high > 0] for _, envelope in found]
    positive += [envelope.low[envelope.low > 0] for _, envelope in found]
    if chart.axis is not _LOG or lowest > 0:
        return chart.title, chart.axis, found
    if lowest < 0 or not sum(map(len, positive)):
        why = "goes below 0" if lowest < 0 else "is 0"
        return chart.title.replace(LOG_SCALE, f"linear: it {why}"), {}, found
    floor = min(float(values.min()) for values in positive if len(values))
    kept = [(line, envelope.above(floor)) for line, envelope in found]
    title = chart.title.replace(LOG_SCALE, f"{LOG_SCALE}, 0 left out")
    return title, chart.axis, [pair for pair in kept if len(pair[1].first)]


def _traces(drawn: Drawn, line: _Line, envelope: Envelope) -> list[go.Scatter]:
    x, y, _ = envelope.line()
    style = {"color": line.colour, "dash": line.dash, "width": line.width}
    trace = go.Scatter(x=x, y=y, name=line.name, mode="lines", line=style)
    if envelope.wide.any():
        trace.update(hovertemplate=_hover(envelope, _HOVER))
    traces = [*_range(envelope, line), trace]
    if line.residual:
        return [
            *traces,
            *_residual(drawn, line, envelope, trace),
            *_unconverged(drawn, line, envelope),
        ]
    return traces


_HOVER = "%{y:.5~g}"


def _hover(envelope: Envelope, value: str) -> str | list[str]:
    """The hover text of a line: the value; and of a bucket, what it is the mean of."""
    if not envelope.wide.any():
        return value
    rims = zip(envelope.first, envelope.last, envelope.low, envelope.high, strict=True)
    texts = [
        f"{value} (mean of steps {first:,.0f} to {last:,.0f}: least {low:.5g}, most {high:.5g})"
        if first < last
        else value
        for first, last, low, high in rims
    ]
    return [texts[bucket] for bucket in envelope.line()[2]]


def _range(envelope: Envelope, line: _Line) -> list[go.Scatter]:
    """Least to most of each bucket as a band in the line's colour; none where all are single."""
    if not envelope.wide.any():
        return []
    x, low, high = envelope.band()
    names = (f"{line.name}, least", f"{line.name}, most")
    return _band(x, low, high, names, _faint(line.colour), legendgroup=line.name, showlegend=False)


def _faint(colour: str) -> str:
    return f"rgba({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))}, 0.25)"


def _band(
    x: NDArray, low: NDArray, high: NDArray, names: tuple[str, str], colour: str, **look: Any
) -> list[go.Scatter]:
    """Two rims without lines, the second filled down to the first."""
    # as one closed outline, a band would have twice the points
    rim = {"x": x, "mode": "none", "hoverinfo": "skip", **look}
    lower = go.Scatter({**rim, "y": low, "name": names[0], "showlegend": False})
    upper = {"y": high, "name": names[1], "fill": "tonexty", "fillcolor": colour}
    return [lower, go.Scatter({**rim, **upper})]


def _residual(drawn: Drawn, line: _Line, envelope: Envelope, trace: go.Scatter) -> list[go.Scatter]:
    """|lambda_1| +- its residual as a band and in its hover text; of a bucket, the worst."""
    x, y, bucket = envelope.line()
    residual = drawn.columns[line.residual][np.isfinite(drawn.columns[line.column])][bucket]
    if not np.isfinite(residual).any():
        return []
    said = _hover(envelope, f"{_HOVER} ± %{{customdata:.2~g}}")
    trace.update(customdata=residual, hovertemplate=said)
    names = (f"{_BAND}, lower rim", _BAND)
    return _band(x, y - residual, y + residual, names, _BAND_COLOUR, legendgroup=_BAND)


def _unconverged(drawn: Drawn, line: _Line, envelope: Envelope) -> list[go.Scatter]:
    converged = drawn.columns["converged"][np.isfinite(drawn.columns[line.column])]
    lower_bounds = converged == 0
    if not lower_bounds.any():
        return []
    steps = ((envelope.first + envelope.last) / 2)[lower_bounds]
    values = envelope.middle[lower_bounds]
    look = {"symbol": "circle-open", "size": 7, "color": line.colour}
    name = "not converged: a lower bound"
    return [go.Scatter(x=steps, y=values, name=name, mode="markers", marker=look)]


def _marks(history: History, charts: Sequence[_Chart]) -> dict[str, Any]:
    """A dotted line at each intervention, named in the first chart, and the charts' levels."""
    look = {"type": "line", "line": {"color": INK, "dash": "dot", "width": 1}}
    shapes = []
    for row, chart in enumerate(charts, 1):
        number = row if row > 1 else ""
        upright = {**look, "xref": f"x{number}", "y0": 0, "y1": 1, "yref": f"y{number} domain"}
        shapes += [{**upright, "x0": at.step, "x1": at.step} for at in history.interventions]
        if chart.level is not None:
            flat = {**look, "xref": f"x{number} domain", "x0": 0, "x1": 1, "yref": f"y{number}"}
            shapes.append({**flat, "y0": chart.level, "y1": chart.level})
    label = {"y": 1, "yref": "y domain", "xanchor": "left", "yanchor": "top", "textangle": -90}
    label |= {"font": {"size": 11}, "showarrow": False}
    names = [{**label, "x": at.step, "text": at.label} for at in history.interventions]
    return {"shapes": shapes, "annotations": names}


def _layout() -> dict[str, Any]:
    layout = {"template": "none", "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR, "height": 420}
    layout |= {"font": {"color": INK, "size": 14}, "showlegend": True}
    layout |= {"margin": {"l": 70, "r": 20, "t": 50, "b": 60}, "hovermode": "x unified"}
    return layout | {"hoverlabel": {"bgcolor": "#333", "font": {"color": "#fff"}}}
