"""A prediction as the record of a run: the columns of a run, and where it was in force."""

import numpy as np
import pytest

from samedge_core.prediction.prediction import Point, Prediction
from samedge_core.prediction.recorded import PREDICTED, as_history, in_force, predicted_columns
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.history import History, Intervention

CONFIG = RunConfig(problem="two-weight", rule="sam", eta=0.1, rho=0.05, steps=30)
HALF = Intervention(10, Changes({"eta": 0.05}), Changes({"eta": 0.1}))
ADAM = Intervention(20, Changes({"rule": "adam"}), Changes({"rule": "sam"}))


def made(begin: int = 0, every: int = 1, **live) -> Prediction:
    found = Prediction(CONFIG, "hop", CONFIG.replace(**live).hyperparameters, begin)
    steps = range(begin, CONFIG.steps, every)
    found.extend(Point(s, 2 / (s + 1), 1 / (s + 1), 5 + s / 7, 0.0, 0.3, 1.0) for s in steps)
    return found


def history(*interventions: Intervention, rows: int = 25) -> History:
    found = History(CONFIG)
    some = np.zeros(rows, found.dtype)
    some["step"] = np.arange(rows)
    found.extend(some)
    for item in interventions:
        found.intervene(item)
    return found


@pytest.mark.parametrize(("begin", "live", "changes"), [(0, {}, []), (10, {"eta": 0.05}, [HALF])])
def test_its_edges_and_ratios_are_those_of_the_prediction(begin, live, changes):
    one = made(begin, **live)
    # also of a change that is still to come, which no run has recorded
    for known in (changes, []):
        record = as_history(one, known)
        columns, expected = record.columns(), one.columns()
        for name in ("step", *PREDICTED):
            np.testing.assert_array_equal(columns[name], expected[name])
        np.testing.assert_array_equal(columns["sam_edge"], expected["edge"])
        # the sum of eta over the steps before, as a run has it
        assert columns["time"][5] == pytest.approx(0.1 * begin + 5 * one.hyper.eta, rel=1e-14)


def test_rows_after_a_step_alone():
    assert as_history(made(every=3), after=9).columns()["step"].tolist() == list(range(12, 30, 3))
    assert len(as_history(made(), after=29)) == 0


def test_it_is_in_force_until_anything_changes():
    one, other = made(), made(10, eta=0.05)
    assert in_force([], [HALF]) == []
    assert in_force([one], []) == [(one, None)]
    assert in_force([one, other], [HALF]) == [(one, 10), (other, None)]
    assert in_force([one, other], []) == [(one, 10), (other, None)]  # the change is to come
    assert in_force([one, other], [HALF, ADAM]) == [(one, 10), (other, 20)]  # not predicted
    assert in_force([one], [Intervention(5), ADAM]) == [(one, 20)]  # a new worker is no change


def test_columns_beside_a_run_come_from_the_prediction_in_force():
    one, other = made(), made(10, every=2, eta=0.05)
    columns = predicted_columns([one, other], history(HALF, ADAM))
    loss = columns["predicted_loss"]
    np.testing.assert_array_equal(loss[:10], one.columns()["loss"][:10])
    np.testing.assert_array_equal(loss[10:20:2], other.columns()["loss"][:5])
    assert np.isnan(loss[11:20:2]).all()
    assert np.isnan(loss[20:]).all()
    assert columns.keys() == {f"predicted_{name}" for name in (*PREDICTED, "amplitude")}
    assert predicted_columns([], history()) == {}
