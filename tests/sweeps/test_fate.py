"""A cell's fate, against samples that are made to have it."""

import math

import numpy as np
import pytest

from samedge_core.sweeps.fate import End, Samples, judge, sample_steps
from samedge_core.sweeps.rows import Row
from samedge_core.training import stop as stops
from samedge_core.training.config import RunConfig

GD = RunConfig(problem="chebyshev-mlp", rule="gd", eta=0.5, steps=100)  # its edge is 4
END = End(0.25, 0.5, 1.0)


def samples(sharpness, flipped, **other) -> Samples:
    m = len(sharpness)
    columns = {
        "step": np.arange(m) * 10,
        "leading": np.array(sharpness, float),
        "converged": np.ones(m, bool),
        "grad_norm": np.ones(m),
        "accuracy": np.full(m, np.nan),
        "held_out_loss": np.full(m, np.nan),
        "flipped": np.array(flipped, float),
    }
    return Samples(**{**columns, **other})


def row(sharpness, flipped, *, config=GD, stop=None, **other) -> Row:
    return judge(config, samples(sharpness, flipped, **other), stop or stops.step_cap(100), END)


def test_at_its_edge_and_the_edge_phase():
    got = row([1, 2, 3.9, 4.1, 4.0, 4.4], [0, 0, 1, 1, 1, math.nan])
    assert got.fate == "at its edge"
    assert got.reached_edge_at == 20
    assert got.ratio == pytest.approx(np.median([3.9, 4.1, 4.0, 4.4]) / 4)
    assert got.deviation == pytest.approx(0.025)
    assert (got.hopping, got.sharpness, got.edge) == (1, 4.4, 4)
    assert (got.loss, got.grad_norm, got.seconds, got.steps) == (0.25, 0.5, 1.0, 100)
    assert got.what == "all 100 steps are taken"


@pytest.mark.parametrize(
    ("sharpness", "flipped", "fate"),
    [
        # near the edge, but three of four hop
        ([4.0] * 10, [1] * 6 + [0, 0, 1, math.nan], "below its edge"),
        ([4.5] * 10, [1] * 10, "above its edge"),  # hops, but the ratio is 1.125
        ([4.5] * 6 + [3.0] * 4, [1] * 10, "below its edge"),  # it was above in the first half
        ([4.0] * 10, [math.nan] * 10, "below its edge"),  # it is not known whether it hops
    ],
)
def test_not_at_its_edge(sharpness, flipped, fate):
    assert row(sharpness, flipped).fate == fate


def test_without_an_edge_phase_the_last_half_counts():
    got = row([1, 1, 2, 2.4], [0] * 4)
    assert got.reached_edge_at is None
    assert got.ratio == pytest.approx(0.55)
    assert got.deviation == pytest.approx(0.45)


def test_the_order_of_fates():
    at_edge = [4.0] * 6, [1] * 6
    points = RunConfig(problem="points-mlp", rule="gd", eta=0.5)
    guessing, knowing = np.full(6, 0.5), np.full(6, 0.6)
    diverged, converged = stops.diverged(7, 1e9), stops.converged(7, 1e-13)
    assert row(*at_edge, config=points, accuracy=guessing, stop=diverged).fate == "diverged"
    assert row(*at_edge, config=points, accuracy=guessing, stop=converged).fate == "dead"
    assert row(*at_edge, config=points, accuracy=guessing).fate == "dead"
    assert row(*at_edge, config=points, accuracy=knowing, stop=converged).fate == "converged"
    assert row(*at_edge, config=points, accuracy=knowing).fate == "at its edge"


def test_the_last_finite_numbers_and_the_share_that_has_not_converged():
    got = row(
        [1, 2, math.nan, math.nan],
        [0] * 4,
        accuracy=np.array([0.2, 0.4, math.nan, math.nan]),
        converged=np.array([True, True, True, False]),
    )
    assert (got.sharpness, got.accuracy, got.unconverged) == (2, 0.4, 0.25)


def test_a_cell_without_a_sample_has_a_row():
    got = row([], [], stop=stops.left_range(0))
    assert got.fate == "diverged"
    assert got.steps == 0
    assert math.isnan(got.ratio)


@pytest.mark.parametrize(("steps", "count"), [(1, 40), (39, 40), (2000, 40), (7, 7), (100, 1)])
def test_sample_steps_are_distinct_and_within(steps, count):
    got = sample_steps(steps, count)
    assert len(set(got.tolist())) == len(got) == min(steps, count)
    assert got[0] == 0
    assert got[-1] == (steps - 1 if count > 1 else 0)
