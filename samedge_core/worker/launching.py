"""Launching of worker processes: copies of one that has loaded torch, or new programs.

A new program takes four to five seconds of a processor and some 300 MB. The process that is
copied, `fork_server`, is started with the first worker. It forks on Linux alone: elsewhere a copy
of a process that has loaded such libraries is not safe.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import NamedTuple

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection

FORKS = sys.platform == "linux"
WARM = "warm"  # the request to load the kernels compiled by now
OWN = "SAMEDGE_"  # of the environment, what may have changed since the first worker was launched

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class Launched(NamedTuple):
    """A worker, which need not have started yet.

    Attributes:
        connection: the server's end of a pipe for both directions.
        end: ends the process and has it waited for, also when it has ended by itself. Takes its
            pid, which is not used again until then; None where it has ended without telling it.
    """

    connection: Connection
    end: Callable[[int | None], None]


def launch() -> Launched:
    """A new worker, `python -m samedge_core.worker` or a copy of one that does the same.

    A program of its own, not a multiprocessing child: spawning from a Streamlit script would run
    the page again in the child.
    """
    return _fork() if FORKS else _spawn()


def _spawn() -> Launched:
    ours, theirs = Pipe()
    with theirs:
        process = _program("samedge_core.worker", theirs.fileno())

    def end(_: int | None) -> None:
        process.kill()
        process.wait()

    return Launched(ours, end)


def _program(module: str, handle: int) -> subprocess.Popen[bytes]:
    """A new process that inherits the handle of a pipe: as its standard input or, on Windows, as a
    handle that its argument names."""
    path = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
    environ = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", module]
    if sys.platform != "win32":
        return subprocess.Popen(command, env=environ, stdin=handle)
    os.set_handle_inheritable(handle, True)
    only = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
    return subprocess.Popen([*command, str(handle)], env=environ, startupinfo=only)


def inherited() -> Connection:
    """The worker's end of the pipe that `_program` passed on."""
    if sys.platform == "win32":
        return PipeConnection(int(sys.argv[1]))
    return Connection(os.dup(sys.stdin.fileno()))


class _ForkServer:
    """A `fork_server`, until it is lost; thread-safe."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = _program("samedge_core.worker.fork_server", theirs.fileno())

    def fork(self) -> Launched:
        """Launch a copy, with the SAMEDGE_ variables of the environment as they are now.

        Raises:
            OSError: it is lost.
        """
        environ = {name: value for name, value in os.environ.items() if name.startswith(OWN)}
        ours, theirs = Pipe()
        with theirs:
            try:
                socket.send_fds(self._socket, [pickle.dumps(environ)], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return Launched(ours, self._end)

    def warm_again(self) -> None:
        """Warm up before the next copy; a lost server is replaced at the next `fork`."""
        with suppress(OSError):
            self._socket.send(pickle.dumps(WARM))

    def _end(self, pid: int | None) -> None:
        if pid is None:  # it may never have been forked
            return
        try:
            self._socket.send(pickle.dumps(pid))
        except OSError:  # the server is lost, and the pid no longer reserved
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def close(self) -> None:
        """End the server; its workers end with their pipes."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


_lock = threading.Lock()
_server: _ForkServer | None = None


def _fork() -> Launched:
    global _server
    with _lock:
        if _server:
            try:
                return _server.fork()
            except OSError:
                _server.close()
        else:
            atexit.register(_close)
        _server = _ForkServer()
        return _server.fork()


def warm_again() -> None:
    """Load the kernels compiled by now into the process that is copied; takes a second or two."""
    with _lock:
        if _server:
            _server.warm_again()


def _close() -> None:
    if _server:
        _server.close()
