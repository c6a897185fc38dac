"""A phase diagram as an SVG picture: a rectangle a cell, nothing between cells.

Importable without torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from samedge_core.sweeps.results import SweepResult
from samedge_core.sweeps.rows import FATES, QUANTITIES, Quantity
from samedge_core.sweeps.sweep import Axis
from samedge_core.theory.rules import RULES

WIDTH, HEIGHT = 640, 520
_LEFT, _TOP, _SIDE, _UNDER = 90, 40, 480, 420  # the cells: their corner, width and height
_TICKS = 6  # labels of an axis, at most
# as on the pages: viridis, even steps to the eye, also without red or green vision
_VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
_SEQUENCE = (np.linspace(0, 1, 5), np.array(_VIRIDIS))
# where 1 of 1.5 is the edge: yellow, and red beyond
_EDGE = (
    np.array([*np.linspace(0, 1, 5) / 1.5, 0.8, 1]),
    np.array([*_VIRIDIS, (243, 114, 44), (157, 2, 8)]),
)
_Marks = Sequence[tuple[str, NDArray]]  # (ny, nx): the cells that have it
_Scale = tuple[NDArray, NDArray]  # places from 0 to 1, and the colours there
_BLANK, _INK, _PAPER = "#9a9a9a", "#1b1f24", "#ffffff"
_NO_COLOUR = ("diverged", "failed")  # what their numbers end with means nothing
# within a square of side 2
OTHERWISE = "predicted otherwise"  # beside the fate's own mark
_MARKS = {
    "below its edge": "M-1 1L1 -1",
    "above its edge": "M-1 -1L1 1",
    "diverged": "M-1 1L1 -1M-1 -1L1 1",
    "dead": "M-.4 0a.4 .4 0 1 0 .8 0a.4 .4 0 1 0 -.8 0",
    "converged": "M-1 0L1 0",
    "failed": "M0 -1L0 1",
    OTHERWISE: "M-1.6 0a1.6 1.6 0 1 0 3.2 0a1.6 1.6 0 1 0 -3.2 0",
}


def figure(result: SweepResult, quantity: str = "ratio") -> str:
    """The diagram of one of QUANTITIES, medians over the seeds; marks tell the fates, and rings
    where a flow predicts another one.

    Raises:
        ConfigError: no quantity is called so.
    """
    grid, fates = result.grid(quantity), result.fates()
    grid = np.where(np.isin(fates, _NO_COLOUR), np.nan, grid)
    marks = [(fate, fates == fate) for fate in FATES if fate in _MARKS]
    marks.append((OTHERWISE, result.misnamed() > 0))
    about, scale = QUANTITIES[quantity], _EDGE if quantity == "ratio" else _SEQUENCE
    low, high, shares = _shares(grid, about)
    base, (x, *y) = result.sweep.base, result.sweep.axes
    xs, ys = _cuts(x), _cuts(y[0]) if y else np.array([0.0, 1.0])
    title = f"{about.label_under(base.rule)}: {RULES[base.rule].short}, {base.spec.title}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{_PAPER}"/>',
        _text(_LEFT, 24, title, "start"),
        *_cells(fates, shares, scale, _LEFT + _SIDE * xs, _TOP + _UNDER * (1 - ys), marks),
        *_labels(result.sweep.field(x).label, x),
        *(line for axis in y for line in _labels_up(result.sweep.field(axis).label, axis)),
        *_bar(low, high, scale),
        *_legend(marks),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _shares(grid: NDArray, about: Quantity) -> tuple[float, float, NDArray]:
    """The ends of the colours, and where each value lies between them, 0 to 1."""
    grid = np.where(np.isfinite(grid) & ((grid > 0) | (not about.log)), grid, np.nan)
    if np.isnan(grid).all():
        return math.nan, math.nan, grid
    low, high = about.range or np.nanpercentile(grid, [1, 99])
    ends = np.array([low, high])
    scaled, ends = (np.log(grid), np.log(ends)) if about.log else (grid, ends)
    span = ends[1] - ends[0]
    shares = (scaled - ends[0]) / span if span > 0 else np.where(np.isnan(grid), np.nan, 0.5)
    return float(low), float(high), np.clip(shares, 0, 1)


def _cuts(axis: Axis) -> NDArray:
    """The borders of an axis's cells, 0 to 1: half way between their values."""
    at = np.log(axis.values) if axis.log else np.asarray(axis.values, float)
    if len(at) == 1:
        return np.array([0.0, 1.0])
    inner = (at[1:] + at[:-1]) / 2
    cuts = np.concatenate([[2 * at[0] - inner[0]], inner, [2 * at[-1] - inner[-1]]])
    return (cuts - cuts[0]) / (cuts[-1] - cuts[0])


def _cells(
    fates: NDArray, shares: NDArray, scale: _Scale, xs: NDArray, ys: NDArray, marks: _Marks
) -> Iterator[str]:
    for iy, row in enumerate(fates):
        for ix, fate in enumerate(row):
            if not fate:
                continue
            x, y, width, height = xs[ix], ys[iy + 1], xs[ix + 1] - xs[ix], ys[iy] - ys[iy + 1]
            at = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
            yield f'<rect {at} fill="{_colour(shares[iy, ix], scale)}"/>'
            for mark, where in marks:
                if where[iy, ix]:
                    yield _mark(mark, x + width / 2, y + height / 2, 0.25 * min(width, height))


def _mark(fate: str, x: float, y: float, size: float) -> str:
    place = f"translate({x:.2f} {y:.2f}) scale({min(size, 7):.2f})"
    path = f'<path d="{_MARKS[fate]}" fill="none" vector-effect="non-scaling-stroke" '
    # a light line below a dark one is seen on every colour
    return "".join(
        f'{path}transform="{place}" stroke="{colour}" stroke-width="{width}"/>'
        for colour, width in ((_PAPER, 2.6), (_INK, 1.2))
    )


def _colour(share: float, scale: _Scale) -> str:
    if math.isnan(share):
        return _BLANK
    places, colours = scale
    mixed = (np.interp(share, places, channel) for channel in colours.T)
    return "#" + "".join(f"{round(channel):02x}" for channel in mixed)


def _labels(label: str, axis: Axis) -> Iterator[str]:
    """The name of the axis to the right, and some of its values."""
    for at, value in _ticks(axis):
        yield _text(_LEFT + _SIDE * at, _TOP + _UNDER + 18, value, "middle")
    yield _text(_LEFT + _SIDE / 2, _TOP + _UNDER + 38, label, "middle")


def _labels_up(label: str, axis: Axis) -> Iterator[str]:
    for at, value in _ticks(axis):
        yield _text(_LEFT - 8, _TOP + _UNDER * (1 - at) + 4, value, "end")
    middle = _TOP + _UNDER / 2
    yield _text(24, middle, label, "middle", f' transform="rotate(-90 24 {middle})"')


def _ticks(axis: Axis) -> Iterator[tuple[float, str]]:
    """The middle of some cells, 0 to 1, and their value."""
    cuts, count = _cuts(axis), len(axis.values)
    for i in sorted({round(k * (count - 1) / (_TICKS - 1)) for k in range(_TICKS)}):
        yield (cuts[i] + cuts[i + 1]) / 2, f"{axis.values[i]:.3g}"


def _bar(low: float, high: float, scale: _Scale) -> Iterator[str]:
    """The colours beside the diagram, with the values at both ends."""
    if math.isnan(low):
        return
    x, steps = _LEFT + _SIDE + 16, 24
    for i in range(steps):
        y, height = _TOP + _UNDER * (1 - (i + 1) / steps), _UNDER / steps + 0.5
        colour = _colour(i / (steps - 1), scale)
        yield f'<rect x="{x}" y="{y:.2f}" width="12" height="{height:.2f}" fill="{colour}"/>'
    yield _text(x, _TOP - 8, f"{high:.3g}", "start")
    yield _text(x, _TOP + _UNDER + 18, f"{low:.3g}", "start")


def _legend(marks: _Marks) -> Iterator[str]:
    x = float(_LEFT)
    for fate, where in marks:
        if where.any():
            yield _mark(fate, x, HEIGHT - 10, 5)
            yield _text(x + 10, HEIGHT - 6, fate, "start")
            x += 26 + 7 * len(fate)


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}"'
    return f"<text {place}{more}>{escape(text)}</text>"
