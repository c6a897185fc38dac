"""The record of a flow: stops, assumptions and what they say."""

import numpy as np
import pytest

import samedge_core as se
from samedge_core.prediction.prediction import Assumption, Point, Prediction

QUADRATIC = se.RunConfig(problem="quadratic", options={"eigenvalues": (6.0, 1.0)}, dtype="float64")


def broken(found: Prediction) -> dict[str, tuple[tuple[int, int], ...]]:
    return {item.key: item.broken for item in found.assumptions if not item.held}


def stop_of(done: se.History | Prediction) -> tuple[se.StopReason, int]:
    assert done.stop is not None
    return done.stop.reason, done.stop.step


def test_a_prediction_diverges_where_the_run_does():
    config = QUADRATIC.replace(rule="gd", eta=0.6, steps=400)  # eta lambda = 3.6
    (reason, step), found = stop_of(se.run(config)), se.predict(config)
    assert stop_of(found)[0] is reason is se.StopReason.DIVERGED
    assert abs(stop_of(found)[1] - step) <= 1  # the loss of both ends, not of one
    # gradient flow has no edge
    assert stop_of(se.predict(config, flow="ode"))[0] is not se.StopReason.DIVERGED


def test_a_prediction_ends_where_the_run_comes_to_rest():
    config = QUADRATIC.replace(rule="gd", eta=0.1, steps=2000)
    (reason, step), found = stop_of(se.run(config)), se.predict(config)
    assert stop_of(found)[0] is reason is se.StopReason.CONVERGED
    assert abs(stop_of(found)[1] - step) < 0.05 * step
    assert not broken(found)


def test_mini_batches_break_an_assumption_from_the_first_step_on():
    config = se.PRESETS["sam-minibatch"].config.replace(steps=4)
    found = se.predict(config.replace(options={"n": 120, "width": 4}))
    assert broken(found)["batch"] == ((0, 4),)
    [item] = [item for item in found.assumptions if item.key == "batch"]
    assert item.since == 0
    assert "mini-batches" in item.sentence


def test_where_the_hop_has_died_out_it_is_said():
    config = se.PRESETS["gd-chebyshev"].config.replace(steps=1000)
    found = se.predict(config)
    [(first, _), *_] = broken(found)["seed"]
    ratio = found.columns()["ratio"]
    assert 900 < first < 1000  # where the run reaches its edge
    assert ratio[first - 3] < 1.0 < ratio[first + 3]


def test_an_assumption_tells_since_when_it_does_not_hold():
    assert Assumption("key", "A sentence.").held
    assert Assumption("key", "A sentence.").since is None
    assert Assumption("key", "A sentence.", ((3, 5), (9, 9))).since == 3


def test_a_prediction_without_rows_has_empty_columns():
    found = Prediction(QUADRATIC, "hop")
    assert all(len(values) == 0 for values in found.columns().values())
    assert found.stop is None
    assert found.assumptions == ()
    assert np.isnan(found.least_cosine)


def test_beyond_its_edge_the_ode_is_doubted_up_to_its_last_row():
    config = QUADRATIC.replace(rule="gd", eta=0.35, steps=12)  # 2/eta is 5.7, below 6
    assert broken(se.predict(config, flow="ode")) == {"hop": ((0, 11),)}


def test_columns_follow_the_rows_and_can_not_be_changed_from_outside():
    found = Prediction(QUADRATIC, "hop", begin=3)
    assert found.last_step == 2
    for count in (1, 2, 5):
        first = len(found)
        found.extend(Point(3 + i, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0) for i in range(first, count))
        columns = found.columns()
        assert columns["step"].tolist() == list(range(3, 3 + count))
        assert found.last_step == 2 + count
        del columns["loss"]
        with pytest.raises(ValueError, match="read-only"):
            found.columns()["loss"][0] = 2


def test_the_edge_is_that_of_what_is_in_force():
    config = se.PRESETS["gd-warmup"].config.replace(steps=30)
    columns = se.predict(config).columns()
    assert columns["edge"] == pytest.approx(2 / (0.4 * (columns["step"] + 1) / 1000), rel=1e-12)
