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
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from samedge_core.fields import ConfigError, abridged
from samedge_core.sharing import files
from samedge_core.sharing.replay_file import PATH, lacks_file, with_file
from samedge_core.store.adoption import adopt, enter, read, with_known_file
from samedge_core.store.catalogue import Catalogue, CatalogueError, Entry, Listing, Query
from samedge_core.store.deleted import Deleted
from samedge_core.store.entries import about, on_disk
from samedge_core.store.folder import LABELS, RunFolder
from samedge_core.store.imports import brought, size
from samedge_core.store.labels import Labels
from samedge_core.store.presence import Presence
from samedge_core.store.record import RunRecord
from samedge_core.store.settings import StoreSettings
from samedge_core.store.texts import is_id
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History
from samedge_core.training.stop import Stop, StopReason

BEAT_SECONDS = 3.0  # between two calls of `beat`
QUOTA_SECONDS = 60.0  # between two calls of `keep_quota`
PIECE = 200  # entries looked at together

_log = logging.getLogger(__name__)


class Store:
    """Opens what `settings` name and takes in folders that the catalogue does not know.

    A folder that can't be taken in is moved from `runs` to `damaged`, where the next start tries it
    again.

    Attributes:
        server: id under which this process records runs.
        damaged: folder name -> what is wrong with it, for those that could not be taken in.
        deleted: runs that were deleted within a day.
    """

    def __init__(self, settings: StoreSettings) -> None:
        """Raises:
        OSError: the home can't be made.
        CatalogueError: the catalogue can't be used.
        """
        self.settings = settings
        self.runs = settings.home / "runs"
        self.runs.mkdir(parents=True, exist_ok=True)
        self.aside = settings.home / "damaged"
        self.catalogue = Catalogue(settings.database)
        self.server = secrets.token_hex(8)
        self.damaged: dict[str, str] = {}
        self.deleted = Deleted(settings.home / "deleted")
        self._closed = False
        self._presence = Presence(settings.home, self.server)
        try:
            self.beat()
            adopt(self)
            self._write_labels()
        except SQLAlchemyError as error:
            self.catalogue.close()
            self._presence.leave()
            raise CatalogueError(f"the catalogue can't be used: {error}") from error

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
        if not is_id(run):
            raise ValueError(f"a run's id must be letters and digits, got {abridged(run)}")
        return RunFolder(self.runs / run)

    def find(self, query: Query | None = None) -> Listing:
        """See `Catalogue.find`."""
        return self.catalogue.find(query or Query())

    def __contains__(self, run: str) -> bool:
        return is_id(run) and RunFolder(self.runs / run).begun

    def load(self, run: str) -> tuple[RunRecord, History]:
        """The record and history of a run; without a stop and a live recorder it was interrupted.

        Raises:
            SavedError: its folder is missing or damaged.
        """
        record, history = read(self.folder(run))
        entry = self.catalogue.entry(run)
        record = with_known_file(record, entry)
        history.config = record.config
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

    def take_in(self, record: RunRecord, history: History, labels: Labels | None = None) -> None:
        """Enter a run into the catalogue whose folder exists already, with `labels` if any."""
        values = labels.values() if labels else {}
        values |= about(record, history, ended=True) | on_disk(self.folder(record.id))
        spark, root = history.sparkline(), self.root(record)
        self.catalogue.put(record.id, {**values, "spark": spark, "root": root, "server": None})

    def label(self, run: str, **labels: Any) -> bool:
        """Change labels of a run, in the catalogue and in its folder; see `Catalogue.label`.

        Raises:
            ValueError: as that does.
        """
        if not self.catalogue.label(run, **labels):
            return False
        self._keep_labels(run)
        return True

    def _keep_labels(self, run: str) -> None:
        entry = self.catalogue.entry(run)
        if entry is None or run not in self:
            return
        try:
            self.folder(run).write_labels(Labels.of(entry))
        except OSError as error:
            _log.warning("the labels of the run %s are in the catalogue alone: %s", run, error)

    def _write_labels(self) -> None:
        """Those that an earlier version has kept in the catalogue alone."""
        for run in self.catalogue.labelled():
            if is_id(run) and not (self.folder(run).path / LABELS).exists():
                self._keep_labels(run)

    def choose_file(self, run: str, path: Path | str) -> RunConfig:
        """Name the file of this machine on which a run from elsewhere was trained; returns its
        settings with it.

        Raises:
            ConfigError: the run needs no file, or names one already; or there is no such file.
        """
        entry, file = self.catalogue.entry(run), Path(path).expanduser().resolve()
        config = RunConfig.from_json(entry.config) if entry else None
        if config is None or not lacks_file(config):
            raise ConfigError("path", f"a file can't be chosen: the run {run:.64} lacks none")
        if not file.is_file():
            raise ConfigError(
                "path", f"path must name a file that exists, got {abridged(str(path))}"
            )
        config = with_file(config, str(file))
        self.catalogue.put(run, {"config": config.to_json()})
        return config

    def delete(self, runs: Iterable[str]) -> list[str]:
        """Delete runs, except pinned ones and those being recorded; returns the deleted ids. Within
        a day, `restore` brings them back."""
        gone = []
        for run in runs:
            entry = self.catalogue.entry(run)
            if entry and (entry.pinned or entry.status == "recording"):
                continue
            if run in self.damaged or not self.folder(run).begun:
                cleared = self._clear(run)
            else:
                cleared = self._put_aside(run, entry)
            if cleared:
                if self.damaged.pop(run, None):
                    shutil.rmtree(self.aside / run, ignore_errors=True)
                gone.append(run)
        self.catalogue.delete(gone)
        return gone

    def _put_aside(self, run: str, entry: Entry | None) -> bool:
        options = RunConfig.from_json(entry.config).options if entry else {}
        try:
            self.deleted.put(self.folder(run).path, str(options.get(PATH, "")))
        except OSError as error:
            _log.error("the folder of the run %s can't be put aside: %s", run, error)
            return False
        return True

    def restore(self, runs: Iterable[str]) -> list[str]:
        """Bring back runs that were deleted within a day, with what people said about them; returns
        the ids of those that are here again."""
        back = []
        for run in runs:
            place = self.folder(run).path
            if run not in self.deleted.ids() or place.exists():
                continue
            trained_on = self.deleted.take(run, place)
            enter(self, place, new=True)
            if trained_on:
                self._choose_again(run, trained_on)
            back.append(run)
        return back

    def _choose_again(self, run: str, path: str) -> None:
        try:
            self.choose_file(run, path)
        except ConfigError as error:  # the run is there without it, as one from elsewhere is
            _log.warning("%s", error)

    def keep_quota(self) -> list[Entry]:
        """Delete the rows of the oldest runs until the rest fits into the quota; returns them.

        What was deleted by hand goes first, and after a day in any case. Entries of others stay, as
        removed. Pinned, starred and recording runs are never deleted, and those that visitors have
        brought have a quota of their own.
        """
        theirs = brought(self)
        left_out = {entry.id for entry in theirs}
        excess = sum(self.catalogue.bytes_used()) - size(theirs) - self.settings.quota
        excess = self._remove_deleted(excess)
        oldest = Query(pinned=False, starred=False, sort="updated", descending=False, limit=PIECE)
        removed: list[Entry] = []
        kept = 0
        while excess > 0:
            found = self.find(replace(oldest, offset=kept)).entries
            if not found:
                break
            for entry in found:
                stays = entry.status == "recording" or entry.id in left_out
                if excess <= 0 or stays or not self._clear(entry.id):
                    kept += 1
                    continue
                nothing = {"row_bytes": 0, "snapshot_bytes": 0, "snapshots": 0}
                self.catalogue.put(entry.id, {**nothing, "removed": time.time(), "server": None})
                excess -= entry.row_bytes + entry.snapshot_bytes
                removed.append(entry)
                _log.warning("run %s removed: over the quota of %s", entry.id, self.settings.quota)
        return removed

    def _remove_deleted(self, excess: int) -> int:
        """Delete for good what must go, so many bytes at least; returns by how many the store is
        still over its quota."""
        self.deleted.remove_old()
        sizes = self.deleted.sizes()
        excess += sum(sizes.values())
        for run, taken in sizes.items():
            if excess > 0:
                self.deleted.remove(run)
                excess -= taken
        return excess

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


def open_store(home: Path | str | None = None) -> Store:
    """The store in the folder `home`, or the one that the environment names (`StoreSettings`)."""
    settings = StoreSettings.at(Path(home)) if home is not None else StoreSettings.from_env()
    return Store(settings)
