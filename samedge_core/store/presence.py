"""Presence: which servers of this machine still run, known at once and not by their silence.

A server holds the lock of a file of its own in home/servers for as long as its process lives; the
kernel lets go of it however that ends. Elsewhere, and where there are no such locks, the heartbeat
in the catalogue has to do.
"""

from __future__ import annotations

from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Presence:
    """Of this server, in the folder `home`."""

    def __init__(self, home: Path, server: str) -> None:
        """Raises:
        OSError: the folder can't be written to.
        """
        self._folder = home / "servers"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._own = self._folder / server
        # not inherited: a worker must not hold the lock of a server that is gone
        self._held = self._own.open("w")
        _lock(self._held.fileno())

    def leave(self) -> None:
        """Let go."""
        self._own.unlink(missing_ok=True)
        self._held.close()

    def is_gone(self, server: str) -> bool:
        """Whether another server of this machine has certainly ended; its file is cleared away."""
        file = self._folder / server
        try:
            with file.open("r+") as held:
                gone = _lock(held.fileno())
                if gone:
                    file.unlink(missing_ok=True)
                return gone
        except OSError:
            return False


def _lock(descriptor: int) -> bool:
    """Whether the lock could be had."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
