"""The iterates that are drawn are those of the run: against its record, and its own weights."""

import numpy as np
import pytest

import samedge_core as se
from samedge_core.experiments.lessons import LESSONS
from samedge_core.experiments.lessons.paths import along_v1, in_the_valley
from samedge_core.problems.quadratic import quadratic

BOWLS = [(name, v) for name in ("step-size", "look-uphill") for v in LESSONS[name].knob.values]
BOWLS += [("disturbed", value) for value in LESSONS["disturbed"].knob.values]
VALLEYS = [(name, v) for name in ("way-down", "valley") for v in LESSONS[name].knob.values]


def histories(name: str, value: float) -> list[se.History]:
    replays = LESSONS[name].replays(value)
    return [se.run(replay.config, interventions=replay.interventions) for replay in replays]


@pytest.mark.parametrize(("name", "value"), BOWLS)
def test_on_the_bowl_the_distances_are_those_of_the_record(name, value):
    for history in histories(name, value):
        columns, run = history.columns(), along_v1(history)
        assert len(run.w) == len(columns["step"])
        recorded = columns["align_grad"] * columns["grad_norm"] / 5  # |<g, v1>| = 5 |<w, v1>|
        # the alignment is kept in Float32, of seven digits
        assert np.abs(run.w[:, 0]) == pytest.approx(recorded, rel=2e-6, abs=1e-12)


@pytest.mark.parametrize(("name", "value"), [("step-size", 0.38), ("look-uphill", 0.1)])
def test_on_the_bowl_signs_and_perturbed_points_are_those_of_the_weights(name, value):
    (history,) = histories(name, value)
    config, run = history.config, along_v1(history)
    own = {"eigenvalues": config.options["eigenvalues"], "rotated": config.options["rotated"]}
    bowl = quadratic(**own, seed=config.seed, dtype=config.dtype)
    matrix, w = bowl.matrix.numpy(), bowl.init(seed=config.seed).numpy()
    v1 = np.linalg.eigh(matrix).eigenvectors[:, -1]
    v1 *= np.sign(v1 @ w)
    rho = config.rho if config.rule == "sam" else 0.0
    for step in range(60):
        gradient = matrix @ w
        perturbed = w + rho * gradient / np.linalg.norm(gradient)
        # the start comes from an alignment in Float32
        assert run.w[step, 0] == pytest.approx(v1 @ w, rel=2e-6, abs=1e-12)
        assert run.perturbed[step, 0] == pytest.approx(v1 @ perturbed, rel=2e-6, abs=1e-12)
        w = w - config.eta * matrix @ perturbed


@pytest.mark.parametrize(("name", "value"), VALLEYS)
def test_in_the_valley_the_steps_taken_again_are_those_of_the_run(name, value):
    for history in histories(name, value):
        columns, run = history.columns(), in_the_valley(history)
        assert len(run.w) == len(columns["step"])
        # Float64 in both, in another order of additions; hops neither add to it nor forget it
        assert run.loss == pytest.approx(columns["loss"], rel=1e-9, abs=1e-14)
        assert run.grad_norm == pytest.approx(columns["grad_norm"], rel=1e-9, abs=1e-14)


def test_the_first_iterates_keep_their_perturbed_points():
    (history,) = histories("look-uphill", 0.1)
    run = along_v1(history)
    assert run.until(7).perturbed.tolist() == run.perturbed[:7].tolist()


def test_other_runs_are_refused():
    bowl = LESSONS["look-uphill"].replays(0.1)[0].config
    valley = LESSONS["way-down"].replays(1.0)[0].config.replace(steps=3)
    with pytest.raises(ValueError, match=r"must be GD or SAM on .*, got gd on 'two-weight'"):
        along_v1(se.run(valley))
    with pytest.raises(ValueError, match="got usam on 'quadratic'"):
        along_v1(se.run(bowl.replace(rule="usam", steps=3)))
    with pytest.raises(ValueError, match="must have a measured row of step 0, got none"):
        along_v1(se.History(bowl))
    with pytest.raises(ValueError, match="must be GD, SAM or USAM on 'two-weight', got sam on"):
        in_the_valley(se.run(bowl.replace(steps=3)))
    change = se.Intervention(2, {"eta": 0.1}, {"eta": valley.eta})
    with pytest.raises(ValueError, match="must keep its settings, got a change at step 2"):
        in_the_valley(se.run(valley, interventions=(change,)))
