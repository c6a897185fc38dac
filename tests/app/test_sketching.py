"""The lesson with a curve to draw, through Streamlit's own test harness, with real workers."""

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.lab.predicting import off
from pages.parts.lessons import runs
from samedge_core.experiments.lessons import LESSONS
from samedge_core.experiments.lessons.sketch import COLUMNS, verdict
from tests.app.harness import button, press, texts
from tests.app.test_lessons import finish, shown, visit
from tests.worker.harness import sooner_or_later

LESSON = LESSONS["draw-first"]
FLAT = "a0" * (COLUMNS + 1)  # 360 thousandths of 20
MOST_BYTES = 20_000  # of an update, as CONTRIBUTING says

pytestmark = pytest.mark.usefixtures("workers")


def chart(app: AppTest) -> dict:
    """What the chart was sent."""
    (sent,) = [
        item.proto for item in app.get("bidi_component") if "lessons-sketch" in item.proto.id
    ]
    assert len(sent.json) < MOST_BYTES
    return json.loads(sent.json)


def foreseen(app: AppTest) -> AppTest:
    """Once all is predicted of its run; each tick asks for it."""

    def done() -> bool:
        app.run()
        assert not app.exception
        made = server.registry().view(shown(app, LESSON.name)[0]).prediction
        return bool(made.stretches) and not made.pending

    sooner_or_later(done)
    return app.run()


def ran(app: AppTest) -> AppTest:
    """Once the run has ended, faster than it is shown to readers."""
    press(app, "lessons:primary")
    server.registry().pace(shown(app, LESSON.name)[0], None)
    return finish(app, LESSON.name)


def test_the_curve_comes_first_then_the_flow_then_the_run_and_all_are_compared():
    app = visit(lesson=LESSON.name, sketch=FLAT)
    assert not app.radio
    sent = chart(app)
    assert (sent["text"], sent["lines"], sent["locked"]) == (FLAT, [], False)
    assert button(app, "lessons:primary").label == "See what the theory says"
    foreseen(press(app, "lessons:primary"))
    (run,) = shown(app, LESSON.name)
    assert server.registry().view(run).last_step == -1  # no step of it is needed
    assert "The run has yet to take its first step" in texts(app)
    sent = chart(app)
    assert [line["name"] for line in sent["lines"]] == ["2/η", "flow"]
    assert sent["locked"]
    assert button(app, "lessons:primary").label == "Run"
    assert "**Why.**" not in texts(app)
    ran(app)
    assert [line["name"] for line in chart(app)["lines"]] == ["2/η", "run", "flow"]
    view, history = server.registry().view(run), server.registry().history(run)
    flow = off(view.prediction.stretches[0], None, history)
    assert flow.median < 1e-3
    curve = np.full(COLUMNS + 1, 7.2)
    assert verdict(curve, view.config.steps, history, flow) in texts(app)
    assert "**It passes its edge, and is pushed back.**" in texts(app)
    assert "**Why.**" in texts(app)
    link = {"lesson": LESSON.name, "run": run, "sketch": FLAT, "done": "16"}
    assert dict(app.query_params) == link
    again = visit(**link)  # as after a reload
    assert "**It passes its edge, and is pushed back.**" in texts(again)
    press(again, "lessons:primary")  # draws anew
    assert (chart(again)["locked"], chart(again)["text"]) == (False, FLAT)
    assert dict(again.query_params) == {"lesson": LESSON.name, "sketch": FLAT, "done": "16"}


def test_sams_curve_is_another_one_with_its_own_edge():
    app = visit(lesson=LESSON.name, value="0.02")
    (knob,) = [item for item in app.button_group if item.key == runs.KNOB]
    assert "Draw SAM's curve" in knob.label
    assert knob.value == 0.02
    assert chart(app)["text"] == ""
    foreseen(press(app, "lessons:primary"))
    assert [line["name"] for line in chart(app)["lines"]] == ["2/η", "SAM-edge", "flow"]
    press(app, "lessons:anew")  # with a change of mind
    assert (chart(app)["lines"], chart(app)["locked"]) == ([], False)
    foreseen(press(app, "lessons:primary"))
    ran(app)
    chart(app)  # with its whole run it is small, too
    assert "You have drawn no curve. The flow, which" in texts(app)
    assert "**It comes to its edge, and stays by it.**" in texts(app)
    assert not app.session_state[runs._DONE]  # the question is about GD
    (knob,) = [item for item in app.button_group if item.key == runs.KNOB]
    knob.set_value(0.05).run()
    assert not app.exception
    assert (chart(app)["lines"], chart(app)["locked"]) == ([], False)
    assert dict(app.query_params) == {"lesson": LESSON.name, "value": "0.05"}


@pytest.mark.parametrize("wrong", ["a0", "zz" * (COLUMNS + 1), "[x](y)" * 1000])
def test_what_is_no_curve_is_said_with_what_is_allowed(wrong):
    app = visit(lesson=LESSON.name, sketch=wrong, guess="0")
    assert not app.exception
    assert "This curve can't be shown: a curve has 61 times" in texts(app)
    assert chart(app)["text"] == ""
    assert dict(app.query_params) == {"lesson": LESSON.name}
