"""The inspection of a step in a process of its own, without touching the run. Needs torch."""

from __future__ import annotations

import time

from samedge_core.training.inspect_step import inspection_at
from samedge_core.training.loop import build_problem
from samedge_core.training.state import TrainState
from samedge_core.worker.channel import Channel
from samedge_core.worker.messages import (
    InspectionFailed,
    InspectionMade,
    InspectionProgress,
    InspectStep,
)

SECONDS = 4.0  # what a spectrum may take, about
REPORT_SECONDS = 0.2


def _first_line(error: Exception) -> str:
    # torch adds pages of advice for programmers
    return str(error).partition("\n")[0].rstrip(".")


def examine(channel: Channel, task: InspectStep) -> None:
    """Report the inspection that the task names. The server ends this process to cancel."""
    due = 0.0

    def progress(what: str, done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + REPORT_SECONDS
            channel.send(InspectionProgress(what, done, total))

    try:
        problem = build_problem(task.config, task.arithmetic)
        state = (
            TrainState.unpack(task.snapshot, task.config, problem)
            if task.snapshot
            else TrainState.initial(task.config, problem)
        )
        inspection = inspection_at(
            task.config,
            problem,
            state,
            task.step,
            replay=task.replay,
            with_spectrum=task.with_spectrum,
            seconds=SECONDS,
            on_progress=progress,
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
        plain = isinstance(error, FloatingPointError | ValueError)
        what = _first_line(error) if plain else f"{type(error).__name__}: {_first_line(error)}"
        channel.send(InspectionFailed(what))
        return
    channel.send(InspectionMade(inspection))
