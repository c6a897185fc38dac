"""Predictions from a script: rows, refusals, mid-run starts, and that nothing depends on a run."""

import numpy as np
import pytest

import samedge_core as se
from samedge_core.prediction.predict import points
from samedge_core.training.loop import measurements
from samedge_core.training.state import TrainState

CHEBYSHEV = se.PRESETS["sam-chebyshev"].config
SMALL = CHEBYSHEV.replace(steps=60)


@pytest.mark.parametrize("every", [1, 2, 3, 7])
@pytest.mark.parametrize("steps", [1, 2, 12, 23])
def test_a_row_comes_every_so_many_steps_up_to_the_last(steps, every):
    found = se.predict(SMALL.replace(steps=steps), every=every)
    assert found.columns()["step"].tolist() == list(range(0, steps, every))
    assert found.stop == se.Stop(se.StopReason.STEP_CAP, steps, f"all {steps:,} steps are taken")


def test_equal_configurations_give_equal_bits():
    first, second = se.predict(SMALL), se.predict(SMALL)
    assert first.points == second.points
    assert first.outcome == second.outcome


def test_rows_apart_are_those_of_the_same_flow():
    near, apart = se.predict(SMALL), se.predict(SMALL, every=4)
    # steps of other lengths, and estimates of the sharpness within 4e-4 of it
    assert apart.columns()["sharpness"] == pytest.approx(near.columns()["sharpness"][::4], rel=1e-3)


def test_it_goes_on_from_the_state_of_a_run_with_what_is_in_force_there():
    config = SMALL.replace(steps=400)
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    history, found = se.History(config), se.Prediction(config, "hop")
    change = [{"eta": 0.15}]
    loop = measurements(config, problem, state, changes=lambda step: change if step == 200 else [])
    for item in loop:
        if isinstance(item, se.Intervention):
            history.intervene(item)
            before = state.pack()
            found = se.predict(config, start=state, problem=problem)
            assert state.pack() == before
            assert found.begin == 200
            assert found.hyper.eta == 0.15
        else:
            history.append(item)
    off = found.against(history)
    assert off.step.tolist() == list(range(200, 399))
    assert off.median < 0.002  # of the mean of two rows alone .0005 (docs/prediction.md)
    assert off.most < 0.02


@pytest.mark.parametrize("rule", sorted(se.RULES.keys() - {"gd", "sam", "usam"}))
def test_a_rule_that_no_flow_describes_is_refused_by_name(rule):
    with pytest.raises(se.ConfigError, match=rf"of GD, SAM, USAM, got .*\({rule}\), which"):
        se.predict(CHEBYSHEV.replace(rule=rule))


@pytest.mark.parametrize(("name", "value"), [("flow", "sum"), ("every", 0), ("every", 1001)])
def test_a_value_that_is_not_allowed_is_refused(name, value):
    with pytest.raises(se.ConfigError, match=f"{name} must be .*, got .?{value}"):
        se.predict(SMALL, **{name: value})


def test_it_can_be_stopped_between_any_two_rows():
    rows = points(SMALL, se.build_problem(SMALL))
    assert [next(rows).step for _ in range(3)] == [0, 1, 2]
    rows.close()


def test_the_columns_are_those_of_a_history():
    found, history = se.predict(SMALL), se.run(SMALL)
    shared = ["step", "loss", "grad_norm", "sharpness", "edge", "ratio"]
    columns = found.to_frame()
    assert list(columns)[:6] == shared
    assert set(shared) <= set(history.columns())
    edge = se.sam_edge(SMALL.eta, SMALL.rho, columns["grad_norm"])
    assert np.array_equal(columns["edge"], edge)
    assert np.array_equal(columns["ratio"], columns["sharpness"] / edge)
