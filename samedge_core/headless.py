"""Runs without a page: in this process, saved as they go, and taken up again where they stopped."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samedge_core import saved
from samedge_core.costs import Costs
from samedge_core.problems.problem import Problem
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, Intervention, Measurement, check_changes
from samedge_core.training.loop import Changes, build_problem, measurements
from samedge_core.training.state import TrainState
from samedge_core.training.stop import Stop, StopReason

__all__ = ["HeadlessRun"]

SAVE_SECONDS = 30.0  # what a kill can cost, and a step


@dataclass
class HeadlessRun:
    """A run that is about to start or to go on.

    Attributes:
        history: its record, up to the step that `state` is at.
        planned: interventions to make on the way, those that a lost stretch had made included.
        until: first step that the folder has no row of; before it, an interruption leaves the
            folder as it is, since that holds more than this run.
        costs: what measuring takes.
    """

    history: History
    problem: Problem
    state: TrainState
    planned: list[Intervention] = field(default_factory=list)
    until: int = 0
    costs: Costs = field(default_factory=Costs)

    @classmethod
    def new(cls, config: RunConfig) -> HeadlessRun:
        """A run at step 0.

        Raises:
            ConfigError: this machine lacks the device.
            DataError: the data can't be had or can't be used.
        """
        problem = build_problem(config)
        history = History(config)
        history.parameters = problem.size
        return cls(history, problem, TrainState.initial(config, problem))

    @classmethod
    def resumed(
        cls, folder: Path, *, steps: int | None = None, changes: Mapping[str, Any] | None = None
    ) -> HeadlessRun:
        """The run saved in `folder`, from its state on.

        Rows after the state, left by a kill between two writes, are dropped and will be computed
        again, with the interventions among them; so the run goes on to the very same bits (on the
        same machine, with as many threads).

        Args:
            steps: a new step cap.
            changes: of eta, rho, beta or rule, in force from the first step that is not recorded.

        Raises:
            SavedError: a file is missing or damaged.
            ResumeError: the run has come to its end.
            ConfigError: a value outside its range.
        """
        recorded = saved.read(folder)
        config = recorded.config if steps is None else recorded.config.replace(steps=steps)
        _check_resumable(recorded, config)
        added = check_changes(changes or {})
        problem = build_problem(config)
        state = _state(folder, config, problem)
        if state.step >= config.steps:
            raise saved.ResumeError(
                f"the run in {folder} has taken all of its {config.steps:,} steps: raise the cap "
                "(steps)"
            )
        history = recorded.before(state.step)
        history.config = config
        if history.last_step + 1 != state.step:
            raise saved.SavedError(
                f"{folder} lacks rows: the state is at step {state.step:,}, and the last row "
                f"before it is of step {history.last_step:,}"
            )
        until = recorded.last_step + 1
        planned = [item for item in recorded.interventions if item.step >= state.step]
        return cls(history, problem, state, [*planned, Intervention(until, added)], until)

    def run(
        self, folder: Path, *, on_row: Callable[[Measurement], None] = lambda row: None
    ) -> History:
        """Train to the end, saving in `folder` after the first step, every 30 s and at the end.

        Ctrl-C and SIGTERM end the run after the step that is being taken, as STOPPED; a second one
        ends it at once, with what was last saved. `on_row` is called with each new measurement.

        Raises:
            OSError: the folder can't be written to.
        """
        with _interruptions() as interrupted:
            stop = self._train(folder, on_row, interrupted)
        self.history.stop = stop
        if stop.reason is StopReason.STOPPED and self.state.step < self.until:
            return self.history
        # a step that failed may have left half of its changes in the state
        state = None if stop.reason is StopReason.FAILED else self.state.pack()
        saved.write(folder, self.history, state, results=True)
        return self.history

    def _train(
        self, folder: Path, on_row: Callable[[Measurement], None], interrupted: threading.Event
    ) -> Stop:
        loop = measurements(self.history.config, self.problem, self.state, changes=self._planned_at)
        due = time.monotonic()
        while True:
            item = self._next(loop)
            if isinstance(item, Stop):
                return item
            if isinstance(item, Intervention):
                self.history.intervene(item)
                continue
            self.history.append(item)
            on_row(item)
            if interrupted.is_set() and self.state.step < self.history.config.steps:
                what = f"stopped by hand after step {item.step:,}"
                return Stop(StopReason.STOPPED, self.state.step, what)
            if time.monotonic() >= due and self.state.step >= self.until:
                saved.write(folder, self.history, self.state.pack(), results=False)
                due = time.monotonic() + SAVE_SECONDS

    def _next(
        self, loop: Generator[Measurement | Intervention, None, Stop]
    ) -> Measurement | Intervention | Stop:
        """What happens next; a failure is an end too."""
        began = time.perf_counter()
        try:
            item = next(loop)
        except StopIteration as end:
            return end.value
        except Exception as error:  # noqa: BLE001 - whatever failed, the rows are worth saving
            what = f"the run failed: {type(error).__name__}: {error}"
            return Stop(StopReason.FAILED, self.state.step, what)
        if isinstance(item, Measurement):
            self.costs.add(time.perf_counter() - began, item.seconds, item.hvps)
        return item

    def _planned_at(self, step: int) -> Iterator[Changes]:
        return (item.changes for item in self.planned if item.step == step)


@contextmanager
def _interruptions() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; the second one has its usual effect.

    Only the main thread may handle signals; elsewhere nothing sets the event.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def interrupt(number: int, frame: object) -> None:
        interrupted.set()
        restore()

    for number in usual:
        signal.signal(number, interrupt)
    try:
        yield interrupted
    finally:
        restore()


def _check_resumable(recorded: History, config: RunConfig) -> None:
    stop = recorded.stop
    if stop and not stop.reason.resumable:
        raise saved.ResumeError(f"the run can't go on: {stop.what}")
    reached = recorded.last_step + 1
    if config.steps < reached:
        raise saved.ResumeError(
            f"steps must be at least {reached:,}, the steps that are recorded, got {config.steps:,}"
        )


def _state(folder: Path, config: RunConfig, problem: Problem) -> TrainState:
    packed = saved.read_state(folder)
    with saved.reading(folder / saved.STATE):
        state = TrainState.unpack(packed, config, problem)
        if state.w.shape != (problem.size,):
            raise ValueError(f"w must have {problem.size:,} entries, got {tuple(state.w.shape)}")
    return state
