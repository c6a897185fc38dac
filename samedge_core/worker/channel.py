"""Channel: messages over a connection of `multiprocessing`."""

from __future__ import annotations

import pickle
import threading
from multiprocessing.connection import Connection
from typing import Any


class Channel:
    """Pickles between the server and the worker that it started itself.

    Pickle is safe here because both ends are the same program; nothing from outside is unpickled.
    `send` may be called from several threads, `receive` from one.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: Any) -> None:
        """Write one message.

        Raises:
            OSError: the other side is gone.
        """
        # not the connection's own send: torch has it share memory, which ends with its process
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._connection.send_bytes(body)

    def receive(self) -> Any:
        """Read one message.

        Raises:
            EOFError, OSError: the other side is gone.
        """
        return pickle.loads(self._connection.recv_bytes())

    def close(self) -> None:
        """Close this end."""
        self._connection.close()
