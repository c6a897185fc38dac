"""A lesson's chart to draw on: the reader's curve, then the flow, then the run."""

from collections.abc import Iterator, Sequence

import numpy as np
import streamlit as st

from pages.parts.components.sketch import Line, sketch
from pages.parts.lab import predicting
from pages.parts.lessons import runs
from pages.parts.lessons.runs import Watched
from pages.parts.markdown import plain
from pages.parts.server import registry
from samedge_core.experiments.lessons import Lesson
from samedge_core.experiments.lessons import sketch as drawn
from samedge_core.prediction.deviation import Columns
from samedge_core.theory.edges import gd_edge
from samedge_core.theory.rules import RULES
from samedge_core.training.thinning import envelope
from samedge_core.worker.view import RunView

CHART = "Sharpness over the steps"
POINTS, EARLY = 300, 20  # of a line; steps at first, in which it moves fast, with a point each


def draw(lesson: Lesson, value: float, views: Sequence[RunView]) -> None:
    """The curve, which can be drawn before there is a run, and the lines there are so far."""
    assert lesson.canvas, f"{lesson.name} has no chart to draw on"
    predicting.ask(views)
    key = f"lessons-sketch:{lesson.name}"
    heard = st.session_state.setdefault(f"{key}:heard", {"count": 0})

    def on_drawn() -> None:
        heard["count"] = st.session_state[key]["drawn"]["count"]
        runs.keep_sketch(lesson, value, st.session_state[key]["drawn"]["text"])

    with st.container(key="lessons-picture"):
        sketch(
            CHART,
            lesson.canvas,
            runs.sketch(lesson, value),
            steps=lesson.replays(value)[0].config.steps,
            lines=[line for view in views for line in _lines(view)],
            scene=f"{value:g}",
            locked=bool(views),
            heard=heard["count"],
            key=key,
            on_drawn=on_drawn,
        )


def to_come(view: RunView) -> bool:
    """Whether a prediction is still to be computed, or on its way."""
    seen = view.prediction
    return seen.pending or not (seen.failure or any(one.outcome for one in seen.stretches))


def say(lesson: Lesson, watched: Watched) -> None:
    """What to do before the run."""
    if not watched.views:
        value = lesson.knob.default if watched.value is None else watched.value
        drawn_already = "The address of this page keeps your curve."
        to_draw = "Draw first: what the run shows stays with you longer."
        st.caption(drawn_already if runs.sketch(lesson, value) else to_draw)
        return
    (seen,) = [view.prediction for view in watched.views]
    if seen.failure:
        st.warning(
            f"There is no prediction: {plain(seen.failure)}. The run can be made all the same."
        )
    elif to_come(watched.views[0]):
        st.info("The flow is being computed, from the initial weights alone.")
    else:
        st.info(
            "Dashed: what the flow says, computed from the initial weights alone. The run has yet "
            "to take its first step: press **Run** to put it to the test."
        )


def verdict(lesson: Lesson, watched: Watched) -> str:
    """How far the reader and the flow are off the run that has ended."""
    (view,), value = watched.views, watched.value
    assert lesson.canvas, f"{lesson.name} has no chart to draw on"
    assert value is not None, "a run is made at a value of the knob"
    errors = [off for _, off in predicting.deviations(view)]
    return drawn.verdict(
        lesson.canvas.read(runs.sketch(lesson, value)),
        lesson.replays(value)[0].config.steps,
        registry().history(view.id),
        errors[0] if errors else None,
    )


def _lines(view: RunView) -> Iterator[Line]:
    """Of a run the edges, itself and, on top of it, what is predicted."""
    rule, steps = RULES[view.config.rule], view.config.steps
    limit = float(gd_edge(view.config.eta))
    yield Line("2/η", "gd", "8 5", 1.5, "", np.array([0, steps - 1]), np.array([limit, limit]))
    made = [one.columns() for one in view.prediction.stretches[:1] if one.points]
    for columns in made if rule.follows_norm else ():
        yield _thinned(rule.edge_name, rule.look.colour, "2 4", 2, "", columns, "edge")
    history = registry().history(view.id)
    if len(history):
        yield _thinned("run", "sharpness", "", 4, "circle", history.columns(), "sharpness")
    for columns in made:
        yield _thinned("flow", "nesterov", "10 5", 2.2, "diamond", columns, "sharpness")


def _thinned(
    name: str, role: str, dash: str, width: float, marker: str, columns: Columns, of: str
) -> Line:
    x, y, _ = envelope(columns["step"], columns[of], POINTS, range(EARLY)).line()
    return Line(name, role, dash, width, marker, x, y)
