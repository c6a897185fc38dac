"""The live lab under rules that are held against a threshold, through Streamlit's test harness."""

import numpy as np
import pytest

from pages.parts import server
from samedge_core.analysis.summary import shown
from samedge_core.theory.rules import RULES
from samedge_core.worker.view import Phase
from tests.app.harness import press, texts, visit, wait

pytestmark = pytest.mark.usefixtures("workers")
LINK = {"v": "1", "problem": "chebyshev-mlp", "eta": "0.002", "beta2": "0.99", "steps": "12"}


def keys(page) -> set[str]:
    return {item.key for item in [*page.text_input, *page.number_input, *page.selectbox]}


@pytest.mark.parametrize("rule", list(RULES))
def test_settings_are_shown_where_the_rule_has_them(page, rule):
    page.selectbox(key="set::rule").set_value(rule).run()
    assert not page.exception
    there = {n for n in ("beta", "beta2", "eps", "weight_decay") if f"set::{n}" in keys(page)}
    assert there == {"beta", "beta2", "eps", "weight_decay"} - RULES[rule].unused
    assert ("set::sharpness_every" in keys(page)) == RULES[rule].preconditioned
    # without momentum, the place of rho is kept
    assert ("set::rho" in keys(page)) == (
        "rho" in RULES[rule].uses or "beta" not in RULES[rule].uses
    )


def test_adam_with_the_step_size_of_gd_is_named_and_mended_in_one_click(page):
    assert not any(item.key == "eta:offer" for item in page.button)
    page.selectbox(key="set::rule").set_value("adam").run()
    assert "η = 1 is far too large for Adam" in texts(page)
    press(page, "eta:offer")
    assert page.text_input(key="set::eta").value == "0.002"
    assert "far too large" not in texts(page)
    assert not any(item.key == "eta:offer" for item in page.button)


def test_a_run_of_sam_on_adam_is_told_in_its_own_words():
    page = visit(**LINK, rule="sam-adam", rho="0.1", sharpness_every="4")
    assert r"\lambda_1" in page.latex[0].value
    press(page, "primary")
    wait(page, lambda view: view.phase is Phase.ENDED)
    page.run()
    (run,) = page.session_state["runs"]
    row = server.registry().view(run).latest
    said = texts(page)
    assert "edge value / threshold **" in said
    assert "Adam's threshold 19,000 at step 11" in said
    assert "Step 11, this project's own formula:" in said
    assert "nan" not in said.lower()
    (formula,) = (item.value for item in page.latex)
    assert r"P^{-1/2}H\,(I+" in formula
    # on a phone its lines end between the two, and not within the operator
    operator, threshold = formula.split(r"\allowbreak")
    assert r"{\lambda_1" in operator
    assert r"P^{-1/2}\big)} = " in operator
    assert threshold.startswith(r"\text{against}")
    assert r"\mathbf{1.900 \cdot 10^{4}}" in formula
    columns = server.registry().view(run).columns
    assert (columns["sharpness"] > 0).sum() == 3
    assert columns["ratio"] == pytest.approx(columns["edge_value"] / 19000, rel=1e-12)
    press(page, "inspect")
    wait(page, lambda view: not view.inspection.pending)
    page.run()
    made = server.registry().view(run).inspection.made
    assert made is not None
    assert np.float32(made.eigenvalues[0]) == row["edge_value"]  # stored in single precision
    said = texts(page)
    assert f"edge value = {shown(row['edge_value'], digits=4)} · Adam's threshold = 19,000" in said
    assert "Spectrum of the edge operator at **step 11**" in said
    assert "alignment of P^(−½) g with v₁" in said


def test_following_the_step_and_changing_the_rule_on_the_way():
    page = visit(**(LINK | {"eta": "0.05"}), rule="gd")
    press(page, "step")
    wait(page, lambda view: view.last_step == 0)
    page.selectbox(key="set::rule").set_value("adam").run()
    press(page, "eta:offer")
    page.toggle(key="follow").set_value(True).run()
    press(page, "step")
    wait(page, lambda view: view.last_step == 1 and view.phase is Phase.PAUSED)
    page.run()
    (run,) = page.session_state["runs"]
    view = server.registry().view(run)
    (mark,) = {label for _, label in view.marks if "Adam" in label}
    assert mark == "GD → Adam, η 0.05 → 0.002, moments start at zero"
    ahead = view.inspection.ahead
    assert ahead is not None
    assert ahead.hyper.rule == "adam"
    assert "Adam's threshold = 19,000" in texts(page)
