"""WorkerPool: idle workers kept warm, so that a start need not wait for torch to load."""

from __future__ import annotations

from collections.abc import Callable

from samedge_core.worker.launching import warm_again
from samedge_core.worker.messages import Report
from samedge_core.worker.process import WorkerProcess


class WorkerPool:
    """Workers that no run holds. The registry calls it under its lock."""

    def __init__(
        self,
        spares: int,
        on_report: Callable[[WorkerProcess, Report], None],
        on_lost: Callable[[WorkerProcess], None],
    ) -> None:
        self._spares = spares
        self._fewest = min(spares, max(1, spares - 1))
        self._on_report, self._on_lost = on_report, on_lost
        self._idle: list[WorkerProcess] = []
        self._closed = False

    def take(self) -> WorkerProcess:
        """A worker for a run; one that has loaded torch already where there is one."""
        ready = [worker for worker in self._idle if worker.pid is not None]
        if not self._idle:
            return self._spawn()
        chosen = ready[0] if ready else self._idle[0]
        self._idle.remove(chosen)
        return chosen

    def give_back(self, worker: WorkerProcess, *, kill: bool = False) -> None:
        """A run is done with its worker."""
        if kill or self._closed or len(self._idle) >= self._spares:
            worker.close()
        else:
            self._idle.append(worker)

    def lost(self, worker: WorkerProcess) -> None:
        """The process of a worker has ended."""
        if worker in self._idle:
            self._idle.remove(worker)

    def fill(self, *, all_of_them: bool = False) -> None:
        """Start the spares that are missing. One less will do while runs hold workers: these come
        back, and would otherwise find their place taken by one that took seconds to load."""
        wanted = self._spares if all_of_them else self._fewest
        while not self._closed and len(self._idle) < wanted:
            self._idle.append(self._spawn())

    def renew(self) -> None:
        """Idle workers from now on have loaded what is compiled by now."""
        warm_again()
        for worker in self._idle:
            worker.close()
        self._idle.clear()
        self.fill()

    def close(self) -> None:
        """End the idle workers; none is kept from now on."""
        self._closed = True
        for worker in self._idle:
            worker.close()
        self._idle.clear()

    def _spawn(self) -> WorkerProcess:
        return WorkerProcess(self._on_report, self._on_lost)
