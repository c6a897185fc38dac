"""Recorder: writes what the registry's runs do to the store, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from samedge_core.store import RunRecord, Store
from samedge_core.store.folder import warm_up
from samedge_core.store.writer import FolderGoneError, RunWriter
from samedge_core.training.history import History

WRITE_SECONDS = 0.5  # a killed server loses what came since, and what it takes to write
BEAT_SECONDS = 3.0
QUOTA_SECONDS = 60.0

_log = logging.getLogger(__name__)


@dataclass
class _Followed:
    writer: RunWriter
    history: History
    state: tuple[int, bytes] | None = None
    failure: str = ""
    leaving: bool = False
    over: bool = False  # nothing is written any more


class Recorder:
    """Follows histories that grow elsewhere. The caller holds `lock` while it changes them."""

    def __init__(self, store: Store, lock: threading.RLock) -> None:
        self._store = store
        self._lock = lock
        self._followed: dict[str, _Followed] = {}
        self._closed = threading.Event()
        self._writing = threading.Lock()  # one thread writes at a time
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def follow(self, record: RunRecord, history: History, *, written: int = -1) -> None:
        """Record a run from now on; rows up to the step `written` are on disk already.

        Raises:
            ValueError: later rows are, too: another server has gone on with it meanwhile.
        """
        last = self._store.folder(record.id).last_step
        if last > written:
            self._store.catalogue.put(record.id, {"server": None})
            raise ValueError(
                f"another server has gone on with this run, to step {last:,}; it can be forked here"
            )
        writer = RunWriter(self._store, record, written=written)
        with self._lock:
            self._followed[record.id] = _Followed(writer, history)

    def keep(self, run: str, step: int, packed: bytes) -> None:
        """A newer state of the run, after `step` steps."""
        with self._lock:
            if run in self._followed:
                self._followed[run].state = step, packed

    def follows(self, run: str) -> bool:
        """Whether it is being recorded."""
        followed = self._followed.get(run)
        return followed is not None and not followed.leaving and not followed.writer.gone

    def awaits(self, run: str) -> bool:
        """Whether it is to be recorded, and nothing of it has been written yet."""
        followed = self._followed.get(run)
        return followed is not None and not followed.writer.begun

    def failure(self, run: str) -> str:
        """Why the run is not being recorded, in words; empty while all is well."""
        followed = self._followed.get(run)
        return followed.failure if followed else ""

    def forget(self, run: str) -> None:
        """Stop following, once all is written."""
        with self._lock:
            if run in self._followed:
                self._followed[run].leaving = True

    def delete(self, delete: Callable[[], Sequence[str]]) -> Sequence[str]:
        """Delete runs, whose ids `delete` returns, while nothing is written; follow them no more.
        Not while holding the lock."""
        with self._writing:
            gone = delete()
            with self._lock:
                for followed in filter(None, map(self._followed.get, gone)):
                    followed.leaving = followed.over = True
        return gone

    def write(self, run: str) -> None:
        """Write now what there is. Not while holding the lock: what is being written needs it."""
        with self._lock:
            followed = self._followed.get(run)
        if followed:
            with self._writing:
                self._write(followed)

    def close(self) -> None:
        """Write what is left, and end."""
        self._closed.set()
        self._thread.join()
        for run in list(self._followed):
            self.write(run)

    def _work(self) -> None:
        warm_up()
        now = beat_due = quota_due = time.monotonic()
        beating = keeping = ""
        # from beginning to beginning: what writing takes must not come on top
        while not self._closed.wait(max(0.0, now + WRITE_SECONDS - time.monotonic())):
            now = time.monotonic()
            with self._lock:
                followed = list(self._followed.items())
            for run, one in followed:
                leaving = one.leaving
                with self._writing:
                    self._write(one)
                if leaving and (one.over or not one.failure):
                    self._drop(run, one)
            if now >= beat_due:
                beat_due = now + BEAT_SECONDS
                beating = self._try(self._store.beat, beating)
            if now >= quota_due:
                quota_due = now + QUOTA_SECONDS
                keeping = self._try(self._store.keep_quota, keeping)

    def _drop(self, run: str, left: _Followed) -> None:
        with self._lock:
            if self._followed.get(run) is left:  # else it has been taken up again meanwhile
                del self._followed[run]

    def _write(self, followed: _Followed) -> None:
        if followed.over:
            return
        try:
            followed.failure = self._try(lambda: self._bring_up_to_date(followed), followed.failure)
        except FolderGoneError as error:
            followed.failure, followed.over = str(error), True
            _log.warning("run %s is not recorded any more: %s", followed.writer.id, error)

    def _bring_up_to_date(self, followed: _Followed) -> None:
        with self._lock:
            news = followed.writer.take(followed.history, followed.state)
        if news:
            followed.writer.save(news)

    @staticmethod
    def _try(act: Callable[[], object], before: str) -> str:
        """What went wrong, or nothing: a full disk must not end the runs, nor stop the next try.
        The log has it once, not at every try: `before` went wrong at the last one."""
        try:
            act()
        except FolderGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - told on the page and in the log, tried again
            failure = _in_words(error)
            if failure != before:
                _log.exception("the store can't be written to")
            return failure
        return ""


def _in_words(error: Exception) -> str:
    """For readers of the page, whom the server's paths do not concern."""
    what = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__}: {what or error}"
