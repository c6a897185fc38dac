"""RunRegistry: all runs of one server, each behind an unguessable id and a lease."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any

from samedge_core.diagnosis import diagnose
from samedge_core.rules import Hyperparameters
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, Intervention, check_changes
from samedge_core.training.stop import Stop, StopReason
from samedge_core.worker.messages import (
    Advance,
    Begin,
    Change,
    End,
    Ended,
    Intervened,
    Pace,
    Pause,
    Ready,
    Report,
    Resume,
    Rows,
    Snapshot,
    SpectrumFailed,
    SpectrumMade,
    SpectrumProgress,
    Status,
)
from samedge_core.worker.process import WorkerProcess
from samedge_core.worker.settings import Settings
from samedge_core.worker.spectra import RunSpectra
from samedge_core.worker.view import Phase, RunView

__all__ = ["RunRegistry"]


@dataclass
class _Run:
    id: str
    config: RunConfig
    history: History
    wanted: Hyperparameters
    seen_at: float
    stretch: int  # steps that the step cap allows, and each Resume at the cap adds
    spectra: RunSpectra
    epoch: int = 0
    session: int = 0
    phase: Phase = Phase.WAITING
    paused: bool = False
    unwatched: bool = False
    pace: float | None = None
    worker: WorkerProcess | None = None
    snapshot: Snapshot | None = None
    status: Status | None = None
    known: int = 0  # interventions still to come again in a replay
    changed: threading.Condition = field(default_factory=threading.Condition)


class RunRegistry:
    """Starts runs in worker processes, hands out views, passes commands on.

    Thread-safe. A method given an id that is not (or no longer) known raises KeyError.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.from_env()
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._runs: dict[str, _Run] = {}
        self._queue: deque[str] = deque()
        self._sessions = itertools.count(1)  # never repeated: workers go from run to run
        self._idle: list[WorkerProcess] = []
        self._gradient_seconds: float | None = None
        self._closed = threading.Event()
        self._fill_spares()
        threading.Thread(target=self._keep_house, daemon=True).start()

    # --- what a page does

    def start(self, config: RunConfig, *, paused: bool = False, pace: float | None = None) -> str:
        """Start a run (or queue it) and return its id."""
        with self._lock:
            run_id = secrets.token_urlsafe(16)
            run = _Run(
                id=run_id,
                config=config,
                history=History(config),
                wanted=config.hyperparameters,
                seen_at=time.monotonic(),
                stretch=config.steps,
                spectra=RunSpectra(self._lock),
                paused=paused,
                pace=pace,
            )
            self._runs[run_id] = run
            self._enqueue(run)
            return run_id

    def __contains__(self, run_id: str) -> bool:
        with self._lock:
            return run_id in self._runs

    def view(
        self, run_id: str, *, epoch: int = -1, start: int = -1, most: int | None = 100
    ) -> RunView:
        """The run as of now, with the rows after step `start` of `epoch` (all, if that is over).

        Looking renews the lease; a run that had paused because nobody looked goes on.
        """
        with self._lock:
            run = self._runs[run_id]
            run.seen_at = time.monotonic()
            if run.unwatched:
                run.unwatched = False
                if not run.paused and run.worker:
                    run.worker.send(Resume())
                    run.phase = Phase.RUNNING
            if epoch != run.epoch:
                start = -1
            history = run.history
            return RunView(
                id=run.id,
                epoch=run.epoch,
                config=history.config,
                phase=run.phase,
                ahead=self._queue.index(run.id) if run.phase is Phase.WAITING else 0,
                unwatched=run.unwatched,
                stretch=run.stretch,
                hyper=run.wanted,
                status=run.status,
                stop=history.stop,
                worker_pid=run.worker.pid if run.worker else None,
                marks=tuple((item.step, item.label) for item in history.interventions),
                columns=history.columns(history.select(start, most)),
                latest=history.latest(),
                diagnoses=tuple(diagnose(history)),
                start=start,
                last_step=history.last_step,
                kept=run.snapshot.step if run.snapshot else None,
                spectra=run.spectra.view(),
            )

    @property
    def gradient_seconds(self) -> float | None:
        """Seconds that a gradient of the default problem takes on this machine, on one thread: the
        least that any worker has seen, None before the first one is ready."""
        return self._gradient_seconds

    def history(self, run_id: str) -> History:
        """The live record, for reading; it grows while the run goes on."""
        with self._lock:
            return self._runs[run_id].history

    def wait_for_rows(self, run_id: str, timeout: float) -> bool:
        """Wait until the run has a row, at most `timeout` seconds; whether it has."""
        with self._news:
            run = self._runs[run_id]
            return self._news.wait_for(
                lambda: len(run.history) > 0 or run.phase is Phase.ENDED, timeout
            )

    def pause(self, run_id: str) -> None:
        """Stop stepping after the current step."""
        with self._lock:
            run = self._runs[run_id]
            run.paused = True
            if run.phase is Phase.WAITING:
                self._queue.remove(run.id)
                run.phase = Phase.PAUSED
            elif run.worker:
                run.worker.send(Pause())
                run.phase = Phase.PAUSED

    def resume(self, run_id: str) -> None:
        """Go on: after a pause, or in a new worker after a stop that can be resumed.

        At the step cap, as many steps again are added.

        Raises:
            ValueError: the run can't be resumed; the message says why.
        """
        with self._lock:
            run = self._runs[run_id]
            stop = run.history.stop
            if stop and not stop.reason.resumable:
                raise ValueError(f"this run can't be resumed: {stop.message}")
            if stop and stop.reason is StopReason.STEP_CAP:
                self._raise_cap(run, stop.step + run.stretch)
            run.paused = False
            if stop:
                run.history.stop = None
                if stop.reason in (StopReason.WORKER_LOST, StopReason.UNWATCHED):
                    run.history.intervene(Intervention(run.history.last_step + 1))
                self._enqueue(run)
            elif run.worker:
                run.worker.send(Resume())
                run.phase = Phase.RUNNING
            elif run.phase is Phase.PAUSED:  # paused while it waited for a worker
                self._enqueue(run)

    def advance(self, run_id: str, steps: int = 1) -> None:
        """Take `steps` steps and pause."""
        with self._lock:
            run = self._runs[run_id]
            if run.worker and run.phase in (Phase.PAUSED, Phase.RUNNING, Phase.STARTING):
                run.paused = True
                run.worker.send(Advance(steps))

    def change(self, run_id: str, **changes: Any) -> None:
        """Change eta, rho, beta or rule from the next step on.

        Raises:
            ConfigError: a value outside its range; nothing has changed then.
        """
        checked = check_changes(changes)
        with self._lock:
            run = self._runs[run_id]
            current = {item.name: getattr(run.wanted, item.name) for item in fields(run.wanted)}
            run.wanted = Hyperparameters(**{**current, **checked})
            if run.worker and run.phase is not Phase.ENDED:
                run.worker.send(Change(checked))

    def pace(self, run_id: str, steps_per_second: float | None) -> None:
        """Limit the speed, for watching step by step; None lifts the limit."""
        with self._lock:
            run = self._runs[run_id]
            run.pace = steps_per_second
            if run.worker:
                run.worker.send(Pace(steps_per_second))

    def measure_spectrum(self, run_id: str) -> None:
        """Measure the Hessian's spectrum where the run is; the view's `spectra` tell the rest."""
        with self._lock:
            run = self._runs[run_id]
            if run.worker:
                run.spectra.ask(run.worker)
            elif run.snapshot is None:
                run.spectra.refuse("no state of this run was kept")
            elif self._has_room():
                run.spectra.ask_of(run.config, run.snapshot)
            else:
                run.spectra.refuse("every worker is busy; try again when another run has ended")

    def cancel_spectrum(self, run_id: str) -> None:
        """Never mind the spectrum that is being measured."""
        with self._lock:
            run = self._runs[run_id]
            run.spectra.cancel(run.worker)

    def clear_spectra(self, run_id: str) -> None:
        """Forget the run's spectra, and the one that is being measured."""
        with self._lock:
            run = self._runs[run_id]
            run.spectra.clear(run.worker)

    def reset(self, run_id: str, *, paused: bool = True) -> None:
        """Back to step 0 and the same initial weights, with the settings now in force."""
        with self._lock:
            run = self._runs[run_id]
            wanted = {item.name: getattr(run.wanted, item.name) for item in fields(run.wanted)}
            run.config = run.config.replace(**wanted, steps=run.stretch)
            run.history = History(run.config)
            run.epoch += 1
            run.spectra.clear(run.worker)
            run.snapshot, run.status, run.known = None, None, 0
            run.paused = paused
            if run.worker:
                self._begin(run, run.worker)
            elif run.id not in self._queue:
                self._enqueue(run)

    def stop(self, run_id: str) -> None:
        """End the run; its record and last snapshot stay."""
        with self._lock:
            run = self._runs[run_id]
            if run.worker and run.phase is not Phase.ENDED:
                run.worker.send(End())
            elif run.phase is Phase.WAITING:
                self._queue.remove(run.id)
                self._end(run, StopReason.STOPPED, "stopped by hand while waiting for a worker")

    def live_workers(self) -> int:
        """How many workers are held by runs, or measure the spectrum of an ended one."""
        with self._lock:
            runs = self._runs.values()
            return sum((run.worker is not None) + run.spectra.examining for run in runs)

    def close(self) -> None:
        """End every worker. Records are gone with the registry."""
        with self._lock:
            self._closed.set()
            for worker in [*self._idle, *(r.worker for r in self._runs.values() if r.worker)]:
                worker.close()
            for run in self._runs.values():
                run.spectra.clear(None)
            self._idle.clear()

    # --- workers and the queue

    def _enqueue(self, run: _Run) -> None:
        run.phase = Phase.WAITING
        self._queue.append(run.id)
        self._start_waiting()

    def _start_waiting(self) -> None:
        while self._queue and self._has_room():
            run = self._runs[self._queue.popleft()]
            self._begin(run, self._take_worker())
        self._fill_spares()

    def _has_room(self) -> bool:
        """Whether one more run may have a worker; takes one from a run that nobody watches."""
        if self.live_workers() < self.settings.max_workers:
            return True
        latest = time.monotonic() - self.settings.pause_after
        unseen = [r for r in self._runs.values() if r.worker and r.seen_at < latest]
        if not unseen:
            return False
        # a closed page must not make the next reader wait until its lease ends
        run = min(unseen, key=lambda run: run.seen_at)
        self._release(run, kill=True)
        self._end(run, StopReason.UNWATCHED, "nobody watched, and another run needed the worker")
        return True

    def _take_worker(self) -> WorkerProcess:
        ready = [worker for worker in self._idle if worker.ready.is_set()]
        chosen = ready[0] if ready else self._idle[0] if self._idle else self._spawn()
        if chosen in self._idle:
            self._idle.remove(chosen)
        return chosen

    def _spawn(self) -> WorkerProcess:
        return WorkerProcess(self._on_report, self._on_lost)

    def _fill_spares(self) -> None:
        while not self._closed.is_set() and len(self._idle) < self.settings.spares:
            self._idle.append(self._spawn())

    def _begin(self, run: _Run, worker: WorkerProcess) -> None:
        """Hand the run to the worker: from its last snapshot, repeating what came after it."""
        history = run.history
        taken = run.snapshot.step if run.snapshot else 0
        replay = [item for item in history.interventions if item.step >= taken and item.changes]
        run.known = len(replay)
        resume_at = history.last_step + 1
        wanted = _difference(history.hyperparameters, run.wanted)
        if wanted:
            replay.append(Intervention(resume_at, wanted))
        run.session = next(self._sessions)
        run.worker = worker
        run.phase = Phase.STARTING
        run.status = None
        worker.send(
            Begin(
                session=run.session,
                config=run.config,
                snapshot=run.snapshot.packed if run.snapshot else None,
                replay=tuple(replay),
                until=resume_at,
                paused=run.paused,
                pace=run.pace,
            )
        )

    def _release(self, run: _Run, *, kill: bool = False) -> None:
        worker, run.worker = run.worker, None
        if worker is None:
            return
        if kill or len(self._idle) >= self.settings.spares or self._closed.is_set():
            worker.close()
        else:
            self._idle.append(worker)

    def _end(self, run: _Run, reason: StopReason, what: str) -> None:
        run.history.stop = Stop(reason, max(0, run.history.last_step), what)
        run.phase = Phase.ENDED
        run.spectra.worker_left(what)

    def _raise_cap(self, run: _Run, steps: int) -> None:
        run.config = run.config.replace(steps=steps)
        run.history.config = run.history.config.replace(steps=steps)

    # --- what workers report, on their listening threads

    def _on_report(self, worker: WorkerProcess, report: Report) -> None:
        with self._news:
            if isinstance(report, Ready):
                known = self._gradient_seconds or report.gradient_seconds
                self._gradient_seconds = min(known, report.gradient_seconds)
            run = next((r for r in self._runs.values() if r.worker is worker), None)
            if run is None or getattr(report, "session", None) != run.session:
                return
            match report:
                case Rows(_, rows):
                    run.history.extend(rows[rows["step"] > run.history.last_step])
                case Intervened(_, intervention):
                    self._record_intervention(run, intervention)
                case Status():
                    run.status = report
                    run.history.parameters = report.parameters
                    # what was asked for last: this report may have crossed with a Pause or Resume
                    run.phase = Phase.PAUSED if run.paused or run.unwatched else Phase.RUNNING
                case Snapshot():
                    run.snapshot = report
                case SpectrumProgress() | SpectrumMade() | SpectrumFailed():
                    run.spectra.take(report)
                case Ended(_, stop):
                    run.spectra.worker_left("the run ended first; ask again for its last state")
                    run.history.stop = stop
                    run.phase = Phase.ENDED
                    self._release(run, kill=stop.reason is StopReason.FAILED)
                    self._start_waiting()
            self._news.notify_all()

    @staticmethod
    def _record_intervention(run: _Run, intervention: Intervention) -> None:
        if run.known:
            run.known -= 1  # a replay repeats what is already recorded
        else:
            run.history.intervene(intervention)

    def _on_lost(self, worker: WorkerProcess) -> None:
        with self._news:
            if worker in self._idle:
                self._idle.remove(worker)
            for run in self._runs.values():
                if run.worker is worker:
                    run.worker = None
                    step = run.history.last_step + 1
                    what = f"the worker process was lost at step {step:,}"
                    self._end(run, StopReason.WORKER_LOST, what)
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
                self._drop_oldest()
                self._start_waiting()

    def _check_lease(self, run: _Run, unseen: float) -> None:
        limits = self.settings
        if unseen > limits.forget_after and run.phase is Phase.ENDED:
            del self._runs[run.id]
        elif unseen > limits.end_after and run.phase is not Phase.ENDED:
            if run.id in self._queue:
                self._queue.remove(run.id)
            self._release(run, kill=True)
            self._end(run, StopReason.UNWATCHED, f"nobody watched for {limits.end_after:g} s")
        elif unseen > limits.pause_after and run.worker and run.phase is Phase.RUNNING:
            run.unwatched = True
            run.worker.send(Pause())
            run.phase = Phase.PAUSED

    def _drop_oldest(self) -> None:
        ended = [run for run in self._runs.values() if run.phase is Phase.ENDED]
        excess = len(self._runs) - self.settings.max_records
        for run in sorted(ended, key=lambda run: run.seen_at)[: max(0, excess)]:
            del self._runs[run.id]


def _difference(old: Hyperparameters, new: Hyperparameters) -> dict[str, Any]:
    names = (item.name for item in fields(new))
    return {n: getattr(new, n) for n in names if getattr(new, n) != getattr(old, n)}
