"""WorkerProcess: a worker seen from the server: process, pipe, and a thread that listens."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from samedge_core.worker.channel import Channel
from samedge_core.worker.messages import Command, Ready, Report

__all__ = ["WorkerProcess"]

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class WorkerProcess:
    """A running `python -m samedge_core.worker`.

    A program of its own, not a multiprocessing child: spawning from a Streamlit script would run
    the page again in the child.
    """

    def __init__(
        self,
        on_report: Callable[[WorkerProcess, Report], None],
        on_lost: Callable[[WorkerProcess], None],
    ) -> None:
        """`on_report` and `on_lost` are called from the listening thread."""
        path = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "samedge_core.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._channel = Channel(self._process.stdout, self._process.stdin)  # type: ignore[arg-type]
        self._on_report, self._on_lost = on_report, on_lost
        self.ready = threading.Event()
        self.closing = False
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def send(self, command: Command) -> None:
        """Send a command; a worker that is gone is reported through `on_lost`, not here."""
        try:
            self._channel.send(command)
        except OSError:
            return

    def close(self) -> None:
        """End the process; `on_lost` is not called for it."""
        self.closing = True
        self._process.kill()

    def _listen(self) -> None:
        try:
            while True:
                report = self._channel.receive()
                if isinstance(report, Ready):
                    self.ready.set()
                self._on_report(self, report)
        except (EOFError, OSError):
            pass  # the only way out: the worker is gone
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what was still to be written has no reader any more
        if not self.closing:
            self._on_lost(self)
