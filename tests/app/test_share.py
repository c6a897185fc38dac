"""Links, replay files and the way back, through Streamlit's own test harness."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import samedge_core as se
from pages.parts import server
from samedge_core.sharing import links
from samedge_core.store.archive import bring_in
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention
from samedge_core.worker.view import Phase
from tests.app.harness import PATIENCE, button, press, texts, wait
from tests.worker.harness import sooner_or_later, until

pytestmark = pytest.mark.usefixtures("workers")

CONFIG = RunConfig(eta=0.5, steps=30, options={"n": 40, "width": 8})
CHANGES = (
    Intervention(10, {"eta": 0.25}, {"eta": 0.5}),
    Intervention(20, {"rule": "gd"}, {"rule": "sam"}),
)


def opened(**query: str) -> AppTest:
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    app.query_params.update(query)
    return app.run()


def bits(history: se.History) -> bytes:
    return history.rows_after(-1).tobytes()


def shown(app: AppTest) -> se.History:
    (run_id,) = app.session_state["runs"]
    return server.registry().history(run_id)


def test_a_link_repeats_the_run_it_was_made_of():
    app = opened(**links.to_query(CONFIG, CHANGES))
    assert not app.exception
    assert "step 10: η 0.5 → 0.25; step 20: SAM → GD" in texts(app)
    press(app, "primary")
    wait(app, lambda view: view.phase is Phase.ENDED)
    assert bits(shown(app)) == bits(se.run(CONFIG, interventions=CHANGES))


def test_and_again_after_the_controls_have_followed_the_run():
    app = opened(**links.to_query(CONFIG, CHANGES))
    press(app, "primary")
    wait(app, lambda view: view.phase is Phase.ENDED)
    app.run()
    assert app.session_state["set::rule"] == "gd"
    press(app, "reset")
    press(app, "primary")
    wait(app, lambda view: view.phase is Phase.ENDED)
    assert bits(shown(app)) == bits(se.run(CONFIG, interventions=CHANGES))


def test_a_plan_can_be_dropped():
    app = opened(**links.to_query(CONFIG, CHANGES))
    press(app, "unplanned")
    press(app, "primary")
    wait(app, lambda view: view.phase is Phase.ENDED)
    assert bits(shown(app)) == bits(se.run(CONFIG))


def test_what_a_link_says_wrong_is_told_and_the_nearest_setting_taken():
    app = opened(v="1", eta="-4", width="50", colour="<b>red</b>", rho="0.2")
    assert not app.exception
    told = texts(app)
    assert "eta must be a number > 0 and <= 1e+06, got '-4'" in told
    assert "colour" in told
    assert app.session_state["set::rho"] == "0.2"
    assert app.session_state["set:digits-mlp:width"] == 50


def test_a_stored_run_is_shown_again_in_another_session():
    app = opened(**links.to_query(CONFIG))
    press(app, "primary")
    wait(app, lambda view: view.phase is Phase.ENDED)
    (run_id,) = app.session_state["runs"]
    # as after a restart: the registry has forgotten it, the store has not
    with server.registry()._lock:
        server.registry()._forget(server.registry()._runs[run_id])
    again = opened(run=run_id)
    assert not again.exception
    assert bits(shown(again)) == bits(se.run(CONFIG))
    assert again.session_state["set::eta"] == "0.5"


def test_a_run_that_is_deleted_meanwhile_leaves_the_page_and_says_so():
    app = opened(**links.to_query(CONFIG))
    press(app, "primary")
    wait(app, lambda view: view.phase is Phase.ENDED)
    app.run()
    (run_id,) = app.session_state["runs"]
    sooner_or_later(lambda: server.registry().delete([run_id]))
    assert button(app, "primary").label == "Resume"
    press(app, "primary")  # nothing is started in its place
    told = f"The run {run_id} is not on this server: it was deleted"
    assert not app.exception
    assert told in texts(app)
    assert (app.session_state["runs"], "run" in app.query_params) == ([], False)
    assert told in texts(opened(run=run_id))


def test_a_run_on_a_file_of_ones_own_says_what_can_not_be_shared(own_files):
    options = {**own_files["own-images"], "n": 40, "n_test": 10, "width": 6}
    run_id = server.registry().start(RunConfig(problem="own-images", options=options, steps=3))
    until(server.registry(), run_id, lambda view: view.phase is Phase.ENDED)
    app = opened(run=run_id)
    app.session_state["share"] = True  # the expander is open
    app.run()
    assert not app.exception
    off = {item.proto.label for item in app.get("download_button") if item.proto.disabled}
    assert off == {"JSON"}
    assert "No JSON: This run trains on a file of your own" in texts(app)
    assert "whoever opens it chooses a file" in texts(app)
    assert "own.npz: 40 examples" in texts(app)  # the file that the run names, in another session


def test_a_damaged_stored_run_is_named_and_the_page_stands(home):
    damaged = home / "runs" / "0123456789abcdef"
    damaged.mkdir(parents=True)
    (damaged / "run.json").write_text("{")
    app = opened(run=damaged.name)
    assert not app.exception
    assert "run.json is damaged or not part of a saved run" in texts(app)


def diverged() -> tuple[AppTest, str]:
    """A page whose run has diverged, and the run's id."""
    app = opened(**links.to_query(CONFIG.replace(eta=40, rule="gd", steps=200)))
    press(app, "primary")
    wait(app, lambda view: view.phase is Phase.ENDED)
    app.run()
    (run_id,) = app.session_state["runs"]
    return app, run_id


def test_after_a_divergence_one_click_goes_back_with_half_the_step_size():
    app, run_id = diverged()
    view = server.registry().view(run_id)
    losses = server.registry().history(run_id).columns()["loss"]
    assert view.stable is not None
    assert losses[view.stable] <= losses[0] < losses[view.stable + 1 :].min()
    press(app, f"rescue:{run_id}")
    (child,) = app.session_state["runs"]
    origin = server.registry().view(child).origin
    assert origin is not None
    assert (origin.parent, origin.step, origin.branch) == (run_id, view.stable, "rewind")
    assert server.registry().view(child).hyper.eta == 20
    assert app.session_state["set::eta"] == "20"


def test_a_run_that_is_deleted_before_the_way_back_is_taken_is_not_missed():
    app, run_id = diverged()
    sooner_or_later(lambda: server.registry().delete([run_id]))
    press(app, f"rescue:{run_id}")
    assert not app.exception
    assert f"The run {run_id} is not on this server: it was deleted" in texts(app)
    assert app.session_state["runs"] == []


def test_a_run_from_elsewhere_goes_on_once_its_file_is_chosen(tmp_path):
    draw = np.random.default_rng(1)
    file = tmp_path / "images.npz"
    np.savez(file, x=draw.integers(0, 256, (40, 4, 4), "u1"), y=np.arange(40) % 3)
    options = {"path": str(file), "n": 30, "n_test": 10, "width": 5}
    config = RunConfig(problem="own-images", options=options, rule="gd", eta=0.1, steps=5)
    with se.open_runs(tmp_path / "theirs") as runs:
        runs.run(config).export(tmp_path / "run.zip")
    store = server.registry().store
    assert store
    with (tmp_path / "run.zip").open("rb") as zipped:
        run = bring_in(store, zipped, visitor=True)
    app = opened(run=run)
    assert not app.exception
    assert len(shown(app)) == 5
    assert button(app, "primary").label == "Resume"
    press(app, "primary")
    assert "it was trained on a file that is not here: choose that file" in texts(app)
    app.session_state["set:own-images:path"] = str(file)  # as an upload does
    app.run()
    assert button(app, "primary").label == "Resume"
    press(app, "primary")
    wait(app, lambda view: view.phase is Phase.ENDED and view.last_step == 9)
    assert bits(shown(app)) == bits(se.run(config.replace(steps=10)))
