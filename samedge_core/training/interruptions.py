"""Ctrl-C and SIGTERM as an event that a loop looks at; importable without torch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptions() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; the second one has its usual effect.

    Only the main thread may handle signals; elsewhere nothing sets the event.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def interrupt(number: int, frame: object) -> None:
        interrupted.set()
        restore()

    for number in usual:
        signal.signal(number, interrupt)
    try:
        yield interrupted
    finally:
        restore()
