"""The Hessian's spectrum at a step, on demand: a button, a chart, and the facts in words."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.parts import server
from pages.parts.components.figures import Figure, Trace, figures
from pages.parts.frame import fragments
from pages.parts.lab import session
from pages.parts.markdown import plain
from pages.parts.views.status import duration
from samedge_core.curvature.spectral_density import Estimate, Spectrum, SpectrumAxis
from samedge_core.theory.edges import gd_edge
from samedge_core.theory.rules import RULES
from samedge_core.worker.messages import SpectrumMade
from samedge_core.worker.view import Phase, RunView

FLOOR = 0.05  # lowest height drawn: a twentieth of an eigenvalue
STYLES = (("solid", 1.0), ("dash", 0.8), ("dot", 0.65))  # the newest first
NEGATIVE = 0.01  # of the spectral radius: what is nearer to 0 than that counts as 0

HELP = (
    "All eigenvalues of the Hessian at the weights that the next step starts from, on the batch "
    "that is measured there. Small networks: exactly. Others: an estimate by stochastic Lanczos "
    "quadrature, about 800 Hessian-vector products or 4 s. Training waits, and goes on unchanged. "
    "The last three stay in the chart. For the cursor's step, open “At this step” below. Key: e"
)


def draw(views: list[RunView], *, every: float) -> None:
    """All of it; looks again `every` so many seconds while something is to come."""
    _buttons(views)
    to_come = any(v.spectra.pending or _row_to_come(v) for v in views)
    # the progress alone is drawn anew at every tick: the curves are some 50 KB
    fragments.draw(_follow, _stage(views), every=every if to_come else None)
    shown = [view for view in views if view.spectra.made]
    if not shown:
        return
    axis = axis_around([made for view in shown for made in view.spectra.made])
    figures(
        [_figure(view, axis, several=len(views) > 1) for view in shown],
        scene="spectrum",
        key="spectrum-chart",
        on_click=lambda: None,
    )
    for view in shown:
        _facts(view, axis, several=len(views) > 1)


def _follow(stage: object) -> None:
    """Progress and messages; the rest of the page follows when another `stage` is reached."""
    views = session.glances()
    if _stage(views) != stage:
        st.rerun()
    with st.container():  # keeps the figures in their place, however many lines there are
        for view in views:
            _messages(view, _name(view, several=len(views) > 1))


def _stage(views: Sequence[RunView]) -> list[object]:
    """What the buttons and the chart depend on."""
    return [
        (
            v.id,
            v.phase is Phase.ENDED,
            v.spectra.pending,
            v.spectra.failure,
            *(made.request for made in v.spectra.made),
            _row_to_come(v),
            _has_state(v),
        )
        for v in views
    ]


def _row_to_come(view: RunView) -> bool:
    """Whether the step of the newest spectrum is still to be measured in the run."""
    made = view.spectra.made
    return bool(made) and made[-1].step > view.last_step and view.phase is not Phase.ENDED


def _has_state(view: RunView) -> bool:
    """Whether there are weights at which a spectrum could be measured."""
    return view.worker_pid is not None or view.kept is not None


def _buttons(views: list[RunView]) -> None:
    busy, off = any(view.spectra.pending for view in views), _off(views)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            _label(views),
            key="spectrum",
            icon=":material/equalizer:",
            shortcut="e",
            on_click=session.measure_spectra,
            disabled=busy or bool(off),
            help=HELP,
        )
        if busy or any(view.spectra.made for view in views):
            st.button(
                "Cancel" if busy else "Clear",
                key="spectrum-clear",
                icon=":material/close:",
                on_click=session.cancel_spectra if busy else session.clear_spectra,
                help="Training goes on at once." if busy else "Removes the spectra.",
            )
        for view in views:
            if view.spectra.made:
                _download(view, several=len(views) > 1)
        if off:
            st.caption(off)


def _label(views: list[RunView]) -> str:
    """Which step is measured: not the cursor's, but the newest; by its number once it stays."""
    ended = {view.kept for view in views if view.phase is Phase.ENDED}
    if len(ended) == 1 and all(v.phase is Phase.ENDED for v in views) and (step := ended.pop()):
        return f"Spectrum at step {step:,}"
    return f"Spectrum at the newest step{'s' if len(views) > 1 else ''}"


def _off(views: list[RunView]) -> str:
    """Why there is no spectrum to be had, or empty."""
    if not views:
        return "Start a run first: a spectrum belongs to the weights at one of its steps."
    if any(_has_state(view) for view in views):
        return ""
    if all(view.phase is Phase.ENDED for view in views):
        return "No state of this run was kept: it ended before the first finite one was packed."
    return "The run waits for a worker."


def _messages(view: RunView, name: str) -> None:
    now = view.spectra.progress
    if now:
        waits = "" if view.phase is Phase.ENDED else "; training waits"
        text = f"step {now.step:,}: {now.done:,} of {now.total:,} Hessian-vector products{waits}"
        st.progress(now.done / now.total, text=name + text)
    elif view.spectra.pending:
        st.progress(0.0, text=f"{name}a worker gets ready for the spectrum")
    if view.spectra.failure:
        st.error(f"{name}No spectrum: {plain(view.spectra.failure)}.")


def _name(view: RunView, *, several: bool) -> str:
    return f"**{view.config.rule.upper()}** " if several else ""


def _download(view: RunView, *, several: bool) -> None:
    rule = view.config.rule
    st.download_button(
        f"Spectrum CSV {rule.upper()}" if several else "Spectrum CSV",
        data=lambda spectra=view.spectra.made: _csv(spectra),
        file_name=f"samedge-{view.config.problem}-{rule}-spectrum.csv",
        mime="text/csv",
        key=f"spectrum-csv:{view.id}",
        on_click="ignore",
        icon=":material/download:",
        help="Eigenvalues, or nodes and weights of each probe, of every spectrum in the chart.",
    )


def _csv(spectra: Sequence[SpectrumMade]) -> str:
    frames = [made.spectrum.to_frame() for made in spectra]
    for frame, made in zip(frames, spectra, strict=True):
        frame.insert(0, "step", made.step)
        frame.insert(1, "exact", made.spectrum.exact)
    return pd.concat(frames).to_csv(index=False)


# --- the chart


def _edges(made: SpectrumMade) -> list[tuple[str, float, str]]:
    """Name, place and colour of 2/eta and of the rule's own edge at that step."""
    edges = [("2/η", float(gd_edge(made.hyper.eta)), "gd")]
    if made.hyper.rule != "gd":
        rule = RULES[made.hyper.rule]
        edges.append((rule.edge_name, float(made.hyper.edge(made.grad_norm)), rule.look.colour))
    return edges


def _figure(view: RunView, axis: SpectrumAxis, *, several: bool) -> Figure:
    """Full width: two runs stand one above the other, on the same axis."""
    rule = f" ({view.config.rule.upper()})" if several else ""
    newest_first = view.spectra.made[::-1]
    measured = _row(view, newest_first[0].step)
    return chart(f"Spectrum{rule}", newest_first, axis, measured, whose=rule)


def chart(
    name: str,
    newest_first: Sequence[SpectrumMade],
    axis: SpectrumAxis,
    measured: np.ndarray,
    *,
    whose: str = "",
    by: str = "in the run",
    columns: int = 6,
) -> Figure:
    """Spectra of one run on `axis`, with the edges of the newest one, and the leading eigenvalues
    (k,) that were `measured` at its step, by what."""
    top = 2.0 * newest_first[0].spectrum.size
    traces: list[Trace] = []
    for made, style in list(zip(newest_first, STYLES, strict=False))[::-1]:
        traces += _curve(made, axis, *style)
    newest = newest_first[0]
    for edge, place, colour in _edges(newest):
        if axis.holds(place):
            traces.append(_upright(f"{edge} = {place:.4g}", place, top, colour))
    traces += _measured(measured, by)
    if newest.spectrum.exact:
        traces.append(_rug(newest))
    layout: dict[str, Any] = {
        "xaxis": {
            "title": {"text": f"eigenvalue λ of the Hessian{whose}"},
            "range": [axis.grid[0], axis.grid[-1]],
        },
        "yaxis": {
            "title": {"text": "eigenvalues (one alone: 1)"},
            "type": "log",
            "dtick": 1,
            "range": [math.log10(FLOOR), math.log10(top)],
        },
        "hovermode": "x",
    }
    return Figure(name, traces, layout, columns=columns, height=300)


def _curve(made: SpectrumMade, axis: SpectrumAxis, dash: str, opacity: float) -> list[Trace]:
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
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": np.full(20, place),
        "y": heights,
        "line": {"color": f"@{colour}", "dash": "10px,4px", "width": 2},
        "hoverinfo": "name",
    }


def _measured(values: np.ndarray, by: str) -> list[Trace]:
    if not len(values):
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": f"λ₁ {'… ' if len(values) > 1 else ''}measured {by}",
            "x": values,
            "y": np.ones(len(values)),
            "marker": {"symbol": "triangle-down", "size": 10, "color": "@topk"},
            "hovertemplate": "%{x:.5~g}",
        }
    ]


def _row(view: RunView, step: int) -> np.ndarray:
    """Leading eigenvalues (k,) that were measured at `step`; empty without."""
    history = server.registry().history(view.id)
    columns = history.columns(history.select(step - 1)[:1])
    names = ["lambda_max", *(f"lambda_{i}" for i in range(2, view.config.top_k + 1))]
    values = np.array([columns[name][columns["step"] == step] for name in names]).ravel()
    return values[np.isfinite(values)]


def _rug(made: SpectrumMade) -> Trace:
    values = made.spectrum.nodes[0]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"eigenvalues, step {made.step:,}",
        "x": values,
        "y": np.full(len(values), FLOOR * 1.5),
        "hovertemplate": "%{x:.5~g}",
        "marker": {"symbol": "line-ns-open", "size": 10, "color": "@sharpness"},
    }


# --- in words


def _facts(view: RunView, axis: SpectrumAxis, *, several: bool) -> None:
    """A line for each spectrum, the newest first."""
    for made, (dash, _) in zip(view.spectra.made[::-1], STYLES, strict=False):
        look = {"solid": "solid", "dash": "dashed", "dot": "dotted"}[dash]
        line = f" ({look} line)" if len(view.spectra.made) > 1 else ""
        head = f"{_name(view, several=several)}**Step {made.step:,}**{line}"
        st.caption(" · ".join([head, *facts(made, axis)]))


def facts(made: SpectrumMade, axis: SpectrumAxis) -> list[str]:
    """What a spectrum says, in words."""
    return [
        _cost(made),
        f"trace {_shown(made.spectrum.trace())}",
        f"eigenvalues above {_above(made, axis)}",
        _negative(made),
    ]


def axis_around(spectra: Sequence[SpectrumMade]) -> SpectrumAxis:
    """An axis for these spectra and their edges."""
    marks = [place for made in spectra for _, place, _ in _edges(made)]
    return SpectrumAxis.around([made.spectrum for made in spectra], marks)


def _cost(made: SpectrumMade) -> str:
    found = made.spectrum
    how = "exact" if found.exact else f"estimated, {found.probes} probes × {found.steps} steps"
    took = f"{found.products:,} Hessian-vector products, {duration(found.seconds)}"
    return f"P = {found.size:,} · {how}: {took}"


def _above(made: SpectrumMade, axis: SpectrumAxis) -> str:
    """How many eigenvalues lie above each edge, the rule's own first."""
    counts = []
    for name, place, _ in reversed(_edges(made)):
        where = "" if axis.holds(place) else ", not on the axis"
        counts.append(f"{name} ({place:.4g}{where}): {_count(made.spectrum, place)}")
    return ", ".join(counts)


def _count(found: Spectrum, place: float) -> str:
    least, estimate = found.least_above(place), _shown(found.count_above(place))
    return estimate if found.exact or not least else f"at least {least} (estimate {estimate})"


def _negative(made: SpectrumMade) -> str:
    """The share of what is clearly negative: the many at 0 scatter to both sides of it."""
    limit = NEGATIVE * made.spectrum.radius
    mean, error = made.spectrum.count_below(-limit)
    percent = 100 / made.spectrum.size
    share = _shown((mean * percent, error * percent))
    return f"negative: {share} % (below −{limit:.2g}, {100 * NEGATIVE:g} % of the largest |λ|)"


def _shown(estimate: Estimate) -> str:
    """A mean with its standard error, which a few probes tell to one digit; an exact value has
    none."""
    mean, error = (float(part) for part in estimate)
    if not error > 0:
        return f"{mean:.4g}"
    digits = -math.floor(math.log10(error))
    shown = max(0, digits)
    return f"{round(mean, digits):,.{shown}f} ± {round(error, digits):,.{shown}f}"
