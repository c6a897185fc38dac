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
        chosen = next((worker for worker in self._idle if worker.pid is not None), None)
        if chosen is None:
            return self._idle.pop(0) if self._idle else self._spawn()
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
        """Start missing spares. One fewer is enough while runs hold workers: a worker that a run
        gives back takes the last place, without seconds of loading."""
        wanted = self._spares if all_of_them else self._fewest
        while not self._closed and len(self._idle) < wanted:
            self._idle.append(self._spawn())

    def renew(self) -> None:
        """Replace the idle workers by ones that have loaded the kernels compiled by now."""
        warm_again()
        self._close_idle()
        self.fill(all_of_them=True)

    def close(self) -> None:
        """End the idle workers; none is kept from now on."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        for worker in self._idle:
            worker.close()
        self._idle.clear()

    def _spawn(self) -> WorkerProcess:
        return WorkerProcess(self._on_report, self._on_lost)
