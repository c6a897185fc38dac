"""A closer look at one step of a run, on demand: the loss around its iterate, the multipliers, the
spectrum, and what the network computes."""

import math
from collections.abc import Sequence

import numpy as np
import streamlit as st

from pages.parts import server
from pages.parts.components.figures import Figure, Trace, figures
from pages.parts.frame import fragments
from pages.parts.frame.parts import part
from pages.parts.lab import session
from pages.parts.markdown import plain
from pages.parts.views import (
    classified_images,
    drawing,
    mini_batches,
    self_stabilization,
    slices,
    spectrum,
)
from pages.parts.views.names import names
from pages.parts.views.numerals import number, subscript
from samedge_core.curvature.spectral_density import SpectrumAxis
from samedge_core.theory.rules import RULES
from samedge_core.training.batch_sharpness import MEANINGLESS
from samedge_core.training.config import MOST_BATCHES
from samedge_core.training.edge_test import CATAPULT, CHANGES, STEPS
from samedge_core.training.inspection import Inspection, SpectrumAtStep
from samedge_core.training.portrait import MOST_STEPS, why_not
from samedge_core.training.portrait import STEPS as PORTRAIT_STEPS
from samedge_core.worker.messages import InspectionProgress
from samedge_core.worker.view import Phase, RunView

BOX = "inspection"  # the expander's key: whether it is open
WITH_SPECTRUM = "inspection-spectrum"
HELP = (
    "Takes the steps up to this one again, beside the run, and measures there: the loss along the "
    "leading eigenvector v₁ and along the gradient g, the multiplier of the step along each "
    "leading eigenvector, the spectrum (all that of the Hessian or, under Adam and RMSProp, of the "
    "edge operator), and what the network computes: a function of one "
    "number with what the step changes in it, or predictions for some images. A run that is going "
    "on is not disturbed. Drag the scrubber to choose a step. Key: x"
)
BATCHES, TEST, PORTRAIT = "inspection-batches", "inspection-test", "inspection-portrait"
FIRST_BATCHES = 64
PHASES = {
    "replay": "taking the steps again: {done:,} of {total:,}",
    "slices": "the loss along v₁ and g: {done:,} of {total:,} points",
    "spectrum": "the spectrum: {done:,} of {total:,} products with its matrix",
    "batches": "the batch sharpness: {done:,} of {total:,} batches",
    "test": "the edge test: {done:,} of {total:,} steps",
    "portrait": "the portrait: {done:,} of {total:,} steps",
}


def draw(views: list[RunView], step: int | None, every: float) -> None:
    """All of it; `step` is the one to inspect, None: each run's newest. Looks again `every` so many
    seconds while something is to come."""
    # outside of the box, to be in sight while that is closed
    _buttons(views, step)
    to_come = any(v.inspection.pending or _row_to_come(v) for v in views)
    fragments.draw(_follow, _stage(views), every=every if to_come else None)
    with st.expander(
        "At this step", icon=":material/center_focus_strong:", on_change="rerun", key=BOX
    ) as box:
        if box.open:
            _figures(views)


def _figures(views: Sequence[RunView]) -> None:
    if not any(view.inspection.made for view in views):
        st.caption("Nothing has been inspected yet.")
    # one axis for all of a matrix, so that the spectra of two runs can be compared
    of: dict[str, list[SpectrumAtStep]] = {}
    for made in (made for view in views for made in _spectra(view)):
        of.setdefault(spectrum.matrix(made), []).append(made)
    axes = {matrix: spectrum.axis_around(spectra) for matrix, spectra in of.items()}
    for view, name in zip(views, names(views), strict=True):
        if view.inspection.made:
            with part(f"The closer look at {name or 'this run'}"):
                spectra = _spectra(view)
                axis = axes[spectrum.matrix(spectra[-1])] if spectra else None
                _show(view, view.inspection.made, name, axis)


def _spectra(view: RunView) -> Sequence[SpectrumAtStep]:
    """Those in the run's chart, all of one matrix, the newest last; none where the step was
    inspected without."""
    made, spectra = view.inspection.made, view.inspection.spectra
    if not made or not made.spectrum:
        return ()
    return [one for one in spectra if spectrum.matrix(one) == spectrum.matrix(spectra[-1])]


def _row_to_come(view: RunView) -> bool:
    return view.last_step < 0 and view.phase is not Phase.ENDED


def _follow(stage: object) -> None:
    """Progress and messages; the rest of the page follows when another `stage` is reached."""
    views = session.glances()
    if _stage(views) != stage:
        st.rerun()
    with st.container():  # keeps what follows in its place, however many lines there are
        for view, name in zip(views, names(views), strict=True):
            _messages(view, f"**{name}** " if name else "")


def _stage(views: Sequence[RunView]) -> list[object]:
    """What the buttons and the figures depend on."""
    found = [(view, view.inspection, view.inspection.made) for view in views]
    return [(v.id, v.last_step >= 0, i.asked, i.failure, m and m.step) for v, i, m in found]


def _buttons(views: list[RunView], step: int | None) -> None:
    pending, off = any(view.inspection.pending for view in views), _off(views, step)
    which = "the newest step" if step is None else f"step {step:,}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Inspect {which}",
            key="inspect",
            icon=":material/center_focus_strong:",
            shortcut="x",
            on_click=_inspect,
            args=(step,),
            disabled=pending or bool(off),
            help=HELP,
        )
        if pending:
            st.button(
                "Cancel",
                key="inspect-cancel",
                icon=":material/close:",
                on_click=_cancel,
                help="What was inspected before stays.",
            )
        elif any(view.inspection.made for view in views):
            st.button(
                "Clear",
                key="inspect-clear",
                icon=":material/close:",
                on_click=_clear,
                help="Removes what is shown here.",
            )
        st.toggle(
            "With the spectrum",
            value=True,
            key=WITH_SPECTRUM,
            persist_state="session",
            help="All eigenvalues of the Hessian; under Adam and RMSProp, of the edge operator. "
            "Small networks: exactly. Others: an estimate by stochastic Lanczos quadrature, about "
            "800 products or 4 s. "
            "The last three stay in one chart, to compare.",
        )
        with st.popover("Mini-batches, edge test, portrait", icon=":material/layers:"):
            _batch_form(views, step, which, disabled=pending or bool(off))
            _portrait_form(views, step, which, disabled=pending or bool(off))
        for view, name in zip(views, names(views), strict=True):
            if spectra := _spectra(view):
                st.download_button(
                    f"Spectrum CSV {name}".strip(),
                    data=lambda spectra=spectra: spectrum.csv(spectra),
                    file_name=f"samedge-{view.config.problem}-{view.config.rule}-spectrum.csv",
                    mime="text/csv",
                    key=f"spectrum-csv:{view.id}",
                    on_click="ignore",
                    icon=":material/download:",
                    help="Eigenvalues, or nodes and weights of each probe, of every spectrum in "
                    "the chart.",
                )
        if off:
            st.caption(off)


def _batch_form(views: Sequence[RunView], step: int | None, which: str, *, disabled: bool) -> None:
    full = not any(view.config.has_batches for view in views)
    st.number_input(
        "Batches of the batch sharpness",
        0,
        MOST_BATCHES,
        FIRST_BATCHES,
        key=BATCHES,
        disabled=full,
        persist_state="session",
        help="Mini-batches over which Inspect takes the mean of the curvature along each batch's "
        "own gradient, at the same w. 0: none. Four times as many halve the standard error.",
    )
    if full:
        st.caption(MEANINGLESS)
    st.selectbox(
        "Edge test",
        list(CHANGES),
        format_func=CHANGES.__getitem__,
        key=TEST,
        persist_state="session",
        help=f"A fork of the run takes {STEPS} steps with this change, beside the run itself. At "
        f"the edge its loss leaps beyond {CATAPULT:g} times that of the run: a catapult.",
    )
    st.button(
        f"Test the edge at {which}",
        key="inspect-test",
        icon=":material/call_split:",
        on_click=_inspect,
        args=(step, True),
        disabled=disabled,
        help="Inspects the step too. The run that is going on is not disturbed.",
    )


def _portrait_form(
    views: Sequence[RunView], step: int | None, which: str, *, disabled: bool
) -> None:
    whys = [_no_portrait(view) for view in views]
    none = bool(whys) and all(whys)
    st.number_input(
        "Steps of the portrait",
        2,
        MOST_STEPS,
        PORTRAIT_STEPS,
        key=PORTRAIT,
        disabled=none,
        persist_state="session",
        help="From the inspected step on, as the run goes on with what is in force there. Each is "
        "measured, and takes two gradients more. A cycle takes some hundred steps.",
    )
    st.button(
        f"Portrait from {which}",
        key="inspect-portrait",
        icon=":material/cyclone:",
        on_click=_inspect,
        args=(step, False, True),
        disabled=disabled or none,
        help="How the hop along v₁ and the sharpness drive each other at GD's edge "
        "(self-stabilisation), beside the amplitude and the period that theory predicts. Inspects "
        "the step too; the run that is going on is not disturbed.",
    )
    if none:
        st.caption(f"{whys[0]}.")


def _no_portrait(view: RunView) -> str:
    """Why a run has no portrait, in words, or empty."""
    config = view.config
    return why_not(
        config.hyperparameters, batches=config.has_batches, constant=config.step_sizes.constant
    )


def _off(views: list[RunView], step: int | None) -> str:
    """Why nothing can be inspected, or empty."""
    if not views:
        return "Start a run first: what is shown here belongs to one of its steps."
    if not any(_has(view, step) for view in views):
        return "No step is recorded yet." if step is None else f"No run has a step {step:,}."
    return ""


def _has(view: RunView, step: int | None) -> bool:
    """Whether there is such a step; None: any at all."""
    return (0 if step is None else step) <= view.last_step


def _inspect(step: int | None, tests: bool = False, portrait: bool = False) -> None:
    st.session_state[BOX] = True
    batches, test = st.session_state.get(BATCHES, FIRST_BATCHES), st.session_state.get(TEST)
    steps = st.session_state.get(PORTRAIT, PORTRAIT_STEPS)
    for view in session.glances():
        if _has(view, step):
            server.registry().cancel_inspection(view.id)  # a look without the spectrum may go on
            chosen = view.last_step if step is None else step
            with_spectrum = st.session_state.get(WITH_SPECTRUM, True)
            server.registry().inspect(
                view.id,
                chosen,
                with_spectrum=with_spectrum,
                batches=batches if view.config.has_batches else 0,
                test=test if tests else None,
                portrait_steps=steps if portrait and not _no_portrait(view) else 0,
            )


def _cancel() -> None:
    for run_id in session.shown():
        server.registry().cancel_inspection(run_id)


def _clear() -> None:
    for run_id in session.shown():
        server.registry().clear_inspection(run_id)


def _messages(view: RunView, name: str) -> None:
    asked, now = view.inspection.asked, view.inspection.progress
    if asked is not None:
        text = _progress(now) if now else "a process starts for it"
        share = now.done / now.total if now and now.total else 0.0
        st.progress(share, text=f"{name}step {asked:,}: {text}")
    if view.inspection.failure:
        st.error(f"{name}Nothing to show: {plain(view.inspection.failure)}.")


def _progress(now: InspectionProgress) -> str:
    return PHASES[now.what].format(done=now.done, total=now.total)


# --- one run


def _show(view: RunView, made: Inspection, name: str, axis: SpectrumAxis | None) -> None:
    whose = f" ({name})" if name else ""
    parts = [f"**{name + ': step' if name else 'Step'} {made.step:,}**", *slices.facts(made)]
    parts += filter(None, [view.config.measured_part])
    st.markdown(" · ".join(parts))
    shown = slices.figures_of(made, whose, height=380)
    spectra = _spectra(view)
    if made.fit:
        shown.extend(classified_images.fit_figures(made.fit, made.hyper.rule, whose))
    shown.append(_multiplier_figure(made, whose, columns=2 if spectra else 3))
    if spectra and axis:
        with part("The spectrum"):
            shown.append(spectrum.figure(spectra, axis, whose))
    shown.extend(mini_batches.figures_of(made, whose))
    shown.extend(self_stabilization.figures_of(made.portrait, whose))
    figures(shown, scene="inspection", key=f"inspection-figures:{view.id}", on_click=lambda: None)
    for text in mini_batches.in_sentences(made):
        st.markdown(text)
    if made.portrait:
        st.markdown(" ".join(self_stabilization.in_sentences(made.portrait)))
    st.caption(" ".join([slices.about(view.config, made), *slices.in_words(made)]))
    if made.fit:
        st.caption(classified_images.about_fit(made.fit))
    st.caption(" · ".join(multiplier_words(made)))
    if spectra and axis:
        for line in spectrum.words(spectra, axis):
            st.caption(line)
    if made.inputs:
        classified_images.show_inputs(made.inputs)


# --- multipliers


def _multiplier_figure(made: Inspection, whose: str, *, columns: int) -> Figure:
    values, count = made.multipliers, len(made.multipliers)
    preconditioned = RULES[made.hyper.rule].preconditioned
    places = np.arange(1, count + 1)
    unstable = np.abs(values) > 1
    hover = [
        f"{text}<br>residual {r:.2g}"
        for text, r in zip(multiplier_words(made), made.residuals, strict=True)
    ]
    room = 0.5 if count > 2 else 0.9  # beside the outer bars
    ends = np.array([1 - room, count + room])
    traces: list[Trace] = [
        {
            "type": "bar",
            "name": "multiplier",
            "x": places,
            "y": values,
            "width": 0.5,
            "marker": {"color": ["@bad" if bad else "@topk" for bad in unstable]},
            "text": [
                f"{number(v)}{' unstable' if bad else ''}"
                for v, bad in zip(values, unstable, strict=True)
            ],
            "textposition": "none" if count > 4 else "outside",
            "constraintext": "none",
            "cliponaxis": False,
            "hovertext": hover,
            "hoverinfo": "text",
            "showlegend": False,
        }
    ]
    top = 1.25 * max(1.0, float(np.nanmax(np.abs(values), initial=1.0)))
    layout = {
        "xaxis": drawing.axis(
            f"leading eigenvalues{' of the edge operator' if preconditioned else ''}{whose}",
            range=ends,
            tickvals=places.tolist(),
            ticktext=[f"λ<sub>{i}</sub>" for i in places],
        ),
        "shapes": [drawing.level("y", at, width=1.5) for at in (1, -1)],
        "yaxis": drawing.axis("multiplier of a step", range=[-top, top]),
        "hovermode": "closest",
    }
    return Figure(f"Multipliers{whose}", traces, layout, columns=columns, height=300)


def multiplier_words(made: Inspection) -> list[str]:
    """A sentence for each leading eigenvalue: the factor of a step along its eigenvector."""
    return [
        _multiplied(subscript(i), value, multiplier)
        for i, (value, multiplier) in enumerate(
            zip(made.eigenvalues, made.multipliers, strict=True), start=1
        )
    ]


def _multiplied(i: str, value: float, multiplier: float) -> str:
    if math.isnan(multiplier):
        return f"λ{i} was not found"
    growth = 100 * (abs(multiplier) - 1)
    what = "unstable, grows" if growth > 0 else "stable, shrinks"
    turns = ", changing sign" if multiplier < 0 else ""
    return (
        f"λ{i} = {number(value)}: the distance along v{i} is multiplied by {number(multiplier)}: "
        f"{what} by {abs(growth):.3g} % a step{turns}"
    )
