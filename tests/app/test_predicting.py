"""The prediction in the live lab and on the page Runs, through Streamlit's own test harness."""

import io
import json
import time

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.lab import predicting
from pages.parts.runs import predicted, selection, source
from samedge_core.prediction.recorded import predicted_columns
from samedge_core.sharing import export, several
from samedge_core.store import selected
from samedge_core.worker.view import Phase, RunView
from tests.app import harness
from tests.app.harness import PATIENCE, press, texts, wait


def of_two_weights(page: AppTest, steps: int = 80) -> AppTest:
    page.selectbox(key="set::problem").set_value("two-weight").run()
    page.text_input(key="set::eta").set_value("0.1").run()
    return page.number_input(key="set::steps").set_value(steps).run()


def switch(page: AppTest, on: bool = True) -> AppTest:
    return page.toggle(key=predicting.KEY).set_value(on).run()


def shown(page: AppTest) -> RunView:
    return server.registry().view(page.session_state["runs"][0], most=None)


def done(page: AppTest, stretches: int = 1) -> RunView:
    """Once so much is predicted; its ticks are runs here."""
    end = time.monotonic() + PATIENCE
    while True:
        page.run()
        assert not page.exception
        made = shown(page).prediction
        if len(made.stretches) == stretches and not made.pending:
            return shown(page)
        assert time.monotonic() < end, f"never came: {made}"
        time.sleep(0.05)


def charts(page: AppTest) -> list[dict]:
    """The runs, and what is predicted of them, that the live charts were sent."""
    sent = [item.proto for item in page.get("bidi_component") if item.proto.id.endswith("-live")]
    return json.loads(sent[0].json)["runs"]


@pytest.fixture
def ended(page):
    """The page of a run that was predicted, and has taken all its steps."""
    switch(of_two_weights(page))
    wait(page, lambda v: v.phase is Phase.PAUSED)  # while it starts, the button says Pause
    press(page.run(), "primary")
    wait(page, lambda v: v.phase is Phase.ENDED)
    done(page)
    return page.run()


def test_off_at_first_and_drawn_before_the_run_as_soon_as_it_is_on(page):
    assert not page.toggle(key=predicting.KEY).value
    switch(of_two_weights(page))
    view = done(page)
    assert (view.phase, view.last_step) == (Phase.PAUSED, -1)  # no step of it is needed
    page.session_state["sent:live"] = {}  # all of it comes again
    run, made = charts(page.run())
    assert made["predicts"] == run["id"] == view.id
    assert {"sharpness", "sam_edge", "ratio", "grad_norm", "loss"} <= made["columns"].keys()
    assert "to step 79" in texts(page)
    assert page.query_params["predict"] == "true"
    switch(page, on=False)
    assert [item["predicts"] for item in charts(page)] == [""]
    assert "predict" not in page.query_params


def test_the_words_are_those_of_the_record(ended):
    view = shown(ended)
    (made,) = view.prediction.stretches
    error = made.against(server.registry().history(view.id))
    assert len(error) > 50
    assert f"the sharpness is {error.words}." in texts(ended)
    figures = [p.proto for p in ended.get("bidi_component") if "predicted-figures" in p.proto.id]
    (figure,) = json.loads(figures[0].json)["figures"]
    assert figure["name"] == "Error of the prediction"
    assert {trace["name"] for trace in figure["traces"]} == {"loss", "sharpness"}


def test_a_change_on_the_way_begins_another_and_doubts_the_first(page):
    switch(of_two_weights(page, steps=200))
    press(page, "step")
    wait(page, lambda v: v.last_step == 0)
    done(page)
    page.text_input(key="set::eta").set_value("0.08").run()
    view = done(page, stretches=2)
    assert [one.begin for one in view.prediction.stretches] == [0, 1]
    page.session_state["sent:live"] = {}  # all of it comes again
    first, second = [item for item in charts(page.run()) if item["predicts"]]
    assert first["doubtful"][-1] == [1, 200]
    assert [1, 200] not in second["doubtful"]
    assert "Predicted from step 1 on" in texts(page)


def test_a_rule_that_no_flow_describes_is_named(page):
    of_two_weights(page)
    page.selectbox(key="set::rule").set_value("polyak").run()
    switch(page)
    page.run()
    assert "No prediction:" in texts(page)
    assert "polyak" in texts(page)
    assert all(item["predicts"] == "" for item in charts(page))


def test_the_flow_is_chosen_named_and_in_links(page):
    assert predicting.FLOW_KEY not in [item.key for item in page.selectbox]
    switch(of_two_weights(page))
    done(page)
    page.selectbox(key=predicting.FLOW_KEY).set_value("ode").run()
    view = done(page)
    assert [one.flow for one in view.prediction.stretches] == ["ode"]
    assert "Predicted by the rule's own ODE, to step 79." in texts(page.run())
    assert page.query_params["predict"] == "ode"
    switch(page, on=False)
    page.switch_page("pages/runs.py").run()
    page.switch_page("app.py").run()
    switch(page)
    assert page.query_params["predict"] == "ode"  # the choice stays
    page.session_state["share"] = True
    page.run()
    assert f"?run={view.id}&predict=ode" in "\n".join(item.value for item in page.code)
    other = harness.visit(run=view.id, predict="ode")
    assert other.selectbox(key=predicting.FLOW_KEY).value == "ode"
    assert shown(other).prediction.stretches == view.prediction.stretches


def test_without_a_run_that_could_be_started_it_waits(page):
    page.text_input(key="set::eta").set_value("-1").run()
    switch(page)
    assert not page.exception
    assert page.session_state["runs"] == []
    assert "The dashed lines come with the run" in texts(page)


def test_a_link_that_carries_it_draws_it(ended):
    run_id = shown(ended).id
    other = harness.visit(run=run_id, predict="true")
    assert other.toggle(key=predicting.KEY).value
    (made,) = [item for item in charts(other) if item["predicts"]]
    assert made["predicts"] == run_id
    other.session_state["share"] = True
    other.run()
    assert f"?run={run_id}&predict=true" in "\n".join(item.value for item in other.code)


def test_exports_have_it_in_columns_of_its_own(ended):
    view = shown(ended)
    history, made = server.registry().history(view.id), view.prediction.stretches
    columns = predicted_columns(made, history)
    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        table = read(io.BytesIO(export.EXPORTS[suffix](history, {}, made)))
        for name, values in columns.items():
            np.testing.assert_array_equal(table[name], values)
        assert "predicted_loss" not in read(io.BytesIO(export.EXPORTS[suffix](history, {})))
    np.testing.assert_array_equal(columns["predicted_loss"], made[0].columns()["loss"])
    assert b"se.predict(" in export.EXPORTS[".ipynb"](history, {}, made)


def test_the_page_runs_holds_it_against_what_was_measured(ended):
    view = shown(ended)
    app = harness.visit("pages/runs.py")
    app.session_state[selection.IDS] = [view.id]
    end = time.monotonic() + PATIENCE
    while "Predicted against measured" not in texts(app.run()):
        assert time.monotonic() < end, "never came"  # the store writes within half a second
        time.sleep(0.1)
    assert not app.exception
    table = next(item.value for item in app.dataframe if "Median error" in item.value)
    error = view.prediction.stretches[0].against(server.registry().history(view.id))
    assert table["Quantity"].tolist() == ["sharpness", "loss"]
    row = table.iloc[0]
    assert (row["Median error"], row["Largest error"], row["at step"]) == (
        error.median,
        error.most,
        error.at,
    )
    sent = [item.proto for item in app.get("bidi_component") if predicted.KEY in item.proto.id]
    names = {trace["name"] for trace in json.loads(sent[0].json)["figures"][0]["traces"]}
    assert "equal" in names
    assert len(names) == 2
    store = source.opened()
    entries = [entry for entry in store.find().entries if entry.id == view.id]
    table = pd.read_csv(io.BytesIO(several.export(selected.chosen(store, entries), ".csv")))
    np.testing.assert_array_equal(
        table["predicted_loss"], view.prediction.stretches[0].columns()["loss"]
    )
