"""Presence: which servers of this machine still run, without waiting for a missing heartbeat.

A server holds a lock on a file of its own in home/servers while its process lives; the operating
system releases it however the process ends. Other machines are known by their heartbeat alone.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout


class Presence:
    """The lock of this server in the folder `home`, and a test of the others'."""

    def __init__(self, home: Path, server: str) -> None:
        """Raises:
        OSError: the folder can't be written to.
        """
        self._folder = home / "servers"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._own = self._lock(server)
        self._own.acquire(blocking=False)

    def leave(self) -> None:
        """Release the lock and delete its file."""
        self._own.release()
        Path(self._own.lock_file).unlink(missing_ok=True)

    def is_gone(self, server: str) -> bool:
        """Whether another server of this machine has certainly ended; its file is then deleted."""
        lock = self._lock(server)
        file = Path(lock.lock_file)
        if not file.exists():
            return False
        try:
            with lock.acquire(blocking=False):
                file.unlink(missing_ok=True)
        except (Timeout, OSError):
            return False
        return True

    def _lock(self, server: str) -> FileLock:
        return FileLock(self._folder / server, thread_local=False)
