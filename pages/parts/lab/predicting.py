"""What a flow predicts of the shown runs: the switch, how far they are off, and a chart of that."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.parts import server
from pages.parts.components.figures import Figure, Trace, figures
from pages.parts.frame import navigation
from pages.parts.lab import controls, session
from pages.parts.markdown import plain
from pages.parts.views import drawing
from samedge_core.fields import TRUE, ConfigError
from samedge_core.prediction.deviation import Deviation, deviation
from samedge_core.prediction.prediction import DEFAULT, FLOWS, Assumption, Prediction
from samedge_core.prediction.recorded import in_force
from samedge_core.training.history import History
from samedge_core.training.stop import StopReason
from samedge_core.training.thinning import envelope
from samedge_core.worker.view import RunView

KEY = "predict"  # of the switch, and in a link
FLOW_KEY = "predict:flow"
HELP = (
    "Draws dashed what a flow says that the run will do: sharpness, edge, ratio, ‖g‖ and loss. It "
    "is computed from the same initial weights before the run, and never reads it: a smooth curve "
    "through the middle of two consecutive steps, with the hop around it. After a change of η, ρ "
    "or the rule it begins anew, from the weights of the run at that step. It costs about as much "
    "as the run and goes on beside it; a run that is faster overtakes it. Key: d"
)
FLOW_HELP = (
    "What predicts. Centre and hop: the smooth curve, with the hop in every direction. SAM's "
    "central flow: the hop along v₁ alone, by a formula. The rule's own ODE: a curve without a "
    "hop, the control that fails beyond the edge."
)
POINTS, HEIGHT = 300, 190  # of a line, and pixels
COLOURS = ("sharpness", "sam", "polyak", "usam", "nesterov", "grad")


def arrive() -> None:
    """On a first visit, switch it on where the link says so."""
    if KEY not in st.session_state:
        named = st.query_params.get(KEY, "").lower()
        st.session_state[KEY] = named in TRUE or named in FLOWS
        st.session_state[FLOW_KEY] = named if named in FLOWS else DEFAULT


def toggle() -> None:
    """Draw the switch, and beside it the choice of the flow."""
    st.toggle("Predict", key=KEY, persist_state="session", help=HELP, on_change=_switched)
    if on():
        st.selectbox(
            "Flow",
            list(FLOWS),
            format_func=lambda flow: FLOWS[flow][0].upper() + FLOWS[flow][1:],
            key=FLOW_KEY,
            persist_state="session",
            help=FLOW_HELP,
            on_change=_into_link,
            label_visibility="collapsed",
            width=195,
        )


def on() -> bool:
    """Whether predictions are drawn."""
    return st.session_state.get(KEY, False)


def in_link() -> dict[str, str]:
    """What a link needs to draw the same predictions."""
    flow = st.session_state[FLOW_KEY]
    return {KEY: "true" if flow == DEFAULT else flow} if on() else {}


def chosen() -> str:
    """The flow that was chosen."""
    return st.session_state[FLOW_KEY]


def ask(views: Sequence[RunView], flow: str = DEFAULT) -> None:
    """Have the shown runs of this session predicted by a flow, as far as they are not."""
    for view in views:
        if server.steers(view.id):
            server.registry().predict(view.id, flow)


def draw(views: Sequence[RunView], called: Sequence[str]) -> None:
    """How far each run is off what was predicted, in words and over the steps."""
    if not views:
        st.caption(
            "The dashed lines come with the run: press **Start**, or **Reset** to see them "
            "before its first step."
        )
    found = [deviations(view) for view in views]
    for view, name, off in zip(views, called, found, strict=True):
        st.caption(" ".join([*([f"**{plain(name)}**"] if name else []), *sentences(view, off)]))
    lines = [line for i, off in enumerate(found) for line in _lines(i, called[i], off)]
    if lines:
        figures([_figure(lines)], scene="predicted", key="predicted-figures", on_click=lambda: None)


def sentences(view: RunView, off: Sequence[tuple[Prediction, Deviation]]) -> Iterator[str]:
    """What was predicted of a run, how far it is off, and where that was not to be expected."""
    seen = view.prediction
    for made, error in off:
        where = "Predicted" if made.flow == DEFAULT else f"Predicted by {FLOWS[made.flow]}"
        where += f" from step {made.begin:,} on" if made.begin else ""
        if len(error):
            yield f"{where}: the sharpness is {error.words}."
        elif view.last_step > made.begin + 1:
            yield f"{where}: {error.words}."
        elif made.points:
            yield f"{where}, to step {made.last_step:,}."
        if made.config.has_batches and not made.outcome:
            yield "It is faint: the run takes mini-batches, and the flow follows their mean."
        yield from (_doubt(one) for one in made.assumptions if not one.held)
        if made.stop and made.stop.reason is not StopReason.STEP_CAP:
            yield f"The prediction ends: {plain(made.stop.what)}."
    if seen.failure:
        yield f":orange[No prediction: {plain(seen.failure)}]"
    elif seen.waits:
        yield ":gray[Its prediction waits until a process is free.]"
    elif seen.pending:
        come = [one.last_step + 1 for one in seen.stretches if one.points and not one.outcome]
        at = f": step {come[0]:,} of {view.config.steps:,}" if come else ""
        yield f":gray[Being computed{at}.]"


def deviations(view: RunView) -> list[tuple[Prediction, Deviation]]:
    """Each prediction of a run with its error, as far as it was in force."""
    history = server.registry().history(view.id)
    made = in_force(view.prediction.stretches, history.interventions)
    return [(one, off(one, end, history)) for one, end in made]


def off(made: Prediction, end: int | None, history: History) -> Deviation:
    """The error of a prediction in the steps before `end`."""
    columns = made.columns()
    kept = columns["step"] < min(history.last_step, history.last_step if end is None else end - 1)
    columns = {name: values[kept] for name, values in columns.items()}
    rows = np.union1d(columns["step"], columns["step"] + 1)  # a step has the row of its number
    return deviation(columns, history.columns(rows))


def _doubt(assumption: Assumption) -> str:
    spans = [f"{a:,}" if a == b else f"{a:,} to {b:,}" for a, b in assumption.broken]
    more = f" and {len(spans) - 1:,} more times" if len(spans) > 1 else ""
    return (
        f"At steps {spans[0]}{more} it is faint, as its assumption fails: “{assumption.sentence}”"
    )


def _lines(index: int, name: str, found: Sequence[tuple[Prediction, Deviation]]) -> Iterator[Trace]:
    """The error of the sharpness, and of a single run that of the loss too, in percent."""
    shown: Mapping[str, str] = {"sharpness": COLOURS[index % len(COLOURS)]}
    for quantity, colour in (shown if name else {"loss": "loss", **shown}).items():
        parts = [(one.step, 100 * getattr(one, quantity)) for _, one in found if len(one)]
        for i, (step, error) in enumerate(parts):
            label = name or quantity
            yield from _trace(label, step, error, colour, showlegend=i == 0, legendgroup=label)


def _trace(
    name: str, step: NDArray[np.int64], error: NDArray[np.float64], colour: str, **look: Any
) -> list[Trace]:
    found = envelope(step, error, POINTS)
    x, y, _ = found.line()
    hover = {"hovertemplate": "%{y:.3~g} %"}
    main = drawing.line(name, x, y, colour, width=1.5, **look) | hover
    group = {"legendgroup": look["legendgroup"]}
    rims = drawing.envelope(name, *found.band(), colour, **group) if found.wide.any() else []
    return [*rims, main]


def _figure(lines: Sequence[Trace]) -> Figure:
    layout = {
        "xaxis": drawing.axis("step"),
        "yaxis": drawing.axis("off by (%)"),
        "shapes": [drawing.level("y", 0, width=1)],
        "hovermode": "x unified",
    }
    return Figure("Error of the prediction", lines, layout, columns=6, height=HEIGHT)


def _into_link() -> None:
    address = {n: text for n, text in st.query_params.to_dict().items() if n != KEY}
    navigation.put_address(address | in_link())


def _switched() -> None:
    """Into the link; and without a run, prepare one, of which the prediction then is drawn."""
    _into_link()
    if not on():
        for run_id in filter(server.steers, session.shown()):
            server.registry().cancel_prediction(run_id)
    elif not session.listed():
        try:
            session.reset(controls.current())
        except ConfigError:
            return  # the page says which setting can't be used
