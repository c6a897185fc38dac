"""The picture that follows the steps, through Streamlit's own test harness."""

import time

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.lab import following
from pages.parts.views import slices
from samedge_core.training.inspection import Inspection
from samedge_core.worker.view import Phase
from tests.app.harness import PATIENCE, button, press, texts, wait


def of_two_weights(page: AppTest) -> None:
    page.selectbox(key="set::problem").set_value("two-weight").run()
    page.text_input(key="set::eta").set_value("0.1").run()


@pytest.fixture
def stepped(page):
    """The page of a run that has taken one step, with the picture."""
    of_two_weights(page)
    page.toggle(key=following.KEY).set_value(True).run()
    press(page, "step")
    return shown_ahead(page, 1)


def shown_ahead(page: AppTest, step: int) -> AppTest:
    """The page once it has the picture of this step; its ticks are runs here."""
    end = time.monotonic() + PATIENCE
    while f"**Step {step:,}** (comes next)" not in texts(page.run()):
        assert time.monotonic() < end, "never came"
    return page


def ahead(page: AppTest) -> Inspection:
    made = server.registry().view(page.session_state["runs"][0]).inspection.ahead
    assert made is not None
    return made


def test_off_at_first_and_says_how_to_begin(page):
    assert not page.toggle(key=following.KEY).value
    assert "the picture shows each step" not in texts(page)
    page.toggle(key=following.KEY).set_value(True).run()
    assert not page.exception
    assert "the picture shows each step before it is taken" in texts(page)


def test_each_step_moves_it_on_with_the_numbers_of_that_step(stepped):
    first = ahead(stepped)
    assert " ".join(slices.in_words(first)) in texts(stepped)
    press(stepped, "step")
    shown_ahead(stepped, 2)
    row = server.registry().history(stepped.session_state["runs"][0]).columns()
    assert row["loss"][1] == first.loss
    assert row["sharpness"][1] == abs(first.eigenvalues[0])


def test_a_changed_eta_moves_the_next_iterate_of_a_paused_run(stepped):
    before = ahead(stepped)
    stepped.text_input(key="set::eta").set_value("0.05").run()
    wait(stepped, lambda v: v.inspection.ahead and v.inspection.ahead.hyper.eta == 0.05)
    after = ahead(stepped)
    assert (after.step, after.loss) == (before.step, before.loss)
    assert abs(after.slices[0].marks[-1].offset) < abs(before.slices[0].marks[-1].offset)


def test_a_fast_run_keeps_the_last_picture_and_says_how_to_follow(stepped):
    stepped.number_input(key="set::steps").set_value(100_000).run()
    press(stepped, "reset")
    press(stepped, "step")
    shown_ahead(stepped, 1)
    press(stepped, "primary")
    wait(stepped, lambda v: v.last_step > 5)
    stepped.run()
    assert "**Step 1** · loss" in texts(stepped)
    assert "pause, or set the speed limit to 2 steps/s, to follow" in texts(stepped)
    press(stepped, "primary")
    wait(stepped, lambda v: v.phase is Phase.PAUSED and not v.pausing)
    stepped.run()
    last = server.registry().view(stepped.session_state["runs"][0]).last_step
    shown_ahead(stepped, last + 1)


def test_of_a_run_that_has_ended_it_shows_the_last_step(page):
    of_two_weights(page)
    page.number_input(key="set::steps").set_value(20).run()
    press(page, "primary")
    wait(page, lambda v: v.phase is Phase.ENDED)
    page.toggle(key=following.KEY).set_value(True).run()
    wait(page, lambda v: v.inspection.made)
    page.run()
    assert "**Step 19** · loss = " in texts(page)
    assert not button(page, "inspect").disabled
