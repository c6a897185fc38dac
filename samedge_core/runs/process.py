"""What a run without a page has around it: torch's threads, signs of life for the store, Ctrl-C."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from sqlalchemy.exc import SQLAlchemyError

from samedge_core.store import RunRecord, Store
from samedge_core.store.record import THREADS

BEAT_SECONDS = 3.0
QUOTA_BEATS = 20  # the quota is looked after at every so many of these

_log = logging.getLogger(__name__)


def threads_of(record: RunRecord) -> int:
    """Of torch; the workers of the pages have one."""
    threads = record.machine.get(THREADS, 1)
    return threads if isinstance(threads, int) and threads > 0 else 1


def on_threads(record: RunRecord, threads: int | None) -> RunRecord:
    """The record with so many threads, where any are asked for."""
    return record if threads is None else record.on(threads=threads)


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """With as many threads of torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def signs_of_life(store: Store) -> Iterator[None]:
    """The store knows that this process goes on, however long a step takes; its quota is kept."""
    ended = threading.Event()

    def keep_house() -> None:
        beats = 0
        while True:
            _try(store.beat)
            if ended.wait(BEAT_SECONDS):
                return
            beats += 1
            if beats % QUOTA_BEATS == 0:
                _try(store.keep_quota)

    thread = threading.Thread(target=keep_house, daemon=True)
    thread.start()
    try:
        yield
        _try(store.keep_quota)
    finally:
        ended.set()
        thread.join()


def _try(act: Callable[[], object]) -> None:
    try:
        act()
    except (OSError, SQLAlchemyError) as error:
        _log.warning("the store can't be looked after: %s", error)


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
