"""The lessons through Streamlit's own test harness, with real workers."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.lessons import reading, runs
from samedge_core.experiments.lessons import LESSONS
from samedge_core.training.config import Changes
from samedge_core.worker.view import Phase
from tests.app.harness import PATIENCE, button, press, texts
from tests.worker.harness import sooner_or_later

FIRST, ORBIT = LESSONS["step-size"], LESSONS["sam-orbit"]

pytestmark = pytest.mark.usefixtures("workers")


def visit(**query: str) -> AppTest:
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    app.query_params.update(query)
    return app.switch_page("pages/lessons.py").run()


def shown(app: AppTest, name: str = FIRST.name) -> tuple[str, ...]:
    """Ids of a lesson's runs."""
    return app.session_state[runs._BEGUN][name].ids


def finish(app: AppTest, name: str = FIRST.name) -> AppTest:
    """Wait until the runs have ended, and have it drawn."""
    views = [lambda run=run: server.registry().view(run, most=0) for run in shown(app, name)]
    sooner_or_later(lambda: all(view().phase is Phase.ENDED for view in views))
    return app.run()


def guess(app: AppTest, answer: int) -> AppTest:
    return app.radio[0].set_value(answer).run()


def test_a_right_guess_is_told_with_the_runs_numbers_and_the_reason():
    app = guess(visit(), 1)
    assert "**Why.**" not in texts(app)
    press(app, "lessons:primary")
    finish(app)
    assert not app.exception
    (said,) = [box.value for box in app.success]
    assert said.startswith("As you guessed: **It grows and grows.** In 104 steps the loss went")
    assert app.radio[0].disabled
    assert "In the sharpest direction" in texts(app)
    assert FIRST.name in app.session_state[runs._DONE]
    assert dict(app.query_params) == {"lesson": FIRST.name, "guess": "1", "run": shown(app)[0]}


def test_a_wrong_guess_is_told_beside_what_the_run_shows():
    app = press(guess(visit(), 0), "lessons:primary")
    finish(app)
    expected = "You guessed “It falls to nothing: downhill is downhill”. The run shows: **It grows"
    assert expected in texts(app)


def test_another_value_of_the_knob_starts_another_run_with_its_own_answer():
    app = finish(press(visit(), "lessons:primary"))
    before = shown(app)
    (knob,) = [item for item in app.button_group if item.key == runs.KNOB]
    assert knob.value == FIRST.knob.default
    knob.set_value(0.3).run()
    assert shown(app) != before
    finish(app)
    assert "**It falls to nothing: downhill is downhill.** In 134 steps" in texts(app)
    assert not app.success


def test_a_run_is_paused_and_goes_on():
    app = visit(lesson="moving-edge")
    press(app, "lessons:primary")
    (run,) = shown(app, "moving-edge")
    sooner_or_later(lambda: server.registry().view(run).last_step > 5)
    app.run()
    assert button(app, "lessons:primary").label == "Pause"
    assert "The answer is read off the run" in texts(app)
    press(app, "lessons:primary")
    sooner_or_later(lambda: not server.registry().view(run).pausing)
    stood = server.registry().view(run).last_step
    assert button(app.run(), "lessons:primary").label == "Resume"
    press(app, "lessons:primary")
    sooner_or_later(lambda: server.registry().view(run).last_step > stood)
    server.registry().stop(run)


def test_a_link_brings_lesson_and_runs_back():
    app = finish(press(visit(lesson=ORBIT.name), "lessons:primary"), ORBIT.name)
    (run,) = shown(app, ORBIT.name)
    again = visit(lesson=ORBIT.name, run=run, guess="1")
    assert again.success[0].value.startswith("As you guessed: **It stops falling, well above 0.**")
    assert button(again, "lessons:primary").label == "Run again"


def test_what_a_link_names_wrongly_is_said():
    app = visit(lesson="[nothing](x)")
    assert "There is no lesson '[nothing](x)'; this is the first." in texts(app)
    assert texts(app).count(FIRST.title) > 0
    (orbit,) = shown(press(visit(lesson=ORBIT.name), "lessons:primary"), ORBIT.name)
    gone, others = "nowhere: not on this server", "The runs shown here were changed in the live lab"
    for wrong, said in (("nowhere", gone), (orbit, others), (f"{orbit},{orbit}", others)):
        app = visit(lesson=FIRST.name, run=wrong, guess="9")
        assert not app.exception
        assert said in texts(app)
        assert button(app, "lessons:primary").label == "Start"
        assert dict(app.query_params) == {"lesson": FIRST.name}


def test_a_run_that_was_changed_in_the_lab_is_the_lessons_no_more():
    app = press(visit(lesson="moving-edge"), "lessons:primary")
    (run,) = shown(app, "moving-edge")
    server.registry().change(run, Changes.of({"eta": 0.5}))
    sooner_or_later(lambda: server.registry().history(run).interventions)
    app.run()
    assert not app.exception
    assert button(app, "lessons:primary").label == "Start"
    assert "were changed in the live lab" in texts(app)
    server.registry().stop(run)


def test_runs_at_another_value_show_it_and_leave_the_question_open():
    app = finish(press(visit(), "lessons:primary"))
    (knob,) = [item for item in app.button_group if item.key == runs.KNOB]
    finish(knob.set_value(0.3).run())
    link = {"lesson": FIRST.name, "run": shown(app)[0], "value": "0.3"}
    assert dict(app.query_params) == link
    fresh = visit(**link)
    (knob,) = [item for item in fresh.button_group if item.key == runs.KNOB]
    assert knob.value == 0.3
    assert not fresh.radio[0].disabled
    assert "**It falls to nothing" in texts(fresh)


def test_a_run_is_taken_up_again_before_its_planned_change():
    (replay,) = LESSONS["new-step"].replays(0.2)
    run = server.registry().start(replay.config, planned=replay.interventions, paused=True)
    again = visit(lesson="new-step", run=run)
    assert button(again, "lessons:primary").label == "Resume"
    press(again, "lessons:primary")
    finish(again, "new-step")
    assert "**It goes to the new edge.**" in texts(again)


def test_runs_that_have_been_deleted_are_said_to_be_gone():
    app = finish(press(visit(), "lessons:primary"))
    (run,) = shown(app)
    sooner_or_later(lambda: server.registry().delete([run]))  # not while it is still being recorded
    assert "not on this server" in texts(app.run())
    assert button(app, "lessons:primary").label == "Start"
    assert "Guess first" not in texts(app)


def test_the_live_lab_takes_over_both_runs():
    app = press(visit(lesson="flattest"), "lessons:primary")
    both = shown(app, "flattest")
    press(app, "lessons:open-button")
    assert app.session_state["runs"] == [*both]
    assert reading.OPEN not in app.session_state
    for run in both:
        server.registry().stop(run)


def test_next_leads_through_all_lessons():
    app = visit()
    for following in [*LESSONS][1:]:
        press(app, "lessons:next")
        assert app.session_state[runs.KEY] == following
    assert "lessons:next" not in {item.key for item in app.button}
