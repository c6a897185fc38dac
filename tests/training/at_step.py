"""A run of GD on chebyshev-mlp, brought to a step."""

import samedge_core as se
from samedge_core.problems.problem import Problem
from samedge_core.training.loop import measurements
from samedge_core.training.state import TrainState

CHEBYSHEV = se.RunConfig(problem="chebyshev-mlp", rule="gd", eta=0.2, steps=10_000)
BARE = {"measure_every": 10_000}


def taken(config: se.RunConfig, steps: int) -> tuple[Problem, TrainState]:
    """Its problem, and its state after so many steps."""
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    loop = measurements(config, problem, state)
    while state.step < steps:
        next(loop)
    return problem, state
