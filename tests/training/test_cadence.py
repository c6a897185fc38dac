"""Cadence: which steps are measured, by hand and along runs."""

import math

import numpy as np
import pytest

import samedge_core as se
from samedge_core.training.cadence import Cadence
from samedge_core.training.config import LONGEST_GAP, RunConfig
from samedge_core.training.loop import measurements
from samedge_core.training.state import TrainState

SMALL = {"n": 40, "width": 8}


def follow(sharpness, steps: int, norm=lambda step: 1.0) -> list[int]:
    """The steps measured when the sharpness at each step is known."""
    cadence, measured = Cadence(RunConfig(cadence="adaptive")), []
    for step in range(steps):
        if cadence.due(step):
            cadence.measured(step, sharpness(step), norm(step))
            measured.append(step)
        else:
            cadence.saw(step, norm(step))
    return measured


@pytest.mark.parametrize("every", [1, 3, 10])
def test_every_kth_step(every):
    cadence = Cadence(RunConfig(measure_every=every))
    assert [step for step in range(31) if cadence.due(step)] == list(range(0, 31, every))


def test_a_sharpness_that_stands_still_is_measured_in_pairs_as_far_apart_as_allowed():
    measured = follow(lambda step: 2.0, 100)
    gaps = np.diff(measured[4:])  # two measurements of each parity tell the speeds
    assert set(gaps) == {1, LONGEST_GAP}
    assert list(gaps[:4]) in ([1, LONGEST_GAP] * 2, [LONGEST_GAP, 1] * 2)


def test_a_hop_of_period_two_is_no_speed():
    assert follow(lambda step: 2.0 + (step % 2), 60) == follow(lambda step: 2.0, 60)


@pytest.mark.parametrize("speed", [1e-3, 2e-3, 4e-3])
def test_no_gap_lets_the_sharpness_move_by_more_than_a_percent(speed):
    measured = follow(lambda step: math.exp(speed * step), 300)
    gaps = np.diff(measured[6:])
    assert np.all(np.expm1(speed * gaps) <= 0.0101)  # the speed is a difference quotient
    assert gaps.max() > 1  # but there are gaps


def test_a_fast_one_is_measured_at_every_step():
    assert follow(lambda step: math.exp(0.05 * step), 40) == list(range(40))


def test_a_gradient_norm_that_leaps_calls_for_a_measurement():
    calm = follow(lambda step: 2.0, 60)
    leap = next(step for step in range(30, 60) if step not in calm and step + 1 not in calm)
    measured = follow(lambda step: 2.0, 60, norm=lambda step: 3.0 if step == leap else 1.0)
    assert leap + 1 in measured


def test_a_change_of_a_setting_calls_for_a_measurement():
    config = RunConfig(problem="quadratic", rule="gd", eta=1e-6, steps=60, cadence="adaptive")
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    rows = measurements(
        config, problem, state, changes=lambda step: [{"eta": 2e-6}] if step == 40 else []
    )
    measured = [r.step for r in rows if isinstance(r, se.Measurement) and r.hvps]
    assert {40, 41} <= set(measured)
    assert 39 not in measured
    assert len(measured) < 25


def test_adaptive_reads_what_every_step_reads():
    config = se.RunConfig(options=SMALL, rule="sam", eta=1.0, rho=0.05, steps=150)
    every = se.run(config).columns()
    adaptive = se.run(config.replace(cadence="adaptive")).columns()
    measured = np.isfinite(adaptive["sharpness"])
    assert 20 < measured.sum() < 150
    np.testing.assert_array_equal(adaptive["loss"], every["loss"])
    np.testing.assert_allclose(  # both within the contract
        adaptive["sharpness"][measured], every["sharpness"][measured], rtol=1e-3
    )
    gaps = np.diff(np.flatnonzero(measured))
    assert gaps.max() <= LONGEST_GAP


def test_the_state_goes_on_where_it_was_taken():
    config = se.RunConfig(
        options=SMALL, rule="sam", eta=1.0, rho=0.05, steps=80, cadence="adaptive"
    )
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    loop = measurements(config, problem, state)
    for _ in range(41):
        next(loop)
    packed = state.pack()
    rest = [row for row in loop if isinstance(row, se.Measurement)]
    again = TrainState.unpack(packed, config, problem)
    other = [r for r in measurements(config, problem, again) if isinstance(r, se.Measurement)]
    assert [r.hvps for r in other] == [r.hvps for r in rest]
    np.testing.assert_array_equal([r.lambda_max for r in other], [r.lambda_max for r in rest])


def test_the_latest_measured_row_is_found_after_the_longest_gap():
    history = se.run(
        se.RunConfig(problem="quadratic", rule="gd", eta=1e-9, steps=75, cadence="adaptive")
    )
    assert history.latest()["sharpness"] > 0
