"""The figure: error against cost, a panel a case, and its picture."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright
from plotly.subplots import make_subplots

from benchmarks.curvature.pareto import Point, front
from benchmarks.curvature.results import ACCURATE, CaseResult, MethodResult

__all__ = ["draw", "save_html", "save_png"]

COLUMNS, PANEL, WIDTH = 2, 300, 1000  # panels a row, pixels a row of panels, and in all
TOP, BOTTOM = 80, 190
GREY = "#8c8c8c"
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")
FLOOR = 1e-8  # errors below it are rounding, and zero has no logarithm
# Okabe and Ito's palette, told apart under every common colour blindness; the shape says it again
STYLES = {
    "ours-1": ("#D55E00", "star"),
    "ours-2": ("#D55E00", "star-open"),
    "curvlinops-1e-3": ("#0072B2", "circle"),
    "curvlinops-0": ("#0072B2", "circle-open"),
    "eigenthings-20": ("#009E73", "square-open"),
    "eigenthings-40": ("#009E73", "square"),
    "pyhessian": ("#CC79A7", "diamond"),
    "paper": ("#000000", "x"),
    "graph-1e-3": ("#E69F00", "triangle-up"),
}


def draw(results: list[CaseResult]) -> go.Figure:
    """Worst relative error over the cost in plain gradients, both logarithmic, on equal axes."""
    rows = math.ceil(len(results) / COLUMNS)
    panels = rows * PANEL
    figure = make_subplots(
        rows=rows,
        cols=COLUMNS,
        subplot_titles=[f"{r.title}, P = {r.size:,}" for r in results],
        vertical_spacing=0 if rows == 1 else 90 / panels,
        horizontal_spacing=0.1,
    )
    for number, result in enumerate(results):
        _panel(figure, result, *divmod(number, COLUMNS), legend=number == 0)
    points = [_point(m) for r in results for m in r.methods if not m.failure]
    _axes(figure, points)
    figure.update_layout(
        template="plotly_white",
        width=WIDTH,
        height=panels + TOP + BOTTOM,
        margin={"t": TOP, "b": BOTTOM, "l": 80, "r": 30},
        legend={"orientation": "h", "y": -60 / panels, "yanchor": "top", "x": 0},
        title={"text": "Measuring sharpness: cost and error; better is lower and further left"},
    )
    return figure


def save_html(figure: go.Figure, file: Path) -> None:
    """A small page; plotly.js comes from its CDN."""
    figure.write_html(file, include_plotlyjs="cdn", full_html=True)


def save_png(figure: go.Figure, file: Path) -> str:
    """A picture, by the system's Chromium; returns why there is none, or nothing."""
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        return f"no picture: none of {', '.join(BROWSERS)} is installed"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder, "figure.html")
        figure.write_html(page_file, include_plotlyjs=True, full_html=True)
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 800}, device_scale_factor=1.5)
        page.goto(page_file.as_uri())
        page.locator(".main-svg .legend").first.wait_for()
        page.locator(".js-plotly-plot").screenshot(path=file)
        browser.close()
    return ""


def _axes(figure: go.Figure, points: list[Point]) -> None:
    """The same ranges in all panels, a little wider than what is drawn."""
    costs, errors = [p.cost for p in points], [p.error for p in [*points, Point(1, ACCURATE)]]
    figure.update_xaxes(
        type="log",
        title_text="cost of a measurement, in gradients",
        tickvals=[n * 10**k for k in range(-1, 5) for n in (1, 2, 5)],
        range=[math.log10(min(costs) / 1.5), math.log10(max(costs) * 1.5)],
    )
    figure.update_yaxes(
        type="log",
        title_text="worst relative error",
        exponentformat="power",
        dtick=1,
        range=[math.log10(min(errors) / 3), math.log10(max(errors) * 3)],
    )


def _panel(figure: go.Figure, result: CaseResult, row: int, column: int, *, legend: bool) -> None:
    shown = [method for method in result.methods if not method.failure]
    line = front(_point(method) for method in shown)
    traces = [_line(line, legend=legend), *(_marker(method, legend=legend) for method in shown)]
    for trace in traces:
        figure.add_trace(trace, row=row + 1, col=column + 1)
    figure.add_hline(
        y=ACCURATE,
        line={"color": GREY, "width": 1},
        row=row + 1,  # pyright: ignore[reportArgumentType]
        col=column + 1,  # pyright: ignore[reportArgumentType]
    )


def _line(points: list[Point], *, legend: bool) -> go.Scatter:
    return go.Scatter(
        x=[point.cost for point in points],
        y=[point.error for point in points],
        mode="lines",
        line={"color": GREY, "width": 1.5, "dash": "dot", "shape": "hv"},
        name="Pareto front",
        legendgroup="front",
        showlegend=legend,
        hoverinfo="skip",
    )


def _marker(method: MethodResult, *, legend: bool) -> go.Scatter:
    colour, symbol = STYLES[method.name]
    point, ours = _point(method), method.kind == "ours"
    return go.Scatter(
        x=[point.cost],
        y=[point.error],
        mode="markers",
        name=method.title,
        legendgroup=method.name,
        showlegend=legend,
        marker={
            "color": colour,
            "symbol": symbol,
            "size": 17 if ours else 10,
            "line": {"width": 1.5, "color": colour},
        },
        hovertemplate=f"{method.title}<br>%{{x:.3g}} gradients<br>worst error %{{y:.1e}}"
        "<extra></extra>",
    )


def _point(method: MethodResult) -> Point:
    return Point(method.gradients, max(method.worst, FLOOR))
