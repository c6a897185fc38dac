"""StoredRuns: what the registry's runs have to do with the store, if there is one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from samedge_core.store import RunRecord, Store
from samedge_core.store.branching import state_before
from samedge_core.training.history import History
from samedge_core.training.stop import Stop, StopReason
from samedge_core.worker.messages import Snapshot
from samedge_core.worker.recording import Recorder

NOT_RECORDED = "there is no store"


class StoredRuns:
    """Records runs, and finds those that were recorded; without a store it does and has nothing.

    `load`, `state` and `delete` wait for what is being written, which needs the lock: whoever calls
    them does not hold it.

    Attributes:
        recorder: writes the runs that go on; None without a store.
    """

    def __init__(self, store: Store | None, lock: threading.RLock) -> None:
        """Whoever changes a history that is being recorded holds `lock`."""
        self._store = store
        self.recorder = Recorder(store, lock) if store else None

    # --- what is being recorded

    def follow(self, record: RunRecord, history: History) -> None:
        """Record a new run from now on."""
        if self.recorder:
            self.recorder.follow(record, history)

    def follow_again(self, record: RunRecord, history: History) -> None:
        """A run that was opened goes on: record that, too.

        Raises:
            ValueError: another server records it, or it was deleted.
        """
        if not self.recorder or not self._store or self.recorder.follows(record.id):
            return
        if self.deleted(record.id):
            raise ValueError("it was deleted")
        store = self._store
        if not store.catalogue.entry(record.id):
            store.take_in(record, history)
        if not store.catalogue.claim(record.id, store.server):
            raise ValueError("another server goes on with this run; it can be forked here")
        self.recorder.follow(record, history, written=history.last_step)
        store.folder(record.id).drop_from(history.last_step + 2)

    def keep(self, run_id: str, snapshot: Snapshot) -> None:
        """A newer state of a run."""
        if self.recorder:
            self.recorder.keep(run_id, snapshot.step, snapshot.packed)

    def failure(self, run_id: str) -> str:
        """Why a run is not being recorded, in words; empty while all is well."""
        return self.recorder.failure(run_id) if self.recorder else NOT_RECORDED

    def forget(self, run_id: str) -> None:
        """The server knows it no longer; what is recorded stays."""
        if self.recorder:
            self.recorder.forget(run_id)

    # --- what was recorded

    def load(self, run_id: str) -> tuple[RunRecord, History] | None:
        """A run as it was recorded; None where there is none of this id.

        Raises:
            SavedError: it is damaged.
        """
        if self.recorder:
            self.recorder.write(run_id)  # one that has just been forgotten may be on its way
        if self._store is None or run_id not in self._store:
            return None
        record, history = self._store.load(run_id)
        if history.stop is None:
            what = "another server goes on with this run; this is what it had recorded"
            history.stop = Stop(StopReason.ELSEWHERE, max(0, history.last_step), what)
        return record, history

    def state(self, record: RunRecord, step: int) -> Snapshot | None:
        """The last state that is kept of a run, or of one that it comes from, after at most `step`
        steps."""
        if not self.recorder or not self._store:
            return None
        self.recorder.write(record.id)  # what is still on its way there, too
        kept = state_before(self._store, record, step)
        return Snapshot(0, kept.step, kept.packed) if kept else None

    def deleted(self, run_id: str) -> bool:
        """Whether a run that the server knows has been deleted; what the quota took is still
        listed."""
        if not self.recorder or not self._store or self.recorder.awaits(run_id):
            return False
        return run_id not in self._store and self._store.catalogue.entry(run_id) is None

    def delete(self, run_ids: Iterable[str]) -> Sequence[str]:
        """As `Store.delete`, while nothing is written."""
        if not self.recorder or not self._store:
            return []
        store, ids = self._store, list(run_ids)
        return self.recorder.delete(lambda: store.delete(ids))

    def close(self) -> None:
        """Write what is left, and let go of the store."""
        if self.recorder and self._store:
            self.recorder.close()
            self._store.close()
