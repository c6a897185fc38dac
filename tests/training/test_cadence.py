"""Cadence: which steps are measured, by hand and along runs."""

import math

import numpy as np
import pytest

import samedge_core as se
from benchmarks.cadence import errors, follow
from samedge_core.training.cadence import Cadence
from samedge_core.training.config import LONGEST_GAP, RunConfig
from samedge_core.training.loop import measurements
from samedge_core.training.state import TrainState

STEPS = np.arange(600)
SMALL = {"n": 40, "width": 8}


@pytest.mark.parametrize("every", [1, 3, 10])
def test_every_kth_step(every):
    cadence = Cadence(RunConfig(measure_every=every))
    assert [step for step in range(31) if cadence.due(step)] == list(range(0, 31, every))


def measured_of(sharpness, norms=None):
    """The steps measured of a history, by its sharpness (n,) and gradient norms (n,), or 1."""
    norms = np.ones(len(sharpness)) if norms is None else norms
    return follow(np.asarray(sharpness, dtype=float), norms)


def test_a_sharpness_that_stands_still_is_measured_in_pairs_as_far_apart_as_allowed():
    gaps = np.diff(measured_of(np.full(400, 2.0))[4:])  # three pairs tell speed and bend
    assert set(gaps) == {1, LONGEST_GAP}
    assert list(gaps[:4]) in ([1, LONGEST_GAP] * 2, [LONGEST_GAP, 1] * 2)


def test_a_hop_of_period_two_is_no_speed():
    hopping, still = 2.0 + STEPS % 2, np.full(len(STEPS), 2.0)
    np.testing.assert_array_equal(measured_of(hopping), measured_of(still))


@pytest.mark.parametrize("speed", [1e-3, 2e-3, 4e-3])
def test_no_gap_lets_the_sharpness_move_by_more_than_two_percent(speed):
    gaps = np.diff(measured_of(np.exp(speed * STEPS))[6:])
    assert np.all(speed * gaps <= 0.0202)  # a difference quotient over 2 % is 1 % lower
    assert gaps.max() > 1  # but there are gaps


def test_a_fast_one_is_measured_at_every_step():
    assert list(measured_of(np.exp(0.05 * STEPS[:40]))) == list(range(40))


# as seen at edges: climbs, swings about the edge, hops that grow, falls
MADE = {
    "drift": 1 + STEPS / 600,
    "swing": 1 + 0.05 * np.sin(STEPS / 25),
    "swing and hop": (1 + 0.05 * np.sin(STEPS / 40)) * (1 + 0.05 * (STEPS % 2)),
    "hop that grows": 1 + 0.1 * (STEPS % 2) / (1 + np.exp(-(STEPS - 300) / 30)),
    "kink": 1 + 0.002 * np.abs(STEPS - 300),
    "fall": 1 + 0.5 / (1 + np.exp((STEPS - 300) / 20)),
}


@pytest.mark.parametrize("name", MADE)
def test_straight_lines_of_each_parity_are_within_a_percent_at_95_of_100_steps(name):
    measured = measured_of(MADE[name])
    off = errors(MADE[name], measured)
    assert np.percentile(off, 95) <= 0.01
    assert off.max() <= 0.04  # what begins within a gap is seen at its end
    assert len(measured) <= 0.3 * len(STEPS)
    assert np.all(off[measured] == 0)


def test_pairs_are_kept_so_that_the_mean_of_what_was_measured_has_no_hop():
    measured = measured_of(MADE["swing and hop"])
    assert abs(np.mean(measured % 2) - 0.5) <= 1 / len(measured)


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_what_is_no_positive_number_is_measured_at_every_step(value):
    assert len(measured_of(np.full(20, value))) == 20


def test_a_gradient_norm_that_leaps_calls_for_a_measurement():
    still, norms = np.full(200, 2.0), np.ones(200)
    calm = measured_of(still)
    leap = next(t for t in range(80, 200) if t not in calm and t + 1 not in calm)
    norms[leap] = 3.0
    assert leap + 1 in measured_of(still, norms)


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


def test_a_state_of_an_earlier_version_goes_on():
    config = RunConfig(cadence="adaptive")
    earlier = {"next": 31, "last": {0: (10, 2.0), 1: (11, 2.1)}, "speed": {0: 1e-4, 1: 1e-4}}
    cadence = Cadence(config)
    cadence.restore({**earlier, "norm": 1.0})
    assert not cadence.due(30)
    for step in range(31, 35):
        assert cadence.due(step)
        cadence.measured(step, 2.0 + 0.1 * (step % 2), 1.0)
    assert not cadence.due(35)  # with the one that was kept, three of a parity are known


def test_the_latest_measured_row_is_found_after_the_longest_gap():
    history = se.run(
        se.RunConfig(problem="quadratic", rule="gd", eta=1e-9, steps=75, cadence="adaptive")
    )
    assert history.latest()["sharpness"] > 0
