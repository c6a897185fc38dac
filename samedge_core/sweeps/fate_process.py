"""FateProcess: maps of fates, computed in a process of its own.

The server itself loads no compiler. The process is started when a map is asked for, and ends when
it has been idle, and with the server.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

IDLE_SECONDS = 180.0  # then it ends: it holds 150 MB
LONGEST_SECONDS = 60.0  # of an answer, the two seconds of a first compiling included
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_COMMAND = [sys.executable, "-m", "samedge_core.sweeps.fate_program"]


class FateProcessError(RuntimeError):
    """The process ended before it had answered; the next request starts another."""


class FateProcess:
    """At most one process for all who ask; they wait for each other. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def follow_all(self, *request: Any) -> NDArray[np.uint16]:
        """The answer of `fate_program.follow_all` to these arguments.

        Raises:
            FateProcessError: it crashed, or did not answer in LONGEST_SECONDS.
            OSError: it can't be started.
        """
        with self._lock:
            self._expect(None)
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            late = threading.Timer(LONGEST_SECONDS, process.kill)
            late.daemon = True
            late.start()
            try:
                pickle.dump(request, process.stdin)
                process.stdin.flush()
                answer = pickle.load(process.stdout)
            except (EOFError, OSError, pickle.UnpicklingError) as error:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(5.0)  # one that has crashed ends by itself, with its own code
                self._end()
                raise FateProcessError(
                    f"the process that computes the map ended with code {process.returncode} "
                    "before it had answered; the next view starts another"
                ) from error
            finally:
                late.cancel()
            self._expect(IDLE_SECONDS)
            return answer

    def close(self) -> None:
        """End the process; the next request starts another."""
        with self._lock:
            self._expect(None)
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            path = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
            # a program, not a multiprocessing child: spawning would run Streamlit's page again
            self._process = subprocess.Popen(
                _COMMAND,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):  # what was left to send to one that has crashed
                    if pipe:
                        pipe.close()
            self._process = None

    def _expect(self, seconds: float | None) -> None:
        """End the process after so many seconds without a request; None: not any more."""
        if self._idle:
            self._idle.cancel()
            self._idle = None
        if seconds is not None:
            self._idle = threading.Timer(seconds, self.close)
            self._idle.daemon = True
            self._idle.start()


@cache
def shared() -> FateProcess:
    """The one of this server."""
    process = FateProcess()
    atexit.register(process.close)
    return process
