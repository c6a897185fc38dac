"""What measuring costs: the arithmetic of stretches, with made-up times."""

import math
import time

import numpy as np
import pytest

from samedge_core.training import costs as module
from samedge_core.training.costs import RECENT, REPEATED, Cost, Costs, Spacing, Throttle


def test_nothing_is_said_while_nothing_is_measured():
    costs = Costs()
    for _ in range(3):
        costs.add(1.0, 0.0, hvps=0)
    cost = costs.recent()
    assert math.isnan(cost.hvps)
    assert cost.words == ""


def test_the_cold_measurement_tells_its_products_but_never_the_overhead():
    costs = Costs()
    costs.add(10.0, 9.0, hvps=40)
    costs.add(1.0, 0.0, hvps=0)
    assert (costs.recent().seconds, costs.recent().hvps) == (9.0, 40.0)
    assert costs.recent().words == ""
    costs.add(3.0, 2.0, hvps=2)
    costs.add(3.0, 2.0, hvps=2)
    assert costs.recent() == Cost(2.0, 2.0, 2.0)


def test_steps_without_a_measurement_count_as_training_up_to_the_next_one():
    costs = Costs()
    for step in range(30):
        measured = step % 10 == 0
        costs.add(1.0 + 5.0 * measured, 5.0 * measured, hvps=3 * measured)
    # steps 10 to 19: one measurement of 5 s beside 10 s of training; the next stretch is not over
    assert costs.recent() == Cost(5.0, 3.0, 0.5)
    costs.add(6.0, 5.0, hvps=3)
    assert costs.recent() == Cost(5.0, 3.0, 0.5)


def test_old_measurements_age_out():
    costs = Costs()
    for seconds in (*[100.0] * 20, *[1.0] * (RECENT + 1)):
        costs.add(seconds + 1.0, seconds, hvps=2)
    assert costs.recent() == Cost(1.0, 2.0, 1.0)


@pytest.fixture
def clocks(monkeypatch) -> dict[str, float]:
    """The processor's time and that on the wall."""
    now = {"cpu": 0.0, "wall": 0.0}
    monkeypatch.setattr(module.time, "process_time", lambda: now["cpu"])
    monkeypatch.setattr(module.time, "perf_counter", lambda: now["wall"])
    return now


@pytest.mark.parametrize(
    ("cpu", "wall"),
    [
        (2.0, 2.0),
        (2.0, 50.0),  # a pause, or a busy machine
        (8.0, 2.0),  # four threads
    ],
)
def test_states_are_as_far_apart_as_they_cost_to_compute_again(clocks, cpu, wall):
    spacing = Spacing(100)
    clocks.update(cpu=cpu, wall=wall)
    assert spacing.steps(150) == REPEATED * 50 / 2.0
    assert spacing.steps(150) == 0  # no new step
    clocks.update(cpu=cpu + 1, wall=wall + 1)
    assert spacing.steps(160) == REPEATED * 10  # slower since then


def test_the_spacing_of_a_real_clock():
    spacing, end = Spacing(0), time.process_time() + 0.05
    while time.process_time() < end:
        pass
    assert 0.5 < spacing.steps(10) / (REPEATED * 10 / 0.05) <= 1.0


@pytest.mark.parametrize(
    ("overhead", "words"),
    [
        (0.834, "0.83"),
        (3.0, "3"),
        (9.96, "10"),
        (14.4, "14"),
        (1234.5, "1,234"),
        (0.004, "less than 0.01"),
    ],
)
def test_words(overhead, words):
    assert Cost(overhead=overhead).words == f"curvature costs {words} × training"


@pytest.mark.parametrize(
    ("took", "seconds"), [(0.001, 0.25), (0.05, 0.25), (2.0, 0.25), (0.0, 1.0)]
)
def test_a_task_keeps_to_its_share_of_the_time_and_to_its_distance(took, seconds):
    now, share, done, begins = 0.0, 0.03, 0.0, []
    throttle = Throttle(seconds, share, clock=lambda: now)
    while now < 300:
        if throttle.due():
            begins.append(now)
            with throttle.task():
                now += took
            done += took
        now += 0.01  # a step
    apart = np.diff(begins)
    assert apart.min() >= seconds
    # the share is met in the long run, but for the time of one task
    assert done <= share * now + took
    # and no task is put off for longer than that takes, and one step
    assert apart.max() <= max(seconds, took / share) + took + 0.02
