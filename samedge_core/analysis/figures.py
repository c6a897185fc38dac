"""The paper's figures of a run, as Plotly figures for notebooks and reports.

Importable without torch. Backgrounds are transparent and colours of medium lightness, so that a
figure reads on a light and on a dark page.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from samedge_core.theory.rules import RULES
from samedge_core.training.history import History

MOST_POINTS = 4000  # a row; extremes are kept, and no screen shows more
INK, GRID = "#7a7a7a", "rgba(128, 128, 128, 0.25)"

Columns = dict[str, NDArray]


@dataclass(frozen=True)
class _Line:
    """How a column is drawn; the dash says what it is where colours can't be told apart."""

    column: str
    name: str
    colour: str
    dash: str = "solid"
    width: float = 2


_SHARPNESS = _Line("sharpness", "sharpness |λ₁|", "#3d7fe0")
_BAND, _BAND_COLOUR = "± residual: an eigenvalue lies within", "rgba(61, 127, 224, 0.3)"
_GD_EDGE = _Line("gd_edge", "2/η", "#c0504d", "dot")
_EDGE_STYLE = ("#dd7a00", "dash")
_ALIGNMENTS = (
    _Line("align_grad", "gradient at w", "#3d7fe0"),
    _Line("align_sam", "gradient at w + ρu (SAM)", "#dd7a00", "dash"),
)
_LOSSES = (
    _Line("loss", "training loss", "#3d7fe0"),
    _Line("held_out_loss", "held-out loss", "#dd7a00", "dash"),
)


def eigenvalue_figure(history: History, *, gd_edge: bool = True) -> go.Figure:
    """Sharpness, further eigenvalues by magnitude, and the edge in force, over steps.

    The residual is a band around the sharpness: an eigenvalue lies within. Estimates that have not
    converged, which are lower bounds, stand out as open markers. `gd_edge` draws 2/eta too, which
    may lie so far above that it flattens the rest.
    """
    columns = _thinned(history)
    lines = [_SHARPNESS, *_further(columns), *_edges(columns, gd_edge)]
    note = history.config.measured_part
    title = "eigenvalue of the Hessian (magnitude)" + (f"<br><sub>{note}</sub>" if note else "")
    figure = _figure(columns, lines, y=title)
    _add_residual(figure, columns)
    _mark_unconverged(figure, columns)
    return _with_interventions(figure, history)


def alignment_figure(history: History) -> go.Figure:
    """|<g, v1>|/||g|| of the gradients at w and at the point that SAM looks at, over steps."""
    figure = _figure(_thinned(history), _ALIGNMENTS, y="alignment with v₁ (0 to 1)")
    figure.update_yaxes(range=[0, 1.02])
    return _with_interventions(figure, history)


def loss_figure(history: History) -> go.Figure:
    """Training loss, and the held-out one where there is one, over steps on a log scale."""
    figure = _figure(_thinned(history), _LOSSES, y="loss (log scale)")
    figure.update_yaxes(type="log", exponentformat="power")
    return _with_interventions(figure, history)


def paper_figures(history: History) -> dict[str, go.Figure]:
    """The paper's four figures by title, in its order."""
    return {
        "Eigenvalues and both edges": eigenvalue_figure(history),
        "Eigenvalues and the edge in force": eigenvalue_figure(history, gd_edge=False),
        "Alignment of the gradients with the leading eigenvector": alignment_figure(history),
        "Loss": loss_figure(history),
    }


def _thinned(history: History) -> Columns:
    return history.columns(history.select(most=MOST_POINTS))


def _further(columns: Columns) -> list[_Line]:
    names = (f"lambda_{k}" for k in range(2, 11))
    return [
        _Line(name, f"|λ{name.removeprefix('lambda_').translate(_SUBSCRIPTS)}|", "#4a9d8f", width=1)
        for name in names
        if name in columns
    ]


_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def _edges(columns: Columns, gd_edge: bool) -> list[_Line]:
    """The edge in force, named by the rules that it was the edge of, and 2/eta beside it."""
    names = [RULES[rule].edge_name for rule in dict.fromkeys(columns["rule"].tolist())]
    lines = [_Line("edge", ", then ".join(names), *_EDGE_STYLE)]
    if gd_edge and names != [RULES["gd"].edge_name]:
        lines.append(_GD_EDGE)
    return lines


def _figure(columns: Columns, lines: list[_Line] | tuple[_Line, ...], *, y: str) -> go.Figure:
    figure = go.Figure(layout=_layout(y))
    for line in lines:
        steps, values = _known(columns, line.column)
        if len(steps):
            style = {"color": line.colour, "dash": line.dash, "width": line.width}
            figure.add_scatter(x=steps, y=values, name=line.name, mode="lines", line=style)
    return figure


def _known(columns: Columns, name: str) -> tuple[NDArray, NDArray]:
    """Steps and magnitudes of the rows in which a column was measured and is finite.

    A row without a measurement would break the line.
    """
    values = np.abs(columns.get(name, np.full(len(columns["step"]), np.nan)))
    known = np.isfinite(values)
    return columns["step"][known], values[known]


def _add_residual(figure: go.Figure, columns: Columns) -> None:
    """|lambda_1| +- its residual, as a band and in the hover text of the sharpness."""
    known = np.isfinite(columns["sharpness"])
    steps, values = columns["step"][known], columns["sharpness"][known]
    residual = columns["residual"][known]
    if not np.isfinite(residual).any():
        return
    figure.update_traces(
        customdata=residual,
        hovertemplate="%{y:.5~g} ± %{customdata:.2~g}",
        selector={"name": _SHARPNESS.name},
    )
    # two rims of a line each: as one closed outline, a thinned run would have twice the points
    rim = {"x": steps, "mode": "none", "hoverinfo": "skip", "legendgroup": _BAND}
    figure.add_scatter(y=values - residual, name=f"{_BAND}, lower rim", showlegend=False, **rim)
    fill = {"fill": "tonexty", "fillcolor": _BAND_COLOUR}
    figure.add_scatter(y=values + residual, name=_BAND, **rim, **fill)


def _mark_unconverged(figure: go.Figure, columns: Columns) -> None:
    open_ends = np.isfinite(columns["sharpness"]) & ~columns["converged"]
    if open_ends.any():
        figure.add_scatter(
            x=columns["step"][open_ends],
            y=columns["sharpness"][open_ends],
            name="not converged: a lower bound",
            mode="markers",
            marker={"symbol": "circle-open", "size": 7, "color": _SHARPNESS.colour},
        )


def _with_interventions(figure: go.Figure, history: History) -> go.Figure:
    for intervention in history.interventions:
        figure.add_vline(
            x=intervention.step,
            line={"color": INK, "dash": "dot", "width": 1},
            annotation={"text": intervention.label, "textangle": -90, "font": {"size": 11}},
        )
    return figure


def _layout(y: str) -> dict:
    axis = {"gridcolor": GRID, "linecolor": INK, "zeroline": False, "automargin": True}
    clear = "rgba(0, 0, 0, 0)"
    return {
        "template": "none",
        "paper_bgcolor": clear,
        "plot_bgcolor": clear,
        "font": {"color": INK, "size": 14},
        "xaxis": {**axis, "title": "step (updates of w)"},
        "yaxis": {**axis, "title": y},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "showlegend": True,
        "margin": {"l": 70, "r": 20, "t": 50, "b": 60},
        "height": 420,
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "#333", "font": {"color": "#fff"}},
    }
