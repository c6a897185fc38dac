"""The first minute on the live lab's page, through Streamlit's test harness."""

import re

import pytest
from streamlit.runtime.context import StreamlitCookies

from pages.parts import server
from pages.parts.lab import welcome
from samedge_core.experiments.presets import DEFAULT, PRESETS
from tests.app.harness import press, texts, visit, wait

pytestmark = pytest.mark.usefixtures("workers")
WORDS = "Why it matters."


def test_a_visit_without_a_link_begins_with_the_valley(page):
    assert WORDS in texts(page)
    assert welcome.sentence(welcome.ETA.default) in texts(page)
    press(page, "welcome-close")
    assert WORDS not in texts(page)
    assert "samedge-seen=1" in "".join(str(item.proto) for item in page.get("html"))
    page.run()
    assert WORDS not in texts(page)


@pytest.mark.parametrize(
    "parameters",
    [{"preset": "gd-cnn"}, {"v": "1", "problem": "quadratic"}, {"eta": "0.25"}, {"run": "unknown"}],
)
def test_it_stands_over_no_link(parameters):
    assert WORDS not in texts(visit(**parameters))


def test_large_texts_are_no_link():
    assert WORDS in texts(visit(large="true"))


def test_a_browser_that_knows_it_does_not_see_it_again(monkeypatch):
    cookies = property(lambda _: StreamlitCookies({welcome.COOKIE: "1"}))
    monkeypatch.setattr("streamlit.runtime.context.ContextProxy.cookies", cookies)
    assert WORDS not in texts(visit())


def test_watch_a_network_do_it_starts_the_default_run_under_it(page):
    page.selectbox(key="preset").set_value("gd-two-weights").run()
    press(page, "welcome-watch")
    (run_id,) = page.session_state["runs"]
    assert server.registry().view(run_id).config == PRESETS[DEFAULT].config
    assert page.selectbox(key="preset").value == DEFAULT
    assert WORDS in texts(page)
    wait(page, lambda view: view.last_step > 3)


def test_the_lessons_are_one_click_away(page):
    press(page, "welcome-lessons")
    assert not page.exception
    assert page.session_state["page"] == "Lessons"
    assert WORDS not in texts(page)


def test_before_a_run_the_preset_says_what_to_expect_and_then_the_run_what_it_has_shown(page):
    page.selectbox(key="preset").set_value("gd-two-weights").run()
    expected = PRESETS["gd-two-weights"].see
    assert expected in texts(page)
    page.text_input(key="set::eta").set_value("0.29").run()
    assert expected not in texts(page)  # the settings are no longer the preset's
    page.text_input(key="set::eta").set_value("0.3").run()
    press(page, "primary")
    wait(page, lambda view: view.last_step == 199)
    page.run()
    assert expected not in texts(page)
    assert "Was at its edge at step 2 only and is now below its edge: sharpness 5.8" in texts(page)


def test_a_diverging_ratio_is_not_written_out(page):
    page.selectbox(key="preset").set_value("gd-two-weights").run()
    page.text_input(key="set::eta").set_value("5").run()
    press(page, "primary")
    wait(page, lambda view: view.stop is not None)
    page.run()
    line = next(item for item in page.markdown if "sharpness / edge" in item.value)
    assert "e+" in line.value
    assert "Diverged at step" in line.value
    figures = re.findall(r"sharpness / edge \*\*(\S+)\*\*|was (\S+) times its edge", line.value)
    assert len({"".join(pair) for pair in figures}) == 1, line.value
    assert "Hessian-vector product" in line.help
