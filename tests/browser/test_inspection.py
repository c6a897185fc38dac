"""A step inspected in a real browser: what is drawn belongs to the row of that step."""

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
