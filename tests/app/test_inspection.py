"""The closer look at a step in every state, through Streamlit's own test harness."""

import re
import time
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.lab import inspection
from pages.parts.views import classified_images, self_stabilization
from samedge_core.theory.noisy_curvature import mean_square_eta
from samedge_core.training.batch_sharpness import MEANINGLESS
from samedge_core.training.config import RunConfig
from samedge_core.worker.view import Phase
from tests.app.harness import PATIENCE, button, press, texts, wait

DIGITS = RunConfig(
    problem="digits-mlp", options={"n": 50, "width": 3}, rule="sam", eta=0.5, steps=30, top_k=2
)
TOY = RunConfig(problem="two-weight", rule="gd", eta=0.3, steps=20)


@pytest.fixture
def page(workers):
    yield lambda *configs, at=None: opened([started(config) for config in configs], at)
    for view in [server.registry().view(run_id) for run_id in RUNS if run_id in server.registry()]:
        server.registry().stop(view.id)
    RUNS.clear()


RUNS: list[str] = []


def started(config: RunConfig) -> str:
    """An ended run."""
    RUNS.append(run_id := server.registry().start(config))
    end = time.monotonic() + PATIENCE
    while server.registry().view(run_id, most=0).phase is not Phase.ENDED:
        assert time.monotonic() < end
        time.sleep(0.02)
    return run_id


def opened(runs: list[str], at: int | None) -> AppTest:
    app = AppTest.from_file(
        Path(__file__).with_name("inspection_page.py"), default_timeout=PATIENCE
    )
    app.session_state["runs"] = runs
    app.session_state["at"] = at
    return app.run()


def inspect(app: AppTest) -> None:
    press(app, "inspect")
    wait(app, lambda v: not v.inspection.pending)
    app.run()
    assert not app.exception


def buttons(app: AppTest) -> dict[str, str]:
    """Those of the row itself; the one in its menu has a test of its own."""
    found = {item.key: item.label for item in app.button if item.key}
    assert found.pop("inspect-test") == found["inspect"].replace("Inspect", "Test the edge at")
    assert found.pop("inspect-portrait") == found["inspect"].replace("Inspect", "Portrait from")
    return found


def html(app: AppTest) -> str:
    return "".join(item.proto.body for item in app.get("html"))


def test_without_a_run_the_button_is_off_and_says_why(page):
    app = page()
    assert not app.exception
    assert button(app, "inspect").disabled
    assert "Start a run first" in texts(app)
    assert page(TOY, at=20).button(key="inspect").disabled
    assert "No run has a step 20." in texts(page(TOY, at=20))


def test_the_newest_step_without_a_cursor(page):
    app = page(TOY)
    assert buttons(app) == {"inspect": "Inspect the newest step"}
    inspect(app)
    assert "**Step 19** · GD with η = 0.3 · loss = " in texts(app)
    assert "images" not in html(app)
    assert "<img" not in html(app)


BATCHES = RunConfig(
    problem="chebyshev-mlp", rule="polyak", eta=0.02, beta=0.5, batch_size=10, steps=20
)


def test_batch_sharpness_at_a_step_against_both_edges(page):
    app = page(BATCHES, at=7)
    app.number_input(key="inspection-batches").set_value(40).run()
    inspect(app)
    (run_id,) = app.session_state["runs"]
    made = server.registry().view(run_id).inspection.made
    assert made is not None
    seen = made.batch_sharpness
    assert seen is not None
    text = texts(app)
    assert "Batch sharpness, the mean over 40 batches of 10: " in text
    assert f"{seen.mean / 100:.2f} of 2/η = 100. Under SGD" in text
    most = mean_square_eta(seen.mean, seen.variance, 0.5)
    assert "to 2(1 − β)/η = 50 where" in text
    assert f"bear η up to {most:.4g} (our own law); η is {0.02 / most:.2f} of that." in text
    assert made.edge_test is None
    app.number_input(key="inspection-batches").set_value(0).run()
    inspect(app)
    assert "Batch sharpness, the mean" not in texts(app)


def test_the_full_batch_says_why_it_has_none(page):
    app = page(TOY)
    assert app.number_input(key="inspection-batches").disabled
    assert MEANINGLESS in texts(app)
    inspect(app)
    assert "Batch sharpness, the mean" not in texts(app)


@pytest.mark.parametrize(("eta", "verdict"), [(0.1, "**No catapult**"), (0.3, "**A catapult**")])
def test_the_edge_test_says_what_was_seen(page, eta, verdict):
    # of the start (3, 0.2), sharpness 9 and above: below 2/0.2 = 10, beyond 2/0.6 = 3.3
    options = {"a": 3.0, "b": 0.2}
    app = page(TOY.replace(eta=eta, options=options), at=4)
    press(app, "inspect-test")
    wait(app, lambda v: not v.inspection.pending)
    app.run()
    text = texts(app)
    assert f"Edge test with twice the step size (η {eta:g} → {2 * eta:g}): the largest loss" in text
    assert verdict in text
    assert "**Step 4**" in text


def test_an_edge_test_that_can_not_be_made_says_why(page):
    app = page(TOY, at=4)
    app.selectbox(key="inspection-test").set_value("batch").run()
    press(app, "inspect-test")
    wait(app, lambda v: not v.inspection.pending)
    app.run()
    assert "half a batch takes 2 examples at least, got 0" in texts(app)


def test_a_portrait_says_what_was_seen_and_predicted(page):
    app = page(RunConfig(problem="chebyshev-mlp", rule="gd", eta=0.2, steps=1600), at=1500)
    app.number_input(key="inspection-portrait").set_value(400).run()
    press(app, "inspect-portrait")
    wait(app, lambda v: not v.inspection.pending)
    app.run()
    (run_id,) = app.session_state["runs"]
    made = server.registry().view(run_id).inspection.made
    assert made is not None
    seen = made.portrait
    assert seen is not None
    assert (seen.step, len(seen.x)) == (1500, 400)
    text = texts(app)
    assert "**Self-stabilisation** over 400 steps" in text
    for said in self_stabilization.in_sentences(seen):
        assert said in text
    inspect(app)  # without it, it is gone
    assert "Self-stabilisation" not in texts(app)


def test_other_rules_have_no_portrait_and_the_page_says_why(page):
    app = page(TOY.replace(rule="sam"))
    assert app.button(key="inspect-portrait").disabled
    assert "is a law of GD on all the data" in texts(app)
    assert "this run's rule is sam." in texts(app)


def test_a_function_of_one_number_is_told_with_what_the_step_changes(page):
    app = page(RunConfig(problem="chebyshev-mlp", rule="gd", eta=0.2, steps=20))
    inspect(app)
    (run_id,) = app.session_state["runs"]
    made = server.registry().view(run_id).inspection.made
    assert made is not None
    assert made.fit is not None
    assert classified_images.about_fit(made.fit) in texts(app)
    assert re.search(r"Without it, [\d.]+ % of the change is left", texts(app))


def test_a_step_of_the_run_with_its_own_numbers(page):
    app = page(DIGITS, at=17)
    assert buttons(app) == {"inspect": "Inspect step 17"}
    inspect(app)
    (run_id,) = app.session_state["runs"]
    row = {n: c[17] for n, c in server.registry().history(run_id).columns().items()}
    text = texts(app)
    assert f"**Step 17** · SAM with η = 0.5, ρ = 0.05 · loss = {row['loss']:.5g} · " in text
    assert f"‖g‖ = {row['grad_norm']:.4g} · sharpness = {row['sharpness']:.4g}" in text
    assert f"SAM-edge = {row['edge']:.4g}" in text
    made = server.registry().view(run_id).inspection.made
    assert made is not None
    words = " · ".join(inspection.multiplier_words(made))
    assert words in text
    factor = r"λ₁ = [\d.]+: the distance along v₁ is multiplied by −?[\d.]+"
    assert re.match(rf"{factor}: (un)?stable, (grows|shrinks)", words)
    assert "w + ρu: where the update takes its gradient" in text
    assert re.search(
        r"Spectrum at \*\*step 17\*\* · P = \d+ · exact: \d+ Hessian-vector products", text
    )
    assert re.search(r"Of the first 50 training examples, the network at w has \d+ wrong", text)
    assert "no probability" in text  # squared error
    grid = html(app)
    assert grid.count("<img") == 12
    assert re.search(r'alt="Example \d+, of class \d: the network says \d"', grid)
    assert "✗" in grid
    app.session_state["at"] = 3  # the cursor moves on: what is shown stays, and says its step
    app.run()
    assert "**Step 17** · " in texts(app)
    assert buttons(app) == {"inspect": "Inspect step 3", "inspect-clear": "Clear"}
    press(app, "inspect-clear")
    assert "**Step 17**" not in texts(app)


def test_the_spectrum_can_be_left_out_and_probabilities_are_named(page):
    options = {"n": 50, "width": 3, "loss": "cross-entropy"}
    app = page(DIGITS.replace(options=options))
    app.toggle(key="inspection-spectrum").set_value(False).run()
    inspect(app)
    assert "Spectrum at" not in texts(app)
    assert spectrum_buttons(app) == []
    assert "softmax" in texts(app)
    assert re.search(r"p\(\d\) 0?\.?\d+", html(app))


def facts(app: AppTest) -> list[str]:
    return [item.value for item in app.main.caption if "Hessian-vector products" in item.value]


def spectrum_buttons(app: AppTest) -> list[str]:
    labels = [item.label for item in app.get("download_button")]  # pyright: ignore[reportAttributeAccessIssue]
    return [label for label in labels if "Spectrum" in label]


def test_the_last_spectra_are_told_with_their_steps_and_facts(page):
    app = page(DIGITS.replace(problem="two-weight", options={}, eta=0.3, top_k=1), at=2)
    inspect(app)
    (text,) = facts(app)
    assert text.startswith("Spectrum at **step 2** · P = 2 · exact: ")
    assert "2/η (6.667" in text
    assert re.search(r"trace [-\d.]+ · eigenvalues above SAM-edge \([\d.]+\): [012], 2/η", text)
    assert re.search(r"negative: (0|50|100) % \(below −[\d.]+, 1 % of the largest \|λ\|\)", text)
    app.session_state["at"] = 3
    inspect(app.run())
    new, old = facts(app)
    assert new.startswith("Spectrum at **step 3** (solid line)")
    assert old == text.replace("**step 2**", "**step 2** (dashed line)")
    assert spectrum_buttons(app) == ["Spectrum CSV"]
    app.toggle(key="inspection-spectrum").set_value(False).run()
    app.session_state["at"] = 4
    inspect(app.run())
    assert facts(app) == []  # of another step, they would be taken for this one's
    press(app, "inspect-clear")
    app.toggle(key="inspection-spectrum").set_value(True).run()
    inspect(app)
    (text,) = facts(app)
    assert text.startswith("Spectrum at **step 4** · P = 2")


def test_an_estimated_spectrum_tells_probes_steps_and_errors(page):
    app = page(RunConfig(problem="digits-mlp", rule="sam", eta=0.5, steps=3))
    inspect(app)
    (text,) = facts(app)
    assert re.search(r"P = 17,610 · estimated, \d+ probes × \d+ steps: \d+ Hessian", text)
    assert re.search(r"trace [\d.]+ ± [\d.]+ ", text)
    assert re.search(r"negative: [\d.]+ ± [\d.]+ %", text)


def test_two_runs_have_a_spectrum_each(page):
    app = page(TOY, TOY.replace(rule="sam"))
    inspect(app)
    gd, sam = facts(app)
    assert "SAM-edge" not in gd
    assert "SAM-edge" in sam
    assert spectrum_buttons(app) == ["Spectrum CSV GD", "Spectrum CSV SAM"]


def test_runs_stand_one_after_the_other_and_one_may_lack_the_step(page):
    app = page(TOY, TOY.replace(rule="sam"), TOY.replace(rule="usam", steps=5), at=10)
    inspect(app)
    text = texts(app)
    assert text.index("**GD: step 10**") < text.index("**SAM: step 10**")
    assert "**USAM: step" not in text


def test_progress_and_cancel(page):
    app = page(TOY, at=19)
    press(app, "inspect")
    (bar,) = app.get("progress")
    assert bar.proto.text.startswith("step 19: ")  # pyright: ignore[reportAttributeAccessIssue]
    assert button(app, "inspect").disabled
    assert buttons(app)["inspect-cancel"] == "Cancel"
    press(app, "inspect-cancel")
    (run_id,) = app.session_state["runs"]
    view = server.registry().view(run_id).inspection
    assert (view.pending, view.failure) == (False, "")
    assert not button(app, "inspect").disabled


def test_what_fails_is_said_below_the_button(page):
    wild = RunConfig(
        problem="quadratic", options={"eigenvalues": (1e6,)}, rule="usam", eta=1e6, rho=1e3
    )
    app = page(wild, at=1)
    inspect(app)
    (message,) = [item.value for item in app.error]
    assert message == "Nothing to show: the loss has left the finite range at step 1."


@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 3)])
def test_pictures_become_png_files_that_read_back(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    head, _, data = classified_images._data_url(picture).partition(",")
    assert head == "data:image/png;base64"
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(b64decode(data)))), picture)
