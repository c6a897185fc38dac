"""Every page under axe-core, the checker of WCAG's rules, and what a reader hears of a chart."""

import pytest
from playwright.sync_api import Page

from tests.browser.reading import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
PATHS = ("", "lessons", "quadratic?part=plane", "quadratic?part=map", "paper", "runs", "sweeps")

RUN = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .filter(({ impact }) => impact === "serious" || impact === "critical")
  .flatMap(({ id, help, nodes }) => nodes
    .map(({ target, html }) => `${id} (${help}): ${target.join(" ")}\\n  ${html.slice(0, 300)}`))"""


def violations(page: Page) -> list[str]:
    """Serious and critical ones. So far Streamlit's own markup has none either: if a new version
    brings some, leave out its selectors here, rule by rule."""
    assert AXE.exists(), "axe-core is not installed: `make check` does that"
    page.evaluate(AXE.read_text())  # not as a script of the page: it may refuse those
    return page.evaluate(RUN)


@pytest.mark.parametrize("path", PATHS)
def test_no_page_breaks_a_serious_rule(open_page, path):
    page = open_page(path)
    page.get_by_test_id("stSidebar").get_by_text("Runs", exact=True).wait_for()
    if path not in ("runs", "sweeps"):
        page.locator("[role=figure]:not([hidden]) .main-svg").first.wait_for()
    page.wait_for_timeout(500)
    found = violations(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(500)
    found += [f"dark: {one}" for one in violations(page)]
    assert not found, "\n".join(found)


def test_a_chart_tells_where_its_run_has_come_to(open_lab):
    lab = open_lab()
    chart = lab.page.get_by_role("figure", name="Sharpness", exact=True)
    summary = lab.page.locator(f"[id='{chart.get_attribute('aria-describedby')}']")
    assert summary.text_content() == ""
    lab.press("Start")
    lab.until_step(20)
    lab.pause()
    step, sharpness = (lab.line("sharpness")[axis][-1] for axis in "xy")
    said = summary.text_content()
    assert said.startswith(f"step {step:,.0f}: sharpness {sharpness:.3g}")
    assert ", 2/η 2" in said
    assert "SAM-edge 0." in said
    assert not violations(lab.page)  # with all that a run brings


def test_the_keyboard_reaches_every_slider_and_the_player_and_shows_where_it_is(open_page):
    page = open_page("quadratic")
    page.locator("[role=figure]:not([hidden]) .main-svg").first.wait_for()
    reached, outlines = [], []
    page.get_by_role("slider", name="Step size η").focus()
    for _ in range(20):
        name, outline = page.evaluate("""() => {
          const e = document.activeElement;
          const name = e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? "";
          return [name, getComputedStyle(e).outlineStyle];
        }""")
        reached.append(name)
        outlines.append(outline)
        page.keyboard.press("Tab")
    for wanted in ("Step size η", "SAM radius ρ", "Curvature λ", "Start w₀", "Steps"):
        assert wanted in reached
    for wanted in ("Play the steps", "Step shown"):
        assert outlines[reached.index(wanted)] == "solid"
