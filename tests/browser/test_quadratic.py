"""The quadratic page as a person uses it: sliders are moved, and what the figures show is read."""

import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from samedge_core.theory.edges import sam_edge
from samedge_core.theory.quadratics import orbit_radius
from tests.browser.reading import ARTEFACTS, line, traces, until

PARABOLA = "Loss and iterates"
BESIDE = "Distance, gradient norm, edges"
PARTS = {
    "line": (PARABOLA, BESIDE),
    "plane": ("Contours and trajectories", "Multipliers", "Gradient norm and edges"),
    "valley": ("Loss and sharpness", "Sharpness, edges, gradient norm"),
    "balanced": ("Where GD ends, for every η", "Its hops, from a to a′", "Its hops over the steps"),
    "catapult": ("Output f and curvature K", "Loss and curvature"),
    "map": ("Stability map", "SAM-edge over ‖g‖"),
    "derivation": ("Factor of a step over curvature",),
}
READ_RANGE = """([name, axis]) => document.querySelector(
  `[role=figure][aria-label="${name}"]`)._fullLayout[axis].range.slice()"""
READ_PLOT_BOX = """name => {
  const gd = document.querySelector(`[role=figure][aria-label="${name}"]`);
  const box = gd.querySelector(".nsewdrag").getBoundingClientRect();
  return [box.x, box.y, box.width, box.height];
}"""


READ_LABEL_HEIGHTS = """() => [...document.querySelectorAll(".samedge-slider label")].map(
  (label) => label.getBoundingClientRect().height)"""


def drawn(page: Page, *names: str) -> None:
    for name in names:
        page.locator(f'[role=figure][aria-label="{name}"] .main-svg').first.wait_for()


def enter(page: Page, label: str, text: str) -> None:
    box = page.get_by_label(f"{label}, exact")
    box.fill(text)
    box.press("Enter")


def last_edge(page: Page) -> float:
    return line(page, BESIDE, "SAM-edge")["y"][-1]


def slider(page: Page, label: str):
    return page.get_by_role("slider", name=label, exact=True)


def test_a_key_on_a_slider_moves_the_figures(open_page):
    page = open_page("quadratic")
    drawn(page, PARABOLA, BESIDE)
    assert last_edge(page) == pytest.approx(5.0, rel=1e-6)
    box = page.get_by_label("Curvature λ, exact")
    slider(page, "Curvature λ").press("ArrowRight")
    until(page, lambda: last_edge(page) > 5.05, "an edge at the new curvature")
    curvature = float(box.input_value())
    assert last_edge(page) == pytest.approx(curvature, rel=1e-6)
    hops = np.abs(line(page, PARABOLA, "SAM")["x"][-2:])
    np.testing.assert_allclose(hops, orbit_radius(curvature, 0.3, 0.2), rtol=1e-5)
    expect(page).to_have_url(re.compile(f"curvature={box.input_value()}"))


def test_figures_follow_while_a_slider_is_dragged(open_page):
    page = open_page("quadratic")
    drawn(page, PARABOLA, BESIDE)
    place = slider(page, "Start w₀").bounding_box()
    assert place is not None
    middle = place["y"] + place["height"] / 2
    page.mouse.move(place["x"] + 0.75 * place["width"], middle)
    page.mouse.down()
    seen = set()
    for share in np.linspace(0.74, 0.2, 12):
        page.mouse.move(place["x"] + share * place["width"], middle)
        page.wait_for_timeout(150)
        seen.add(line(page, BESIDE, "GD")["y"][0])
    assert len(seen) > 3  # redrawn on the way, before the mouse was released
    assert "w0" not in page.url  # one undo step for a drag, not one for every pixel
    page.mouse.up()
    expect(page).to_have_url(re.compile("w0=-1"))


def test_back_undoes_and_the_link_shares(open_page):
    page = open_page("quadratic")
    drawn(page, BESIDE)
    enter(page, "Step size η", "0.35")
    until(page, lambda: "eta=0.35" in page.url, "the setting in the link")
    # the figures come last: before that, what is typed may be overwritten by what was sent
    until(page, lambda: line(page, BESIDE, "2/η")["y"][0] == 2 / 0.35, "the new edge")
    enter(page, "SAM radius ρ", "0.5")
    until(page, lambda: "rho=0.5" in page.url, "the setting in the link")
    shared = page.url.split("/quadratic", 1)[1]
    page.go_back()
    until(page, lambda: page.get_by_label("SAM radius ρ, exact").input_value() == "0.2", "undo")
    assert page.get_by_label("Step size η, exact").input_value() == "0.35"
    other = open_page("quadratic" + shared)
    drawn(other, BESIDE)
    first = line(other, BESIDE, "‖g*‖, predicted")["y"][0]
    assert first == pytest.approx(0.35 * 0.5 * 25 / (2 - 0.35 * 5), rel=1e-6)


def test_bad_input_is_answered_beside_it_and_nothing_else_changes(open_page):
    page = open_page("quadratic")
    drawn(page, BESIDE)
    before = traces(page, BESIDE, "SAM-edge")
    enter(page, "Step size η", "-2")
    alert = page.get_by_role("alert").filter(has_text="Step size η must be")
    alert.wait_for()
    assert "got '-2'" in alert.inner_text()
    assert "> 0" in alert.inner_text()
    assert traces(page, BESIDE) == before
    enter(page, "Step size η", "0.25")
    until(page, lambda: line(page, BESIDE, "2/η")["y"][0] == 8, "the new edge")
    expect(alert).to_have_count(0)


def test_zoom_survives_sliders_and_double_click_ends_it(open_page):
    page = open_page("quadratic")
    drawn(page, BESIDE)
    x, y, width, height = page.evaluate(READ_PLOT_BOX, BESIDE)
    page.mouse.move(x + 0.2 * width, y + 0.2 * height)
    page.mouse.down()
    page.mouse.move(x + 0.6 * width, y + 0.8 * height, steps=5)
    page.mouse.up()
    page.wait_for_timeout(400)
    zoomed = page.evaluate(READ_RANGE, [BESIDE, "xaxis"])
    assert zoomed[0] == pytest.approx(8, abs=1)
    slider(page, "SAM radius ρ").press("ArrowRight")
    until(page, lambda: "rho=" in page.url, "the slider in the link")
    page.wait_for_timeout(400)
    assert page.evaluate(READ_RANGE, [BESIDE, "xaxis"]) == zoomed
    page.mouse.dblclick(x + 0.5 * width, y + 0.5 * height)
    until(page, lambda: page.evaluate(READ_RANGE, [BESIDE, "xaxis"]) == [0, 40], "all of it again")


def test_a_click_on_the_contours_sets_the_start(open_page):
    page = open_page("quadratic?part=plane")
    drawn(page, *PARTS["plane"])
    x, y, width, height = page.evaluate(READ_PLOT_BOX, PARTS["plane"][0])
    page.mouse.click(x + 0.75 * width, y + 0.25 * height)
    until(page, lambda: "x0=" in page.url, "the click in the link")
    boxes = [page.get_by_label(f"Start {axis}, exact") for axis in "xy"]
    until(page, lambda: all(float(box.input_value()) > 0.5 for box in boxes), "the new start")
    start = [float(box.input_value()) for box in boxes]
    sam = line(page, PARTS["plane"][0], "SAM")
    assert [sam["x"][0], sam["y"][0]] == pytest.approx(start, rel=1e-5)


def test_a_click_on_the_map_moves_the_sliders(open_page):
    page = open_page("quadratic?part=map")
    drawn(page, *PARTS["map"])
    heights = page.evaluate(READ_LABEL_HEIGHTS)
    assert len(heights) == 4
    assert len(set(heights)) == 1, "a name of a slider takes two lines"
    x, y, width, height = page.evaluate(READ_PLOT_BOX, PARTS["map"][0])
    page.mouse.click(x + 0.5 * width, y + 0.75 * height)
    until(page, lambda: "grad_norm=" in page.url, "the click in the link")
    boxes = [page.get_by_label(f"{label}, exact") for label in ("Gradient norm ‖g‖", "Curvature λ")]
    until(page, lambda: boxes[1].input_value() != "5", "the sliders at the click")
    norm, curvature = (float(box.input_value()) for box in boxes)
    assert norm == pytest.approx(10**-0.5, rel=0.05)
    assert curvature == pytest.approx(10**-0.25, rel=0.05)
    expected = [f"now: SAM-edge {sam_edge(0.3, 0.2, norm):.4g}"]

    def now() -> list[str]:
        return [name for name in traces(page, PARTS["map"][1]) if name.startswith("now")]

    until(page, lambda: now() == expected, f"{expected} alone")


def test_steps_are_scrubbed_and_played_without_the_server(open_page):
    page = open_page("quadratic?part=plane")
    drawn(page, *PARTS["plane"])
    scrubber = slider(page, "Step shown")
    scrubber.press("Home")
    until(page, lambda: len(line(page, PARTS["plane"][0], "SAM")["x"]) == 1, "step 0 alone")
    scrubber.press("ArrowRight")
    until(page, lambda: len(line(page, PARTS["plane"][0], "SAM")["x"]) == 2, "one hop")
    page.get_by_text("step 1 of 40").wait_for()
    page.get_by_role("button", name="Play the steps").click()
    page.get_by_text("step 40 of 40").wait_for()
    row = page.get_by_role("row").filter(has_text="SAM").filter(has_text="5")
    assert row.get_by_role("cell").last.inner_text() == "1"


def test_all_parts_draw_in_both_themes(open_page):
    page = open_page("quadratic")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for part, names in PARTS.items():
            page.get_by_role("radio", name=re.compile(f"^{list(PARTS).index(part) + 1} ·")).click()
            drawn(page, *names)
            page.wait_for_timeout(300)
            page.screenshot(path=ARTEFACTS / f"quadratic-{part}-{theme}.png")
    page.get_by_text("Check it.").wait_for()


def test_narrow_screens_stack_the_figures_and_do_not_scroll_sideways(open_page):
    page = open_page("quadratic?part=valley", viewport={"width": 768, "height": 1000})
    drawn(page, *PARTS["valley"])
    page.locator(".samedge-help").nth(2).hover()  # in the last column
    for box in ("document.documentElement", "document.querySelector('[data-testid=stMain]')"):
        assert page.evaluate(f"{box}.scrollWidth <= {box}.clientWidth")
    first, second = (
        page.get_by_role("figure", name=name).bounding_box() for name in PARTS["valley"]
    )
    assert first
    assert second
    assert second["y"] >= first["y"] + first["height"]
    page.screenshot(path=ARTEFACTS / "quadratic-valley-768.png")
