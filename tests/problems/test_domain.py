"""What can be drawn of a problem: which problems, over which inputs."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from samedge_core.fields import defaults
from samedge_core.problems.domain import BORDER, POINTS, SIDE
from samedge_core.problems.problem import Problem
from samedge_core.problems.registry import PROBLEMS, build

LINE = torch.linspace(-1, 2, 7)[:, None]
PLANE = torch.tensor([[0.0, -1.0], [2.0, 1.0], [1.0, 0.5]])


def made(name: str, **options: Any) -> Problem:
    return build(name, defaults(PROBLEMS[name].options) | options, seed=0)


@pytest.mark.usefixtures("paper_files")
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_table_says_which_problems_are_drawn(name, own_files):
    assert (made(name, **own_files.get(name, {})).domain() is not None) == PROBLEMS[name].drawn


def test_a_line_goes_from_the_first_example_to_the_last():
    problem = Problem.from_module(nn.Linear(1, 1), LINE.flip(0), LINE)
    domain = problem.domain()
    assert domain is not None
    assert (domain.ranges, domain.classes) == (((-1.0, 2.0),), 0)
    np.testing.assert_allclose(domain.inputs[:, 0], np.linspace(-1, 2, POINTS), atol=1e-6)


def test_a_square_goes_row_by_row_around_all_points_held_out_ones_too():
    problem = made("points-mlp", n=50, n_test=50, noise=0.3)
    domain = problem.domain()
    assert domain is not None
    assert domain.held_out is not None
    x = torch.cat([domain.examples.x, domain.held_out.x]).numpy()
    low, high = x.min(axis=0), x.max(axis=0)
    border = BORDER * (high - low)
    expected = [low - border, high + border]
    np.testing.assert_allclose(np.transpose(domain.ranges), expected, rtol=1e-6)
    grid = domain.inputs.reshape(SIDE, SIDE, 2).numpy()
    for row in (0, 17):  # along a row the first input grows, from row to row the second
        np.testing.assert_allclose(grid[row, :, 0], np.linspace(*domain.ranges[0], SIDE), rtol=1e-5)
        np.testing.assert_allclose(grid[:, row, 1], np.linspace(*domain.ranges[1], SIDE), rtol=1e-5)


def test_what_it_computes_is_the_module_s_output():
    module = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3))
    problem = Problem.from_module(module, PLANE, torch.tensor([0, 2, 1]), "cross-entropy")
    domain = problem.domain()
    assert domain is not None
    assert domain.classes == 3
    with torch.no_grad():
        found, expected = domain.compute(problem.init(seed=0)), module(domain.inputs)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


OTHERS = {
    "more outputs than classes": (nn.Linear(2, 3), PLANE, torch.tensor([0, 1, 0])),
    "four classes": (nn.Linear(2, 4), PLANE, torch.tensor([0, 1, 3])),
    "two inputs, a value": (nn.Linear(2, 1), PLANE, torch.ones(3, 1)),
    "one input, two values": (nn.Linear(1, 2), LINE, torch.ones(7, 2)),
    "three inputs": (nn.Linear(3, 2), torch.randn(4, 3), torch.tensor([0, 1, 0, 1])),
}


@pytest.mark.parametrize("other", OTHERS)
def test_others_are_not_drawn(other):
    assert Problem.from_module(*OTHERS[other]).domain() is None


def test_points_that_are_all_the_same_have_room_around_them():
    problem = Problem.from_module(nn.Linear(2, 2), torch.ones(3, 2), torch.tensor([0, 1, 0]))
    domain = problem.domain()
    assert domain is not None
    assert domain.ranges == ((1 - BORDER, 1 + BORDER),) * 2
