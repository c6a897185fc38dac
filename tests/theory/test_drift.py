"""The laws of c = a^2 - b^2, against the project's own descents and against integration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from samedge_core.problems.quadratic import TwoWeight
from samedge_core.theory.descent import REACHES, descend
from samedge_core.theory.drift import (
    alternating,
    drift,
    drift_rate,
    end_of_flow,
    factor_of_a_step,
    flow,
    imbalance,
)
from samedge_core.theory.two_weight import TwoWeightLandscape
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem, measurements
from samedge_core.training.state import TrainState

VALLEY = TwoWeightLandscape()
# below 1e-6 SAM's direction is rounding
weights = st.floats(-3, 3).map(lambda x: round(x, 6))


@given(a=weights, b=weights, eta=st.floats(0.01, 1), rho=st.floats(0, 0.5))
@pytest.mark.parametrize("rule", ["gd", "sam", "usam"])
def test_a_step_multiplies_c_by_the_factor(rule, a, b, eta, rho):
    run = descend(VALLEY, rule, eta, rho, [a, b], 1)
    before, after = imbalance(list(run.w.T))
    factor = factor_of_a_step([a, b], eta, REACHES[rule](rho, float(run.grad_norm[0])))
    # of the largest of a'^2, b'^2 and of what the factor's square root multiplies
    size = 1 + np.abs(run.w).max() ** 2 + (1 + abs(factor)) * abs(before)
    assert abs(after - factor * before) < 1e-13 * size


@pytest.mark.parametrize("rule", ["gd", "sam"])
def test_the_factor_is_that_of_a_run_on_the_project_s_own_two_weights(rule):
    options = {"a": 2.5, "b": 0.6}
    config = RunConfig(problem="two-weight", rule=rule, eta=0.3, rho=0.05, options=options)
    problem = build_problem(config, "plain")
    assert isinstance(problem, TwoWeight)
    state, w = TrainState.initial(config, problem), []
    loop = measurements(config, problem, state)
    for _ in range(60):
        w.append(state.w.double().numpy().copy())
        next(loop)
    a, b = np.array(w).T
    norm = np.hypot(*VALLEY.gradient((a, b)))
    factor = factor_of_a_step([a, b], 0.3, np.broadcast_to(REACHES[rule](0.05, norm), 60))
    digits = 1e-12 if problem.dtype.itemsize == 8 else 1e-5
    np.testing.assert_allclose(
        (factor * imbalance([a, b]))[:-1], imbalance([a, b])[1:], atol=digits
    )


@given(a=weights, b=weights)
def test_gradient_flow_ends_at_a_minimum_with_the_same_c(a, b):
    end, c = end_of_flow([a, b]), float(imbalance([a, b]))
    if not np.isfinite(end[0]):
        assert a == -b
        return
    assert end[0] * end[1] == pytest.approx(1, rel=1e-12)
    assert imbalance(end) == pytest.approx(c, abs=1e-12)
    assert VALLEY.sharpness(end) == pytest.approx(np.hypot(c, 2), rel=1e-12)
    path = flow([a, b])
    np.testing.assert_allclose(path[:, [0, -1]], np.array([[a, b], end]).T, atol=1e-6)
    np.testing.assert_allclose(imbalance(list(path)), c, atol=1e-11)


@pytest.mark.parametrize("start", [(2.5, 0.6), (0.3, -2.0), (-1.5, -0.2), (-0.5, 2.0), (1.5, -0.2)])
def test_gradient_flow_ends_where_its_equation_does(start):
    def velocity(t, w):
        return [-g for g in VALLEY.gradient(w)]

    found = solve_ivp(velocity, (0, 60), start, rtol=1e-10, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(found, end_of_flow(start), atol=1e-6)


def test_the_drift_is_the_solution_of_its_equation():
    for c, eta, rho in ((3.0, 0.3, 0.05), (-5.0, 0.2, 0.1), (0.5, 0.9, 0.02), (4.4, 0.4, 0.02)):
        steps = np.linspace(0, 500, 6)

        def rate(t, log_c, eta=eta, rho=rho):
            return -drift_rate(np.hypot(np.exp(log_c), 2), eta, rho)

        start = [np.log(abs(c))]
        found = solve_ivp(rate, (0, 500), start, t_eval=steps, rtol=1e-11, atol=1e-12).y[0]
        law = drift(c, eta, rho, steps)
        np.testing.assert_allclose(law, np.sign(c) * np.exp(found), rtol=1e-8)


# within .5 % of the law while SAM hops: the settings in which it was first measured, and the page's
DRIFTS = [
    (0.3, 0.05, 2.5, 0.6, 400),
    (0.3, 0.02, 2.2, 0.45, 5000),
    (0.1, 0.05, 2.5, 0.6, 400),
    (0.2, 0.05, 2.5, 0.6, 2000),
    (0.05, 0.05, 4.0, 0.3, 9000),
    (0.1, 0.1, 3.0, 0.4, 2000),
]


@pytest.mark.parametrize(("eta", "rho", "a", "b", "steps"), DRIFTS)
def test_sam_drifts_as_the_law_says(eta, rho, a, b, steps):
    run = descend(VALLEY, "sam", eta, rho, [a, b], steps)
    c = imbalance(list(run.w.T))
    first, last = alternating(run.w[:, 0] * run.w[:, 1])
    middle = ((c[1:] + c[:-1]) / 2)[first + 30 : last]
    law = drift(float(middle[0]), eta, rho, np.arange(len(middle)))
    assert len(middle) > 300
    assert np.log(middle[-1] / middle[0]) == pytest.approx(np.log(law[-1] / law[0]), rel=5e-3)


def test_without_an_orbit_there_is_no_drift():
    assert np.isnan(drift(3.0, 0.6, 0.1, [0.0, 1.0])).all()  # eta sqrt(13) > 2
    assert np.isnan(drift_rate(2.0, 1.0, 0.1))
    np.testing.assert_array_equal(drift(0.0, 0.3, 0.1, [0.0, 9.0]), 0)
    np.testing.assert_allclose(drift(-1.5, 0.3, 0.0, [0.0, 9.0]), -1.5, rtol=1e-15)


def test_the_longest_stretch_of_hops_is_found():
    assert alternating([3, 1, 2, 1, 2, 2, 1, 2]) == (0, 4)
    assert alternating([1, 2, 3]) == (0, 0)
    assert alternating([1, 2, 3, 1, 3, 1, 3, 1]) == (1, 7)
