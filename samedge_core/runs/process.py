"""Threads of torch and heartbeat of a run in this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from sqlalchemy.exc import SQLAlchemyError

from samedge_core.store import RunRecord, Store
from samedge_core.store.record import MOST_THREADS, THREADS
from samedge_core.store.store import BEAT_SECONDS, QUOTA_SECONDS
from samedge_core.training.progress import every

_log = logging.getLogger(__name__)


def threads_of(record: RunRecord) -> int:
    """The number of torch's threads that a run is computed with; one in the pages' workers."""
    threads = record.machine.get(THREADS, 1)
    return threads if isinstance(threads, int) and 0 < threads <= MOST_THREADS else 1


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Set the number of torch's threads for a `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def heartbeat(store: Store) -> Iterator[None]:
    """Heartbeats for the store, however long a step takes, and its quota kept, on a thread."""
    ended = threading.Event()

    def keep_alive() -> None:
        quota_due = every(QUOTA_SECONDS)
        quota_due()  # not at once
        _try(store.beat)
        while not ended.wait(BEAT_SECONDS):
            _try(store.beat)
            if quota_due():
                _try(store.keep_quota)

    thread = threading.Thread(target=keep_alive, daemon=True)
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
        _log.warning("the heartbeat or the quota of the store failed: %s", error)
