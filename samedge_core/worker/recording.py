"""Recorder: the store of a registry: what its runs do is written on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from samedge_core.prediction.prediction import Prediction
from samedge_core.sharing.files import SavedError
from samedge_core.store import RunRecord, Store
from samedge_core.store.branching import state_before
from samedge_core.store.entries import on_disk
from samedge_core.store.folder import warm_up
from samedge_core.store.store import BEAT_SECONDS, QUOTA_SECONDS
from samedge_core.store.writer import FolderGoneError, RunWriter
from samedge_core.training.history import History
from samedge_core.training.progress import every
from samedge_core.training.stop import Stop, StopReason
from samedge_core.worker.messages import Snapshot

WRITE_SECONDS = 0.5  # a killed server loses the rows since the last write

_log = logging.getLogger(__name__)


@dataclass
class _Followed:
    writer: RunWriter
    history: History
    snapshot: Snapshot | None = None
    failure: str = ""
    leaving: bool = False
    over: bool = False  # nothing is written any more


class Recorder:
    """Writes histories that grow elsewhere, and reads what was recorded; without a store, neither.

    The caller holds `lock` while it changes a history. `load`, `state`, `delete` and `write` wait
    for a write in progress, which needs the lock: their caller does not hold it.
    """

    def __init__(self, store: Store | None, lock: threading.RLock) -> None:
        self._store: Store | None = None
        self._lock = lock
        self._followed: dict[str, _Followed] = {}
        self._predictions: dict[str, Sequence[Prediction]] = {}  # to be written
        self._closed = threading.Event()
        self._writing = threading.Lock()  # one thread writes at a time
        self._missing = "there is no store"
        if store:
            self.record_in(store)

    def record_in(self, store: Store) -> None:
        """Record from now on in this store."""
        self._store = store
        self._thread = threading.Thread(target=self._work, args=(store,), daemon=True)
        self._thread.start()

    def lacks(self, why: str) -> None:
        """Tell `why` there is no store yet."""
        self._missing = why

    # --- writing

    def follow(self, record: RunRecord, history: History) -> None:
        """Record a new run from now on."""
        if self._store:
            self._follow(RunWriter(self._store, record), history)

    def follow_again(self, record: RunRecord, history: History) -> None:
        """Record a run that was opened and goes on.

        Raises:
            ValueError: another server records it or has gone on with it, or it was deleted.
        """
        store, run, last = self._store, record.id, history.last_step
        if not store or self.follows(run):
            return
        if self.deleted(run):
            raise ValueError("it was deleted")
        if not store.catalogue.entry(run):
            store.take_in(record, history)
        if not store.catalogue.claim(run, store.server):
            raise ValueError("another server goes on with this run; it can be forked here")
        folder = store.folder(run)
        if folder.last_step > last:
            store.catalogue.put(run, {"server": None})
            raise ValueError(
                f"another server has gone on with this run, to step {folder.last_step:,}; it can "
                "be forked here"
            )
        self._follow(RunWriter(store, record, written=last), history)
        folder.drop_from(last + 2)

    def _follow(self, writer: RunWriter, history: History) -> None:
        with self._lock:
            self._followed[writer.id] = _Followed(writer, history)

    def keep(self, run: str, snapshot: Snapshot) -> None:
        """Write a newer state of the run with its next rows."""
        with self._lock:
            if run in self._followed:
                self._followed[run].snapshot = snapshot

    def keep_predictions(self, run: str, made: Sequence[Prediction]) -> None:
        """Write the predictions of a run, as soon as it is in the store."""
        if self._store:
            with self._lock:
                self._predictions[run] = made

    def follows(self, run: str) -> bool:
        """Whether it is being recorded."""
        followed = self._followed.get(run)
        return followed is not None and not followed.leaving and not followed.writer.gone

    def failure(self, run: str) -> str:
        """Why the run is not being recorded, in words; empty while it is."""
        followed = self._followed.get(run)
        return followed.failure if followed else "" if self._store else self._missing

    def forget(self, run: str) -> None:
        """Stop following, once all is written."""
        with self._lock:
            if run in self._followed:
                self._followed[run].leaving = True

    def write(self, run: str) -> None:
        """Write now what is not on disk yet."""
        with self._lock:
            followed = self._followed.get(run)
        if followed:
            with self._writing:
                self._write(followed)

    def delete(self, runs: Iterable[str]) -> Sequence[str]:
        """Delete runs as `Store.delete` does, and follow them no more."""
        if not self._store:
            return []
        with self._writing:
            gone = self._store.delete(runs)
            with self._lock:
                for followed in filter(None, map(self._followed.get, gone)):
                    followed.leaving = followed.over = True
        return gone

    def restore(self, runs: Iterable[str]) -> Sequence[str]:
        """Bring back runs that were deleted within a day, as `Store.restore` does."""
        if not self._store:
            return []
        with self._writing:
            return self._store.restore(runs)

    def close(self) -> None:
        """Write what is left, and close the store."""
        if self._store:
            self._closed.set()
            self._thread.join()
            for run in list(self._followed):
                self.write(run)
            self._write_predictions(self._store)
            self._store.close()

    # --- reading

    def load(self, run: str) -> tuple[RunRecord, History] | None:
        """A run as it was recorded; None where there is none of this id.

        Raises:
            SavedError: it is damaged.
        """
        self.write(run)  # one that has just been forgotten may not be on disk yet
        if self._store is None or run not in self._store:
            return None
        record, history = self._store.load(run)
        if history.stop is None:
            what = "another server goes on with this run; this is what it had recorded"
            history.stop = Stop(StopReason.ELSEWHERE, max(0, history.last_step), what)
        return record, history

    def state(self, record: RunRecord, step: int) -> Snapshot | None:
        """The last kept state after at most `step` steps, of a run or of one that it comes from."""
        self.write(record.id)
        kept = state_before(self._store, record, step) if self._store else None
        return Snapshot(0, kept.step, kept.packed) if kept else None

    def predictions(self, record: RunRecord) -> tuple[Sequence[Prediction], str]:
        """Those of a recorded run, the latest ones; and what is wrong with their file, or ""."""
        with self._lock:
            if (made := self._predictions.get(record.id)) is not None:
                return made, ""
        try:
            folder = self._store and self._store.folder(record.id)
            return folder.predictions(record.config) if folder else (), ""
        except SavedError as error:
            return (), str(error)

    def deleted(self, run: str) -> bool:
        """Whether a run that the server knows has been deleted; the catalogue still has an entry
        for one that the quota removed."""
        followed = self._followed.get(run)
        if not self._store or (followed and not followed.writer.begun):
            return False
        return run not in self._store and self._store.catalogue.entry(run) is None

    # --- the thread

    def _work(self, store: Store) -> None:
        warm_up()
        now = time.monotonic()
        beat_due, quota_due = every(BEAT_SECONDS), every(QUOTA_SECONDS)
        beating = keeping = predicted = ""
        # from start to start: the duration of a write must not be added
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
            predicted = self._try(lambda: self._write_predictions(store), predicted)
            if beat_due():
                beating = self._try(store.beat, beating)
            if quota_due():
                keeping = self._try(store.keep_quota, keeping)

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
            kept = followed.snapshot
            state, apart = ((kept.step, kept.packed), kept.apart) if kept else (None, 0)
            news = followed.writer.take(followed.history, state, apart)
        if news:
            followed.writer.save(news)

    def _write_predictions(self, store: Store) -> None:
        with self._lock:
            waiting = list(self._predictions.items())
        for run, made in waiting:
            with self._writing:
                entry, folder = store.catalogue.entry(run), store.folder(run)
                # not into the folder of a run that another server writes
                if entry and run in store and entry.server in (None, store.server):
                    folder.write_predictions(made)
                    store.catalogue.put(run, on_disk(folder))
                elif self.follows(run):
                    continue  # its first rows come
            with self._lock:
                if self._predictions.get(run) is made:
                    del self._predictions[run]

    @staticmethod
    def _try(act: Callable[[], object], before: str) -> str:
        """The failure of `act` in words, or "": a full disk must end neither the runs nor the
        tries. The log has it once: not where the last try failed in the same way, `before`."""
        try:
            act()
        except FolderGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - shown on the page and logged, tried again
            what = error.strerror if isinstance(error, OSError) else None  # without a path
            failure = f"{type(error).__name__}: {what or error}"
            if failure != before:
                _log.exception("the store can't be written to")
            return failure
        return ""
