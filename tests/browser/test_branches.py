"""Rewinding, forking, links and embedding in a real browser."""

import re
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import expect

from samedge_core.sharing import links
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention

CONFIG = RunConfig(eta=0.5, steps=60, options={"n": 40, "width": 8})


def link(config: RunConfig, *changes: Intervention, **more: str) -> str:
    return f"?{urlencode({**links.to_query(config, changes), **more})}"


def query_of(url: str) -> str:
    return f"?{urlsplit(url).query}"


def whole_run(lab) -> None:
    lab.press("Start")
    lab.until_step(CONFIG.steps - 1)
    lab.button("Resume").wait_for()  # the page has been drawn anew for the run's end


def test_continue_from_here_leaves_the_later_rows_as_a_grey_branch(open_lab):
    lab = open_lab(link(CONFIG))
    whole_run(lab)
    before = lab.line("sharpness")
    lab.set_exact("Step size η", "0.2")
    lab.put_cursor(25)
    lab.page.get_by_role("button", name="Continue from step 25").click()
    lab.until(lambda: "abandoned" in lab.traces(), "an abandoned branch")
    lab.until_step(CONFIG.steps - 1)
    after = lab.traces("Sharpness", "abandoned", "sharpness")
    assert after["abandoned"]["x"] == before["x"][25:]
    # Float32 on the way to the browser, but for a row that travels alone
    assert after["abandoned"]["y"] == pytest.approx(before["y"][25:], rel=1e-6)
    assert after["sharpness"]["y"][:26] == pytest.approx(before["y"][:26], rel=1e-6)
    assert after["sharpness"]["y"][30:] != before["y"][30:]
    lab.until(lambda: "η 0.5 → 0.2" in lab.marks(), "the mark of the new eta")
    assert "previous sharpness" not in after
    # all of it comes back with the link, in a browser that knows nothing of it
    again = open_lab(query_of(lab.page.url))
    again.until(lambda: "abandoned" in again.traces(), "the branch after a reload")
    assert again.line("abandoned")["y"] == pytest.approx(before["y"][25:], rel=1e-6)


def test_the_address_names_the_shown_run_over_page_switches_back_and_forward(open_lab):
    lab = open_lab("?preset=sam-quadratic")
    lab.press("Start")
    lab.button("Resume").wait_for()
    first, sidebar = query_of(lab.page.url), lab.page.get_by_test_id("stSidebar")
    assert first.startswith("?preset=sam-quadratic&run=")
    sidebar.get_by_role("link", name="Quadratic intuition").click()
    lab.page.wait_for_url("**/quadratic")
    sidebar.get_by_role("link", name="Live lab").click()
    lab.until_step(199)
    assert query_of(lab.page.url) == first
    lab.put_cursor(100)
    lab.page.get_by_role("button", name="Continue from step 100").click()
    lab.until(lambda: "abandoned" in lab.traces(), "an abandoned branch")
    second = query_of(lab.page.url)
    assert second not in (first, "?")
    lab.page.go_back()
    lab.until(lambda: "abandoned" not in lab.traces(), "the run that the address names")
    assert query_of(lab.page.url) == first
    lab.page.go_forward()
    lab.until(lambda: "abandoned" in lab.traces(), "the run that the address names again")
    assert query_of(lab.page.url) == second


def test_a_fork_runs_beside_its_parent_and_unchanged_repeats_it(open_lab):
    lab = open_lab(link(CONFIG))
    whole_run(lab)
    lab.put_cursor(30)
    lab.page.get_by_role("button", name="Fork from step 30").click()
    lab.page.get_by_role("button", name="Fork", exact=True).click()
    names = [f"sharpness (SAM{more})" for more in ("", " #2")]
    lab.until(
        lambda: all(lab.traces().get(n, {"x": [0]})["x"][-1] == 59 for n in names), "both runs"
    )
    first, second = (lab.line(name) for name in names)
    assert first["x"] == second["x"]
    assert first["y"] == pytest.approx(second["y"], rel=1e-6)


def test_a_forks_settings_are_checked_beside_their_box(open_lab):
    lab = open_lab(link(CONFIG))
    whole_run(lab)
    lab.put_cursor(10)
    lab.page.get_by_role("button", name="Fork from step 10").click()
    eta = lab.page.get_by_test_id("stPopoverBody").get_by_role("textbox", name="Step size η")
    eta.fill("-2")
    eta.press("Enter")
    # Streamlit sets "<=" as one sign
    complaint = re.compile(r"Step size η must be a number > 0 and .+ 1e\+06, got '-2'")
    expect(lab.page.get_by_text(complaint)).to_be_visible()
    expect(lab.page.get_by_role("button", name="Fork", exact=True)).to_be_disabled()
    eta.fill("0.25")
    eta.press("Enter")
    lab.page.get_by_role("button", name="Fork", exact=True).click()
    lab.until_step(59, "sharpness (SAM η 0.25)")
    lab.until(lambda: "η 0.5 → 0.25" in lab.marks(), "the mark of the new eta")


def test_a_link_in_a_fresh_browser_repeats_a_run_with_its_interventions(open_lab):
    lab = open_lab(link(CONFIG, Intervention(20, {"eta": 0.1}, {"eta": 0.5})))
    whole_run(lab)
    lab.page.get_by_text("Share and export").click()
    shared = lab.page.get_by_test_id("stCode").first.inner_text().strip()
    assert re.search(r"\?v=1&.*at=20_eta_0\.1$", shared), shared
    other = open_lab(query_of(shared))
    whole_run(other)
    assert other.line("sharpness")["y"] == pytest.approx(lab.line("sharpness")["y"], rel=1e-6)
    lab.until(lambda: other.marks() == lab.marks() == ["η 0.5 → 0.1"], "the same mark in both")


def test_an_embedded_page_has_charts_and_buttons_alone(open_lab):
    lab = open_lab(link(CONFIG, embed="true"))
    expect(lab.button("Start")).to_be_visible()
    expect(lab.page.get_by_test_id("stSidebar")).to_be_hidden()
    assert lab.page.get_by_role("combobox").count() == 0
    assert lab.page.get_by_text("Share and export").count() == 0
    whole_run(lab)
