"""Several runs from the same weights on the live lab's page, through Streamlit's test harness."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from samedge_core.training.config import RunConfig
from samedge_core.worker.view import Phase, RunView
from tests.app.harness import PATIENCE, button, press, texts, wait

pytestmark = pytest.mark.usefixtures("workers")


def runs(app: AppTest) -> list[RunView]:
    return [server.registry().view(run_id) for run_id in app.session_state["runs"]]


def etas(app: AppTest) -> list[float]:
    return [view.hyper.eta for view in runs(app)]


def keeps(app: AppTest) -> int:
    """How many of the runs can be kept alone."""
    return sum(str(item.key).startswith("keep:") for item in app.button)


def compared(app: AppTest, name: str) -> AppTest:
    """Two weights, η = 0.1 and ρ = 0.05, side by side and paused after some steps."""
    app.selectbox(key="preset").set_value("sam-two-weights").run()
    app.text_input(key="set::eta").set_value("0.1").run()
    press(app, f"comparison:{name}")
    wait(app, lambda v: v.last_step > 5)
    press(app, "primary")
    wait(app, lambda v: v.phase is Phase.PAUSED and not v.pausing)
    return app.run()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("eta", [(0.05, 0.05), (0.1, 0.05), (0.2, 0.05)]),
        ("rho", [(0.1, 0.025), (0.1, 0.05), (0.1, 0.1)]),
    ],
)
def test_three_runs_start_from_the_same_weights(page, name, expected):
    compared(page, name)
    assert [(v.config.eta, v.config.rho) for v in runs(page)] == expected
    columns = [server.registry().history(v.id).columns() for v in runs(page)]
    assert len({one["loss"][0] for one in columns}) == 1
    assert [one["eta"][0] for one in columns] == [eta for eta, _ in expected]
    # the controls say what is in force in the one in the middle, and so does the formula
    assert page.text_input(key="set::eta").value == "0.1"
    assert page.text_input(key="set::rho").value == "0.05"
    assert r"8 \cdot 0.05}{0.1" in page.latex[0].value
    kept = runs(page)[2]
    press(page, f"keep:{kept.id}")
    assert page.session_state["runs"] == [kept.id]
    assert runs(page)[0].last_step == kept.last_step  # it is not begun again
    assert page.text_input(key="set::eta").value == str(kept.config.eta)
    assert page.text_input(key="set::rho").value == str(kept.config.rho)
    assert button(page, f"comparison:{name}").label.startswith("Three")
    press(page, "primary")
    wait(page, lambda v: v.last_step > kept.last_step)


def test_where_gd_never_reaches_its_edge_another_preset_is_compared_which_is_said(page):
    press(page, "comparison:rule")
    assert [v.config.rule for v in runs(page)] == ["gd", "sam"]
    assert [v.config.eta for v in runs(page)] == [2.0, 2.0]
    assert page.selectbox(key="preset").value == "compare-digits"
    assert page.text_input(key="set::eta").value == "2"
    assert "GD never reaches its edge with the settings of the preset" in texts(page)


def test_own_settings_are_compared_as_they_are_and_what_is_out_of_reach_is_said(page):
    page.text_input(key="set::eta").set_value("1.1").run()
    press(page, "comparison:rule")
    assert [v.config.eta for v in runs(page)] == [1.1, 1.1]
    assert "GD: 2/η = 1.82 is out of reach" in texts(page)


def test_a_comparison_that_was_not_started_is_left_by_one_click(page):
    page.selectbox(key="preset").set_value("gd-step-sizes").run()
    assert button(page, "comparison:eta").label == "One run only"
    press(page, "comparison:eta")
    assert page.session_state["runs"] == []
    assert button(page, "comparison:eta").label == "Three η"


def test_a_change_keeps_the_ratios_and_so_do_going_back_and_a_reload(page):
    compared(page, "eta")
    page.text_input(key="set::eta").set_value("0.2").run()
    assert etas(page) == [0.1, 0.2, 0.4]
    page.selectbox(key="set::rule").set_value("gd").run()
    assert [view.hyper.rule for view in runs(page)] == ["gd"] * 3
    again = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    again.query_params["run"] = ",".join(page.session_state["runs"])
    again.run()
    assert keeps(again) == 3
    assert again.text_input(key="set::eta").value == "0.2"
    again.text_input(key="set::eta").set_value("0.3").run()
    assert etas(again) == [0.15, 0.3, 0.6]


def test_a_multiple_that_is_not_allowed_is_named_and_changes_nothing(page):
    compared(page, "eta")
    page.text_input(key="set::eta").set_value("1e6").run()
    assert not page.exception
    assert "eta must be a number > 0 and <= 1e+06, got 2e+06" in texts(page).replace(
        "2000000.0", "2e+06"
    )
    assert etas(page) == [0.05, 0.1, 0.2]
    assert button(page, "reset").disabled
    page.text_input(key="set::eta").set_value("0.2").run()
    assert "got" not in texts(page)
    assert not button(page, "reset").disabled


def test_after_a_divergence_all_go_back_and_halve(page):
    page.selectbox(key="preset").set_value("gd-two-weights").run()
    page.text_input(key="set::eta").set_value("1.2").run()
    press(page, "comparison:eta")
    wait(page, lambda v: v.phase is Phase.ENDED)
    page.run()
    (diverged,) = [view for view in runs(page) if view.stable is not None][-1:]
    assert diverged.hyper.eta == 2.4
    press(page, f"rescue:{diverged.id}")
    assert etas(page) == [0.3, 0.6, 1.2]
    assert page.text_input(key="set::eta").value == "0.6"
    assert keeps(page) == 3


def test_a_preset_that_is_over_is_not_chosen_by_a_message_on_its_way(page, monkeypatch):
    monkeypatch.setattr("pages.parts.lab.controls.ON_ITS_WAY", PATIENCE)
    page.selectbox(key="preset").set_value("gd-step-sizes").run()
    press(page, "comparison:rule")
    shown = page.session_state["runs"]
    assert page.selectbox(key="preset").value != "gd-step-sizes"
    page.selectbox(key="preset").set_value("gd-step-sizes").run()
    assert page.selectbox(key="preset").value != "gd-step-sizes"
    assert page.session_state["runs"] == shown
    assert len(shown) == 2


def test_a_rule_without_a_radius_has_no_three_radii(page):
    page.selectbox(key="preset").set_value("gd-two-weights").run()
    assert button(page, "comparison:rho").disabled
    assert not button(page, "comparison:eta").disabled
    page.selectbox(key="set::rule").set_value("usam").run()
    assert not button(page, "comparison:rho").disabled
    page.text_input(key="set::rho").set_value("0").run()
    assert button(page, "comparison:rho").disabled


def test_a_preset_may_be_a_comparison_and_says_what_one_sees_until_it_is_none(page):
    page.selectbox(key="preset").set_value("gd-step-sizes").run()
    press(page, "reset")
    assert [view.config.eta for view in runs(page)] == [0.1, 0.2, 0.4]
    assert page.selectbox(key="preset").value == "gd-step-sizes"
    press(page, f"keep:{page.session_state['runs'][1]}")
    assert page.selectbox(key="preset").value != "gd-step-sizes"
    assert runs(page)[0].config == RunConfig(
        problem="chebyshev-mlp", rule="gd", eta=0.2, seed=15, steps=2500
    )
