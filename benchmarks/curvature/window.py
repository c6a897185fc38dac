"""A window of consecutive training steps, replayed with the library."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.curvature.cases import BARE, Case
from benchmarks.curvature.plain import Plain, same
from samedge_core.problems.problem import Batch, Problem
from samedge_core.training import RunConfig
from samedge_core.training.loop import build_problem, measurements
from samedge_core.training.state import TrainState

__all__ = ["Subject", "Window", "replay"]


@dataclass(frozen=True)
class Subject:
    """What a method measures: the problem for the library, the plain module for its peers."""

    config: RunConfig
    problem: Problem
    batch: Batch | None
    plain: Plain


@dataclass(frozen=True)
class Window:
    """Consecutive iterates of one run.

    Attributes:
        case, subject: which run, and what is measured on it.
        packed: the run's state before the window's first step, as `TrainState.pack` writes it.
        weights: w (P,) by step, in order.
        reference: the sharpness by step, once it is known.
    """

    case: Case
    subject: Subject
    packed: bytes
    weights: dict[int, Tensor]
    reference: dict[int, float]


def replay(case: Case) -> Window:
    """Train up to the window and through it, without measuring."""
    config = case.config.replace(measure_every=BARE, steps=case.start + case.steps)
    problem = build_problem(config)
    state = TrainState.initial(config, problem)
    plain = Plain(config, problem, torch.float32)
    same(plain, problem, state.w)
    loop = measurements(config, problem, state)
    while state.step < case.start:
        next(loop)
    packed, weights = state.pack(), {}
    while state.step < config.steps:
        weights[state.step] = state.w.clone()
        next(loop)
    subject = Subject(case.config, problem, problem.full_batch(), plain)
    return Window(case, subject, packed, weights, {})
