"""A problem that threads share gives each of them what it gives one after the other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn

import samedge_core as se
from samedge_core.problems.problem import Problem

THREADS = 3


def module() -> Problem:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(6, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 2)]
        return Problem.from_module(nn.Sequential(*layers), torch.randn(30, 6), torch.randn(30, 2))


def named(**settings) -> Callable[[], Problem]:
    return lambda: se.build_problem(se.RunConfig(**settings))


PROBLEMS = {
    "module": module,
    "dense": named(problem="digits-mlp", options={"n": 30, "width": 6}),
    "convolutions": named(problem="digits-cnn", options={"n": 10}),
    "quadratic": named(problem="quadratic"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_runs_in_threads_are_those_one_after_the_other(name):
    problem = PROBLEMS[name]()

    def frame(number: int) -> dict[str, Any]:
        config = se.RunConfig(rule="sam", eta=0.1 * (number + 1), steps=30, seed=number)
        return se.run(config, problem).columns()

    alone = [frame(number) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(frame, range(THREADS)))
    assert alone[0]["loss"].tolist() != alone[1]["loss"].tolist()
    for ours, expected in zip(together, alone, strict=True):
        for column in ("loss", "grad_norm", "sharpness"):
            assert ours[column].tolist() == expected[column].tolist()


def test_an_operator_may_be_shared():
    generator = torch.Generator().manual_seed(0)
    problem = module()
    operator = se.HessianOperator(problem.terms(None), problem.init(seed=0))
    vectors = torch.randn(40, problem.size, generator=generator)
    alone = [operator.matvec(v) for v in vectors]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(operator.matvec, vectors))
    assert all(torch.equal(one, other) for one, other in zip(together, alone, strict=True))
