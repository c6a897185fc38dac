"""LocalRun: a run trained and recorded in this process; new, resumed or forked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace

import torch
from sqlalchemy.exc import SQLAlchemyError

from samedge_core.curvature.kernels import Arithmetic
from samedge_core.problems.memory import memory
from samedge_core.problems.own_data import contents_of
from samedge_core.problems.problem import Problem
from samedge_core.runs.process import heartbeat, threads_of, using_threads
from samedge_core.runs.restore import OnReplay, caught_up
from samedge_core.sharing.export import ResumeError
from samedge_core.store import RunRecord, Store
from samedge_core.store.branching import branch_off
from samedge_core.store.record import ARITHMETIC, DATA, THREADS
from samedge_core.store.writer import RunWriter
from samedge_core.training.config import NOTHING, Changes, RunConfig
from samedge_core.training.costs import Costs, Spacing
from samedge_core.training.fitting import check_fits
from samedge_core.training.history import History, Intervention, Measurement
from samedge_core.training.interruptions import interruptions
from samedge_core.training.loop import build_problem, measurements
from samedge_core.training.plan import changes_at
from samedge_core.training.progress import OnRow
from samedge_core.training.state import TrainState
from samedge_core.training.stop import Stop, StopReason

SAVE_SECONDS = 1.0  # what a kill can cost, and a step
SNAPSHOT_SHARE = 0.05  # of the time, at most, goes into states; large models pack slowly

_log = logging.getLogger(__name__)


@dataclass
class LocalRun:
    """A run before its first step in this process, at the end of its record.

    Attributes:
        history: every recorded row and intervention.
        state: after the newest row, with later changes in force.
        planned: interventions to make at their steps.
        written: last step whose row the store has; -1 for a new run.
        costs: of the measurements.
    """

    record: RunRecord
    history: History
    problem: Problem
    state: TrainState
    planned: list[Intervention] = field(default_factory=list)
    written: int = -1
    costs: Costs = field(default_factory=Costs)

    @classmethod
    def new(
        cls,
        config: RunConfig,
        interventions: Iterable[Intervention] = (),
        *,
        threads: int | None = None,
        arithmetic: Arithmetic | None = None,
    ) -> LocalRun:
        """A run at step 0.

        Args:
            threads: of torch; by default as many as are set.
            arithmetic: by default the compiled one, once that is compiled.

        Raises:
            ConfigError: this machine lacks the device or the memory.
            DataError: the data can't be had or can't be used.
            RuntimeError: the kernels can't be compiled.
        """
        check_fits(config, contents_of(config.options), memory())
        problem = build_problem(config, arithmetic)
        planned = tuple(interventions)
        record = RunRecord(
            Store.new_id(), config, config.steps, parameters=problem.size, planned=planned
        )
        used = {THREADS: threads or torch.get_num_threads(), ARITHMETIC: problem.arithmetic}
        state, record = TrainState.initial(config, problem), record.on(**used)
        if problem.data_sha256:
            record = record.on(**{DATA: problem.data_sha256})
        return cls(record, record.empty_history(), problem, state, list(planned))

    @classmethod
    def resumed(
        cls,
        store: Store,
        run: str,
        *,
        steps: int | None = None,
        changes: Changes = NOTHING,
        threads: int | None = None,
        on_replay: OnReplay = lambda done, total: None,
    ) -> LocalRun:
        """The stored run with the id `run`, from its newest row on.

        The steps since the last kept state are repeated, so that the run continues bit for bit
        (on the same machine, with the same versions and as many threads).

        Args:
            steps: a new step cap.
            changes: of eta, rho, beta or rule, in force from the first step that is not recorded.
            threads: of torch; by default as many as the run began with.
            on_replay: called with the number of steps repeated so far and their total.

        Raises:
            SavedError: a file is missing or damaged.
            ResumeError: the run has ended for good, or another process records it.
            ConfigError: a cap outside its range.
        """
        record, history = store.load(run)
        record = record.on(threads=threads) if threads else record
        config = history.config if steps is None else history.config.capped(steps)
        _check_resumable(history, config)
        until = history.last_step + 1
        history.config, history.stop = config, None
        problem, state, end = caught_up(store, record, history, history, until, on_replay)
        if end:  # its process was killed before the stop was recorded
            raise ResumeError(f"the run can't go on: {end.what}")
        planned = [*record.ahead(history), Intervention(until, changes)]
        return cls(record, history, problem, state, planned, until - 1)

    @classmethod
    def forked(
        cls,
        store: Store,
        run: str,
        step: int,
        *,
        steps: int | None = None,
        changes: Changes = NOTHING,
        threads: int | None = None,
        on_replay: OnReplay = lambda done, total: None,
    ) -> LocalRun:
        """A new run that shares all rows before `step` with `run`; see `branch_off`.

        Raises:
            SavedError: a file is missing or damaged.
            StepError: a step that is not recorded, or that the run did not reach.
            ConfigError: a cap that is not beyond the step.
        """
        record, history = store.load(run)
        branched = branch_off(record, history, step, steps=steps, changes=changes)
        new = branched.record.on(threads=threads or threads_of(record))
        new, past = replace(new, parameters=history.parameters), branched.past
        # without the parent's change at this step, which is not the fork's
        problem, state, _ = caught_up(store, new, history, past, step, on_replay)
        return cls(new, past, problem, state, list(new.planned))

    def run(self, store: Store, *, on_row: OnRow = lambda row: None) -> History:
        """Train to the end; recorded in `store` after the first step, every second and at the end.

        Ctrl-C and SIGTERM end the run after the step that is being taken, as STOPPED; a second one
        ends it at once, with what was last saved. `on_row` is called with each new measurement.
        While the store can't be written to, the run goes on and recording is tried again.

        Raises:
            ResumeError: another process goes on with this run.
            OSError, SQLAlchemyError: the store can't be written to, at the first step or at the
                end.
        """
        self._claim(store)
        recording = _Recording(RunWriter(store, self.record, written=self.written), self)
        try:
            with (
                using_threads(threads_of(self.record)),
                heartbeat(store),
                interruptions() as interrupted,
            ):
                self.history.stop = self._train(recording, on_row, interrupted)
                recording.finish()
        finally:
            if not recording.finished:
                _release(store, self.record.id)
        return self.history

    def _claim(self, store: Store) -> None:
        run = self.record.id
        if self.written < 0 and run not in store:
            return
        if not store.catalogue.claim(run, store.server):
            raise ResumeError(f"another process goes on with the run {run}; it can be forked")
        last = store.folder(run).last_step
        if last > self.written:
            _release(store, run)
            raise ResumeError(
                f"another process has gone on with the run {run} meanwhile, to step {last:,}"
            )
        store.folder(run).drop_from(self.written + 2)

    def _train(self, recording: _Recording, on_row: OnRow, interrupted: threading.Event) -> Stop:
        loop = measurements(
            self.history.config, self.problem, self.state, changes=changes_at(self.planned)
        )
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
            recording.save_if_due()

    def _next(
        self, loop: Generator[Measurement | Intervention, None, Stop]
    ) -> Measurement | Intervention | Stop:
        """The next measurement, intervention or Stop; a failure is a Stop, too."""
        began = time.perf_counter()
        try:
            item = next(loop)
        except StopIteration as end:
            return end.value
        except Exception as error:  # noqa: BLE001 - whatever failed, the rows are worth saving
            what = f"the run failed: {type(error).__name__}: {error}"
            return Stop(StopReason.FAILED, self.state.step, what)
        if isinstance(item, Measurement):
            took = time.perf_counter() - began - item.evaluation_seconds - item.batch_seconds
            self.costs.add(took, item.seconds, item.hvps)
        return item


class _Recording:
    """Writes a run to the store every SAVE_SECONDS."""

    def __init__(self, writer: RunWriter, run: LocalRun) -> None:
        self._writer, self._run = writer, run
        self._due = self._state_due = time.monotonic()
        self._spacing = Spacing(run.state.step)
        self._begun = False
        self.finished = False

    def save_if_due(self) -> None:
        """Write, where the last write is long enough ago.

        Raises:
            OSError, SQLAlchemyError: the first write failed.
        """
        began = time.monotonic()
        if began < self._due:
            return
        with_state = began >= self._state_due
        try:
            self._write(with_state=with_state)
        except (OSError, SQLAlchemyError) as error:
            if not self._begun:
                raise
            _log.warning("the run is not being recorded, and goes on: %s", error)
        now = time.monotonic()
        self._due = now + SAVE_SECONDS
        if with_state:
            took = now - began if self._begun else 0.0  # the first time, libraries are loaded
            self._state_due = now + max(SAVE_SECONDS, took / SNAPSHOT_SHARE)
        self._begun = True

    def finish(self) -> None:
        """Write the rest, the stop included."""
        # a step that failed may have left half of its changes in the state
        self._write(with_state=self._run.history.stop_reason is not StopReason.FAILED)
        self.finished = True

    def _write(self, *, with_state: bool) -> None:
        state = self._run.state
        kept = with_state and bool(state.w.isfinite().all())
        packed = (state.step, state.pack()) if kept else None
        apart = self._spacing.steps(state.step) if kept else 0
        news = self._writer.take(self._run.history, packed, apart)
        if news:
            self._writer.save(news)


def _check_resumable(recorded: History, config: RunConfig) -> None:
    stop = recorded.stop
    if stop is None:
        raise ResumeError("the run is being recorded by another process; it can be forked")
    if not stop.reason.resumable:
        raise ResumeError(f"the run can't go on: {stop.what}")
    reached = recorded.last_step + 1
    if config.steps < reached:
        raise ResumeError(
            f"steps must be at least {reached:,}, the steps that are recorded, got {config.steps:,}"
        )
    if config.steps == reached:
        raise ResumeError(f"the run has taken all of its {reached:,} steps: raise the cap (steps)")


def _release(store: Store, run: str) -> None:
    """Enter in the catalogue that this process no longer records the run."""
    try:
        store.catalogue.put(run, {"server": None})
    except SQLAlchemyError as error:
        _log.warning("the catalogue still lists the run %s as being recorded: %s", run, error)
