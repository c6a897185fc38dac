"""The lessons through Streamlit's own test harness, with real workers."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.lessons import pictures, reading, runs
from pages.parts.quadratic.settings import from_link
from samedge_core.experiments.lessons import LESSONS
from samedge_core.training.config import Changes
from samedge_core.worker.view import Phase
from tests.app.harness import PATIENCE, button, press, texts
from tests.worker.harness import sooner_or_later

FIRST, ORBIT = LESSONS["step-size"], LESSONS["look-uphill"]

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
    grows = (
        "As you guessed, at η\u00a0=\u00a00.42: **It grows and grows.** In 104 steps the loss went"
    )
    assert said.startswith(grows)
    assert app.radio[0].disabled
    assert "Along $v_1$ the gradient is" in texts(app)
    assert FIRST.name in app.session_state[runs._DONE]
    link = {"lesson": FIRST.name, "guess": "1", "run": shown(app)[0], "done": "1"}
    assert dict(app.query_params) == link


def test_a_wrong_guess_is_told_beside_what_the_run_shows():
    app = press(guess(visit(), 0), "lessons:primary")
    finish(app)
    guessed = "You guessed “It falls to nothing: downhill is downhill”. The run shows, "
    assert f"{guessed}at η\u00a0=\u00a00.42: **It grows" in texts(app)


def test_another_value_of_the_knob_starts_another_run_with_its_own_answer():
    app = finish(press(visit(), "lessons:primary"))
    before = shown(app)
    (knob,) = [item for item in app.button_group if item.key == runs.KNOB]
    assert knob.value == FIRST.knob.default
    knob.set_value(0.3).run()
    assert shown(app) != before
    finish(app)
    falls = "At η\u00a0=\u00a00.3: **It falls to nothing: downhill is downhill.** In 134 steps"
    assert falls in texts(app)
    assert not app.success


def test_a_run_is_paused_and_goes_on():
    app = visit(lesson="sam-on-digits")
    press(app, "lessons:primary")
    (run,) = shown(app, "sam-on-digits")
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
    settles = "As you guessed, at ρ\u00a0=\u00a00.1: **It stops falling, well above 0.**"
    assert again.success[0].value.startswith(settles)
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
    app = press(visit(lesson="sam-on-digits"), "lessons:primary")
    (run,) = shown(app, "sam-on-digits")
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
    assert dict(app.query_params) == link | {"done": "1"}  # the run before has answered it
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
    app = press(visit(lesson="valley"), "lessons:primary")
    both = shown(app, "valley")
    press(app, "lessons:open-button")
    assert app.session_state["runs"] == [*both]
    assert reading.OPEN not in app.session_state
    for run in both:
        server.registry().stop(run)


def test_next_leads_through_all_lessons_to_what_was_learnt():
    app = visit()
    for following in [*LESSONS, runs.SUMMARY][1:]:
        press(app, "lessons:next")
        assert app.session_state[runs.KEY] == following
    assert "lessons:next" not in {item.key for item in app.button}
    assert dict(app.query_params) == {"lesson": runs.SUMMARY}
    assert "10. Flat is not the same as good" in texts(app)
    press(app, "lessons:learnt:10:held-out")
    assert dict(app.query_params) == {"lesson": "held-out"}
    assert LESSONS["held-out"].question in texts(app)


@pytest.mark.parametrize("link", ["6", "sam-orbit"])
def test_a_lesson_is_opened_by_its_number_and_by_its_name_of_before(link):
    app = visit(lesson=link)
    assert not app.warning
    assert dict(app.query_params) == {"lesson": ORBIT.name}


def test_marks_of_lessons_that_are_done_survive_a_reload():
    app = finish(press(visit(done="3,12"), "lessons:primary"))
    assert app.selectbox[0].label == "3 of 16 lessons answered: 1, 3, 12"
    again = visit(**dict(app.query_params))
    assert again.selectbox[0].label == "3 of 16 lessons answered: 1, 3, 12"
    press(again, "lessons:next")
    assert dict(again.query_params) == {"lesson": "way-down", "done": "1,3,12"}


def test_marks_that_are_no_numbers_of_lessons_are_said():
    app = visit(done="2,17,x")
    assert "The link says done=17,x; lessons have numbers from 1 to 16" in texts(app)
    assert dict(app.query_params) == {"lesson": FIRST.name, "done": "2"}


def test_what_the_link_to_the_picture_says_is_the_run():
    app = finish(press(visit(lesson="valley"), "lessons:primary"), "valley")
    views = [server.registry().view(run) for run in shown(app, "valley")]
    page, link = pictures.link(LESSONS["valley"], 0.05, views) or ("", {})
    assert page == "pages/quadratic.py"
    values, complaints = from_link(link)
    assert not complaints
    start = {"a0": 2.5, "b0": 0.6, "eta": 0.3, "rho": 0.05, "walk": 1500}
    picture = {"part": "valley", "gd": True, "sam": True, "usam": False, **start}
    assert {name: values[name] for name in picture} == picture
    _, link = pictures.link(FIRST, 0.5, []) or ("", {})
    bowl, complaints = from_link(link)
    assert (bowl["part"], bowl["eta"], bowl["sam"], bowl["curvature"]) == ("line", 0.5, False, 5.0)
    assert pictures.link(LESSONS["room"], 1.75, []) is None


def test_the_formula_stands_there_only_once_a_run_has_begun():
    app = visit(lesson=ORBIT.name)
    assert not [item for item in app.latex if "SAM" in item.value]
    press(app, "lessons:primary")
    assert [item for item in finish(app, ORBIT.name).latex if "SAM" in item.value]


def test_a_network_is_looked_at_where_its_run_has_ended():
    app = press(visit(lesson="layers"), "lessons:primary")
    assert "you will see the loss along v₁" in texts(visit(lesson="layers"))
    (run,) = shown(finish(app, "layers"), "layers")

    def looked_at() -> bool:
        app.run()
        made = server.registry().view(run).inspection.made
        return made is not None and made.step == 299

    sooner_or_later(looked_at)
    assert "step 299 · w is the iterate" in texts(app.run())
