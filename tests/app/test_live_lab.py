"""The live lab's page in every state, through Streamlit's own test harness (no browser, no charts).

The registry is real, its workers are real; what the charts draw is tested in tests/browser.
"""

import re
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.lab import controls
from pages.parts.views import numbers
from samedge_core.experiments.presets import DEFAULT, PRESETS
from samedge_core.training.config import FIELDS
from samedge_core.worker.view import Phase
from tests.app.harness import PATIENCE, button, press, texts, visit, wait

pytestmark = pytest.mark.usefixtures("workers")


def choose(app: AppTest, preset: str) -> AppTest:
    return app.selectbox(key="preset").set_value(preset).run()


def test_first_visit_shows_the_default_preset_and_waits(page):
    assert not page.exception
    assert page.selectbox(key="preset").value == DEFAULT
    assert PRESETS[DEFAULT].see in texts(page)
    assert button(page, "primary").label == "Start"
    assert page.session_state["runs"] == []
    assert "SAM-edge" in page.latex[0].value


def cadence(app: AppTest, choice: str) -> AppTest:
    return app.selectbox(key="set::cadence:choice").set_value(choice).run()


def test_every_setting_has_a_control_with_help_and_its_allowed_values(page):
    cadence(page, "every k-th step")
    page.selectbox(key="set::rule").set_value("sam-adam").run()  # it has them all
    widgets = [*page.selectbox, *page.number_input, *page.text_input, *page.select_slider]
    for field in FIELDS.values():
        if field.name == "cadence":  # drawn in words
            continue
        found = [w for w in widgets if (w.label or "").startswith(field.label)]
        assert found, field.label
        assert any(controls.allowed(field) in (w.help or "") for w in found), field.label


def test_each_key_presses_one_button(page):
    keys = [item.proto.shortcut for item in page.button if item.proto.shortcut]
    assert {"p", "s", "g", "t", "a", "x"} <= set(keys)
    assert len({*keys, "b", "r"}) == len(keys) + 2  # Continue from a step, and Reset


def test_start_pause_resume_and_reset(page):
    choose(page, "sam-two-weights")
    press(page, "primary")
    assert button(page, "primary").label == "Pause"
    wait(page, lambda v: v.last_step > 5)
    worker = psutil.Process(server.registry().view(page.session_state["runs"][0]).worker_pid or -1)
    worker.suspend()  # as in a step that takes long
    press(page, "primary")
    assert "Pausing" in texts(page)
    worker.resume()
    wait(page, lambda v: v.phase is Phase.PAUSED and not v.pausing)
    page.run()
    assert button(page, "primary").label == "Resume"
    assert "Paused" in texts(page)
    run = page.session_state["runs"]
    press(page, "reset")
    assert page.session_state["runs"] != run
    wait(page, lambda v: v.phase is Phase.PAUSED and v.last_step == -1)


def test_a_message_that_crossed_with_a_preset_does_not_undo_it(page, monkeypatch):
    monkeypatch.setattr("pages.parts.lab.controls.ON_ITS_WAY", PATIENCE)
    before = page.text_input(key="set::eta").value
    choose(page, "gd-digits-tanh")
    chosen = page.text_input(key="set::eta").value
    assert chosen != before
    page.text_input(key="set::eta").set_value(before).run()
    assert page.text_input(key="set::eta").value == chosen
    page.text_input(key="set::eta").set_value("0.7").run()
    assert page.text_input(key="set::eta").value == "0.7"


def test_a_message_with_the_slider_as_it_was_does_not_undo_what_was_typed(page, monkeypatch):
    monkeypatch.setattr("pages.parts.lab.controls.ON_ITS_WAY", PATIENCE)
    slider = next(item for item in page.select_slider if item.key == "set::eta:slider")
    before = slider.value
    page.text_input(key="set::eta").set_value("0.25").run()
    slider.set_value(before).run()
    assert page.text_input(key="set::eta").value == "0.25"
    slider.set_value(0.5).run()
    assert page.text_input(key="set::eta").value == "0.5"


def test_step_takes_one_step_and_pauses(page):
    choose(page, "sam-two-weights")
    press(page, "step")
    wait(page, lambda v: v.phase is Phase.PAUSED and v.last_step == 0)
    press(page, "step")
    wait(page, lambda v: v.phase is Phase.PAUSED and v.last_step == 1)


def test_a_changed_eta_reaches_the_run_and_a_bad_one_is_named_beside_it(page):
    choose(page, "sam-two-weights")
    press(page, "step")
    wait(page, lambda v: v.last_step == 0)
    eta = page.text_input(key="set::eta")
    eta.set_value("0.25").run()
    press(page, "step")
    wait(page, lambda v: v.marks == ((1, "η 0.3 → 0.25"),))
    eta.set_value("-3").run()
    assert "Step size η must be a number > 0 and <= 1e+06, got '-3'" in texts(page)
    assert not page.exception
    assert server.registry().view(page.session_state["runs"][0]).hyper.eta == 0.25
    assert button(page, "step").disabled


def test_hints_of_the_start_are_not_given_of_a_run_that_was_changed_on_the_way(page):
    choose(page, "gd-two-weights")
    page.text_input(key="set::eta").set_value("0.7").run()
    press(page, "step")
    wait(page, lambda v: v.last_step == 0)
    assert "The start (2.5, 0.6) has sharpness" in texts(page)
    page.text_input(key="set::eta").set_value("0.65").run()
    press(page, "step")
    wait(page, lambda v: len(v.marks) == 1)
    page.run()
    assert "The start (2.5, 0.6) has sharpness" not in texts(page)


def test_a_batch_larger_than_the_data_is_named_beside_it(page):
    page.number_input(key="set::batch_size").set_value(501).run()
    assert "Batch size must be at most the data size, 500, got 501" in texts(page)
    assert button(page, "primary").disabled


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "set:digits-mlp:n",
            5,
            "Data size must be a whole number >= 10 and <= 1797, got 5 (in the "
            "sidebar, under **Model, data and seed**)",
        ),
        (
            "set::seed",
            -1,
            "Seed must be a whole number >= 0 and <= 2147483647, got -1 (in the "
            "sidebar, under **Model, data and seed**)",
        ),
        (
            "set::steps",
            0,
            "Number of steps must be a whole number >= 1 and <= 10000000, got 0 (in the "
            "sidebar, under **Batches, schedule, measuring**)",
        ),
    ],
)
def test_a_message_names_the_label_and_where_it_is(page, key, value, message):
    page.number_input(key=key).set_value(value).run()
    assert message in texts(page)


def described(app: AppTest) -> str | None:
    return app.selectbox(key="preset").value


def test_settings_that_are_no_presets_are_said_to_be_ones_own(page):
    page.number_input(key="set::seed").set_value(7).run()
    assert described(page) is None
    assert f"Your own settings**, from the preset “{PRESETS[DEFAULT].title}”" in texts(page)
    assert PRESETS[DEFAULT].see not in texts(page)
    page.number_input(key="set::steps").set_value(50).run()
    press(page, "preset:back")
    assert described(page) == DEFAULT
    assert page.number_input(key="set::seed").value == 0
    page.number_input(key="set::steps").set_value(50).run()  # what is seen until there is the same
    assert described(page) == DEFAULT
    page.text_input(key="set::eta").set_value("0.5").run()
    assert described(page) is None
    page.text_input(key="set::eta").set_value("1").run()
    assert described(page) == DEFAULT


def test_a_change_of_eta_during_a_run_leaves_its_preset_and_another_run_does_not(page):
    choose(page, "sam-two-weights")
    press(page, "step")
    page.text_input(key="set::eta").set_value("0.25").run()
    assert described(page) == "sam-two-weights"
    page.number_input(key="set::seed").set_value(7).run()
    assert described(page) is None
    page.number_input(key="set::seed").set_value(0).run()
    assert described(page) == "sam-two-weights"
    press(page, "reset")
    assert described(page) is None


def test_a_link_to_a_setting_is_headed_by_no_preset(workers):
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    app.query_params.update({"v": "1", "problem": "quadratic", "eta": "0.25"})
    app.run()
    assert not app.exception
    assert described(app) is None
    assert "**Your own settings.**" in texts(app)


def test_side_by_side_the_radius_can_be_set_whatever_rule_was_chosen(page):
    choose(page, "sam-two-weights")
    page.selectbox(key="set::rule").set_value("polyak").run()
    press(page, "comparison:rule")
    radius = page.text_input(key="set::rho")
    assert not radius.disabled
    assert not any(item.key == "set::beta" for item in page.text_input)
    radius.set_value("0.07").run()
    assert [server.registry().view(i).hyper.rho for i in page.session_state["runs"]] == [0.07] * 2


def test_settings_of_the_network_that_is_not_chosen_are_off(page):
    page.selectbox(key="set::problem").set_value("own-images").run()
    sizes = {"mlp": ("width", "depth"), "cnn": ("channels", "blocks")}
    for network in sizes:
        page.selectbox(key="set:own-images:network").set_value(network).run()
        assert not page.exception
        off = {
            name: page.number_input(key=f"set:own-images:{name}").disabled
            for names in sizes.values()
            for name in names
        }
        assert off == {n: of != network for of, names in sizes.items() for n in names}


def test_a_run_that_cannot_fit_is_refused_beside_the_setting(page, monkeypatch):
    registry = server.registry()
    monkeypatch.setattr(registry, "settings", replace(registry.settings, worker_mb=50))
    page.number_input(key="set:digits-mlp:width").set_value(1000).run()
    assert not page.exception
    assert "Width must make a run that fits into 50 MB of memory" in texts(page)
    assert button(page, "primary").disabled
    page.number_input(key="set:digits-mlp:width").set_value(20).run()
    assert "fits into" not in texts(page)
    assert not button(page, "primary").disabled


def test_a_setting_that_needs_a_restart_says_so(page):
    choose(page, "sam-two-weights")
    press(page, "step")
    page.number_input(key="set::seed").set_value(7).run()
    assert "in force after a Reset: Seed" in texts(page)
    old = page.session_state["runs"]
    press(page, "reset")
    assert page.session_state["runs"] != old
    assert "in force after a Reset" not in texts(page)


@pytest.mark.parametrize(
    ("choice", "stride", "expected"),
    [
        ("every step", None, ("every", 1)),
        ("adaptive", None, ("adaptive", 1)),
        ("every k-th step", None, ("every", 10)),
        ("every k-th step", 25, ("every", 25)),
    ],
)
def test_one_choice_in_words_says_when_is_measured(page, choice, stride, expected):
    choose(page, "sam-two-weights")
    cadence(page, "every k-th step")  # from somewhere else
    page.number_input(key="set::measure_every").set_value(7).run()
    cadence(page, choice)
    shown = [w.label for w in page.number_input if "Measure every" in w.label]
    assert bool(shown) == (choice == "every k-th step")
    if choice == "every k-th step":
        # chosen again it was no change: the 7 stays
        assert page.number_input(key="set::measure_every").value == 7
        page.number_input(key="set::measure_every").set_value(stride or 10).run()
    press(page, "step")
    config = server.registry().view(page.session_state["runs"][0]).config
    assert (config.cadence, config.measure_every) == expected
    # another page and back; and the same run in another browser
    page.switch_page("pages/quadratic.py").run()
    page.switch_page("app.py").run()
    again = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    again.query_params["run"] = page.session_state["runs"][0]
    again.run()
    for app in (page, again):
        assert app.selectbox(key="set::cadence:choice").value == choice
        if choice == "every k-th step":
            assert app.number_input(key="set::measure_every").value == expected[1]
        assert "in force after a Reset" not in texts(app)
    choose(page, "gd-two-weights")
    assert page.selectbox(key="set::cadence:choice").value == "every step"


def test_k_of_every_kth_step_starts_at_10_and_a_bad_one_is_named_beside_it(page):
    choose(page, "sam-two-weights")
    press(page, "step")
    cadence(page, "every k-th step")
    assert page.number_input(key="set::measure_every").value == 10
    assert "in force after a Reset: Measure every" in texts(page)
    page.number_input(key="set::measure_every").set_value(0).run()
    assert "Measure every must be a whole number >= 1 and <= 100000, got 0" in texts(page)
    assert button(page, "step").disabled
    cadence(page, "adaptive")
    assert "Measure every must be" not in texts(page)
    assert "in force after a Reset: Measure." in texts(page)
    cadence(page, "every step")
    assert "in force after a Reset" not in texts(page)
    assert not button(page, "step").disabled


def test_the_line_says_what_measuring_costs_and_nothing_before_it_is_known(page):
    choose(page, "sam-two-weights")
    press(page, "step")
    wait(page, lambda v: v.phase is Phase.PAUSED and v.last_step == 0)
    page.run()
    assert "Hessian-vector products (HVPs), " in texts(page)
    assert "curvature costs" not in texts(page)
    for step in (1, 2):
        press(page, "step")
        wait(page, lambda v, step=step: v.status and v.status.step == step + 1)
    page.run()
    assert re.search(r"curvature costs [\d.]+ × training", texts(page))


@pytest.mark.parametrize("top_k", [1, 2, 10])
def test_numbers_have_a_column_for_each_eigenvalue_and_no_empty_ones(page, top_k):
    choose(page, "sam-quadratic")
    page.number_input(key="set::top_k").set_value(top_k).run()
    press(page, "step")
    wait(page, lambda v: v.phase is Phase.PAUSED and v.last_step == 0)
    (view,) = [server.registry().view(run_id) for run_id in page.session_state["runs"]]
    frame = numbers.table(view)
    assert ("lambda_2" in frame) == ("align_grad_k" in frame) == (top_k > 1)
    assert not frame.isna().all().any()
    assert {"step", "sharpness", "residual", "ratio"} <= set(frame)


def test_compare_starts_gd_and_sam_from_the_same_weights(page):
    choose(page, "sam-two-weights")
    press(page, "comparison:rule")
    views = [server.registry().view(run_id) for run_id in page.session_state["runs"]]
    assert [view.config.rule for view in views] == ["gd", "sam"]
    assert views[0].config.replace(rule="sam") == views[1].config
    wait(page, lambda v: v.last_step > 5)
    losses = [server.registry().history(v.id).columns()["loss"] for v in views]
    assert losses[0][0] == losses[1][0]
    assert page.selectbox(key="set::rule").disabled
    press(page, f"keep:{views[0].id}")
    assert page.session_state["runs"] == [views[0].id]
    assert page.selectbox(key="set::rule").value == "gd"


def test_a_diverged_run_names_the_step_and_a_remedy(page):
    choose(page, "gd-two-weights")
    page.text_input(key="set::eta").set_value("5").run()
    press(page, "primary")
    wait(page, lambda v: v.phase is Phase.ENDED)
    page.run()
    assert "Diverged: the loss" in texts(page)
    assert "lower the step size" in texts(page)
    assert button(page, "primary").label == "Start"


def test_the_link_finds_the_run_again_and_names_a_lost_one(page):
    choose(page, "sam-two-weights")
    press(page, "step")
    wait(page, lambda v: v.last_step == 0)
    run_id = page.session_state["runs"][0]
    again = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    again.query_params["run"] = run_id
    again.run()
    assert again.session_state["runs"] == [run_id]
    assert again.selectbox(key="set::problem").value == "two-weight"
    lost = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    lost.query_params["run"] = "gone"
    lost.run()
    assert "The run gone is not on this server: it was deleted" in texts(lost)


def test_no_torch_in_the_server_process():
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('app.py', default_timeout=60).run()\n"
        "assert not app.exception\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_choosing_a_preset_leaves_the_run_and_waits_for_start(page):
    choose(page, "sam-two-weights")
    press(page, "step")
    (old,) = page.session_state["runs"]
    choose(page, "gd-two-weights")
    assert page.session_state["runs"] == []
    assert button(page, "primary").label == "Start"
    assert page.selectbox(key="set::rule").value == "gd"
    assert old in server.registry()  # its record stays


def test_a_link_shows_what_is_in_force_not_what_the_run_started_with(page):
    choose(page, "sam-two-weights")
    press(page, "step")
    wait(page, lambda v: v.last_step == 0)
    page.text_input(key="set::rho").set_value("0.07").run()
    again = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    again.query_params["run"] = page.session_state["runs"][0]
    again.run()
    assert again.text_input(key="set::rho").value == "0.07"


def test_a_run_that_was_resumed_at_its_cap_opens_with_nothing_changed(page):
    choose(page, "sam-two-weights")
    page.number_input(key="set::steps").set_value(20).run()
    press(page, "primary")
    wait(page, lambda v: v.phase is Phase.ENDED)
    press(page.run(), "primary")
    wait(page, lambda v: v.phase is Phase.ENDED and v.last_step == 39)
    again = visit(run=page.session_state["runs"][0])
    assert again.number_input(key="set::steps").value == 20
    assert "Number of steps" not in texts(again)
