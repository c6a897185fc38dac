"""The spectrum on the live lab's page in every state, through Streamlit's own test harness."""

import re

from streamlit.testing.v1 import AppTest

from samedge_core.worker.view import Phase
from tests.app.harness import button, press, wait


def buttons(app: AppTest) -> dict[str, str]:
    return {item.key: item.label for item in app.button if item.key}


def start(app: AppTest, preset: str, steps: int) -> None:
    """A paused run of so many steps."""
    app.selectbox(key="preset").set_value(preset).run()
    for step in range(steps):
        press(app, "step")
        wait(app, lambda v, step=step: v.phase is Phase.PAUSED and v.last_step == step)


def measure(app: AppTest) -> None:
    press(app, "spectrum")
    wait(app, lambda v: not v.spectra.pending)
    app.run()
    assert not app.exception


def facts(app: AppTest) -> list[str]:
    return [item.value for item in app.main.caption if "Hessian-vector products" in item.value]


def test_without_a_run_the_button_is_off_and_says_why(page):
    assert button(page, "spectrum").disabled
    assert any("Start a run first" in item.value for item in page.caption)
    start(page, "sam-two-weights", 1)
    page.run()  # the first worker may not have been ready when the page was last drawn
    assert not button(page, "spectrum").disabled
    assert not any("Start a run first" in item.value for item in page.caption)


def test_a_spectrum_states_its_step_and_facts_and_keeps_them(page):
    start(page, "sam-two-weights", 2)
    measure(page)
    (text,) = facts(page)
    assert text.startswith("**Step 2** · P = 2 · exact: ")
    assert "2/η (6.667" in text
    assert re.search(r"trace [-\d.]+ · eigenvalues above SAM-edge \([\d.]+\): [012], 2/η", text)
    assert re.search(r"negative: (0|50|100) % \(below −[\d.]+, 1 % of the largest \|λ\|\)", text)
    page.text_input(key="set::eta").set_value("0.1").run()  # the sliders say nothing about it
    assert facts(page) == [text]
    press(page, "step")
    wait(page, lambda v: v.phase is Phase.PAUSED and v.last_step == 2)
    measure(page)
    new, old = facts(page)
    assert new.startswith("**Step 3** (solid line)")
    assert "2/η (20" in new
    assert old == text.replace("**Step 2**", "**Step 2** (dashed line)")
    assert buttons(page)["spectrum-clear"] == "Clear"
    press(page, "spectrum-clear")
    assert facts(page) == []
    assert "spectrum-clear" not in buttons(page)


def test_an_estimate_tells_probes_steps_and_errors_and_can_be_cancelled(page):
    start(page, "sam-digits-relu", 1)
    press(page, "spectrum")
    wait(page, lambda v: v.spectra.progress)
    page.run()
    assert buttons(page)["spectrum-clear"] == "Cancel"
    assert next(item for item in page.button if item.key == "spectrum").disabled
    press(page, "spectrum-clear")
    wait(page, lambda v: not v.spectra.pending)
    page.run()
    assert facts(page) == []
    measure(page)
    (text,) = facts(page)
    assert re.search(r"P = 17,610 · estimated, \d+ probes × \d+ steps: \d+ Hessian", text)
    assert re.search(r"trace [\d.]+ ± [\d.]+ ", text)
    assert re.search(r"negative: [\d.]+ ± [\d.]+ %", text)


def test_two_runs_have_one_each(page):
    start(page, "compare-digits", 1)
    measure(page)
    gd, sam = facts(page)
    assert gd.startswith("**GD** **Step 1** ")
    assert "SAM-edge" not in gd
    assert sam.startswith("**SAM** **Step 1** ")
    assert "SAM-edge" in sam
    labels = [item.label for item in page.get("download_button")]
    assert [label for label in labels if "Spectrum" in label] == [
        "Spectrum CSV GD",
        "Spectrum CSV SAM",
    ]


def test_a_spectrum_that_can_not_be_had_says_so_beside_the_button(page):
    page.selectbox(key="preset").set_value("gd-two-weights").run()
    page.text_input(key="set::eta").set_value("1e6").run()
    press(page, "primary")
    wait(page, lambda v: v.phase is Phase.ENDED)
    page.run()
    measure(page)
    assert facts(page) == []
    (message,) = [item.value for item in page.error if "No spectrum" in item.value]
    assert "is not finite" in message


def test_the_button_says_which_step_it_measures_which_is_not_the_cursors(page):
    page.selectbox(key="preset").set_value("sam-quadratic").run()
    assert button(page, "spectrum").label == "Spectrum at the newest step"
    press(page, "primary")
    wait(page, lambda v: v.phase is Phase.ENDED)
    page.run()
    assert button(page, "spectrum").label == "Spectrum at step 200"
    measure(page)
    (text,) = facts(page)
    assert text.startswith("**Step 200** ")
