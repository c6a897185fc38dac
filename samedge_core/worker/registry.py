"""RunRegistry: all runs of one server, each behind an unguessable id and a lease."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from samedge_core.curvature import kernels
from samedge_core.curvature.kernels import Arithmetic
from samedge_core.fields import ConfigError
from samedge_core.prediction.prediction import DEFAULT, Prediction, check
from samedge_core.problems.data import DataError
from samedge_core.problems.own_data import Contents, check_unchanged, contents_of
from samedge_core.sharing.replay_file import CHOOSE_FILE, lacks_file, with_file
from samedge_core.store import RunRecord, Store
from samedge_core.store.branching import branch_off
from samedge_core.store.catalogue import CatalogueError
from samedge_core.store.record import ARITHMETIC, DATA, PLAIN_BECAUSE, Branch
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.config import NOTHING, Changes, RunConfig
from samedge_core.training.edge_test import ForkChange
from samedge_core.training.fitting import check_fits, need_of
from samedge_core.training.history import History, Intervention
from samedge_core.training.stop import StopReason
from samedge_core.worker import messages
from samedge_core.worker.inspections import RunInspection
from samedge_core.worker.limit import VARIABLE
from samedge_core.worker.live_run import LiveRun
from samedge_core.worker.memory import together
from samedge_core.worker.pool import WorkerPool
from samedge_core.worker.predictions import RunPrediction
from samedge_core.worker.process import WorkerProcess
from samedge_core.worker.recording import Recorder
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase, RunView, Unfinished

REOPEN_SECONDS = 5.0  # between two tries to open a store
RELOAD_SECONDS = 2.0  # between two readings of a run that another server goes on with
THREADS = 1  # of torch in a worker; the last bits of a run depend on it
EVERY_WORKER_BUSY = "every worker is busy; try again when another run has ended"
LOST_WORKER = (StopReason.WORKER_LOST, StopReason.UNWATCHED, StopReason.INTERRUPTED)

Beside = Literal["inspection", "prediction"]

_log = logging.getLogger(__name__)


class BusyError(Exception):
    """A run that would be one too many; the message says how many there are, and may be."""


class RunRegistry:
    """Starts runs in worker processes, hands out views, passes commands on.

    Thread-safe. A method given an id that is not (or no longer) known raises KeyError.

    Attributes:
        gradient_seconds: what a gradient of the default problem takes on this machine, on one
            thread; the least that any worker has measured, None before the first one is ready.
        no_store: why there is no store yet, in words; see `record_in`.
    """

    def __init__(self, settings: Settings | None = None, store: Store | None = None) -> None:
        """With a `store`, every run is recorded there as it happens; without, in memory alone."""
        self.settings = settings or Settings.from_env()
        self.store = store
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._recorder = Recorder(store, self._lock)
        self._runs: dict[str, LiveRun] = {}
        self._queue: deque[str] = deque()
        self._sessions = itertools.count(1)  # never repeated: workers go from run to run
        self.no_store = ""
        self.gradient_seconds: float | None = None
        self._closed = threading.Event()
        if not self.settings.spares:  # else once the first is ready: both would load torch at once
            kernels.compile_in_background()
        self._pool = WorkerPool(self.settings.spares, self._on_report, self._on_lost)
        self._pool.fill(all_of_them=True)
        threading.Thread(target=self._keep_house, daemon=True).start()

    # --- the store

    def record_in(self, open_store: Callable[[], Store]) -> None:
        """Record all runs in the store that `open_store` returns; where it can't be opened,
        `no_store` says why, and it is tried again every REOPEN_SECONDS."""
        if not self._opens(open_store):
            threading.Thread(target=self._open_later, args=(open_store,), daemon=True).start()

    def _open_later(self, open_store: Callable[[], Store]) -> None:
        while not self._closed.wait(REOPEN_SECONDS):
            if self._opens(open_store):
                return

    def _opens(self, open_store: Callable[[], Store]) -> bool:
        try:
            store = open_store()
        except (CatalogueError, OSError, ValueError) as error:
            if str(error) != self.no_store:
                _log.warning("runs are not recorded: %s", error)
            self.no_store = str(error)
            self._recorder.lacks(f"{error}; tried again every {REOPEN_SECONDS:g} s")
            return False
        with self._lock:
            if self._closed.is_set():
                store.close()
                return True
            self.store, self.no_store = store, ""
            self._recorder.record_in(store)
            for run in self._runs.values():
                self._recorder.follow(run.record, run.history)
        return True

    # --- what a page does

    def start(
        self,
        config: RunConfig,
        *,
        paused: bool = False,
        pace: float | None = None,
        planned: Sequence[Intervention] = (),
        watched: bool = True,
        arithmetic: Arithmetic | None = None,
    ) -> str:
        """Start a run (or queue it) and return its id.

        Args:
            planned: interventions to make at their steps.
            watched: False lets it run while no page polls. It gives way to runs that are watched.
            arithmetic: that of the run that it repeats. By default the compiled one, or the plain
                one where that would have to be compiled first.

        Raises:
            BusyError: as many unwatched runs as are allowed wait or go on.
        """
        record = RunRecord(Store.new_id(), config, config.steps, planned=tuple(planned))
        record = record.on(threads=THREADS, **_arithmetic(arithmetic, config.dtype))
        found = None
        with suppress(DataError):  # the worker says what is wrong with the file
            if found := contents_of(config.options):
                record = record.on(**{DATA: found.sha256})
        run = self._live(
            record,
            record.empty_history(),
            config.hyperparameters,
            paused=paused,
            pace=pace,
            attended=watched,
            need=_need(config, found),
        )
        try:
            self.check_fits(config, found)
        except ConfigError as error:
            run.end(StopReason.FAILED, str(error))
        with self._lock:
            if not watched:
                self._check_unattended()
            return self._add(run)

    def check_fits(self, config: RunConfig, found: Contents | None = None) -> None:
        """Raise a ConfigError for a run that can't fit into the memory that it may take. `found` is
        what its file of the user's holds, where it has one that can be used."""
        check_fits(config, found, self._room, f" ({VARIABLE} is the limit)")

    def fork(
        self,
        run_id: str,
        step: int,
        changes: Changes = NOTHING,
        *,
        branch: Branch = "fork",
        paused: bool = False,
        pace: float | None = None,
    ) -> str:
        """A new run that shares everything before `step` with this one and goes its own way from
        there, with `changes`; returns its id. See `branch_off`.

        Raises:
            StepError: a step that is not recorded.
            DataError: the run's own file has changed, or can't be used any more.
        """
        need = self._check_data(run_id)
        with self._lock:
            source = self._runs[run_id]
            new = branch_off(source.record, source.history, step, branch=branch, changes=changes)
            predicted = [one for one in source.prediction.stretches if one.begin < step]
        run = self._live(
            new.record.on(threads=THREADS),
            new.past,
            new.wanted,
            predicted,
            paused=paused,
            pace=pace,
            snapshot=self._state_before(source, step),
            need=need,
        )
        if predicted:
            self._recorder.keep_predictions(run.id, predicted)
        return self._add(run)

    def open(self, run_id: str) -> bool:
        """Load a run of the store, as it was recorded; False when none has this id. A run that was
        deleted, here or by another server, is forgotten.

        Raises:
            SavedError: it is damaged. Where only its predictions are, it is loaded without them.
        """
        with self._lock:
            known = self._runs.get(run_id)
        if known and self._recorder.deleted(run_id):
            self._drop([run_id])
            return False
        elsewhere = known and known.history.stop_reason is StopReason.ELSEWHERE
        if known and not (elsewhere and time.monotonic() - known.known_at > RELOAD_SECONDS):
            return True
        found = self._recorder.load(run_id)
        if found is None:
            return known is not None
        record, history = found
        predicted, damage = self._recorder.predictions(record)
        run = self._live(
            record,
            history,
            history.hyperparameters,
            predicted,
            phase=Phase.ENDED,
            snapshot=self._recorder.state(record, history.last_step + 1),
        )
        if damage:  # shown until it is predicted anew
            run.prediction.refuse(damage)
        with self._lock:
            if self._runs.get(run_id) is known:
                self._runs[run_id] = run
        return True

    def delete(self, run_ids: Iterable[str]) -> Sequence[str]:
        """Delete runs, here and in the store; returns those that are gone. As `Store.delete`, it
        leaves pinned ones and those that are being recorded."""
        gone = self._recorder.delete(run_ids)
        self._drop(gone)
        return gone

    def restore(self, run_ids: Iterable[str]) -> Sequence[str]:
        """Bring back runs that were deleted within a day; returns those that are here again."""
        return self._recorder.restore(run_ids)

    def __contains__(self, run_id: str) -> bool:
        with self._lock:
            return run_id in self._runs

    def view(self, run_id: str, *, start: int = -1, most: int | None = 100) -> RunView:
        """The run as of now, with the rows after step `start`; see `open`.

        A call renews the lease; a run that had paused because no page polled is resumed.

        Raises:
            KeyError: there is no such run (any more).
            SavedError: it is damaged.
        """
        if not self.open(run_id):
            raise KeyError(run_id)
        with self._held(run_id) as run:
            run.seen_at = time.monotonic()
            if run.unwatched:
                run.unwatched = False
                if not run.paused and run.worker:
                    run.worker.send(messages.RESUME)
                    run.phase = Phase.RUNNING
            return run.view(start, most, self._ahead(run), self._recorder.failure(run_id))

    def unfinished(self) -> Sequence[Unfinished]:
        """The runs that have not ended: those that hold a worker, then the waiting ones in their
        order. Renews no lease."""
        with self._lock:
            runs = [run for run in self._runs.values() if run.phase is not Phase.ENDED]
            found = [run.unfinished(self._ahead(run)) for run in runs]
            return sorted(found, key=lambda run: (run.phase is Phase.WAITING, run.ahead))

    def history(self, run_id: str) -> History:
        """The live record, for reading; it grows while the run goes on."""
        with self._lock:
            return self._runs[run_id].history

    def wait_for_rows(self, run_id: str, timeout: float, *, after: int = -1) -> bool:
        """Wait until the run has a row after step `after`, at most `timeout` seconds; whether it
        has, or has ended."""
        with self._news:
            run = self._runs[run_id]
            return self._news.wait_for(
                lambda: run.history.last_step > after or run.phase is Phase.ENDED, timeout
            )

    def pause(self, run_id: str) -> None:
        """Stop stepping after the current step."""
        with self._held(run_id) as run:
            run.paused, run.owed = True, 0
            if run.phase is Phase.WAITING:
                self._queue.remove(run.id)
                run.phase = Phase.PAUSED
            elif run.worker:
                run.worker.send(messages.PAUSE)
                run.phase = Phase.PAUSED

    def choose_file(self, run_id: str, path: str) -> None:
        """Name the file on which a run from elsewhere was trained; see `Store.choose_file`.

        Raises:
            ConfigError: as that does.
        """
        with self._held(run_id) as run:
            if self.store:
                self.store.choose_file(run_id, path)
            run.history.config = with_file(run.config, path)
            run.record = replace(run.record, config=with_file(run.record.config, path))

    def resume(self, run_id: str) -> None:
        """Go on: after a pause, or in a new worker after a stop that can be resumed.

        At the step cap, as many steps again are added.

        Raises:
            ValueError: the run can't be resumed; the message says why.
        """
        with self._lock:
            begins, need = self._runs[run_id].worker is None, self._runs[run_id].need
        if begins:  # a worker has the examples already
            need = self._check_data(run_id)
        with self._held(run_id) as run:
            run.need = need
            stop = run.history.stop
            if stop and not stop.reason.resumable:
                raise ValueError(f"this run can't be resumed: {stop.message}")
            self._recorder.follow_again(run.record, run.history)
            if stop and stop.reason is StopReason.STEP_CAP:
                run.history.config = run.config.capped(stop.step + run.record.stretch)
            run.paused, run.owed = False, 0
            if stop:
                run.history.stop = None
                if stop.reason in LOST_WORKER:
                    run.history.intervene(Intervention(run.history.last_step + 1))
                self._enqueue(run)
            elif run.worker:
                run.worker.send(messages.RESUME)
                run.phase = Phase.RUNNING
            elif run.phase is Phase.PAUSED:  # paused while it waited for a worker
                self._enqueue(run)

    def advance(self, run_id: str, steps: int = 1) -> None:
        """Take `steps` steps and pause; as soon as there is a worker for it."""
        with self._held(run_id) as run:
            if run.phase is Phase.ENDED:
                return
            run.paused = True
            if run.worker:
                run.worker.send(messages.Advance(steps))
                return
            run.owed += steps
            if run.phase is Phase.PAUSED:  # while it waited for a worker
                self._enqueue(run)

    def change(self, run_id: str, changes: Changes) -> None:
        """Change eta, rho, beta or rule from the next step on."""
        with self._held(run_id) as run:
            run.wanted = replace(run.wanted, **changes)
            if run.worker and run.phase is not Phase.ENDED:
                run.worker.send(messages.Change(changes))

    def pace(self, run_id: str, steps_per_second: float | None) -> None:
        """Limit the speed, for watching step by step; None lifts the limit."""
        with self._held(run_id) as run:
            run.pace = steps_per_second
            if run.worker:
                run.worker.send(messages.Pace(steps_per_second))

    def inspect(
        self,
        run_id: str,
        step: int,
        *,
        with_spectrum: bool = True,
        batches: int = 0,
        test: ForkChange | None = None,
        portrait_steps: int = 0,
    ) -> None:
        """Measure the inspection of a recorded step, in a process of its own that repeats the steps
        up to it; the result comes in the view's `inspection`. One at a time.

        Args:
            batches, test, portrait_steps: as for `inspection_at`.

        Raises:
            ValueError: a step that is not recorded.
        """
        try:
            self._check_data(run_id)
        except DataError as error:
            with self._held(run_id) as run:
                run.inspection.refuse(str(error))
            return
        with self._held(run_id) as run:
            if not 0 <= step <= run.history.last_step:
                allowed = f"from 0 to {run.history.last_step:,}"
                raise ValueError(f"step must be {allowed}, the recorded ones, got {step:,}")
            if run.inspection.pending:
                return
        kept = self._state_before(run, step)
        with self._lock:
            if self._has_room(beside="inspection"):
                run.inspection.ask(
                    run.history,
                    kept,
                    step,
                    with_spectrum=with_spectrum,
                    batches=batches,
                    test=test,
                    portrait_steps=portrait_steps,
                    data_sha256=run.record.data_sha256,
                    room=self._room,
                )
            else:
                run.inspection.refuse(EVERY_WORKER_BUSY)

    def predict(self, run_id: str, flow: str = "auto") -> None:
        """Have a flow predict, in a process of its own, what the run does from the last change of
        its settings on; of a paused run, from one that comes with its next step. It comes in the
        view's `prediction`, where those from earlier changes stay. Nothing is done twice: call it
        as often as a page is drawn."""
        with self._held(run_id) as run:
            wanted = run.to_predict(DEFAULT if flow == "auto" else flow)
            if wanted is None or not run.prediction.lacks(wanted):
                return
        try:
            check(wanted.hyper, flow)
            self._check_data(run_id)
        except (ConfigError, DataError) as error:
            with self._held(run_id) as run:
                run.prediction.refuse(str(error), wanted)
            return
        kept = self._state_before(run, wanted.begin)
        with self._lock:
            if not run.prediction.lacks(wanted):
                return
            if self._has_room(beside="prediction"):
                room, data = self._room, run.record.data_sha256
                run.prediction.ask(run.history, kept, wanted, data_sha256=data, room=room)
            else:
                run.prediction.wait()

    def cancel_prediction(self, run_id: str) -> None:
        """Cancel the pending prediction; what there is of it stays."""
        with self._held(run_id) as run:
            run.prediction.cancel()

    def look_ahead(self, run_id: str, timeout: float = 0.0) -> None:
        """Have a run inspect the step that it takes next, in its own worker, while it is paused or
        waits for its pace; the result comes in the view's `inspection.ahead`. Waits for that
        `timeout` seconds at most. Nothing is done twice, nor for a run without a worker."""
        with self._news:
            run = self._runs[run_id]
            now = run.session, run.history.last_step, run.wanted
            if run.worker and run.phase is not Phase.ENDED and run.inspection.asks_ahead(now):
                run.worker.send(messages.LookAhead())
            self._news.wait_for(lambda: not (run.worker and run.inspection.looks_ahead), timeout)

    def cancel_inspection(self, run_id: str) -> None:
        """Cancel the pending inspection; earlier ones stay."""
        with self._held(run_id) as run:
            run.inspection.cancel()

    def clear_inspection(self, run_id: str) -> None:
        """Forget all inspections, and cancel the pending one."""
        with self._held(run_id) as run:
            run.inspection.clear()

    def stop(self, run_id: str) -> None:
        """End the run; its record and last snapshot stay."""
        with self._held(run_id) as run:
            run.prediction.cancel()
            if run.worker:
                run.worker.send(messages.End())
            elif run.phase is not Phase.ENDED:
                if run.phase is Phase.WAITING:
                    self._queue.remove(run.id)
                run.end(StopReason.STOPPED, "stopped by hand while waiting for a worker")

    def files(self) -> set[str]:
        """Paths of the users' files that runs which have not ended are trained on."""
        with self._lock:
            running = [run for run in self._runs.values() if run.phase is not Phase.ENDED]
            return {run.config.options.get("path", "") for run in running}

    def live_workers(self) -> int:
        """The number of processes that runs, inspections and predictions hold."""
        with self._lock:
            return sum(
                (run.worker is not None) + run.inspection.pending + run.prediction.pending
                for run in self._runs.values()
            )

    def close(self) -> None:
        """End every worker and the recording."""
        with self._lock:
            self._closed.set()
            self._pool.close()
            for run in self._runs.values():
                if run.worker:
                    run.worker.close()
                run.inspection.clear()
                run.prediction.cancel()
        self._recorder.close()

    # --- workers and the queue

    def _check_data(self, run_id: str) -> float:
        """The bytes that the run needs, about. Not under the lock: a large file takes seconds.

        Raises:
            DataError: the run is trained on a file that has changed since, or is not here.
        """
        with self._lock:
            record = self._runs[run_id].record
        if lacks_file(record.config):
            raise DataError(CHOOSE_FILE)
        found = None
        if record.data_sha256:
            found = contents_of(record.config.options)
            now = found.sha256 if found else None
            check_unchanged(record.config.options, now, record.data_sha256)
        return _need(record.config, found)

    @property
    def _room(self) -> float:
        """Bytes that a run may take."""
        return 1e6 * self.settings.worker_mb

    @property
    def _together(self) -> float:
        """Bytes that all runs may take at a time."""
        return max(self._room, together())

    @contextmanager
    def _held(self, run_id: str) -> Iterator[LiveRun]:
        """The run, while nothing else changes it."""
        with self._lock:
            yield self._runs[run_id]

    def _state_before(self, run: LiveRun, step: int) -> messages.Snapshot | None:
        """The newest kept state of at most so many steps; None: it begins with step 0."""
        kept = run.snapshot
        if step == 0 or (kept and kept.step <= step):
            return kept if step else None
        return self._recorder.state(run.record, step)

    def _enqueue(self, run: LiveRun) -> None:
        run.phase = Phase.WAITING
        self._queue.append(run.id)
        self._start_waiting()

    def _in_order(self) -> list[LiveRun]:
        """The waiting runs, the next first: somebody is waiting for the attended ones."""
        return sorted((self._runs[run] for run in self._queue), key=lambda run: not run.attended)

    def _ahead(self, run: LiveRun) -> int:
        return self._in_order().index(run) if run.phase is Phase.WAITING else 0

    def _start_waiting(self) -> None:
        while waiting := self._in_order():
            run = waiting[0]
            if self._has_room(run):
                self._queue.remove(run.id)
                self._begin(run, self._pool.take())
            elif not (run.attended and self._may_fit(run) and self._took_from_unattended()):
                break
        self._pool.fill()

    def _took_from_unattended(self) -> bool:
        """Whether an unattended run, the last that began, had a worker to give. It waits then, and
        goes on from its last snapshot, to the same bits."""
        held = [run for run in self._runs.values() if run.worker and not run.attended]
        if not held:
            return False
        run = max(held, key=lambda run: run.session)
        self._release(run, kill=True)
        if not run.paused:
            run.phase = Phase.WAITING
            self._queue.appendleft(run.id)
        return True

    def _check_unattended(self) -> None:
        runs = self._runs.values()
        unattended = sum(not run.attended and run.phase is not Phase.ENDED for run in runs)
        most = self.settings.max_unattended
        if unattended >= most:
            raise BusyError(
                f"{unattended:,} runs that nobody has to watch wait or go on, and at most {most:,} "
                "may: end some of them on the page Runs, or set SAMEDGE_MAX_UNATTENDED"
            )

    def _has_room(self, run: LiveRun | None = None, *, beside: Beside | None = None) -> bool:
        """Whether this run may have a worker, or (None) one more step be inspected or run be
        predicted; takes workers from runs that nobody watches. One process of either kind stands
        `beside` the workers, so that where there is a single one, the run that holds it can be
        inspected and predicted."""
        while not self._is_free(run, beside):
            held = [r for r in self._runs.values() if r.worker and r.attended]
            unseen = [r for r in held if self._unseen(r)]
            if not unseen or not self._may_fit(run):
                return False
            # a closed page must not make the next reader wait until its lease ends
            longest = min(unseen, key=lambda run: run.seen_at)
            self._release(longest, kill=True)
            longest.end(StopReason.UNWATCHED, "nobody watched, and another run needed the worker")
        return True

    def _is_free(self, run: LiveRun | None, beside: Beside | None) -> bool:
        """Whether there is a worker for this run (None: for what stands beside), and memory for it
        beside the others."""
        runs = self._runs.values()
        inspects = beside == "inspection" or any(other.inspection.pending for other in runs)
        predicts = beside == "prediction" or any(other.prediction.pending for other in runs)
        if self.live_workers() >= self.settings.max_workers + inspects + predicts:
            return False
        return run is None or self._fits_beside(runs, run)

    def _may_fit(self, run: LiveRun | None) -> bool:
        """Whether there is memory for the run once all that give way to it have: none has to, for
        one that waits for others in any case."""
        if run is None:
            return True
        others = self._runs.values()
        stay = [r for r in others if (not self._unseen(r) if r.attended else not run.attended)]
        return self._fits_beside(stay, run)

    def _fits_beside(self, others: Iterable[LiveRun], run: LiveRun) -> bool:
        taken = sum(other.need for other in others if other.worker)
        return not taken or taken + run.need <= self._together

    def _unseen(self, run: LiveRun) -> bool:
        return run.seen_at < time.monotonic() - self.settings.pause_after

    def _begin(self, run: LiveRun, worker: WorkerProcess) -> None:
        """Hand the run to the worker."""
        run.session = next(self._sessions)
        run.worker = worker
        run.phase = Phase.STARTING
        run.status = None
        worker.send(run.begin(run.session, self._room))
        if run.owed:
            worker.send(messages.Advance(run.owed))
            run.owed = 0

    def _release(self, run: LiveRun, *, kill: bool = False) -> None:
        worker, run.worker = run.worker, None
        if worker:
            self._pool.give_back(worker, kill=kill)

    # --- runs that come

    def _add(self, run: LiveRun) -> str:
        with self._lock:
            self._runs[run.id] = run
            self._recorder.follow(run.record, run.history)
            if run.phase is not Phase.ENDED:
                self._enqueue(run)
            return run.id

    def _live(
        self,
        record: RunRecord,
        history: History,
        wanted: Hyperparameters,
        predicted: Iterable[Prediction] = (),
        **others: Any,
    ) -> LiveRun:
        keep = partial(self._recorder.keep_predictions, record.id)
        prediction = RunPrediction(self._lock, predicted, keep)
        return LiveRun(record, history, RunInspection(self._lock), prediction, wanted, **others)

    # --- what workers report, on their listening threads

    def _on_report(self, worker: WorkerProcess, report: messages.Report) -> None:
        with self._news:
            if self._closed.is_set():  # what is on its way is not recorded any more
                return
            if isinstance(report, messages.Ready):
                known = self.gradient_seconds or report.gradient_seconds
                self.gradient_seconds = min(known, report.gradient_seconds)
                kernels.compile_in_background()
            run = next((r for r in self._runs.values() if r.worker is worker), None)
            if run is None or getattr(report, "session", None) != run.session:
                return
            match report:
                case messages.Rows(_, rows):
                    run.history.extend(rows[rows["step"] > run.history.last_step])
                case messages.Intervened(_, intervention):
                    run.intervened(intervention)
                case messages.Status():
                    run.status = report
                    run.history.parameters = report.parameters
                    # as last requested: this report may have crossed with a PAUSE or RESUME
                    run.phase = Phase.PAUSED if run.paused or run.unwatched else Phase.RUNNING
                case messages.Snapshot():
                    run.snapshot = report
                    self._recorder.keep(run.id, report)
                case messages.Drawn(_, examples, computed):
                    run.examples, run.computed = examples or run.examples, computed
                case messages.Ahead():
                    run.inspection.see_ahead(report)
                case messages.Ended(_, stop):
                    run.ended(stop)
                    self._release(run, kill=stop.reason is StopReason.FAILED)
                    self._start_waiting()
            self._news.notify_all()

    def _on_lost(self, worker: WorkerProcess) -> None:
        with self._news:
            self._pool.lost(worker)
            for run in self._runs.values():
                if run.worker is worker:
                    run.worker = None
                    step = run.history.last_step + 1
                    what = f"the worker process was lost at step {step:,}"
                    run.end(StopReason.WORKER_LOST, what)
            self._start_waiting()
            self._news.notify_all()

    # --- leases

    def _keep_house(self) -> None:
        interval = min(0.5, self.settings.pause_after / 4)
        while not self._closed.wait(interval):
            with self._news:
                now = time.monotonic()
                for run in list(self._runs.values()):
                    self._check_lease(run, now - run.seen_at)
                    if run.prediction.pending and self._unseen(run):
                        run.prediction.cancel()
                self._drop_oldest()
                if kernels.compiled_in_background():
                    self._pool.renew()
                self._start_waiting()

    def _check_lease(self, run: LiveRun, unseen: float) -> None:
        limits = self.settings
        if unseen > limits.forget_after and run.phase is Phase.ENDED:
            self._forget(run)
        elif not run.attended:
            return
        elif unseen > limits.end_after and run.phase is not Phase.ENDED:
            if run.id in self._queue:
                self._queue.remove(run.id)
            self._release(run, kill=True)
            run.end(StopReason.UNWATCHED, f"nobody watched for {limits.end_after:g} s")
        elif unseen > limits.pause_after and run.worker and run.phase is Phase.RUNNING:
            run.unwatched = True
            run.worker.send(messages.PAUSE)
            run.phase = Phase.PAUSED

    def _drop_oldest(self) -> None:
        ended = [run for run in self._runs.values() if run.phase is Phase.ENDED]
        excess = len(self._runs) - self.settings.max_records
        for run in sorted(ended, key=lambda run: run.seen_at)[: max(0, excess)]:
            self._forget(run)

    def _drop(self, run_ids: Iterable[str]) -> None:
        """Forget deleted runs, and end their workers."""
        with self._lock:
            for run in [self._runs[run_id] for run_id in run_ids if run_id in self._runs]:
                if run.id in self._queue:
                    self._queue.remove(run.id)
                self._release(run, kill=True)
                self._forget(run)
            self._start_waiting()

    def _forget(self, run: LiveRun) -> None:
        """Drop the run from memory; `open` loads it from the store again."""
        del self._runs[run.id]
        run.inspection.clear()
        run.prediction.cancel()
        self._recorder.forget(run.id)


def _need(config: RunConfig, contents: Contents | None) -> float:
    """Bytes that a run takes, about; 0 where that is not known."""
    needed = need_of(config, contents)
    return needed.bytes if needed else 0.0


def _arithmetic(wanted: Arithmetic | None, dtype: str) -> dict[str, Any]:
    """The arithmetic of a run that starts now, and the reason, for its record's machine."""
    if (wanted or kernels.at_hand(dtype)) == "compiled":
        return {ARITHMETIC: "compiled"}
    why = "that of the run that it repeats" if wanted else kernels.why_plain()
    return {ARITHMETIC: "plain", PLAIN_BECAUSE: why}
