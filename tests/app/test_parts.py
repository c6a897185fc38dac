"""Any part of a page may fail: a message stands in its place, the others and the buttons stay."""

from importlib import import_module

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.frame.parts import HOW_TO_GO_ON
from pages.parts.runs import selection
from samedge_core.store import open_store
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.app.harness import PATIENCE, button, press, texts, wait
from tests.recorded import TINY, record

LAB = {
    "lab.controls.draw": "The controls",
    "lab.controls.current": "The settings as entered",
    "lab.presets.draw": "The presets",
    "lab.branches.draw_ways_back": "The ways back",
    "lab.branches.draw": "The way on from a step",
    "lab.inspection.draw": "The closer look at a step",
    "lab.inspection._follow": "This part of the page",
    "lab.share.draw": "Share and export",
    "views.status.show": "The status of the runs",
    "views.status._show": "The status of this run",
    "views.formula.show": "The formula",
    "views.feed.update": "The curves of this run",
    "views.feed.abandoned": "What the runs have left by rewinding",
    "components.live.live_charts": "The charts",
}
RUNS = {
    "runs.table.draw": "The table",
    "runs.filters.draw": "The search",
    "runs.selection.entries": "The selection",
    "runs.storage.show_damage": "What is damaged",
    "runs.storage.show_use": "The use of the storage",
    "runs.actions.draw": "What can be done with the selected runs",
    "runs.editing.draw": "What can be done with the selected run",
    "runs.overlay.draw": "The charts",
    "runs.differences.draw": "What differs",
    "runs.family.relatives": "The family",
    "runs.records.compared": "The comparison",
}
OTHERS = {
    "pages/lessons.py": {
        "lessons.reading.draw_choice": "The choice of a lesson",
        "lessons.reading.draw": "The lesson",
        "lessons.pictures.draw": "The picture",
        "views.formula.show": "The formula",
        "views.feed.poll": "What is watched",
        "components.live.live_charts": "The charts",
    },
    "pages/paper.py": {
        "paper.cards._buttons": "The card of",
        "paper.runs.start_waiting": "The start of what waited",
        "components.live.live_charts": "The figures",
    },
    "pages/sweeps.py": {
        "sweeps.form.draw": "The new sweep",
        "sweeps.actions.undo": "What was done last",
        "sweeps.source.load": "Sweeps of runs",
    },
    "pages/quadratic.py": {
        "quadratic.state.settled": "The picture",
        "components.sliders.sliders": "The sliders",
        "quadratic.remarks.remarks": "The remarks",
        "quadratic.one_dimension.figures": "The figures",
        "components.figures.figures": "The figures",
    },
}
WORDS = "*broken* <b>"


@pytest.fixture
def broken(monkeypatch, failures):
    """`broken(app, what)`: the messages on the page that is drawn while that function fails."""

    def draw(app: AppTest, what: str) -> list[str]:
        module, _, name = what.rpartition(".")

        def fail(*_, **__):
            raise RuntimeError(WORDS)

        with monkeypatch.context() as patch:
            patch.setattr(import_module(f"pages.parts.{module}"), name, fail)
            app.run()
        assert not app.exception
        assert failures, what
        failures.clear()
        return [line for line in texts(app).split("\n") if HOW_TO_GO_ON in line]

    return draw


@pytest.mark.usefixtures("workers")
def test_each_part_of_the_live_lab_fails_alone(page, broken):
    page.selectbox(key="preset").set_value("sam-two-weights").run()
    page.select_slider(key="pace").set_value(10).run()  # it must not come to its end meanwhile
    press(page, "primary")
    wait(page, lambda view: view.last_step > 1)
    keys = {item.key for item in page.run().button}
    for what, name in LAB.items():
        messages = broken(page, what)
        assert messages[0].startswith(f"{name} can't be shown (RuntimeError: {WORDS})"), what
        assert button(page, "primary").label == "Pause", what
        assert not button(page, "primary").disabled, what
        assert {"primary", "step", "reset"} <= {item.key for item in page.button}, what
    assert not page.run().error
    assert {item.key for item in page.button} == keys
    press(page, "primary")
    wait(page, lambda view: view.phase is Phase.PAUSED)


@pytest.mark.usefixtures("workers")
def test_a_run_that_fails_leaves_the_others(page, monkeypatch, failures):
    page.selectbox(key="preset").set_value("sam-two-weights").run()
    press(page, "comparison:rule")
    good, bad = page.session_state["runs"]
    ask = server.registry().view

    def view(run_id, **given):
        if run_id == bad:
            raise RuntimeError(WORDS)
        return ask(run_id, **given)

    with monkeypatch.context() as patch:
        patch.setattr(server.registry(), "view", view)
        page.run()
        assert not page.exception
        page.run()
        assert f"The run {bad} can't be shown (RuntimeError: {WORDS})" in texts(page)
        assert page.session_state["runs"] == [good]
        assert button(page, "primary").label == "Pause"
    assert failures
    failures.clear()
    server.registry().stop(bad)


@pytest.mark.usefixtures("workers")
def test_a_click_that_fails_leaves_the_page(page, monkeypatch, failures):
    def fail(*_, **__):
        raise RuntimeError(WORDS)

    with monkeypatch.context() as patch:
        patch.setattr(server.registry(), "start", fail)
        press(page, "primary")
    assert not page.exception
    assert f"was not done to its end (RuntimeError: {WORDS})" in texts(page)
    assert button(page, "primary").label == "Start"
    page.run()
    assert not page.error
    assert failures == ["an action failed: What you clicked or entered last"]
    failures.clear()


def test_each_part_of_the_list_of_runs_fails_alone(tmp_path, monkeypatch, broken):
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path))
    server.registry.clear()
    store = open_store()
    run = record(store, TINY)
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE).switch_page("pages/runs.py")
    app.session_state[selection.IDS] = [run]
    app.run()
    assert not app.error
    for what, name in RUNS.items():
        messages = broken(app, what)
        assert messages[0].startswith(f"{name} can't be shown (RuntimeError: {WORDS})"), what
    assert not app.run().error
    store.close()
    server.registry().close()
    server.registry.clear()


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("file", OTHERS)
def test_each_part_of_the_other_pages_fails_alone(file, broken):
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE).switch_page(file).run()
    if file == "pages/lessons.py":  # the formula comes with a run
        press(app, "lessons:primary")
    assert not app.error
    for what, name in OTHERS[file].items():
        messages = broken(app, what)
        assert messages[0].startswith(name), what
        assert f"can't be shown (RuntimeError: {WORDS})" in messages[0], what
    assert not app.run().error


def test_a_server_with_a_wrong_setting_works_and_says_so(tmp_path, monkeypatch, failures):
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path))
    monkeypatch.setenv("SAMEDGE_END_AFTER", "")
    server.registry.clear()
    server.wrong_setting.clear()
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE).run()
    assert not app.exception
    assert "SAMEDGE_END_AFTER must be a number > 0, got ''" in texts(app)
    assert server.registry().settings == Settings()
    server.registry().close()
    server.registry.clear()
    server.wrong_setting.clear()
    assert len(failures) == 1
    failures.clear()
