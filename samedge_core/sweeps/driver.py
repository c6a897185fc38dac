"""The driver of a sweep: hands its cells to Dask's workers, and stores each row as it comes.

Nothing lives in Dask alone: a driver that starts again asks the store what is missing.
"""

from __future__ import annotations

import hashlib
import json
import math
import queue
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from distributed import Client, Future
from distributed.scheduler import KilledWorker

from samedge_core.sweeps import tasks
from samedge_core.sweeps.ensembles.grouping import groups
from samedge_core.sweeps.order import COARSE, Order
from samedge_core.sweeps.rows import Row
from samedge_core.sweeps.schedulers import LOST, Replacing, checked_address, connected
from samedge_core.sweeps.store import PREDICTED, ROWS, RecordedSweep, SweepError
from samedge_core.sweeps.sweep import Sweep
from samedge_core.training.progress import every

MOST_KILLS = 3  # workers that a cell may take with it
TASK_SECONDS = 4.0  # of computing in a task, about
TASKS_A_SECOND = 25  # of all workers: each costs the driver some 3 ms of a core
MOST_IN_TASK = 256  # cells; an ensemble gains little from more
LOOK_SECONDS = 0.5  # between looks at what has been asked for
ENSEMBLE = 32  # cells: of fewer that advance together, most of the time goes into calls of torch
_GROWTH = 8  # of a task's cells, at most, from one to the next: small ones say little of large ones

Compute = tasks.Compute


def drive(
    recorded: RecordedSweep,
    *,
    scheduler: str | None = None,
    insecure: bool = False,
    workers: int | None = None,
    budget: int | None = None,
    on_row: Callable[[Row], None] = lambda row: None,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda text: None,
    compute: Compute = tasks.compute,
    predict: Compute = tasks.predict,
) -> None:
    """Compute the cells of a sweep that have no row yet, until there are none, a `budget` of cells
    has its rows, or somebody asks to stop; then, where that is wanted, the predictions of those
    that have a row.

    Args:
        scheduler: the address of Dask's scheduler; by default SAMEDGE_SCHEDULER, or else workers
            are started here.
        insecure: whether the address may be one of another machine without TLS.
        workers: started here, one thread each; by default `local_workers`.
        on_row: called with each row, of a run or of a prediction, once it is stored.
        stop: asked about twice a second.
        say: called with what a person who waits would like to know.
        compute, predict: what workers call with configurations and the number of samples.

    Raises:
        SweepError: an address that is not allowed or does not answer, a scheduler that is lost, a
            sweep that is being computed already, or workers that lack what its cells need.
    """

    def stopped() -> bool:
        return stop() or recorded.is_asked_to_stop()

    with recorded.driving():
        checked_address(scheduler, insecure=insecure)  # not when others have had their turns
        with _turn(recorded, stopped, say) as has_turn:
            if not has_turn:
                return
            with connected(scheduler, insecure=insecure, workers=workers) as client:
                _Driver(recorded, client, compute, budget, on_row, stopped, say).run()
                if recorded.predicts and not stopped():
                    say("predicts what it has computed")
                    _Driver(recorded, client, predict, None, on_row, stopped, say, PREDICTED).run()


@contextmanager
def _turn(
    recorded: RecordedSweep, stopped: Callable[[], bool], say: Callable[[str], None]
) -> Iterator[bool]:
    """Wait until no other driver of this home computes; False where it is stopped before that."""
    turn = recorded.take_turn()
    if turn is None:
        say("waits for another sweep, which is being computed")
    while turn is None and not stopped():
        turn = recorded.take_turn()
    try:
        yield turn is not None
    finally:
        if turn is not None:
            turn.release()


@dataclass
class _Driver:
    """One drive of a sweep's runs or of its predictions, from its first task to its last."""

    recorded: RecordedSweep
    client: Client
    compute: Compute
    budget: int | None
    on_row: Callable[[Row], None]
    stopped: Callable[[], bool]
    say: Callable[[str], None]
    of: str = ROWS  # or PREDICTED
    flying: dict[Future, list[int]] = field(default_factory=dict)
    pieces: deque[list[int]] = field(default_factory=deque)  # of tasks that went wrong
    suspects: deque[list[int]] = field(default_factory=deque)  # computed alone
    kills: Counter[int] = field(default_factory=Counter)
    tries: Counter[int] = field(default_factory=Counter)  # tasks that a cell was in
    landed: queue.SimpleQueue[Future] = field(default_factory=queue.SimpleQueue)
    done: int = 0
    size: int = 1  # cells of the next task
    least: int = 1
    workers: int = 0

    def run(self) -> None:
        """Submit and take in until nothing is left, or it is stopped."""
        sweep, rows = self.recorded.sweep, self.recorded.rows(self.of)
        runs = [row.cell for row in self.recorded.rows()] if self.of == PREDICTED else None
        self.order, self.done = Order(sweep, rows, among=runs), len(rows)
        self.size = self.least = _least_size(sweep) if self.of == ROWS else 1
        look, told, replacing = every(LOOK_SECONDS), False, Replacing(self.client)
        while True:
            if look():
                if self.stopped():
                    return
                self._check_workers()
                replacing.look()
                if not self.workers and not told:
                    self.say("waits for workers")
                    told = True
                self.recorded.set_running(chain(*self.flying.values()), self.workers)
            self._submit()
            if not self.flying and self.workers:
                return
            self._take_in()

    def _check_workers(self) -> None:
        if self.client.status != "running":
            raise SweepError(LOST)
        threads: Any = self.client.nthreads()  # a dict, of a client that is not asynchronous
        self.workers = sum(threads.values())

    def _submit(self) -> None:
        """Keep all workers busy, with a few tasks that wait for the next to be free."""
        room = self.workers + math.ceil(self.workers / 4)
        while len(self.flying) < room:
            cells = self._next()
            if not cells:
                return
            self._send(cells)

    def _next(self) -> list[int]:
        """The cells of the next task; none where there is nothing to compute now."""
        if self.pieces:
            return self.pieces.popleft()
        # small at the end, so that all workers end together
        share = math.ceil(self.order.left / (2 * self.workers))
        size = max(min(self.least, 2 * share), min(self.size, share))
        if self.budget is not None:
            size = min(size, self.budget - self.done - sum(map(len, self.flying.values())))
        if size > 0:
            patient = self.budget is not None and bool(self.flying)
            cells = self.order.next(size, patient=patient)
            if cells:
                return cells
        if self.suspects and not self.flying:
            return self.suspects.popleft()
        return []

    def _send(self, cells: list[int]) -> None:
        sweep = self.recorded.sweep
        # a text, which Dask does not look into
        work = json.dumps([[sweep.cells[i].config.to_values() for i in cells], sweep.samples])
        # the same work has the same key: a driver that starts again finds what still runs; what is
        # sent anew has another, or late news of the task that is gone would pass for its own
        tries = max(self.tries[i] for i in cells)
        self.tries.update(cells)
        of = hashlib.sha256(f"{self.of}{work}".encode()).hexdigest()[:24]
        key = f"samedge-{of}-{tries}"
        future = self.client.submit(tasks.answer, self.compute, work, key=key, pure=False)
        self.flying[future] = cells
        future.add_done_callback(self.landed.put)

    def _take_in(self) -> None:
        """Store what has come, waiting for it a while; together, as each write waits for a disk."""
        try:
            landed = [self.landed.get(timeout=LOOK_SECONDS)]
        except queue.Empty:
            return
        while not self.landed.empty():
            landed.append(self.landed.get())
        finished = {future.key: future for future in landed if future.status == "finished"}
        answers = self._fetched(finished) if finished else {}
        came = {finished[key]: answer for key, answer in answers.items() if answer is not None}
        if came:
            self._store_answers([self.flying.pop(future) for future in came], [*came.values()])
        for future in landed:
            if future in came:
                pass
            elif future.status == "error":
                error: Any = future.exception()
                self._went_wrong(self.flying.pop(future), error)
            elif future.status == "cancelled":
                raise SweepError(LOST)
            else:  # it had come, and went with its worker; Dask may have begun it anew already
                self.pieces.append(self.flying.pop(future))
            future.release()

    def _fetched(self, finished: dict[Any, Future]) -> dict[Any, str | None]:
        """What the workers have answered, by key: None where a worker that dies just now takes its
        answer with it and nobody can compute it anew."""
        try:
            answers: Any = self.client.gather(finished, errors="skip")
        except OSError as error:  # Dask's, of a connection
            raise SweepError(LOST) from error
        return answers

    def _store_answers(self, cells: list[list[int]], answers: list[str]) -> None:
        """The rows of some tasks; the next ones follow from what these have taken."""
        found = zip(chain(*cells), chain(*map(json.loads, answers)), strict=True)
        rows = [Row.from_values({**row, "cell": i}) for i, row in found]
        self._store(rows)
        seconds = sum(row.seconds for row in rows if math.isfinite(row.seconds)) / len(rows)
        if seconds > 0:
            long = max(TASK_SECONDS, self.workers / TASKS_A_SECOND)
            fitting = min(long / seconds, _GROWTH * max(map(len, cells)), MOST_IN_TASK)
            self.size = max(1, round(fitting))

    def _store(self, rows: list[Row]) -> None:
        self.recorded.append(rows, self.of)
        self.order.saw(rows)
        self.done += len(rows)
        for row in rows:
            self.on_row(row)

    def _went_wrong(self, cells: list[int], error: BaseException) -> None:
        """Split a task until the cell that is at fault is alone, and mark that one."""
        if isinstance(error, SweepError):
            raise error
        if len(cells) > 1:
            half = len(cells) // 2
            self.pieces += [cells[:half], cells[half:]]
            return
        if isinstance(error, KilledWorker):
            self.kills[cells[0]] += 1
            if self.kills[cells[0]] < MOST_KILLS:
                self.suspects.append(cells)
                return
            what = f"failed: it has killed its worker {MOST_KILLS} times (out of memory?)"
        else:
            what = f"failed: {type(error).__name__}: {error}"
        self.say(f"cell {cells[0]} {what}")
        self._store([Row(cells[0], "failed", 0, what=what)])


def _least_size(sweep: Sweep) -> int:
    """Cells that a task has at least, while there are enough: one, or more where they advance
    together."""
    first = [cell.config for cell in sweep.cells[: COARSE**2]]
    return ENSEMBLE if len(groups(first)) < len(first) else 1
