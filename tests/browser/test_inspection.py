"""A step inspected or followed in a real browser: what is drawn belongs to its row."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_branches import CONFIG, link, whole_run

STEP = 20


def test_the_step_of_the_cursor_is_inspected(open_lab):
    lab = open_lab(link(CONFIG))
    whole_run(lab)
    lab.put_cursor(STEP)
    lab.page.get_by_text("At this step", exact=True).click()
    lab.page.get_by_role("button", name=f"Inspect step {STEP}").click()
    expect(lab.page.get_by_text(f"Step {STEP}", exact=True)).to_be_visible(timeout=60_000)
    for direction in ("Loss along v₁", "Loss along g"):
        lab.until(lambda chart=direction: "loss" in lab.traces(chart), direction)
        curve = lab.line("loss", direction)
        at_w = min(zip(curve["x"], curve["y"], strict=True), key=lambda point: abs(point[0]))
        assert at_w[0] == pytest.approx(0, abs=1e-9)
        # both come as Float32
        assert at_w[1] == pytest.approx(lab.line("loss", "Loss")["y"][STEP], rel=1e-6)
    lab.until(lambda: lab.traces("Multipliers"), "the multipliers")
    expect(lab.page.get_by_text("is multiplied by")).to_be_visible()


def test_follow_the_step_shows_the_step_that_each_press_of_step_takes(open_lab):
    lab = open_lab(link(CONFIG))
    # Streamlit's own input lies under the switch that is drawn
    lab.page.get_by_text("Follow the step", exact=True).click()
    at_w = []
    for step in (1, 2, 3):
        lab.press("Step")
        expect(lab.page.get_by_text(f"Step {step} (comes next)")).to_be_visible()

        def drawn(seen=at_w) -> float | None:
            curve = lab.traces("Loss along v₁").get("loss")
            now = curve and dict(zip(curve["x"], curve["y"], strict=True))[0]
            return None if now in seen else now

        lab.until(drawn, f"the picture of step {step}")
        at_w.append(drawn())
    lab.press("Step")
    lab.until_step(3)
    # both come as Float32
    assert at_w == pytest.approx(lab.line("loss", "Loss")["y"][1:4], rel=1e-6)


def test_the_slider_shows_the_value_in_force_that_is_not_on_its_grid(open_lab):
    lab = open_lab(link(CONFIG.replace(eta=0.437)))
    slider = lab.page.get_by_role("slider", name="Step size η")
    expect(slider).to_have_attribute("aria-valuetext", "0.437")
    lab.set_exact("Step size η", "0.523")
    expect(slider).to_have_attribute("aria-valuetext", "0.523")
    slider.press("ArrowRight")  # to the next value of the grid
    expect(lab.page.get_by_label("Step size η, exact")).to_have_value("0.56")
