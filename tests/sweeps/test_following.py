"""What `follow` says of a setting, against the small landscapes' descent and against runs."""

import math
from typing import Any

import numpy as np
import pytest

import samedge_core as se
from samedge_core.sweeps.fate_map import MAPPED_RULES, SPANS, STEPS, Plane, alone
from samedge_core.sweeps.following import CONVERGED, DIVERGED, FATE, HOPS, PERIOD, SETTLING
from samedge_core.theory.descent import descend
from samedge_core.theory.two_weight import TwoWeightLandscape
from samedge_core.training.stop import StopReason

LANDSCAPE = TwoWeightLandscape()
REASONS = {CONVERGED: StopReason.CONVERGED, DIVERGED: StopReason.DIVERGED}


def settings(rule: str, count: int) -> list[Plane]:
    """Settings all over the map, drawn with a seed."""
    random = np.random.default_rng(len(rule))
    found = []
    for _ in range(count):
        values: dict[str, Any] = {
            n: random.uniform(*SPANS[n]) for n in ("eta", "rho", "beta", "a", "b")
        }
        found.append(Plane(rule=rule, **{**values, "eta": 0.4 * values["eta"]}))
    return found


def expected(plane: Plane) -> tuple[int, int]:
    """Fate and step from the iterates of `descend`: the training loop's tests, written again."""
    start = (plane.a, plane.b)
    run = descend(LANDSCAPE, plane.rule, plane.eta, plane.rho, start, STEPS)
    w, loss, norm = run.w, run.loss, run.grad_norm
    beyond = np.flatnonzero(loss > 1e8 * max(1.0, loss[0]))
    if len(beyond) and beyond[0] < STEPS:
        return DIVERGED, int(beyond[0])
    assert not run.escaped  # or the loss would have gone beyond before
    moved = np.hypot(*np.diff(w, axis=0).T)
    least = 1e-12 * norm[0]
    (still,) = np.nonzero((norm[:-1] <= least) & (moved <= 2 * plane.eta * least))
    return (CONVERGED, int(still[0])) if len(still) else (-1, STEPS)


@pytest.mark.parametrize("rule", ["gd", "sam", "usam"])
def test_fate_and_step_are_those_of_the_landscapes_own_descent(rule):
    seen = set()
    for plane in settings(rule, 150):
        fate, number = divmod(alone(plane)[0], FATE)
        known, step = expected(plane)
        if known < 0:
            assert fate in (HOPS, SETTLING), plane
        else:
            assert fate == known, plane
            # another order of roundings may shift the step at which a bound is passed
            assert abs(number - step) <= (rule != "gd"), plane
        seen.add(fate)
    assert seen >= {DIVERGED, HOPS if rule == "sam" else CONVERGED}


@pytest.mark.parametrize("rule", MAPPED_RULES)
def test_fate_and_step_are_those_of_the_run_that_a_click_opens(rule):
    seen = set()
    for plane in settings(rule, 12):
        fate, number = divmod(alone(plane)[0], FATE)
        history = se.run(plane.config.replace(measure_every=STEPS))
        assert history.stop is not None
        assert history.stop.reason is REASONS.get(fate, StopReason.STEP_CAP), plane
        if fate in REASONS:
            # torch's norm has other last digits than the square root of a sum
            assert abs(number - history.stop.step) <= (rule != "gd"), plane
        seen.add(fate)
    assert len(seen) > 1


def hop(plane: Plane) -> tuple[int, int, float]:
    value, _ = alone(plane)
    fate, number = divmod(value, FATE)
    period, thousandths = divmod(number, PERIOD)
    return fate, period, thousandths / 1000


@pytest.mark.parametrize(("eta", "period"), [(1.1, 2), (1.26, 4), (1.9, 0)])
def test_gd_at_a_equal_b_hops_with_the_periods_of_its_cubic_map(eta, period):
    # a' = a (1 + eta - eta a^2): a cycle of two to eta = 1.236, of four to 1.288, then chaos
    found = hop(Plane(eta=eta, a=0.9, b=0.9))
    assert found[:2] == (HOPS, period)
    assert found[2] == pytest.approx(1, abs=0.05)  # chaos has no factor, but stays as large


def test_sams_hop_of_two_is_found_where_it_drifts_and_the_end_is_its_last_iterate():
    plane = Plane(rule="sam", eta=0.3, rho=0.05, a=1.3, b=0.7)
    assert hop(plane) == (HOPS, 2, 1.0)
    w = descend(LANDSCAPE, "sam", 0.3, 0.05, (1.3, 0.7), STEPS + 2).w
    assert 1e-5 < np.hypot(*(w[-1] - w[-3])) < 0.02 * np.hypot(*(w[-1] - w[-2]))
    # hops neither add to a rounding nor forget it
    assert alone(plane)[1] == pytest.approx(tuple(w[-1]), rel=1e-9)


def test_a_sawtooth_has_the_period_of_its_teeth():
    plane = Plane(rule="sam", eta=0.2, rho=0.6)
    w = descend(LANDSCAPE, "sam", 0.2, 0.6, (plane.a, plane.b), 530).w
    ends = [step for step in range(500, 530) if w[step, 0] > w[step + 1, 0]]
    assert set(np.diff(ends)) == {6}
    assert hop(plane) == (HOPS, 6, 1.0)


def test_what_dies_out_slowly_is_still_settling_and_says_how_fast():
    # near the flattest minimum a step multiplies the hop by 1 - 2 eta
    fate, period, factor = hop(Plane(eta=0.99, a=1.0001, b=0.9999))
    assert (fate, period) == (SETTLING, 0)
    assert factor == pytest.approx(0.98, abs=5e-4)


def test_a_start_at_a_minimum_has_converged_and_one_at_the_saddle_too():
    for a, b in ((2.0, 0.5), (0.0, 0.0)):
        value, end = alone(Plane(eta=0.1, a=a, b=b))
        assert (value, end) == (CONVERGED * FATE, (a, b))


def test_a_start_that_is_not_a_number_diverges_at_once():
    assert alone(Plane(a=math.nan))[0] == DIVERGED * FATE
