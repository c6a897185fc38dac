"""What a record says is wrong with it: from a real run, else from made-up rows."""

import numpy as np
import pytest

import samedge_core as se
from samedge_core.training.diagnosis import LEAST, WINDOW, diagnose, last_stable
from samedge_core.training.history import History, Measurement

SAM_EDGE = se.sam_edge(1.0, 0.05, 0.01)


def record(rows: int = WINDOW, *, problem: str = "digits-mlp", **values) -> History:
    """A history of a SAM run at its edge; `values` replace the healthy ones of every row."""
    healthy = {
        "loss": 0.01,
        "grad_norm": 0.01,
        "accuracy": 0.95,
        "lambda_max": SAM_EDGE,
        "converged": True,
    }
    history = History(se.RunConfig(problem=problem))
    for step in range(rows):
        history.append(Measurement(step=step, **{**healthy, **values}))
    return history


def test_a_healthy_run_has_no_diagnosis():
    assert list(diagnose(record())) == []


def test_chance_accuracy_at_the_edge_is_a_dead_network():
    (message,) = diagnose(record(accuracy=0.1))
    assert "dead network: the accuracy, 0.10, is at chance" in message
    assert "sharpness / edge is 1.000" in message


@pytest.mark.parametrize(
    "values",
    [
        {"accuracy": 0.1, "lambda_max": 0.3},  # still learning, below the edge
        {"accuracy": np.nan, "problem": "chebyshev-mlp"},  # nothing to be right about
        {"accuracy": 0.1, "rows": WINDOW - 1},  # too early to tell
    ],
)
def test_what_is_no_dead_network(values):
    assert list(diagnose(record(**values))) == []


def test_estimates_that_have_not_converged_are_counted():
    history = record(rows=WINDOW // 2)
    for step in range(WINDOW // 2, WINDOW):
        history.append(Measurement(step, loss=0.01, grad_norm=0.01, lambda_max=0.5, accuracy=0.9))
    (message,) = diagnose(history)
    assert message.startswith("50% of the last sharpness estimates have not converged")


def test_rows_without_a_measurement_do_not_count():
    history = History(se.RunConfig(measure_every=10))
    for step in range(10 * WINDOW):
        measured = {"accuracy": 0.1, "lambda_max": SAM_EDGE, "converged": True}
        history.append(
            Measurement(step, loss=1.0, grad_norm=0.01, **(measured if step % 10 == 0 else {}))
        )
    (message,) = diagnose(history)
    assert "dead network" in message


def test_a_real_dead_network_is_named():
    # a radius of 5 kills the network: only the output biases live, and the ratio is 1
    config = se.RunConfig(options={"n": 100, "width": 20}, eta=1.0, rho=5.0, steps=150)
    (message,) = diagnose(se.run(config))
    assert "dead network" in message


def diverged(*losses: float) -> History:
    history = History(se.RunConfig())
    for step, loss in enumerate(losses):
        history.append(Measurement(step, loss=loss, grad_norm=1.0))
    history.stop = se.Stop(se.StopReason.DIVERGED, len(losses) - 1, "diverged")
    return history


@pytest.mark.parametrize(
    ("losses", "step"),
    [((1.0, 2.0, 0.5, 9.0), 2), ((1.0, np.inf), 0), ((np.nan,), None), ((np.inf, np.inf), None)],
)
def test_the_last_stable_step_is_one_with_a_loss_no_larger_than_the_first(losses, step):
    assert last_stable(diverged(*losses)) == step


def test_a_run_that_has_not_diverged_has_no_last_stable_step():
    assert last_stable(record()) is None


def converged(problem: str = "digits-mlp", **values) -> History:
    history = History(se.RunConfig(problem=problem))
    row = {"loss": 0.1, "grad_norm": 0.0, "accuracy": 0.95, "lambda_max": 0.5, "residual": 1e-5}
    history.append(Measurement(0, **{**row, **values}))
    history.stop = se.Stop(se.StopReason.CONVERGED, 0, "converged")
    return history


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lambda_max": 0.0}, "the loss is flat here. The units are dead or saturated"),
        ({"lambda_max": -0.5}, "to a saddle, not to a minimum: -0.5 is an eigenvalue"),
        ({"accuracy": 0.1}, "without having learnt: the accuracy, 0.10, is at chance"),
    ],
)
def test_a_gradient_that_vanishes_elsewhere_than_at_a_minimum_is_named(values, words):
    (message,) = diagnose(converged(**values))
    assert words in message


def test_a_run_that_converged_to_a_minimum_is_healthy():
    assert list(diagnose(converged())) == []
    assert list(diagnose(converged(lambda_max=-1e-6))) == []  # rounding


def test_a_real_saddle_and_a_real_flat_place_are_named():
    saddle = se.run(se.RunConfig(problem="two-weight", options={"a": 0.0, "b": 0.0}, top_k=2))
    assert saddle.stop_reason is se.StopReason.CONVERGED
    (message,) = diagnose(saddle)
    assert "-1 is an eigenvalue of the Hessian" in message


def test_a_run_that_has_ended_is_judged_by_fewer_rows():
    history = record(rows=LEAST, accuracy=0.1)
    assert list(diagnose(history)) == []
    history.stop = se.Stop(se.StopReason.STEP_CAP, LEAST, "all steps are taken")
    (message,) = diagnose(history)
    assert "dead network" in message


def test_a_notebook_shows_what_is_wrong():
    history = record(accuracy=0.1)
    assert "dead network: the accuracy, 0.10" in history._repr_html_()
