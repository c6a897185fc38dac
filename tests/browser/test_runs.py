"""The page of runs in a real browser: what is drawn is what was recorded, buttons do as told."""

import re

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from samedge_core.store import Origin, Query, Store, open_store
from tests.browser.conftest import serve, visiting
from tests.browser.reading import traces
from tests.recorded import TINY, record

QUANTITIES = {
    "Sharpness / edge": "ratio",
    "Sharpness": "sharpness",
    "Gradient norm": "grad_norm",
    "Loss": "loss",
}
WORDS = {"fox": "Quick fox", "dog": "Lazy dog"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Thirty runs, the last two with titles."""
    found = open_store(tmp_path_factory.mktemp("home"))
    for seed in range(28):
        record(found, TINY.replace(seed=seed))
    record(found, TINY.replace(rule="sam", rho=0.05, seed=100), title=WORDS["fox"])
    record(found, TINY.replace(eta=0.25, seed=101), title=WORDS["dog"])
    yield found
    found.close()


@pytest.fixture(scope="module")
def address(store):
    environ = {"SAMEDGE_HOME": str(store.settings.home), "SAMEDGE_MAX_WORKERS": "2"}
    with serve("app.py", "runs-server.log", environ) as (url, _):
        yield f"{url}/runs"


@pytest.fixture
def visit(address, browser):
    """`visit(query, **options)`: the page of runs with its table."""
    with visiting(browser) as open_:

        def visit_(query: str = "", **options) -> Page:
            page = open_(address + query, **options)
            page.get_by_role("table", name="Runs").wait_for()
            return page

        yield visit_


def rows(page: Page):
    return page.get_by_role("table", name="Runs").locator("tbody tr")


def box(page: Page, name: str):
    return page.get_by_role("checkbox", name=f"Select {name}", exact=True)


def entry(store: Store, title: str):
    return store.find(Query(text=title)).entries[0]


def test_two_runs_are_laid_over_each_other_as_recorded(visit, store):
    page = visit()
    box(page, WORDS["fox"]).check()
    box(page, WORDS["dog"]).check()
    page.get_by_text("2 runs selected").wait_for()
    for figure, quantity in QUANTITIES.items():
        drawn = traces(page, figure, *WORDS.values())
        for title in WORDS.values():
            recorded = store.load(entry(store, title).id)[1].columns()
            np.testing.assert_array_equal(drawn[title]["x"], recorded["step"])
            np.testing.assert_allclose(drawn[title]["y"], recorded[quantity], rtol=1e-6)
    # the link has the selection, and takes it up again
    page.reload()
    traces(page, "Sharpness / edge", *WORDS.values())
    expect(box(page, WORDS["fox"])).to_be_checked()
    # ticks outlive a search that hides their rows
    page.get_by_role("searchbox", name="Search").fill("fox")
    expect(rows(page)).to_have_count(1)
    page.get_by_text("2 runs selected").wait_for()


def test_the_mean_over_seeds_has_a_band(visit, store):
    ids = [e.id for e in store.find(Query(rule="gd", sort="seed", descending=False)).entries[:3]]
    page = visit(f"?select={','.join(ids)}")
    page.get_by_label("Lines", exact=True).click()
    page.get_by_role("option", name="mean over seeds").click()
    name = "GD η 0.5: mean of 3, band min–max"
    drawn = traces(page, "Loss", name)
    losses = np.array([store.load(run)[1].columns()["loss"] for run in ids])
    np.testing.assert_allclose(drawn[name]["y"], losses.mean(axis=0), rtol=1e-6)


def test_search_narrows_and_heads_sort(visit, store):
    page = visit()
    expect(rows(page)).to_have_count(store.find().total)
    page.get_by_role("searchbox", name="Search").fill("sam")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("Quick fox")
    page.get_by_role("searchbox", name="Search").fill("")
    page.get_by_role("button", name="Seed", exact=True).click()
    expect(rows(page).first.get_by_role("cell").nth(4)).to_have_text("0")
    page.get_by_role("button", name=re.compile("^Seed")).press("Enter")
    expect(rows(page).first).to_contain_text("Lazy dog")
    expect(page.get_by_role("columnheader", name=re.compile("^Seed"))).to_have_attribute(
        "aria-sort", "descending"
    )


def test_a_star_outlives_a_reload(visit, store):
    page = visit()
    star = page.get_by_role("button", name="Star Quick fox")
    expect(star).to_have_attribute("aria-pressed", "false")
    star.press("Space")
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(star).to_be_focused()
    page.reload()
    expect(star).to_have_attribute("aria-pressed", "true")
    assert entry(store, "fox").starred


def test_deleting_asks_first(visit, store):
    run = record(store, TINY.replace(seed=200), title="Soon gone")
    page = visit()
    box(page, "Soon gone").check()
    page.get_by_role("button", name="Delete …").click()
    page.get_by_text("Delete 1 run (").wait_for()
    assert run in store
    page.get_by_role("button", name="Keep them").click()
    page.get_by_text("Delete 1 run (").wait_for(state="detached")
    assert run in store
    page.get_by_role("button", name="Delete …").click()
    page.get_by_role("button", name="Delete 1 run", exact=True).click()
    page.get_by_text("1 run deleted.").wait_for()
    expect(box(page, "Soon gone")).to_have_count(0)
    assert run not in store
    page.get_by_role("button", name="Undo").click()
    expect(box(page, "Soon gone")).to_have_count(1)
    assert run in store


def test_shift_ticks_all_in_between(visit):
    page = visit()
    boxes = rows(page).get_by_role("checkbox")
    boxes.nth(3).click()
    boxes.nth(7).click(modifiers=["Shift"])
    page.get_by_text("5 runs selected").wait_for()
    page.get_by_role("button", name="Select none").click()
    expect(boxes.nth(5)).not_to_be_checked()


def test_a_title_opens_the_run_in_the_live_lab(visit, store):
    page = visit()
    page.get_by_role("link", name="Lazy dog").click()
    page.wait_for_url(re.compile(rf"/\?run={entry(store, 'dog').id}$"))
    page.get_by_role("figure", name="Sharpness", exact=True).wait_for()


def test_repeats_are_recorded_while_the_table_follows(visit, store):
    page = visit(f"?select={entry(store, 'dog').id}")
    count = store.find().total
    page.get_by_label("Repeat with other seeds", exact=True).fill("2")
    page.get_by_label("Repeat with other seeds", exact=True).press("Enter")
    page.wait_for_timeout(500)  # a click while the page is drawn anew may be lost
    page.locator('[data-test-script-state="notRunning"]').wait_for()
    page.get_by_role("button", name="Start them").click()
    expect(rows(page)).to_have_count(count + 2)
    found = store.find(Query(limit=2)).entries
    assert {one.seed for one in found} == {102, 103}


def test_the_family_tree_tells_of_its_runs(visit, store):
    root = record(store, TINY.replace(seed=300), title="Root <b>of</b> all")
    record(store, TINY.replace(seed=300), origin=Origin(root, 5), title="Fork")
    page = visit(f"?select={root}")
    page.get_by_role("figure", name="Family tree").scroll_into_view_if_needed()
    names = ["Root &lt;b&gt;of&lt;/b&gt; all", "Fork"]
    read = """() => {
      const gd = document.querySelector('[role=figure][aria-label="Family tree"]');
      const curve = gd.data.findIndex((trace) => trace.mode === "markers");
      window.Plotly.Fx.hover(gd, [{ curveNumber: curve, pointNumber: 0 }]);
      return [gd.layout.yaxis.ticktext, gd.querySelector(".hovertext").textContent];
    }"""
    page.wait_for_function(
        """() => document.querySelector('[aria-label="Family tree"].js-plotly-plot')"""
    )
    labels, hover = page.evaluate(read)
    assert labels == [f"<b>{names[0]}</b>", names[1]]
    assert hover.startswith("Root <b>of</b> all")
    assert "GD η 0.5, MLP on digits, data size 40, width 4" in hover


def test_a_selection_comes_as_one_file(visit, store, tmp_path):
    ids = [one.id for one in store.find(Query(rule="gd", sort="seed", limit=3)).entries]
    page = visit(f"?select={','.join(ids)}")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as begun:
        page.get_by_role("button", name="All rows, CSV").click()
    assert begun.value.suggested_filename == "samedge-3-runs.csv"
    begun.value.save_as(tmp_path / "rows.csv")
    found = pd.read_csv(tmp_path / "rows.csv")
    assert list(found["run"].unique()) == ids
    for run, part in found.groupby("run"):
        recorded = store.load(str(run))[1].columns()
        np.testing.assert_array_equal(part["loss"], recorded["loss"])


def test_the_first_columns_fit_a_screen_of_1400(visit):
    page = visit(viewport={"width": 1400, "height": 900})
    table = page.locator(".samedge-runs")
    expect(table).to_be_visible()
    width, shown = table.evaluate("(at) => [at.scrollWidth, at.clientWidth]")
    assert width <= shown


def test_narrow_and_dark(visit, store):
    ids = [one.id for one in store.find(Query(limit=3)).entries]
    page = visit(
        f"?select={','.join(ids)}", viewport={"width": 768, "height": 1000}, color_scheme="dark"
    )
    page.get_by_role("figure", name="Loss", exact=True).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 768
