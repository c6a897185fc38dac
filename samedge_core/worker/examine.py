"""Measurements at one state of a run, without touching that run: its spectrum, or the inspection of
a step. Needs torch."""

from __future__ import annotations

import time
from collections.abc import Callable

from samedge_core.curvature.lanczos_quadrature import spectrum
from samedge_core.problems.batches import Batch
from samedge_core.problems.problem import Problem
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.config import RunConfig
from samedge_core.training.inspect_step import inspection_at
from samedge_core.training.loop import build_problem
from samedge_core.training.observe import observe
from samedge_core.training.state import TrainState
from samedge_core.worker.channel import Channel
from samedge_core.worker.messages import (
    Examine,
    InspectionFailed,
    InspectionMade,
    InspectionProgress,
    InspectStep,
    SpectrumFailed,
    SpectrumMade,
    SpectrumProgress,
)

SECONDS = 4.0  # what a spectrum may take, about: training waits for it
REPORT_SECONDS = 0.2


class Abandoned(Exception):
    """Nobody waits for this spectrum any more."""


class Examiner:
    """Measures spectra of one run and reports them."""

    def __init__(self, channel: Channel, session: int, config: RunConfig, problem: Problem) -> None:
        self._channel = channel
        self._session = session
        self._config = config
        self._problem = problem

    def measure(
        self, request: int, state: TrainState, hyper: Hyperparameters, between: Callable[[], None]
    ) -> None:
        """Report the spectrum at `state`, or why there is none; `state` is as before in the end.

        `between` is called between products, and raises Abandoned to leave it at that.
        """
        step, due = state.step, time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal due
            between()
            if time.monotonic() >= due:
                due = time.monotonic() + REPORT_SECONDS
                self._channel.send(SpectrumProgress(self._session, request, step, done, total))

        try:
            batch, share = _measured_batch(self._problem, state), self._config.hessian_share
            slope, operator = observe(self._problem, state.w, batch, share)
            found = spectrum(
                operator, seed=self._config.seed, seconds=SECONDS, on_progress=progress
            )
        except Abandoned:
            return
        # torch has no other error for a lack of memory; the run itself can go on
        except (FloatingPointError, MemoryError, RuntimeError) as error:
            what = f"{_first_line(error)} (step {step:,})"
            self._channel.send(SpectrumFailed(self._session, request, what))
            return
        self._channel.send(SpectrumMade(self._session, request, step, hyper, slope.norm, found))


def _first_line(error: Exception) -> str:
    # torch adds pages of advice for programmers
    return str(error).partition("\n")[0].rstrip(".")


def _measured_batch(problem: Problem, state: TrainState) -> Batch | None:
    """What the row of this step is measured on; the order of the batches stays as it is."""
    if state.fixed or not state.batches:
        return state.fixed or problem.full_batch()
    order = state.batches.state()
    batch = state.batches.next()
    state.batches.restore(order)
    return batch


def examine(channel: Channel, task: Examine) -> None:
    """Report the spectrum at the task's packed state. The server ends this process to cancel."""
    try:
        problem = build_problem(task.config, task.arithmetic)
        state = TrainState.unpack(task.snapshot, task.config, problem)
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
        what = (
            f"the run's last state can't be taken up: {type(error).__name__}: {_first_line(error)}"
        )
        channel.send(SpectrumFailed(task.session, task.request, what))
        return
    examiner = Examiner(channel, task.session, task.config, problem)
    examiner.measure(task.request, state, state.hyper, lambda: None)


def examine_inspection(channel: Channel, task: InspectStep) -> None:
    """Report the inspection that the task names. The server ends this process to cancel."""
    due = 0.0

    def progress(what: str, done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + REPORT_SECONDS
            channel.send(InspectionProgress(task.session, task.request, what, done, total))

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
        channel.send(InspectionFailed(task.session, task.request, what))
        return
    channel.send(InspectionMade(task.session, task.request, inspection))
