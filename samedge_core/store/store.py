"""Store: the folders of all runs and their catalogue, as one."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from samedge_core.sharing import files
from samedge_core.store.catalogue import Catalogue, Entry, Listing, Query
from samedge_core.store.entries import about, on_disk
from samedge_core.store.folder import RunFolder
from samedge_core.store.presence import Presence
from samedge_core.store.record import RunRecord
from samedge_core.store.settings import StoreSettings
from samedge_core.training.history import History
from samedge_core.training.stop import Stop, StopReason

BEAT_SECONDS = 3.0  # between two calls of `beat`
QUOTA_SECONDS = 60.0  # between two calls of `keep_quota`
PIECE = 200  # entries looked at together

_log = logging.getLogger(__name__)


class Store:
    """Opens what `settings` name and takes in folders that the catalogue does not know.

    Attributes:
        server: id under which this process records runs.
        damaged: folder name -> what is wrong with it, for those that could not be taken in.
    """

    def __init__(self, settings: StoreSettings) -> None:
        """Raises:
        OSError: the home can't be made.
        CatalogueError: the catalogue can't be used.
        """
        self.settings = settings
        self._runs = settings.home / "runs"
        self._runs.mkdir(parents=True, exist_ok=True)
        self.catalogue = Catalogue(settings.database)
        self.server = secrets.token_hex(8)
        self.damaged: dict[str, str] = {}
        self._closed = False
        self._presence = Presence(settings.home, self.server)
        self.beat()
        self._adopt()

    def close(self) -> None:
        """Leave the catalogue: this process records no run any more."""
        if not self._closed:
            self._closed = True
            self.catalogue.leave(self.server)
            self.catalogue.close()
            self._presence.leave()

    def beat(self) -> None:
        """Update this process's heartbeat, and remove this machine's servers that have ended: their
        runs are then interrupted."""
        host = socket.gethostname()[:255]
        self.catalogue.beat(self.server, host, os.getpid())
        for other in self.catalogue.servers(host):
            if other != self.server and self._presence.is_gone(other):
                self.catalogue.leave(other)

    @staticmethod
    def new_id() -> str:
        """A random id of 22 hexadecimal digits, also the name of the run's folder."""
        return secrets.token_hex(11)

    def folder(self, run: str) -> RunFolder:
        """The folder of a run, which need not exist."""
        if not run.isalnum():
            raise ValueError(f"a run's id must be letters and digits, got {run!r:.80}")
        return RunFolder(self._runs / run)

    def find(self, query: Query | None = None) -> Listing:
        """See `Catalogue.find`."""
        return self.catalogue.find(query or Query())

    def __contains__(self, run: str) -> bool:
        return run.isalnum() and RunFolder(self._runs / run).begun

    def load(self, run: str) -> tuple[RunRecord, History]:
        """The record and history of a run; without a stop and a live recorder it was interrupted.

        Raises:
            SavedError: its folder is missing or damaged.
        """
        record, history = self.folder(run).recorded()
        if record.id != run:
            raise files.SavedError(f"{self.folder(run).path} is a copy of the run {record.id}")
        entry = self.catalogue.entry(run)
        if history.stop is None and not (entry and entry.status == "recording"):
            what = f"the server ended at step {history.last_step + 1:,}"
            history.stop = Stop(StopReason.INTERRUPTED, max(0, history.last_step), what)
        return record, history

    def state_before(self, run: str, step: int) -> tuple[int, bytes] | None:
        """The last kept state after at most `step` steps that is not damaged; None: begin at 0."""
        folder = self.folder(run)
        for taken in reversed([s for s in folder.snapshots() if s <= step]):
            try:
                return taken, folder.snapshot(taken)
            except files.SavedError as error:
                _log.warning("%s", error)
        return None

    def take_in(self, record: RunRecord, history: History) -> None:
        """Enter a run into the catalogue whose folder exists already."""
        values = about(record, history, ended=True) | on_disk(self.folder(record.id))
        spark, root = history.sparkline(), self.root(record)
        self.catalogue.put(record.id, {**values, "spark": spark, "root": root, "server": None})

    def delete(self, runs: Iterable[str]) -> list[str]:
        """Delete runs, except pinned ones and those being recorded; returns the deleted ids."""
        gone = []
        for run in runs:
            entry = self.catalogue.entry(run)
            if entry and (entry.pinned or entry.status == "recording"):
                continue
            if self._clear(run):
                self.damaged.pop(run, None)
                gone.append(run)
        self.catalogue.delete(gone)
        return gone

    def keep_quota(self) -> list[Entry]:
        """Delete the rows of the oldest runs until the rest fits into the quota; returns them.

        Their entries stay, as removed. Pinned, starred and recording runs are never deleted.
        """
        excess = sum(self.catalogue.bytes_used()) - self.settings.quota
        oldest = Query(pinned=False, starred=False, sort="updated", descending=False, limit=PIECE)
        removed: list[Entry] = []
        kept = 0
        while excess > 0:
            found = self.find(replace(oldest, offset=kept)).entries
            if not found:
                break
            for entry in found:
                if excess <= 0 or entry.status == "recording" or not self._clear(entry.id):
                    kept += 1
                    continue
                nothing = {"row_bytes": 0, "snapshot_bytes": 0, "snapshots": 0}
                self.catalogue.put(entry.id, {**nothing, "removed": time.time(), "server": None})
                excess -= entry.row_bytes + entry.snapshot_bytes
                removed.append(entry)
                _log.warning("run %s removed: over the quota of %s", entry.id, self.settings.quota)
        return removed

    def _clear(self, run: str) -> bool:
        """Delete a run's folder; whether it is gone."""
        path = self.folder(run).path
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            _log.error("the folder %s can't be deleted", path)
        return not path.exists()

    def root(self, record: RunRecord) -> str:
        """The id of the run from which all runs of the family descend."""
        if record.origin is None:
            return record.id
        parent = self.catalogue.entry(record.origin.parent)
        return parent.root if parent else record.origin.parent

    def _adopt(self) -> None:
        known = self.catalogue.ids() - self._outdated()
        for path in sorted(self._runs.iterdir()):
            if path.name in known or not path.is_dir():
                continue
            try:
                if not path.name.isalnum():
                    raise files.SavedError(f"{path} is no run: its name must be letters and digits")
                if not self.folder(path.name).begun:
                    continue
                self.take_in(*self.load(path.name))
            except files.SavedError as error:
                self.damaged[path.name] = str(error)
                _log.warning("skipped: %s", error)

    def _outdated(self) -> set[str]:
        """Runs of servers that were killed between the files and the catalogue."""
        left = self.find(Query(status="interrupted", limit=None)).entries
        return {one.id for one in left if self.folder(one.id).last_step > one.last_step}


def open_store(home: Path | str | None = None) -> Store:
    """The store in the folder `home`, or the one that the environment names (`StoreSettings`)."""
    settings = StoreSettings.at(Path(home)) if home is not None else StoreSettings.from_env()
    return Store(settings)
