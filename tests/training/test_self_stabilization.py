"""The portrait: its law against a run, and against a problem on which all of it is known."""

import numpy as np
import pytest
import torch

import samedge_core as se
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.loop import measurements
from samedge_core.training.portrait import Portrait, why_not
from samedge_core.training.self_stabilization import portrait
from samedge_core.training.state import TrainState
from tests.training.at_step import BARE, CHEBYSHEV, taken


def on_x_and_y(x: float, y: float, push: float, cubic: float):
    """L = x^2 (2/eta + cubic y)/2 - push y at eta = 0.1: there grad S is (0, cubic)."""

    class Valley(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.tensor([x, y], dtype=torch.float64))

        def forward(self, _):
            x, y = self.w
            return (x**2 * (20 + cubic * y) / 2 - push * y).reshape(1, 1)

    one = torch.ones(1, 1, dtype=torch.float64)
    return se.Problem.from_module(Valley(), one, one, lambda out, _: out.sum())


@pytest.mark.parametrize("x", [0.0, 0.05, 0.2])
def test_alpha_and_b_are_those_of_a_loss_on_which_they_are_known(x):
    push, cubic = 0.3, 5.0
    problem = on_x_and_y(x, 0.01, push, cubic)
    config = se.RunConfig(problem="own-problem", rule="gd", eta=0.1, dtype="float64")
    seen = portrait(config, problem, TrainState.initial(config, problem), steps=2)
    # v bends with the hop by about cubic x/20, and is as exact as its square
    near = 1e-6 + 2 * (cubic * x / 20) ** 2
    np.testing.assert_allclose(seen.b, cubic**2, rtol=near)
    np.testing.assert_allclose(seen.alpha, push * cubic, rtol=near)
    np.testing.assert_allclose(np.abs(seen.x[0]), x, atol=0.03 * x + 1e-12)
    assert seen.amplitude == pytest.approx(np.sqrt(2 * push / cubic), rel=near)


@pytest.fixture(scope="module")
def cycling():
    config = CHEBYSHEV.replace(seed=1, **BARE)
    problem, state = taken(config, 1500)
    before, told = state.pack(), []
    seen = portrait(config, problem, state, steps=800, on_progress=lambda *now: told.append(now))
    return config, problem, state, before, told, seen


def test_a_run_at_its_edge_hops_by_the_predicted_amplitude(cycling):
    *_, seen = cycling
    assert seen.cycles >= 2
    assert not seen.died
    assert seen.turned is None
    # the law is of small cycles around fixed alpha and b: these stray by a third, and amplitude
    # (a mean over whole cycles) bears that better than the period
    assert seen.measured_amplitude == pytest.approx(seen.amplitude, rel=0.1)
    assert 1 < seen.measured_period / seen.period < 1.6
    law = seen.eta * (seen.alpha - seen.b * seen.x**2 / 2)
    off = np.abs(np.cumsum(np.diff(seen.y)) - np.cumsum(law[:-1])).max()
    assert off < 0.1 * np.ptp(seen.y)


def test_it_is_beside_the_run_and_has_its_sharpness(cycling):
    config, problem, state, before, told, seen = cycling
    assert state.pack() == before
    assert told[-1] == (800, 800)
    every = config.replace(measure_every=1)
    loop = measurements(every, problem, TrainState.unpack(before, every, problem))
    found = [row.lambda_max for row in (next(loop), next(loop)) if isinstance(row, se.Measurement)]
    # of one of the two iterates or of both, as the run's cadence has it
    assert all(np.isnan(value) or abs(value - seen.sharpness[0]) < 0.5 for value in found)


def test_below_the_edge_the_oscillation_has_died():
    config = CHEBYSHEV.replace(eta=0.02, **BARE)
    seen = portrait(config, *taken(config, 500), steps=40)
    assert seen.died
    assert not seen.cycles
    assert (seen.y < 0).all()
    # with no hop the sharpness rises by eta alpha a step, as the flow says
    assert seen.y[-1] - seen.y[0] == pytest.approx(seen.eta * seen.alpha[:-1].sum(), rel=0.05)


def made(x, y, alpha=0.5, b=4.0, turns=1.0) -> Portrait:
    shape = np.ones(len(x))
    return Portrait(10, 0.1, np.array(x), 20 + np.array(y), alpha * shape, b * shape, turns * shape)


def test_cycles_are_counted_from_rise_to_rise_and_their_mean_square_is_told():
    t = np.arange(300)
    phase = 2 * np.pi * t / 100
    seen = made(0.5 + 0.1 * np.cos(phase), np.sin(phase - 0.01))
    assert (seen.cycles, seen.measured_period) == (2, 100)
    assert seen.measured_amplitude == pytest.approx(np.sqrt(0.25 + 0.005), rel=1e-6)
    assert seen.amplitude == 0.5
    assert seen.period == pytest.approx(2 * np.pi / 0.1)


def test_what_is_not_driven_or_turns_is_said():
    assert made([1.0] * 9, [0.0] * 9, alpha=-1.0).died
    assert made([1.0] * 9, [0.0] * 9, alpha=-1.0).period == np.inf
    assert made([1.0] * 9, [0.0] * 9, turns=0.5).turned == 11
    assert made([1.0] * 9, [0.0] * 9, turns=0.5).amplitude == 0
    assert not made([1.0] * 9, [0.0] * 9).died
    assert made([1.0] * 6 + [0.01] * 3, [0.0] * 9).died


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rule": "sam", "rho": 0.1}, "this run's rule is sam"),
        ({"batch_size": 5}, "this run takes mini-batches"),
        ({"weight_decay": 0.1}, "this run has weight decay 0.1"),
    ],
)
def test_others_than_gd_are_refused_in_words(changed, said):
    config = CHEBYSHEV.replace(**changed)
    problem = se.build_problem(config)
    with pytest.raises(se.ConfigError, match=said):
        portrait(config, problem, TrainState.initial(config, problem))


def test_a_schedule_and_steps_out_of_range_are_refused():
    assert "follows a schedule" in why_not(
        Hyperparameters("gd", 0.1, 0.0, 0.0), batches=False, constant=False
    )
    assert why_not(Hyperparameters("gd", 0.1, 0.0, 0.0), batches=False, constant=True) == ""
    problem = se.build_problem(CHEBYSHEV)
    state = TrainState.initial(CHEBYSHEV, problem)
    with pytest.raises(se.ConfigError, match=r"takes 2 to 2,000 steps, got 2,001"):
        portrait(CHEBYSHEV, problem, state, steps=2001)


def test_a_run_that_diverges_is_said():
    config = CHEBYSHEV.replace(eta=50.0)
    problem = se.build_problem(config)
    with pytest.raises(FloatingPointError, match=r"leaves the finite range at step \d"):
        portrait(config, problem, TrainState.initial(config, problem), steps=500)
