"""Traces, shapes and notes of Plotly figures, a line each. Colours are the theme's, without "@"."""

from typing import Any

import numpy as np

from pages.parts.components.figures import Trace

UNLISTED: Trace = {"hoverinfo": "skip", "showlegend": False}  # neither a tooltip nor a legend entry


def line(name: str, x: Any, y: Any, color: str, dash: str = "solid", **rest: Any) -> Trace:
    """A line without markers, 2 pixels wide unless `width` says otherwise."""
    style = {"color": f"@{color}", "dash": dash, "width": rest.pop("width", 2)}
    hover = {"hovertemplate": "%{y:.5~g}"} if "hoverinfo" not in rest else {}
    return _scatter("lines", name, x, y) | {"line": style} | hover | rest


def envelope(name: str, x: Any, low: Any, high: Any, color: str, **rest: Any) -> list[Trace]:
    """A faint band between two rims, for under a line of the same colour: these two, in order."""
    look = {"width": 0, **UNLISTED, **rest}
    fill = {"fill": "tonexty", "fillcolor": f"@{color}/0.22"}
    lower = line(f"{name}, least", x, low, color, **look)
    return [lower, line(f"{name}, most", x, high, color, **look, **fill)]


def markers(name: str, x: Any, y: Any, color: str, symbol: str, size: int, **rest: Any) -> Trace:
    """Markers without a line; `marker` holds more of their style."""
    marker = {"color": f"@{color}", "symbol": symbol, "size": size, **rest.pop("marker", {})}
    return _scatter("markers", name, x, y) | {"marker": marker} | rest


def _scatter(mode: str, name: str, x: Any, y: Any) -> Trace:
    return {"type": "scatter", "mode": mode, "name": name, "x": x, "y": y}


def rim(width: float) -> Trace:
    """For `marker`: a rim in the colour of the page, which sets markers apart from lines."""
    return {"line": {"color": "@background", "width": width}}


def axis(title: str, **rest: Any) -> Trace:
    """An axis of a layout, with its title."""
    return {"title": {"text": title}, **rest}


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Few labels on a log axis: powers of ten, or also 2 and 5 times them where few are in it, or
    all multiples; Plotly's own on less than that."""
    decades = np.log10(high / low)
    if high / low < 1.5:
        return {}
    if decades > 2.5:
        return {"dtick": max(1, int(decades / 4))}
    digits = (1, 2, 5) if high / low > 4 else range(1, 10)
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high))
    ticks = [float(f"{k * power:.1g}") for power in powers for k in digits]
    # Plotly's own, "D2", writes 0.2 and 20 as "2" alone; beside given ticks, it would draw minor
    # ones by the thousand, for seconds
    return {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks], "minor": {}}


def level(axis: str, at: float, color: str = "text", dash: str = "dash", **rest: Any) -> Trace:
    """A straight line across the whole figure where `axis`, "x" or "y", has the value `at`."""
    style = {"color": f"@{color}", "dash": dash, "width": rest.pop("width", 2)}
    return {"type": "line", **_across(axis, at, at), "line": style, **rest}


def band(axis: str, start: float, end: float, color: str) -> Trace:
    """A coloured band across the whole figure, below what is drawn."""
    look = {"fillcolor": f"@{color}", "line": {"width": 0}, "layer": "below"}
    return {"type": "rect", **_across(axis, start, end), **look}


def _across(axis: str, start: float, end: float) -> Trace:
    other = "y" if axis == "x" else "x"
    along = {f"{axis}ref": axis, f"{axis}0": start, f"{axis}1": end}
    return along | {f"{other}ref": "paper", f"{other}0": 0, f"{other}1": 1}


def note(text: str, x: float, y: float, **rest: Any) -> Trace:
    """A text at x in data units and y as a share of the height."""
    return {"text": text, "x": x, "xref": "x", "y": y, "yref": "paper", "showarrow": False, **rest}
