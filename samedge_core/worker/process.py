"""WorkerProcess: a worker seen from the server: process, pipe, and a thread that listens."""

from __future__ import annotations

import threading
from collections.abc import Callable

from samedge_core.worker.channel import Channel
from samedge_core.worker.launching import launch
from samedge_core.worker.messages import Command, Ready, Report


class WorkerProcess:
    """A worker, launched.

    Attributes:
        pid: its process id; None until it is ready.
    """

    def __init__(
        self,
        on_report: Callable[[WorkerProcess, Report], None],
        on_lost: Callable[[WorkerProcess], None],
    ) -> None:
        """`on_report` and `on_lost` are called from the listening thread."""
        self._launched = launch()
        self._channel = Channel(self._launched.connection)
        self._on_report, self._on_lost = on_report, on_lost
        self._lock = threading.Lock()
        self.pid: int | None = None
        self._early: list[Command] = []  # what was to be sent before it was ready
        self._closing = self._ended = False
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, command: Command) -> None:
        """Send a command, or keep it until the worker is ready, as torch takes seconds to load. A
        worker that is gone is reported through `on_lost`, not here."""
        with self._lock:
            if self.pid is None:
                self._early.append(command)
                return
        self._write(command)

    def close(self) -> None:
        """End the process, if need be as soon as it is ready; `on_lost` is not called for it."""
        with self._lock:
            self._closing = True
            if self.pid is not None:
                self._end()

    def _write(self, command: Command) -> None:
        try:
            self._channel.send(command)
        except OSError:
            return

    def _end(self) -> None:
        """Once: after that, another process may have its pid."""
        if not self._ended:
            self._ended = True
            self._launched.end(self.pid)

    def _ready(self, pid: int) -> None:
        with self._lock:
            self.pid = pid
            if self._closing:
                self._end()
            for command in self._early:
                self._write(command)
            self._early.clear()

    def _listen(self) -> None:
        try:
            while True:
                report = self._channel.receive()
                if isinstance(report, Ready):
                    self._ready(report.pid)
                self._on_report(self, report)
        except (EOFError, OSError):
            pass  # the only way out: the worker is gone
        with self._lock:
            self._end()
        self._channel.close()
        if not self._closing:
            self._on_lost(self)
