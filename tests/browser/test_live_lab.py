"""The live lab as a person uses it: a real server, real workers, a real browser."""

import io
import re
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

import samedge_core as se
from pages.parts.markdown import WORD_JOINER
from samedge_core.experiments.presets import PRESETS
from samedge_core.theory.edges import sam_edge
from tests.browser.reading import endless

BAND = "± residual: an eigenvalue lies within"

CHARTS = ("Sharpness", "Sharpness / edge", "Gradient norm", "Loss", "Alignment")
CHEBYSHEV = endless("sam-chebyshev")
TWO_WEIGHTS = endless("sam-two-weights")
CHART = "document.querySelector('[role=figure][aria-label=\"Sharpness\"]')"
ZOOM = f"range => window.Plotly.relayout({CHART}, {{'xaxis.range': range}})"
# charts whose buttons cover a part of their legend
COVERED = """() => [...document.querySelectorAll("[role=figure]:not([hidden])")].filter((chart) => {
  const box = (part) => chart.querySelector(part)?.getBoundingClientRect();
  const [a, b] = [box(".legend"), box(".modebar")];
  return !a || !b || (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom);
}).map((chart) => chart.getAttribute("aria-label"))"""
LOG_LABELS = """() => {
  const chart = document.querySelector('[role=figure][aria-label="Sharpness / edge"]');
  const axis = chart._fullLayout.yaxis;
  const labelled = axis.type === "log" ? axis._vals.filter(({ text }) => text?.trim()) : [];
  return labelled.map(({ x, text }) => [x, text.replace(/<[^>]*>/g, "")]);
}"""
READ_ZOOM = f"() => {CHART}.layout.xaxis.range.slice()"


def slow_down(lab) -> None:
    """At 100 steps a second each step travels to the browser: faster ones come in buckets."""
    limit = lab.page.get_by_test_id("stSlider").filter(has_text="Speed limit")
    limit.get_by_role("slider").press("ArrowLeft")
    limit.get_by_text("100", exact=True).wait_for()
    lab.page.wait_for_timeout(500)
    lab.page.evaluate("document.activeElement.blur()")  # a slider hears keys itself


def test_start_shows_sharpness_rising_to_a_moving_sam_edge(open_lab):
    lab = open_lab()
    slow_down(lab)
    lab.press("Start")
    lab.until_step(130)
    lab.pause()
    shown = {"sharpness", "2/η", "SAM-edge", BAND}
    traces = lab.traces("Sharpness", *shown)
    assert set(traces) == shown
    sharpness, edge = traces["sharpness"]["y"], traces["SAM-edge"]["y"]
    assert sharpness[-1] > 1.5 * sharpness[0]
    assert edge[-1] < 0.8 * edge[0]
    assert set(traces["2/η"]["y"]) == {2.0}
    # the drawn edge is the formula at the drawn gradient norm; both went through float32
    norms = lab.line("‖g‖", "Gradient norm")["y"]
    np.testing.assert_allclose(edge, sam_edge(1.0, 0.05, np.array(norms)), rtol=1e-6)
    ratio = lab.line("sharpness / edge", "Sharpness / edge")["y"]
    np.testing.assert_allclose(ratio, np.divide(sharpness, edge), rtol=1e-6)
    lab.screenshot("sam-light")


def test_a_name_in_a_link_can_neither_link_nor_paint(open_lab):
    named = (
        "[Press](https://evil.example) http://e.vil Www.e.vil me@e.vil <b>b</b> :red[r] :smile: "
        ":material/home: ![i](/x.png) `c` $m$ _e_ **s** ~~d~~"
    )
    box = open_lab(f"?{urlencode({'preset': named})}").page.get_by_test_id("stToast")
    box.get_by_text("There is no preset").wait_for()
    assert named in box.inner_text().replace(WORD_JOINER, "")
    body = box.locator("[data-testid=stMarkdownContainer]").first
    assert body.locator("a, img, b, strong, em, code, del, .katex, [style*=color]").count() == 0


def band(lab, chart: str) -> np.ndarray:
    """x, lower and upper rim (3, rows) of the residual's band in a chart."""
    trace = lab.line(BAND, chart)
    x, y = np.array(trace["x"]), np.array(trace["y"])
    half = len(x) // 2
    np.testing.assert_array_equal(x[:half], x[half:][::-1])  # there along the top, and back
    return np.array([x[:half], y[half:][::-1], y[:half]])


def test_the_residual_is_a_band_that_hovers_and_goes_with_its_line(open_lab):
    lab = open_lab(CHEBYSHEV)
    slow_down(lab)
    lab.press("Start")
    lab.until_step(100)
    lab.pause()
    lab.page.get_by_text(
        re.compile(r"a measurement · curvature costs [\d.]+ × training")
    ).wait_for()
    lab.page.get_by_text("Numbers", exact=True).click()
    lab.page.wait_for_timeout(1500)  # the page follows the pause, and makes the file anew
    with lab.page.expect_download() as waiting:
        lab.page.get_by_role("button", name="Download CSV").click()
    rows = pd.read_csv(waiting.value.path()).set_index("step")
    for chart, column, unit in (
        ("Sharpness", "sharpness", 1.0),
        ("Sharpness / edge", "ratio", rows["edge"]),
    ):
        x, lower, upper = band(lab, chart)
        assert len(x) > 50
        drawn = pd.DataFrame(
            {
                "low": rows[column] - rows["residual"] / unit,
                "high": rows[column] + rows["residual"] / unit,
            }
        ).loc[x]
        assert (upper > lower).all()
        # what was drawn went through float32
        np.testing.assert_allclose(lower, drawn["low"], rtol=1e-6)
        np.testing.assert_allclose(upper, drawn["high"], rtol=1e-6)
    drawn_on = lab.page.locator('[aria-label="Sharpness"] .nsewdrag').first
    drawn_on.scroll_into_view_if_needed()
    area = drawn_on.bounding_box()
    assert area is not None
    lab.page.mouse.move(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
    said = re.compile(r"^sharpness : [\d.]+ ± [\d.e−-]+$")
    lab.page.locator('[aria-label="Sharpness"] .hoverlayer').get_by_text(said).first.wait_for()
    toggle = """name => {
      const items = [...document.querySelectorAll('[aria-label="Sharpness"] .legend .traces')];
      const item = items.find((one) => one.textContent === name).querySelector(".legendtoggle");
      for (const type of ["mousedown", "mouseup"]) item.dispatchEvent(new MouseEvent(type));
    }"""
    shown = f"() => {CHART}.data.find((trace) => trace.name === '{BAND}').visible"
    for name, visible in ((BAND, "legendonly"), (BAND, True), ("sharpness", False)):
        lab.page.evaluate(toggle, name)
        lab.until(lambda visible=visible: lab.page.evaluate(shown) == visible, f"{name}: {visible}")


def test_first_screen_needs_no_scrolling(open_lab):
    lab = open_lab()
    for locator in (
        lab.button("Start"),
        lab.page.get_by_label("Preset"),
        lab.page.get_by_label("Step size η, exact"),
        lab.page.locator('[role=figure][aria-label="Sharpness"]'),
    ):
        box = locator.first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900


def test_eta_changed_mid_run_makes_a_step_in_the_gd_edge_where_it_took_effect(open_lab):
    lab = open_lab(TWO_WEIGHTS)
    lab.press("Step")
    lab.until_step(0)
    lab.press("Step")
    lab.until_step(1)
    lab.set_exact("Step size η", "0.25")
    lab.page.wait_for_timeout(500)
    lab.press("Step")
    lab.until_step(2)
    edge = lab.line("2/η")
    by_step = dict(zip(edge["x"], edge["y"], strict=True))
    assert by_step[1] == pytest.approx(2 / 0.3, rel=1e-6)
    assert by_step[2] == pytest.approx(2 / 0.25, rel=1e-6)
    lab.until(lambda: lab.marks() == ["η 0.3 → 0.25"], "one labelled mark")


def test_pause_stops_the_steps_and_keys_work(open_lab):
    lab = open_lab(TWO_WEIGHTS)
    lab.page.keyboard.press("p")
    lab.until_step(30)
    lab.page.keyboard.press("p")
    lab.button("Resume").wait_for()
    lab.page.wait_for_timeout(1000)
    paused = lab.last_step()
    lab.page.wait_for_timeout(1500)
    assert lab.last_step() == paused
    lab.page.keyboard.press("s")
    lab.until_step(paused + 1)
    assert lab.last_step() == paused + 1
    lab.page.keyboard.press("r")
    lab.until(lambda: "sharpness" not in lab.traces(), "an empty chart after Reset")
    lab.page.get_by_text("no step yet").first.wait_for()  # not Press Start: it says Resume
    assert lab.line("previous sharpness")["x"][-1] == paused + 1


def test_zoom_and_legend_choices_survive_updates_in_the_same_chart(open_lab):
    lab = open_lab(CHEBYSHEV)
    lab.press("Start")
    lab.until_step(20)
    charts = "[...document.querySelectorAll('.samedge-live [role=figure]:not([hidden])')]"
    lab.page.evaluate(f"() => window.charts = {charts}")
    hidden = "() => window.charts[0].data.map((t) => [t.name, t.visible ?? true])"

    def hide() -> bool:
        lab.page.evaluate("""() => {
          const item = [...window.charts[0].querySelectorAll(".legendtoggle")].at(-1);
          for (const type of ["mousedown", "mouseup"]) item.dispatchEvent(new MouseEvent(type));
        }""")
        # Plotly waits 300 ms for a second click, and forgets the first if it draws meanwhile
        lab.page.wait_for_timeout(700)
        return "legendonly" in dict(lab.page.evaluate(hidden)).values()

    lab.until(hide, "a hidden trace")
    area = lab.page.locator('[aria-label="Sharpness"] .nsewdrag').first.bounding_box()
    assert area is not None
    lab.page.mouse.move(area["x"] + 0.2 * area["width"], area["y"] + 0.3 * area["height"])
    lab.page.mouse.down()
    lab.page.mouse.move(area["x"] + 0.6 * area["width"], area["y"] + 0.7 * area["height"], steps=5)
    lab.page.mouse.up()
    ranges = "() => window.charts.map((c) => c._fullLayout.xaxis.range.map(Number))"

    def linked() -> bool:
        first, *others = lab.page.evaluate(ranges)
        return first[0] > 0 and all(one == pytest.approx(first) for one in others)

    lab.until(linked, "linked x axes")
    zoomed, seen = lab.page.evaluate(ranges), lab.last_step()
    choices = lab.page.evaluate(hidden)
    assert "legendonly" in dict(choices).values()
    lab.until_step(seen + 100)
    assert lab.page.evaluate(ranges) == zoomed
    assert lab.page.evaluate(hidden) == choices
    assert lab.page.evaluate(f"() => window.charts.every((c, i) => c === {charts}[i])")


def test_a_killed_worker_is_named_and_resume_goes_on(open_lab):
    lab = open_lab(CHEBYSHEV)
    lab.press("Start")
    lab.until_step(50)
    for worker in lab.workers():
        worker.kill()
    message = lab.page.get_by_text("The worker process was lost at step")
    message.wait_for(timeout=3000)
    lab.screenshot("worker-lost")
    recorded = lab.last_step()
    assert recorded >= 50
    lab.press("Resume")
    lab.until_step(recorded + 20)
    assert lab.line("sharpness")["x"][0] == 0
    lab.until(lambda: lab.marks() == ["new worker"], "the mark of the new worker")
    assert message.count() == 0


def assert_same_numbers(after: dict[str, list], before: dict[str, list]) -> None:
    """At the steps of both: a page that comes back thins a long run's rows anew."""
    common = dict(zip(before["x"], before["y"], strict=True))
    again = {x: y for x, y in zip(after["x"], after["y"], strict=True) if x in common}
    assert len(again) > 30
    # Float32 on the way to the browser, but for a row that travels alone
    assert again == pytest.approx({x: common[x] for x in again}, rel=1e-6)


def test_reload_finds_the_run_with_its_whole_history(open_lab):
    lab = open_lab(TWO_WEIGHTS)
    slow_down(lab)
    lab.press("Start")
    lab.until_step(60)
    lab.pause()
    before = lab.line("sharpness")
    lab.page.reload()
    lab.until(lambda: lab.last_step() == before["x"][-1], "the run is back")
    after = lab.line("sharpness")
    assert after["x"][0] == 0
    assert_same_numbers(after, before)
    lab.press("Resume")
    lab.until_step(int(before["x"][-1]) + 5)


def test_the_numbers_at_the_cursor_are_those_of_its_step_though_its_row_was_thinned_away(open_lab):
    config = PRESETS["sam-two-weights"].config
    lab = open_lab("?preset=sam-two-weights")
    lab.press("Start")
    lab.until_step(config.steps - 1)
    lab.page.reload()  # then 600 rows come, of 1,500
    lab.until(lambda: lab.last_step() == config.steps - 1, "the run is back")
    step = min(set(range(500, 1000)) - set(lab.line("sharpness")["x"]))
    lab.put_cursor(step)
    cells = lab.page.get_by_role("table", name="Numbers at the cursor").locator("tbody td")
    lab.until(lambda: cells.first.inner_text() == str(step), "the row of that very step")
    exact = se.run(config.replace(steps=step + 1)).columns()["sharpness"][step]
    assert float(cells.nth(1).inner_text().split()[0]) == pytest.approx(exact, rel=1e-4)


def test_thousands_of_hops_are_a_band_and_a_line_that_does_not_wave(open_lab):
    lab = open_lab(TWO_WEIGHTS)
    lab.press("Start")
    lab.until_step(2500)
    lab.pause()
    name = "sharpness / edge"
    drawn = lab.traces("Sharpness / edge", name, f"{name}, least to most")
    x, y = (np.array(drawn[name][axis]) for axis in "xy")
    late = y[x > 500]
    assert len(late) > 50
    assert np.abs(np.diff(late)).max() < 0.01  # each hop is 0.3 high
    outline = drawn[f"{name}, least to most"]
    at, rims = np.array(outline["x"]), np.array(outline["y"]).reshape(2, -1)
    at, high, low = at[: len(at) // 2], rims[0], rims[1][::-1]
    config = PRESETS["sam-two-weights"].config
    ratio = se.run(config.replace(steps=2000)).columns()["ratio"]
    steps = np.arange(len(ratio))
    assert (ratio <= np.interp(steps, at, high) + 1e-5).all()
    assert (ratio >= np.interp(steps, at, low) - 1e-5).all()
    assert (high - low)[at > 500] == pytest.approx(0.29, abs=0.04)
    lab.screenshot("hops")


def test_the_same_start_under_gd_and_sam_in_the_same_charts(open_lab):
    lab = open_lab(CHEBYSHEV)
    slow_down(lab)
    lab.page.keyboard.press("g")
    lab.until_step(30, "sharpness (GD)")
    lab.until_step(30, "sharpness (SAM)")
    shown = ("sharpness (GD)", "2/η", "sharpness (SAM)", "SAM-edge (SAM)")
    traces = lab.traces("Sharpness", *shown)
    assert traces["sharpness (GD)"]["y"][0] == traces["sharpness (SAM)"]["y"][0]
    loss = lab.traces("Loss", "loss (GD)", "loss (SAM)")
    assert loss["loss (GD)"]["y"][0] == loss["loss (SAM)"]["y"][0]
    lab.until(lambda: lab.page.evaluate(COVERED) == [], "all legends, and free")
    lab.page.get_by_role("button", name="Axes and lines").click()
    lab.page.get_by_text("Log scale").click()
    lab.until(lambda: len(lab.page.evaluate(LOG_LABELS)) > 1, "a logarithmic axis with its labels")
    for exponent, label in lab.page.evaluate(LOG_LABELS):
        assert float(label) == pytest.approx(10**exponent)
    lab.screenshot("compare")


def test_held_out_data_has_a_chart_of_its_own(open_lab):
    lab = open_lab("?preset=sam-held-out")
    chart = lab.page.get_by_role("figure", name="Held out")
    expect(chart).to_have_count(0)  # hidden, as in every run without such data
    lab.press("Start")
    chart.wait_for()
    lab.until_step(30, "sharpness (SAM)")
    names = [f"held-out {what} ({rule})" for rule in ("GD", "SAM") for what in ("loss", "accuracy")]
    shown = lab.traces("Held out", *names)
    assert shown[names[0]]["y"][0] == shown[names[2]]["y"][0]
    lab.page.get_by_text(re.compile(r"held out: loss 0\.\d+, accuracy 0\.\d+")).first.wait_for()
    sharpness = lab.page.get_by_role("figure", name="Sharpness", exact=True)
    boxes = [one.locator(".main-svg").first.bounding_box() for one in (chart, sharpness)]
    assert boxes[0]
    assert boxes[1]
    assert boxes[0]["width"] == boxes[1]["width"]  # as it was drawn while hidden, it had no size


def test_three_step_sizes_have_an_edge_each_and_three_radii_share_one(open_lab):
    lab = open_lab("?preset=gd-step-sizes")
    lab.press("Start")
    names = [f"(GD η {eta})" for eta in (0.1, 0.2, 0.4)]
    for name in names:
        lab.until_step(20, f"sharpness {name}")
    traces = lab.traces("Sharpness", *(f"2/η {name}" for name in names))
    assert [traces[f"2/η {name}"]["y"][-1] for name in names] == [20, 10, 5]
    colours = f"() => {CHART}.data.map((trace) => [trace.name, trace.line.color])"
    drawn = dict(lab.page.evaluate(colours))
    assert len({drawn[f"2/η {name}"] for name in names}) == 3
    lab.page.get_by_role("combobox", name="Update rule").click()
    lab.page.get_by_role("option", name="SAM: sharpness-aware").click()
    lab.press("Three ρ")
    radii = [f"(SAM ρ {rho})" for rho in (0.025, 0.05, 0.1)]
    for name in radii:
        lab.until_step(20, f"sharpness {name}")
    edges = [f"SAM-edge {name}" for name in radii]
    assert {"2/η", *edges} <= set(lab.traces("Sharpness", *edges))
    drawn = [item for item in lab.page.evaluate(colours) if item[0].startswith("2/η")]
    assert len({colour for _, colour in drawn}) == 1  # one line, whichever is drawn last


def test_a_bad_value_is_named_beside_its_box_and_the_run_goes_on(open_lab):
    lab = open_lab(TWO_WEIGHTS)
    lab.press("Start")
    lab.until_step(10)
    lab.page.evaluate(ZOOM, [5, 25])
    lab.set_exact("SAM radius ρ", "-2")
    beside = lab.page.get_by_test_id("stSidebar")
    beside.get_by_text("SAM radius ρ must be a number ≥ 0 and ≤ 1000, got '-2'").wait_for()
    seen = lab.last_step()
    lab.until_step(seen + 20)
    lab.set_exact("SAM radius ρ", "0.04")
    box = lab.page.get_by_text("got '-2'")
    lab.until(lambda: box.count() == 0, "no message about a value that is replaced")
    # the messages came and went, and the zoom is still there
    assert lab.page.evaluate(READ_ZOOM) == [5, 25]
    lab.page.evaluate(ZOOM, [0, 100_000])  # steps at most
    lab.until(lambda: lab.marks() == ["ρ 0.05 → 0.04"], "the mark of the new rho")


def test_leaving_the_page_and_coming_back_keeps_run_and_zoom(open_lab):
    lab = open_lab(TWO_WEIGHTS)
    slow_down(lab)
    lab.press("Start")
    lab.until_step(40)
    lab.pause()
    before = lab.line("sharpness")
    lab.page.evaluate(ZOOM, [5, 25])
    lab.page.get_by_role("link", name="Quadratic intuition").click()
    lab.page.locator('[role=figure][aria-label="Loss and iterates"]').wait_for()
    lab.page.get_by_role("link", name="Live lab").click()
    lab.until(lambda: lab.last_step() == before["x"][-1], "the run is back")
    assert_same_numbers(lab.line("sharpness"), before)
    assert lab.page.evaluate(READ_ZOOM) == [5, 25]


def test_csv_holds_every_step_that_the_chart_shows(open_lab):
    lab = open_lab("?preset=sam-quadratic")
    slow_down(lab)
    lab.press("Start")
    lab.page.get_by_text(re.compile("All .* steps are taken")).wait_for(timeout=60_000)
    lab.page.get_by_role("button", name="Resume").wait_for()  # the page has followed its charts
    lab.page.get_by_text("Numbers", exact=True).click()
    lab.page.wait_for_timeout(1000)  # a page that is drawn anew cancels a download
    with lab.page.expect_download() as waiting:
        lab.page.get_by_role("button", name="Download CSV").click()
    content = waiting.value.path().read_text()
    frame = pd.read_csv(io.StringIO(content))
    drawn = lab.line("sharpness")
    assert list(frame["step"]) == list(range(len(frame)))
    # the chart's numbers went through float32
    np.testing.assert_allclose(
        frame["sharpness"].iloc[[int(x) for x in drawn["x"]]], drawn["y"], rtol=1e-6
    )
    assert abs(frame["ratio"].iloc[-1] - 1) < 1e-3


def test_themes_and_widths_render_all_charts_with_their_names(open_lab):
    lab = open_lab(TWO_WEIGHTS)
    lab.press("Start")
    lab.until_step(20)
    lab.pause()
    ink = """() => {
      const text = document.querySelector("[role=figure]:not([hidden]) .xtick text");
      return getComputedStyle(text).fill.match(/[0-9.]+/g).slice(0, 3).map(Number);
    }"""
    fits = "document.documentElement.scrollWidth <= window.innerWidth"
    for scheme in ("light", "dark"):
        lab.page.emulate_media(color_scheme=scheme)
        lab.until(
            lambda dark=scheme == "dark": (np.mean(lab.page.evaluate(ink)) > 128) == dark,
            f"charts in {scheme}",
        )
        for width in (1400, 768):
            lab.page.set_viewport_size({"width": width, "height": 900})
            names = lab.page.locator("[role=figure]:visible").evaluate_all(
                "charts => charts.map((c) => c.getAttribute('aria-label'))"
            )
            assert tuple(names) == CHARTS
            lab.until(lambda: lab.page.evaluate(fits), f"no scrolling at {width}")
            lab.screenshot(f"{scheme}-{width}")
