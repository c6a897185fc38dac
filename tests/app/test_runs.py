"""The page of runs through Streamlit's own test harness, on a store of real small runs."""

import json
import time
from functools import partial

import pytest
from streamlit.testing.v1 import AppTest

import samedge_core as se
from pages.parts import server
from pages.parts.frame import navigation
from pages.parts.runs import filters, overlay, repeating, selection, table
from samedge_core.sharing import several
from samedge_core.store import Origin, Query, open_store
from samedge_core.training.history import Intervention
from samedge_core.worker.registry import RunRegistry
from tests.app import harness
from tests.app.harness import PATIENCE, button, press, texts
from tests.recorded import TINY, record


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty store, which the page's server opens."""
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path))
    server.registry.clear()
    store = open_store()
    yield store
    store.close()
    server.registry().close()
    server.registry.clear()


visit = partial(harness.visit, "pages/runs.py")


def select(app: AppTest, *ids: str) -> AppTest:
    app.session_state[selection.IDS] = list(ids)
    app.run()
    assert not app.exception
    return app


def data(app: AppTest, key: str) -> dict:
    """What a component on the page was sent."""
    found = [item.proto for item in app.get("bidi_component") if item.proto.id.endswith(f"-{key}")]
    return json.loads(found[0].json) if found else {}


def listed(app: AppTest) -> list[str]:
    return [row["id"] for row in data(app, table.KEY).get("rows", [])]


def drawn(app: AppTest, figure: str, key: str = overlay.KEY) -> list[dict]:
    figures = data(app, key)["figures"]
    return next(item["traces"] for item in figures if item["name"] == figure)


def legend(app: AppTest) -> list[str]:
    return [t["name"] for t in drawn(app, overlay.RATIO) if t.get("showlegend", True)]


def test_an_empty_store_says_what_to_do(home):
    app = visit()
    assert "Nothing is recorded yet" in texts(app)
    assert not listed(app)


def test_search_filters_and_order_ask_the_store(home):
    gd = record(home, title="A baseline", tags=["old", "new"])
    sam = record(home, TINY.replace(rule="sam", rho=0.05), starred=True, tags=["new"])
    app = visit()
    assert listed(app) == [sam, gd]  # newest first
    app.text_input(key="runs:text").set_value("base").run()
    assert listed(app) == [gd]
    app.text_input(key="runs:text").set_value("nowhere").run()
    assert "No run is like this" in texts(app)
    app.text_input(key="runs:text").set_value("").run()
    app.selectbox(key="runs:rule").set_value("sam").run()
    assert listed(app) == [sam]
    app.selectbox(key="runs:rule").set_value(None).run()
    app.multiselect(key="runs:tags").set_value(["new", "old"]).run()
    assert listed(app) == [gd]
    app.multiselect(key="runs:tags").set_value([]).run()
    app.toggle(key="runs:starred").set_value(True).run()
    assert listed(app) == [sam]
    app.toggle(key="runs:starred").set_value(False).run()
    app.session_state[filters.SORT] = ("rho", False)
    app.run()
    assert set(listed(app)) == {gd, sam}
    app.selectbox(key="runs:status").set_value("recording").run()
    assert listed(app) == []


def test_columns_are_the_readers_choice(home):
    record(home, note="look here")
    app = visit()
    assert "note" not in [column["name"] for column in data(app, table.KEY)["columns"]]
    app.session_state[filters.SHOWN] = ["note"]
    app.run()
    sent = data(app, table.KEY)
    assert [column["name"] for column in sent["columns"]] == ["title", "note"]
    assert sent["rows"][0]["cells"][1] == "look here"


def test_pages_of_the_table(home, monkeypatch):
    monkeypatch.setattr(filters, "PAGE_ROWS", 2)
    history = se.run(TINY)
    ids = [record(home, history=history) for _ in range(5)]
    app = visit()
    assert listed(app) == ids[:2:-1]
    assert "1 to 2 of 5 runs" in texts(app)
    app.session_state[filters.PAGE] = 3
    app.run()
    assert listed(app) == ids[:1]
    # when that page is no more, the first one is shown
    select(app, ids[0])
    press(app, "runs:delete")
    press(app, "runs:delete-now")
    assert listed(app) == ids[:2:-1]


def test_a_selection_is_compared_and_stands_in_the_link(home):
    one = record(home, title="Mine")
    two = record(home, TINY.replace(seed=1, eta=0.25))
    app = visit(select=f"{two},{one},gone")
    assert "2 runs selected" in texts(app)
    assert legend(app) == ["GD η 0.25, seed 1", "Mine"]
    different = app.dataframe[0].value
    assert list(different.columns) == ["Step size η", "Seed"]
    assert list(different["Step size η"]) == ["0.25", "0.5"]
    press(app, "runs:none")
    assert "selected" not in texts(app)
    assert selection.LINK not in app.query_params


def test_a_rewound_run_is_told_by_what_changed_everywhere_and_from_its_parent(home):
    parent, history = record(home), se.run(TINY)
    history.intervene(Intervention(4, {"eta": 0.25}, {"eta": 0.5}))
    child = record(home, history=history, origin=Origin(parent, 4, "rewind"))
    again = record(home, origin=Origin(parent, 6))
    app = select(visit(), parent, child, again)
    start = "GD η 0.5, MLP on digits, data size 40, width 4"
    assert {row["id"]: row["name"] for row in data(app, table.KEY)["rows"]} == {
        parent: start,
        child: f"{start}; η → 0.25 at step 4",
        again: start,
    }
    app.session_state[filters.SHOWN] = ["eta"]
    sent = data(app.run(), table.KEY)
    eta = [column["name"] for column in sent["columns"]].index("eta")
    assert {row["id"]: row["cells"][eta] for row in sent["rows"]} == {
        parent: "0.5",
        child: "0.5 → 0.25",
        again: "0.5",
    }
    assert "at the start → at the end" in sent["columns"][eta]["help"]
    changed = "GD η 0.5; η → 0.25 at step 4"
    assert legend(app) == ["GD η 0.5", changed, "GD η 0.5 · forked at step 6"]
    different = app.dataframe[0].value
    assert list(different.columns) == ["Changes on the way", "Step size η"]
    assert list(different["Step size η"]) == ["0.5", "0.5 → 0.25", "0.5"]
    app.selectbox(key="runs:group").set_value("eta").run()
    assert legend(app) == ["η 0.5: mean of 2, band min–max", "η 0.5 → 0.25"]


def test_lines_are_grouped_by_seed_or_by_any_setting(home):
    ids = [record(home, TINY.replace(seed=seed)) for seed in range(3)]
    ids.append(record(home, TINY.replace(eta=0.25)))
    app = select(visit(), *ids)
    assert len(legend(app)) == 4
    app.selectbox(key="runs:group").set_value("seeds").run()
    assert legend(app) == ["GD η 0.5: mean of 3, band min–max", "GD η 0.25, seed 0"]
    app.selectbox(key="runs:group").set_value("eta").run()
    assert legend(app) == ["η 0.5: mean of 3, band min–max", "η 0.25"]
    app.selectbox(key="runs:group").set_value("width").run()
    assert legend(app) == ["Width 4: mean of 4, band min–max"]
    assert "at the steps that all runs" in texts(app)
    app.segmented_control(key="runs:axis").set_value("Effective time").run()
    assert not app.exception
    assert "interpolated" in texts(app)


def test_more_than_twelve_are_not_drawn_and_said_so(home):
    history = se.run(TINY)
    app = select(visit(), *[record(home, history=history) for _ in range(13)])
    assert len(legend(app)) == 12
    assert "first 12 of the 13 selected" in texts(app)


def test_labels_of_all_selected_at_once(home):
    ids = [record(home), record(home, tags=["kept"], starred=True)]
    app = select(visit(), *ids)
    press(app, "runs:starred-all")
    press(app, "runs:pinned-all")
    app.multiselect(key="runs:tags-to-add").set_value(["odd", "kept"])
    press(app, "runs:add-tags")
    entries = home.find(Query(ids=ids)).entries
    assert all(e.starred and e.pinned and e.tags == ("kept", "odd") for e in entries)
    app.multiselect(key="runs:tags-to-remove").set_value(["kept"])
    press(app, "runs:remove-tags")
    assert button(app, "runs:starred-all").label == "Unstar"
    press(app, "runs:starred-all")
    entries = home.find(Query(ids=ids)).entries
    assert not any(e.starred for e in entries)
    assert {e.tags for e in entries} == {("odd",)}
    app.multiselect(key="runs:tags-to-add").set_value(["x" * 65]).run()
    assert "at most 64 characters, got 65" in texts(app)
    assert button(app, "runs:add-tags").disabled
    app.multiselect(key="runs:tags-to-add").set_value([]).run()
    assert "at most 64 characters" not in texts(app)


def test_deleting_asks_and_refuses_what_is_pinned_or_going_on(home):
    gone, kept = record(home), record(home, pinned=True)
    going = record(home, going=True)
    app = select(visit(), gone, kept, going)
    press(app, "runs:delete")
    assert "1 run stays because pinned" in texts(app)
    assert "1 run stays because still being recorded" in texts(app)
    assert "Delete 1 run (" in texts(app)
    press(app, "runs:keep")
    assert gone in home
    press(app, "runs:delete")
    press(app, "runs:delete-now")
    assert gone not in home
    assert kept in home
    assert "1 run deleted." in texts(app)
    assert app.session_state[selection.IDS] == [kept, going]
    press(app, "runs:undo")
    assert gone in home
    assert "1 run brought back." in texts(app)
    assert not [one for one in app.button if one.key == "runs:undo"]


def test_editing_says_what_cannot_be_saved_and_saves_the_rest(home):
    run = record(home)
    app = select(visit(), run)
    form = f"runs:edit:{run}"
    app.text_input(key=f"{form}:title").set_value("x" * 201)
    app.text_area(key=f"{form}:note").set_value("It oscillates.")
    press(app, f"runs:save:{run}")
    assert "title must have at most 200 characters, got 201" in texts(app)
    entry = home.catalogue.entry(run)
    assert (entry.title, entry.note) == ("", "It oscillates.")
    app.text_input(key=f"{form}:title").set_value("Better <i>*so*</i>")
    press(app, f"runs:save:{run}")
    assert "Not saved" not in texts(app)
    assert home.catalogue.entry(run).title == "Better <i>*so*</i>"
    assert legend(app) == ["Better &lt;i&gt;*so*&lt;/i&gt;"]


def test_a_repeat_takes_seeds_that_the_group_has_not(home, monkeypatch):
    started = []

    def start(self, config, *, planned, watched, arithmetic):
        assert arithmetic == "compiled"  # as the run that is repeated
        started.append((config, planned, watched))
        return f"run{len(started)}"

    monkeypatch.setattr(RunRegistry, "start", start)
    history = se.run(TINY)
    history.intervene(Intervention(4, {"eta": 0.25}, {"eta": 0.5}))
    run = record(home, history=history)
    other = se.run(TINY.replace(seed=2))
    other.intervene(Intervention(4, {"eta": 0.25}, {"eta": 0.5}))
    record(home, TINY.replace(seed=2), history=other)
    app = select(visit(), run)
    app.number_input(key="runs:repeats").set_value(2)
    press(app, "runs:repeat")
    assert not app.exception
    press(app, "runs:repeat")  # once more takes the next ones
    assert [config for config, _, _ in started] == [TINY.replace(seed=s) for s in (1, 3, 4, 5)]
    assert all(planned == tuple(history.interventions) for _, planned, _ in started)
    assert not any(watched for _, _, watched in started)


def test_repeats_come_selected_with_the_run_that_they_repeat(home):
    run = record(home)
    app = select(visit(), run)
    app.number_input(key="runs:repeats").set_value(2)
    press(app, "runs:repeat")
    chosen = app.session_state[selection.IDS]
    assert (chosen[0], len(chosen)) == (run, 3)
    assert app.query_params[selection.LINK] == ",".join(chosen)
    end = time.monotonic() + PATIENCE
    while len(home.find(Query(ids=chosen, status="ended")).entries) < 3:
        assert time.monotonic() < end, "never came true"
        time.sleep(0.1)
    app.run()
    assert "3 runs selected" in texts(app)
    assert legend(app) == [f"GD seed {seed}" for seed in range(3)]


@pytest.mark.parametrize("repeats", [0, 21])
def test_a_number_of_repeats_that_is_not_allowed_is_named_and_starts_nothing(home, repeats):
    run = record(home)
    app = select(visit(), run)
    app.number_input(key="runs:repeats").set_value(repeats)
    press(app, "runs:repeat")
    assert f"Repeats must be from 1 to 20, got {repeats}." in texts(app)
    assert app.session_state[selection.IDS] == [run]


def test_one_click_selects_the_repeats_of_all_selected_runs(home):
    one, other = record(home), record(home, TINY.replace(eta=0.25))
    more = [record(home, TINY.replace(seed=seed)) for seed in (1, 2)]
    record(home, TINY.replace(eta=0.125))
    app = select(visit(), other, one)
    press(app, "runs:select-repeats")
    assert app.session_state[selection.IDS][:2] == [other, one]
    assert {*app.session_state[selection.IDS]} == {other, one, *more}
    assert "2 more selected" in app.toast[0].value
    select(app, other)
    press(app, "runs:select-repeats")
    assert app.session_state[selection.IDS] == [other]
    assert "No other run differs in the seed alone" in app.toast[0].value


def test_a_selection_is_exported_or_says_why_not(home, monkeypatch):
    ids = [record(home, TINY.replace(seed=seed)) for seed in range(2)]
    app = select(visit(), *ids)
    app.session_state["runs:export"] = True  # the popover is open
    app.run()
    labels = ["All rows, CSV", "All rows, Parquet", "Mean and deviation, CSV", "Notebook"]
    files = [item.proto for item in app.get("download_button")]
    assert [file.label for file in files] == labels
    assert not any(file.disabled for file in files)
    assert "2 runs, 24 rows" in texts(app)
    monkeypatch.setattr(several, "LIMITS", dict.fromkeys(several.FORMATS, 23))
    app.run()
    assert all(item.proto.disabled for item in app.get("download_button"))
    assert "2 runs with 24 rows together do not fit" in texts(app)


def test_seeds_begin_again_after_the_largest():
    assert repeating.next_seeds(2**31 - 2, 3, {0}) == [2**31 - 1, 1, 2]


def test_a_repeat_is_recorded_and_joins_its_group(home):
    run = record(home)
    app = select(visit(), run)
    app.number_input(key="runs:repeats").set_value(1)
    press(app, "runs:repeat")
    group = Query(group_key=home.catalogue.entry(run).group_key, status="ended")
    end = time.monotonic() + PATIENCE
    while len(entries := home.find(group).entries) < 2:
        assert time.monotonic() < end, "never came true"
        time.sleep(0.1)
        app.run()
    assert {entry.seed for entry in entries} == {0, 1}
    assert len(listed(app.run())) == 2


def test_waiting_and_unattended_runs_are_listed_and_can_be_ended(home, monkeypatch):
    monkeypatch.setenv("SAMEDGE_MAX_WORKERS", "1")
    monkeypatch.setenv("SAMEDGE_MAX_UNATTENDED", "3")
    config, history = TINY.replace(steps=10**7), se.run(TINY)
    history.config = config  # as it is read from a run that somebody has stopped
    run = record(home, config, history=history)
    app = select(visit(), run)
    app.number_input(key="runs:repeats").set_value(4)
    press(app, "runs:repeat")
    assert "No more repeats: 3 runs that nobody has to watch" in texts(app)
    app.session_state["runs:at-work"] = True
    app.run()
    assert "3 in all: 2 wait for a worker, 3 are unattended" in texts(app)
    assert "seed 2" in texts(app)
    assert "waiting, the next to start, step 0 of 10,000,000" in texts(app)
    ids = [one.id for one in server.registry().unfinished()]
    press(app, f"runs:end:{ids[1]}")
    assert [one.id for one in server.registry().unfinished()] == [ids[0], ids[2]]
    press(app, "runs:end-all")
    end = time.monotonic() + PATIENCE
    while server.registry().unfinished():
        assert time.monotonic() < end, "never ended"
        time.sleep(0.05)
    assert "wait for a worker" not in texts(app.run())


def test_in_a_frame_nothing_can_be_deleted_or_labelled(home, monkeypatch):
    monkeypatch.setattr(navigation, "embedded", lambda: True)
    run = record(home)
    app = select(visit(), run)
    assert listed(app) == [run]
    assert drawn(app, overlay.RATIO)
    names = {item.key for item in app.button}
    assert not {key for key in names if key and key.startswith(("runs:del", "runs:rep", "runs:s"))}
    clicked = {"labelled": {"run": run, "name": "pinned", "value": True}}
    monkeypatch.setattr(table.st, "session_state", {table.KEY: clicked})
    table._labelled()
    assert not home.catalogue.entry(run).pinned


def test_the_family_of_a_run_is_drawn(home):
    root = record(home)
    fork = record(home, origin=Origin(root, 5))
    rewound = record(home, origin=Origin(fork, 8, "rewind"))
    alone = record(home)
    app = select(visit(), alone)
    assert not data(app, "runs:family")
    select(app, root)
    traces = drawn(app, "Family tree", "runs:family")
    assert {t["name"] for t in traces if "name" in t} == {root, fork, rewound}
    greys = [t for t in traces if t["mode"] == "lines" and t["line"]["color"] == "@ghost"]
    assert [t["name"] for t in greys] == [fork]


def test_what_is_wrong_in_the_store_is_named(home, tmp_path):
    run = record(home)
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "run.json").write_text("{")
    app = visit()
    assert "1 folder in" in texts(app)
    assert "broken" in texts(app)
    assert f"it is in {tmp_path / 'damaged'} now" in texts(app)
    # rows that are damaged later are complained about beside the charts
    for part in home.folder(run).parts():
        part.file.write_bytes(b"no rows")
    select(app, run)
    assert "can't be drawn" in texts(app)


def test_what_the_quota_took_is_counted_and_listed_on_demand(home):
    kept, removed = record(home), record(home)
    home.catalogue.put(removed, {"removed": time.time(), "row_bytes": 0})
    app = visit()
    assert listed(app) == [kept]
    toggle = app.toggle(key="runs:removed")
    assert toggle.label == "Removed (1)"
    toggle.set_value(True).run()
    assert set(listed(app)) == {kept, removed}
    select(app, removed)
    assert button(app, "runs:open-button").disabled
    assert "removed by the quota" in texts(app)


def test_a_run_is_opened_in_the_live_lab(home):
    run = record(home)
    app = select(visit(), run)
    press(app, "runs:open-button")
    assert not app.exception
    assert app.query_params["run"] == run


def test_without_a_store_the_page_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path / "file"))
    server.registry.clear()
    said = texts(visit())
    assert "could not be opened" in said
    assert "tried again every few seconds" in said
    server.registry().close()
    server.registry.clear()
