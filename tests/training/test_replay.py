"""Taking steps again: the same bits, and the run's own end where it has one."""

import pytest

import samedge_core as se
from samedge_core.training.loop import build_problem
from samedge_core.training.replay import replay_to
from samedge_core.training.state import TrainState

CONFIG = se.RunConfig(options={"n": 40, "width": 4}, eta=0.5, steps=12, batch_size=10)
PLAN = [
    se.Intervention(4, {"eta": 0.25}),
    se.Intervention(4, {"rho": 0.1}),
    se.Intervention(8, {"rule": "gd"}),
]


def replayed(config: se.RunConfig, *steps: int, plan=PLAN):
    """The state after going to each of the steps in turn, the rows, and the last answer."""
    problem, rows, end = build_problem(config), [], None
    state = TrainState.initial(config, problem)
    for step in steps:
        end = replay_to(config, problem, state, step, plan, on_row=rows.append)
    return state, rows, end


@pytest.mark.parametrize("steps", [(12,), (4, 12), (0, 4, 5, 12), (8, 9, 12), (8, 8, 12)])
def test_the_rows_are_those_of_the_run_in_one_go_or_in_several(steps):
    _, rows, end = replayed(CONFIG, *steps)
    history = se.History(CONFIG)
    for row in rows:
        history.append(row)
    run = se.run(CONFIG, interventions=PLAN)
    assert history.rows_after(-1).tobytes() == run.rows_after(-1).tobytes()
    assert end == run.stop


def test_what_changes_at_the_step_is_in_force_and_it_is_not_taken():
    state, rows, end = replayed(CONFIG, 4)
    assert (state.step, [row.step for row in rows], end) == (4, [0, 1, 2, 3], None)
    assert (state.hyper.eta, state.hyper.rho, state.hyper.rule) == (0.25, 0.1, "sam")


def test_steps_that_are_none_are_refused():
    with pytest.raises(ValueError, match="step must be 4 at least, where the state is, got 3"):
        replayed(CONFIG, 4, 3)
    message = "the run ends with step 12, before step 13: all 12 steps are taken"
    with pytest.raises(ValueError, match=message):
        replayed(CONFIG, 13)


def test_a_run_that_converges_says_so():
    config = se.RunConfig("quadratic", rule="gd", eta=0.25, dtype="float64", steps=5000)
    last = se.run(config).last_step
    assert last < 4999
    assert replayed(config, last, plan=[])[2] is None
    end = replayed(config, last + 1, plan=[])[2]
    assert end is not None
    assert end.reason is se.StopReason.CONVERGED
