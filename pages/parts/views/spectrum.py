"""Spectra of one run in one chart, in words, and as CSV."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pages.parts.components.figures import Figure, Trace
from pages.parts.views import drawing
from pages.parts.views.drawing import line, markers
from pages.parts.views.status import duration
from samedge_core.curvature.spectral_density import NEGATIVE, SpectrumAxis, in_words
from samedge_core.theory.rules import RULES
from samedge_core.training.inspection import SpectrumAtStep

FLOOR = 0.05  # lowest height drawn: a twentieth of an eigenvalue
STYLES = (  # the newest first
    ("solid", "solid line", 1.0),
    ("dash", "dashed line", 0.8),
    ("dot", "dotted line", 0.65),
)


def axis_around(spectra: Sequence[SpectrumAtStep]) -> SpectrumAxis:
    """An axis for these spectra and their edges."""
    marks = [place for made in spectra for _, place, _ in _edges(made)]
    return SpectrumAxis.around([made.spectrum for made in spectra], marks)


def csv(spectra: Sequence[SpectrumAtStep]) -> str:
    """A row a node of each spectrum: step, exact, probe, node, weight."""
    frames = [made.spectrum.to_frame() for made in spectra]
    for frame, made in zip(frames, spectra, strict=True):
        frame.insert(0, "step", made.step)
        frame.insert(1, "exact", made.spectrum.exact)
    return pd.concat(frames).to_csv(index=False)


def words(spectra: Sequence[SpectrumAtStep], axis: SpectrumAxis) -> list[str]:
    """A line for each spectrum, the newest first: its step, cost, trace and counts."""
    newest_first = spectra[::-1]
    lines = []
    for made, (_, look, _) in zip(newest_first, STYLES, strict=False):
        line = f" ({look})" if len(spectra) > 1 else ""
        of = f"of the {matrix(made)} " if RULES[made.hyper.rule].preconditioned else ""
        facts = [
            f"Spectrum {of}at **step {made.step:,}**{line}",
            _cost(made),
            f"trace {in_words(made.spectrum.trace())}",
            f"eigenvalues above {_above(made, axis)}",
            _negative(made),
        ]
        lines.append(" · ".join(facts))
    return lines


def _cost(made: SpectrumAtStep) -> str:
    found = made.spectrum
    how = "exact" if found.exact else f"estimated, {found.probes} probes × {found.steps} steps"
    took = f"{found.products:,} Hessian-vector products, {duration(found.seconds)}"
    return f"P = {found.size:,} · {how}: {took}"


def _above(made: SpectrumAtStep, axis: SpectrumAxis) -> str:
    """How many eigenvalues lie above each edge, the rule's own first."""
    counts = []
    for name, place, _ in reversed(_edges(made)):
        where = "" if axis.holds(place) else ", not on the axis"
        counts.append(f"{name} ({place:.4g}{where}): {made.spectrum.count_above_in_words(place)}")
    return ", ".join(counts)


def _negative(made: SpectrumAtStep) -> str:
    found = made.spectrum
    share, limit = in_words(found.negative_percent()), -found.negative_limit
    return f"negative: {share} % (below −{limit:.2g}, {100 * NEGATIVE:g} % of the largest |λ|)"


# --- the chart


def _edges(made: SpectrumAtStep) -> list[tuple[str, float, str]]:
    """Name, place and colour of 2/eta and of the rule's own edge at that step; of an edge operator,
    of the threshold."""
    hyper = made.hyper
    rule, gd = RULES[hyper.rule], RULES["gd"]
    own = (rule.edge_named(hyper.weight_decay), made.edge, rule.look.colour)
    if rule is gd or rule.preconditioned:
        return [own]
    # of GD, which does not depend on the gradient norm
    place = float(gd.edge(hyper, 0.0))  # pyright: ignore[reportArgumentType]
    return [(gd.edge_named(hyper.weight_decay), place, gd.look.colour), own]


def matrix(made: SpectrumAtStep) -> str:
    """Whose eigenvalues they are, in words."""
    return "edge operator" if RULES[made.hyper.rule].preconditioned else "Hessian"


def figure(spectra: Sequence[SpectrumAtStep], axis: SpectrumAxis, whose: str) -> Figure:
    """Spectra of one run, the newest last, on `axis`; with the newest one's edges, and the leading
    eigenvalues that the tracker measured at its step."""
    newest = spectra[-1]
    top = 2.0 * newest.spectrum.size
    traces: list[Trace] = []
    for made, (dash, _, opacity) in list(zip(spectra[::-1], STYLES, strict=False))[::-1]:
        traces += _curve(made, axis, dash, opacity)
    for edge, place, colour in _edges(newest):
        if axis.holds(place):
            traces.append(_upright(f"{edge} = {place:.4g}", place, top, colour))
    measured = newest.eigenvalues
    traces.append(_measured(measured[np.isfinite(measured)]))
    if newest.spectrum.exact:
        traces.append(_rug(newest))
    layout: dict[str, Any] = {
        "xaxis": drawing.axis(
            f"eigenvalue λ of the {matrix(newest)}{whose}", range=[axis.grid[0], axis.grid[-1]]
        ),
        "yaxis": drawing.axis(
            "eigenvalues (one alone: 1)",
            type="log",
            dtick=1,
            range=[math.log10(FLOOR), math.log10(top)],
        ),
        "hovermode": "x",
    }
    return Figure(f"Spectrum{whose}", traces, layout, columns=4, height=300)


def _curve(made: SpectrumAtStep, axis: SpectrumAxis, dash: str, opacity: float) -> list[Trace]:
    """The density, and the band of one standard error around it where it is an estimate."""
    mean, error = axis.heights(made.spectrum)
    name, colour = f"step {made.step:,}", f"@sharpness/{opacity}"
    # evenly spaced: where it starts and by how much it goes on is all that need travel
    even = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "x0": axis.grid[0],
        "dx": axis.grid[1] - axis.grid[0],
    }
    line = even | {
        "y": np.maximum(mean, FLOOR / 10),
        "hovertemplate": "%{y:.3~g}",
        "line": {"color": colour, "dash": dash, "width": 2},
    }
    if made.spectrum.exact:
        return [line]
    side = even | {"showlegend": False, "hoverinfo": "skip", "line": {"width": 0}}
    low, high = (np.maximum(mean + sign * error, FLOOR / 10) for sign in (-1, 1))
    band = {"fill": "tonexty", "fillcolor": f"@sharpness/{0.25 * opacity}"}
    return [side | {"y": low}, side | {"y": high} | band, line]


def _upright(name: str, place: float, top: float, colour: str) -> Trace:
    # points on the way, so that the line answers to the mouse everywhere
    heights = np.geomspace(FLOOR, top, 20)
    return line(name, np.full(20, place), heights, colour, "10px,4px", hoverinfo="name")


def _measured(values: np.ndarray) -> Trace:
    name = f"λ₁ {'… ' if len(values) > 1 else ''}measured by the tracker"
    hover = {"hovertemplate": "%{x:.5~g}"}
    return markers(name, values, np.ones(len(values)), "topk", "triangle-down", 10, **hover)


def _rug(made: SpectrumAtStep) -> Trace:
    values = made.spectrum.nodes[0]
    name, height = f"eigenvalues, step {made.step:,}", np.full(len(values), FLOOR * 1.5)
    hover = {"hovertemplate": "%{x:.5~g}"}
    return markers(name, values, height, "sharpness", "line-ns-open", 10, **hover)
