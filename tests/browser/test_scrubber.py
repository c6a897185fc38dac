"""The cursor of the live charts in a real browser, over the records of real runs."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from playwright.sync_api import Page, expect

import samedge_core as se
from samedge_core.experiments.presets import PRESETS
from tests.browser.conftest import serve
from tests.browser.reading import PATIENCE, ROOT, traces, until

CHARTS = ("Sharpness", "Sharpness / edge", "Gradient norm", "Loss", "Alignment")
# what the lab does not send of a run of SAM
PLAIN = [*(f"{name}_edge" for name in ("usam", "polyak", "nesterov", "sam_polyak")), "rule"]
PLAIN += ["edge_value", "threshold"]
READ_LINES = """() => [...document.querySelectorAll("[role=figure]:not([hidden])")].map((chart) => {
  const { xaxis } = chart._fullLayout;
  const left = chart.getBoundingClientRect().left + xaxis._offset;
  const lines = [...chart.querySelectorAll(".shapelayer path")];
  return lines.map((line) => {
    const box = line.getBoundingClientRect();
    return xaxis.p2d(box.left + box.width / 2 - left);
  });
})"""
PRESS_LEGEND = """name => {
  const entries = [...document.querySelectorAll('[aria-label="Loss"] .legend .traces')];
  const item = entries.find((one) => one.textContent === name).querySelector(".legendtoggle");
  for (const type of ["mousedown", "mouseup"]) item.dispatchEvent(new MouseEvent(type));
}"""
READ_LOOKS = """name => [
  ...document.querySelectorAll("[role=figure]:not([hidden])"),
].map((chart) => {
  const { x, line, visible } = chart.data.find((trace) => trace.name === name);
  return [Math.min(...x), line.color, visible];
})"""

Record = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    """Four runs: two of them whole, a short one, and one that leaves `a` at step 40."""
    config = PRESETS["sam-chebyshev"].config.replace(steps=120, measure_every=2)
    a, b, short = (
        {name: column for name, column in se.run(one).columns().items() if name not in PLAIN}
        for one in (config, config.replace(eta=0.8 * config.eta, steps=90), config.replace(steps=9))
    )
    child = {name: np.concatenate([a[name][:40], b[name][40:]]) for name in a}
    return {"a": a, "b": b, "short": short, "child": child}


@pytest.fixture(scope="module")
def server(tmp_path_factory, records) -> Iterator[tuple[str, psutil.Process]]:
    """A server of the page beside this file; it serves our static files too."""
    folder: Path = tmp_path_factory.mktemp("scrubber")
    script = shutil.copy(Path(__file__).with_name("scrubber_page.py"), folder)
    (folder / "static").symlink_to(ROOT / "static")
    for name, columns in records.items():
        np.savez(folder / f"{name}.npz", **columns)
    with serve(script, "scrubber.log", {}) as served:
        yield served


@pytest.fixture
def visit(open_page):
    """`visit(query)`: the page with its charts drawn."""

    def open_(query: str) -> Page:
        page = open_page(query, viewport={"width": 1400, "height": 1300})
        slider(page).wait_for()
        page.wait_for_function(
            "() => [...document.querySelectorAll('[role=figure]:not([hidden])')]"
            ".every((chart) => chart.data?.length)"
        )
        return page

    return open_


def slider(page: Page):
    return page.get_by_role("slider", name="Cursor step")


def box(page: Page):
    return page.get_by_label("Cursor step, exact")


def heard(page: Page, step: int | None) -> None:
    page.get_by_text(re.compile(rf"^cursor {step}, ")).wait_for()


def numbers(page: Page, run: str) -> dict[str, str]:
    """The row of a run in the table under the charts, by the names of its columns."""
    table = page.get_by_role("table", name="Numbers at the cursor")
    row = table.locator("tbody tr", has=page.get_by_role("rowheader", name=run, exact=True))
    return dict(
        row.locator("td").evaluate_all("all => all.map((c) => [c.dataset.name, c.textContent])")
    )


def lines_are_at(page: Page, *places: float) -> None:
    """Each of the five charts comes to have its lines at these x, to the pixel."""
    # a pixel is a quarter of a step at most
    wanted = [pytest.approx(places, abs=0.4)] * len(CHARTS)
    end = time.monotonic() + PATIENCE
    while (painted := page.evaluate(READ_LINES)) != wanted and time.monotonic() < end:
        page.wait_for_timeout(50)
    assert painted == wanted


def test_the_slider_moves_a_line_through_all_charts_and_shows_the_runs_own_numbers(visit, records):
    page = visit("?runs=a,b")
    lines_are_at(page)
    expect(page.get_by_text("follows the run")).to_be_visible()
    place = slider(page).bounding_box()
    assert place is not None
    middle = place["y"] + place["height"] / 2
    page.mouse.move(place["x"] + place["width"] - 8, middle)
    page.mouse.down()
    page.mouse.move(place["x"] + 0.3 * place["width"], middle, steps=5)
    step = int(slider(page).input_value())
    assert 25 < step < 45
    lines_are_at(page, step)
    heard(page, None)  # not before the slider rests
    page.mouse.up()
    heard(page, step)
    assert box(page).input_value() == str(step)
    for run in ("a", "b"):
        own, shown = records[run], numbers(page, run)
        assert shown["step"] == str(step)
        measured = step - step % 2
        note = "" if measured == step else rf"at step {measured}"
        both = re.fullmatch(rf"(\S+) ± ([\d.e-]+?){note}", shown["sharpness"])
        assert both, shown
        value, residual = both.groups()
        assert float(value) == pytest.approx(own["sharpness"][measured], rel=1e-4)
        assert float(residual) == pytest.approx(own["residual"][measured], rel=0.06)
        assert float(shown["sharpness / edge"].removesuffix(note)) == pytest.approx(
            own["ratio"][measured], rel=1e-4
        )
        for name, column in {
            "edge in force": "edge",
            "‖g‖": "grad_norm",
            "loss": "loss",
            "η": "eta",
            "ρ": "rho",
        }.items():
            assert float(shown[name]) == pytest.approx(own[column][step], rel=1e-4), name
        assert "accuracy" not in shown  # this problem has none
    # on an axis on which the runs differ, each has a line of its own
    page.get_by_role("radio", name="time").click()
    lines_are_at(page, *(records[run]["time"][step] for run in ("a", "b")))
    page.screenshot(path=ROOT / "test-artifacts" / "scrubber.png")


def test_keys_and_the_exact_box_move_by_recorded_rows_and_escape_lets_go(visit):
    page = visit("?runs=a,b")
    slider(page).focus()
    for key, step in (
        ("ArrowLeft", 118),
        ("ArrowLeft", 117),
        ("PageDown", 111),
        ("Home", 0),
        ("PageUp", 6),
        ("ArrowRight", 7),
        ("End", 119),
    ):
        page.keyboard.press(key)
        expect(box(page)).to_have_value(str(step))
    heard(page, 119)
    assert numbers(page, "b")["step"] == "89the last one"
    box(page).fill("999")
    box(page).press("Enter")
    expect(box(page)).to_have_value("119")
    box(page).fill("55")
    box(page).press("Enter")
    heard(page, 55)
    lines_are_at(page, 55)
    page.keyboard.press("Escape")
    heard(page, None)
    lines_are_at(page)


def test_a_click_in_a_chart_sets_the_cursor_and_a_double_click_or_a_zoom_does_not(visit):
    page = visit("?runs=a")
    loss = page.locator('[aria-label="Loss"] .nsewdrag').first.bounding_box()
    assert loss is not None
    page.mouse.click(loss["x"] + 0.5 * loss["width"], loss["y"] + 0.5 * loss["height"])
    heard(page, 60)  # of 0 to 119, rounded
    lines_are_at(page, 60)
    page.mouse.dblclick(loss["x"] + 0.2 * loss["width"], loss["y"] + 0.5 * loss["height"])
    page.mouse.move(loss["x"] + 0.3 * loss["width"], loss["y"] + 0.4 * loss["height"])
    page.mouse.down()
    page.mouse.move(loss["x"] + 0.8 * loss["width"], loss["y"] + 0.5 * loss["height"], steps=4)
    page.mouse.up()
    page.wait_for_timeout(1000)
    lines_are_at(page, 60)
    heard(page, 60)


def test_the_page_may_place_and_clear_the_cursor_and_the_browser_says_so(visit):
    page = visit("?runs=a&then=short")
    page.get_by_role("button", name="Place at 30").click()
    heard(page, 30)
    lines_are_at(page, 30)
    page.get_by_role("button", name="Clear").click()
    heard(page, None)
    lines_are_at(page)
    page.get_by_role("button", name="Place at 30").click()
    heard(page, 30)
    page.get_by_text("Replace", exact=True).click()  # by a run that does not reach it
    heard(page, None)
    lines_are_at(page)


def test_an_abandoned_branch_is_grey_in_all_charts_and_switched_in_all_at_once(visit, records):
    page = visit("?runs=a&then=child&left=a&since=40")
    box(page).fill("50")
    box(page).press("Enter")
    heard(page, 50)
    page.get_by_text("Replace", exact=True).click()
    until(page, lambda: all("abandoned" in traces(page, name) for name in CHARTS), "the branch")
    looks = page.evaluate(READ_LOOKS, "abandoned")
    assert looks == [[40, "#8b8f98", True]] * len(CHARTS)
    shown = traces(page, "Loss", "abandoned", "loss")
    assert set(shown) == {"abandoned", "loss"}  # one run, and no previous one beside its branch
    np.testing.assert_allclose(shown["abandoned"]["y"], records["a"]["loss"][40:], rtol=1e-6)
    assert numbers(page, "child")["step"] == "50"  # the cursor stays: the child reaches it
    assert page.locator('[aria-label="Numbers at the cursor"] tbody tr').count() == 1
    lines_are_at(page, 50)
    page.screenshot(path=ROOT / "test-artifacts" / "abandoned.png")
    page.evaluate(PRESS_LEGEND, "abandoned")
    page.wait_for_function(
        f"name => ({READ_LOOKS})(name).every(([, , visible]) => visible === 'legendonly')",
        arg="abandoned",
    )
