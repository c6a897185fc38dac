"""The inspection of a step in a process of its own, without touching the run. Needs torch."""

from __future__ import annotations

import os
from collections.abc import Callable

from samedge_core.problems.own_data import check_unchanged
from samedge_core.training.inspect_step import inspection_at
from samedge_core.training.inspection import Inspection
from samedge_core.training.loop import build_problem
from samedge_core.training.progress import every
from samedge_core.training.state import TrainState
from samedge_core.worker.channel import Channel
from samedge_core.worker.limit import Limit, reserved
from samedge_core.worker.messages import InspectionDone, InspectionProgress, InspectStep

SECONDS = 4.0  # that a spectrum may take, about
REPORT_SECONDS = 0.2


def inspect(channel: Channel, task: InspectStep, limit: Limit) -> None:
    """Measure and report the inspection `task`. The server ends this process to cancel it."""
    due = every(REPORT_SECONDS)

    def progress(what: str, done: int, total: int) -> None:
        if due():
            channel.send(InspectionProgress(what, done, total))

    def over(what: str) -> None:
        channel.send(InspectionDone(None, what))
        os._exit(1)

    try:
        with limit.holds(over):
            inspection = _inspection(task, limit, progress)
    except Exception as error:  # noqa: BLE001 - the server waits for an answer
        what = str(error).partition("\n")[0].rstrip(".")  # torch adds pages for programmers
        if met := limit.met(error):
            what = met
        elif not isinstance(error, FloatingPointError | ValueError):
            what = f"{type(error).__name__}: {what}"
        channel.send(InspectionDone(None, what))
        return
    channel.send(InspectionDone(inspection))


def _inspection(
    task: InspectStep, limit: Limit, progress: Callable[[str, int, int], None]
) -> Inspection:
    problem = build_problem(task.config, task.arithmetic)
    check_unchanged(task.config.options, problem.data_sha256, task.data_sha256)
    limit.reserve(reserved(problem, task.config.top_k))
    state = (
        TrainState.unpack(task.snapshot, task.config, problem)
        if task.snapshot
        else TrainState.initial(task.config, problem)
    )
    return inspection_at(
        task.config,
        problem,
        state,
        task.step,
        replay=task.replay,
        with_spectrum=task.with_spectrum,
        seconds=SECONDS,
        on_progress=progress,
    )
