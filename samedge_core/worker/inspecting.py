"""Inspections in a worker, which leave the run alone: of any step in a process of its own, of the
step that comes next in the run's. Needs torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from samedge_core.problems.own_data import check_unchanged
from samedge_core.problems.problem import Problem
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.inspect_step import inspection_at
from samedge_core.training.inspection import Inspection
from samedge_core.training.loop import build_problem
from samedge_core.training.progress import every
from samedge_core.training.state import TrainState
from samedge_core.worker.channel import Channel
from samedge_core.worker.limit import Limit, reserved
from samedge_core.worker.messages import (
    InspectionDone,
    InspectionProgress,
    InspectStep,
    Predict,
    Report,
)

T = TypeVar("T")

SECONDS = 4.0  # that a spectrum may take, about
REPORT_SECONDS = 0.2


def inspect(channel: Channel, task: InspectStep, limit: Limit) -> None:
    """Measure and report the inspection `task`. The server ends this process to cancel it."""
    due = every(REPORT_SECONDS)

    def progress(what: str, done: int, total: int) -> None:
        if due():
            channel.send(InspectionProgress(what, done, total))

    answer(channel, limit, lambda: _inspection(task, limit, progress), InspectionDone)


def answer(
    channel: Channel, limit: Limit, make: Callable[[], T], done: Callable[[T | None, str], Report]
) -> None:
    """Report what is made as `done`: the result and "", or None and why it failed, in words."""

    def over(what: str) -> None:
        channel.send(done(None, what))
        os._exit(1)

    try:
        with limit.holds(over):
            made = make()
    except Exception as error:  # noqa: BLE001 - the server waits for an answer
        channel.send(done(None, in_words(error, limit)))
        return
    channel.send(done(made, ""))


def in_words(error: Exception, limit: Limit) -> str:
    """Why an inspection has failed."""
    if met := limit.met(error):
        return met
    what = str(error).partition("\n")[0].rstrip(".")  # torch adds pages for programmers
    foreseen = isinstance(error, FloatingPointError | ValueError)
    return what if foreseen else f"{type(error).__name__}: {what}"


def look_ahead(
    config: RunConfig,
    problem: Problem,
    state: TrainState,
    changes: Mapping[str, Any],
    on_progress: Callable[[str, int, int], None],
) -> Inspection:
    """The inspection of the step that `state` takes next, with `changes` made before it, without a
    spectrum; the state stays as it is. Raises as `inspection_at`."""
    copy = TrainState.unpack(state.pack(), config, problem)
    made = Intervention.effective(copy.step, Changes(changes), copy.hyper)
    return inspection_at(
        config,
        problem,
        copy,
        copy.step,
        replay=[made] if made else [],
        with_spectrum=False,
        on_progress=on_progress,
    )


def _inspection(
    task: InspectStep, limit: Limit, progress: Callable[[str, int, int], None]
) -> Inspection:
    problem, state = starting(task, limit)
    return inspection_at(
        task.config,
        problem,
        state,
        task.step,
        replay=task.replay,
        with_spectrum=task.with_spectrum,
        seconds=SECONDS,
        batches=task.batches,
        test=task.test,
        portrait_steps=task.portrait_steps,
        on_progress=progress,
    )


def starting(task: InspectStep | Predict, limit: Limit) -> tuple[Problem, TrainState]:
    """The problem of a task, and the state that it begins with.

    Raises:
        DataError: the examples are not those of the run.
    """
    problem = build_problem(task.config, task.arithmetic)
    check_unchanged(task.config.options, problem.data_sha256, task.data_sha256)
    limit.reserve(reserved(problem, task.config.top_k))
    if task.snapshot:
        return problem, TrainState.unpack(task.snapshot, task.config, problem)
    return problem, TrainState.initial(task.config, problem)
