"""How often the live lab ticks: the real page with a real run, on a clock of its own."""

import time

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.frame import fragments, ticks
from pages.parts.views import feed
from samedge_core.worker.view import Phase
from tests.app.harness import PATIENCE, press, wait


@pytest.fixture
def page():
    app = AppTest.from_file("../../../app.py", default_timeout=PATIENCE).run()
    app.selectbox(key="preset").set_value("sam-two-weights").run()
    press(app, "step")
    wait(app, lambda view: view.phase is Phase.PAUSED and view.last_step == 0)
    yield app
    server.registry().close()
    server.registry.clear()


@pytest.fixture
def meanwhile(monkeypatch):
    """What happens before the live part looks at its runs: one of these each time."""
    happens, poll = [], feed.poll

    def look(*given):
        if happens:
            happens.pop(0)()
        return poll(*given)

    monkeypatch.setattr(feed, "poll", look)
    return happens


@pytest.fixture
def drawn(monkeypatch):
    """The intervals that the live part was drawn with."""
    intervals, draw = [], fragments.draw

    def noted(body, *given, every=None, **named):
        if body.__name__ == "_live":
            intervals.append(every)
        draw(body, *given, every=every, **named)

    monkeypatch.setattr(fragments, "draw", noted)
    return intervals


@pytest.fixture
def still_for_long(monkeypatch):
    def pass_time():
        later = time.monotonic() + ticks.STILL_AFTER
        monkeypatch.setattr(ticks, "clock", lambda: later)

    return pass_time


def test_ticks_become_slow_when_nothing_has_moved_for_a_while(
    page, meanwhile, drawn, still_for_long
):
    page.run()
    assert drawn == [ticks.BRISK]
    meanwhile.append(still_for_long)
    page.run()
    assert drawn == [ticks.BRISK, ticks.BRISK, ticks.SLOW]


def test_a_click_makes_them_brisk(page, meanwhile, drawn, still_for_long):
    meanwhile.append(still_for_long)
    page.run()
    assert drawn[-1] == ticks.SLOW
    press(page, "step")
    assert drawn[-1] == ticks.BRISK


def test_a_run_that_moves_without_a_click_makes_them_brisk(page, meanwhile, drawn, still_for_long):
    def stepped_elsewhere():
        server.registry().advance(page.session_state["runs"][0])
        wait(page, lambda view: view.phase is Phase.PAUSED and view.last_step == 1)

    meanwhile.extend([still_for_long, stepped_elsewhere])
    page.run()
    assert drawn == [ticks.BRISK, ticks.SLOW, ticks.BRISK]


def test_they_are_brisk_while_a_run_is_under_way(page, meanwhile, drawn, still_for_long):
    page.select_slider(key="pace").set_value(1).run()
    press(page, "primary")
    meanwhile.append(still_for_long)
    page.run()
    assert set(drawn) == {ticks.BRISK}
    server.registry().pause(page.session_state["runs"][0])
