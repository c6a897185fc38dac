"""Channel: whole messages over a pair of binary pipes."""

from __future__ import annotations

import pickle
import struct
import threading
from typing import Any, BinaryIO

_LENGTH = struct.Struct("<Q")


class Channel:
    """Length-prefixed pickles between the server and the worker that it started itself.

    Pickle is safe here because both ends are the same program; nothing from outside is unpickled.
    `send` may be called from several threads, `receive` from one.
    """

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()

    def send(self, message: Any) -> None:
        """Write one message.

        Raises:
            OSError: the other side is gone.
        """
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._outgoing.write(_LENGTH.pack(len(body)) + body)
            self._outgoing.flush()

    def receive(self) -> Any:
        """Read one message.

        Raises:
            EOFError: the other side is gone.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return pickle.loads(self._read(length))

    def _read(self, count: int) -> bytes:
        data = self._incoming.read(count)
        if len(data) < count:
            raise EOFError
        return data
