"""A cell on its own, against the run of the same configuration."""

import numpy as np
import pytest

import samedge_core as se
from samedge_core.sweeps.cell import run_cell
from samedge_core.sweeps.fate import sample_steps
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History

CHEBYSHEV = RunConfig(problem="chebyshev-mlp", rule="sam", eta=0.2, rho=0.02, steps=300)


def measured(config: RunConfig) -> History:
    return se.run(config.replace(measure_every=1))


def test_the_row_is_that_of_the_run():
    row, history = run_cell(CHEBYSHEV, 20), measured(CHEBYSHEV)
    last = history.latest()
    # training is the same to the bit, whenever the sharpness is measured
    assert (row.loss, row.grad_norm, row.edge) == (last["loss"], last["grad_norm"], last["edge"])
    assert row.sharpness == pytest.approx(last["sharpness"], rel=2e-3)  # two of 1e-3
    columns = history.columns(sample_steps(300, 20))
    late = columns["ratio"][10:]
    assert row.fate == "at its edge"
    assert row.ratio == pytest.approx(np.median(late), rel=0.02)
    assert (row.cell, row.steps, row.unconverged) == (-1, 300, 0)


def test_flips_are_those_of_the_gradients():
    """On one direction every step of SAM's orbit crosses the valley; GD's below 1/lambda never."""
    one = {"problem": "quadratic", "options": {"eigenvalues": (4.0,)}, "steps": 60}
    sam = run_cell(RunConfig(rule="sam", eta=0.3, rho=0.1, **one), 10)
    gd = run_cell(RunConfig(rule="gd", eta=0.02, **one), 10)
    assert (sam.hopping, sam.fate) == (1, "at its edge")
    assert (gd.hopping, gd.fate) == (0, "below its edge")


def test_a_cell_that_converges_is_measured_where_it_rests():
    config = RunConfig(problem="two-weight", rule="gd", eta=0.2, steps=5000, dtype="float64")
    row = run_cell(config, 4)  # the first sample, and none near the end
    assert row.fate == "converged"
    assert row.steps < 1000
    a, b = config.options["a"], config.options["b"]
    assert row.sharpness < a**2 + b**2
    assert row.sharpness == pytest.approx(measured(config).latest()["sharpness"], rel=1e-3)


def test_mini_batches_accuracy_and_held_out_data():
    options = {"n": 100, "n_test": 50, "width": 8}
    config = RunConfig("digits-mlp", options, "gd", 0.1, batch_size=20, steps=40)
    row, last = run_cell(config, 5), measured(config).latest()
    assert row.accuracy == pytest.approx(last["accuracy"])
    assert row.held_out_loss == pytest.approx(last["held_out_loss"])
    assert row.loss == last["loss"]


def test_a_cell_that_diverges():
    row = run_cell(CHEBYSHEV.replace(rule="gd", eta=50), 20)
    assert row.fate == "diverged"
    assert row.what.startswith("diverged: the loss")
    assert row.steps < 300
    assert np.isfinite(row.loss)


def test_progress_and_its_end():
    seen: list[int] = []

    def watch(step: int) -> None:
        seen.append(step)
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cell(CHEBYSHEV, 3, on_progress=watch)
    assert seen == [0, 1, 2, 3, 4, 5]
