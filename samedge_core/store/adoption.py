"""Adoption: folders that the catalogue does not know are taken in, or moved aside and named."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError

from samedge_core.fields import ConfigError
from samedge_core.sharing.files import SavedError
from samedge_core.sharing.replay_file import PATH, with_file
from samedge_core.store.catalogue import Entry, Query
from samedge_core.store.folder import RunFolder
from samedge_core.store.record import RunRecord
from samedge_core.store.texts import is_id
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History
from samedge_core.training.stop import BY_ITSELF

if TYPE_CHECKING:
    from samedge_core.store.store import Store

NEWER = "a newer version of this program"  # what a message says of an unknown schema

_log = logging.getLogger(__name__)


def adopt(store: Store) -> None:
    """Take in all folders of `store.runs` and `store.aside` that can be; `store.damaged` says what
    is wrong with the others.

    Raises:
        OperationalError: the catalogue can't be used just now.
    """
    ids = store.catalogue.ids()
    known = ids - _outdated(store)
    aside = store.aside.iterdir() if store.aside.is_dir() else ()
    for path in sorted([*store.runs.iterdir(), *aside]):
        if path.is_dir() and not (path.name in known and path.parent == store.runs):
            _try(store, path, new=path.name not in ids)


def read(folder: RunFolder) -> tuple[RunRecord, History]:
    """The record and history in the folder of a run, which has its name.

    Raises:
        SavedError: it is missing or damaged, or a copy of another one.
    """
    record, history = folder.recorded()
    if record.id != folder.path.name:
        raise SavedError(f"{folder.path} is a copy of the run {record.id}")
    check(folder, history)
    return record, history


def check(folder: RunFolder, history: History) -> None:
    """Check what a run has of rows, and what the edges are computed from: any other number may
    stand in a row.

    Raises:
        SavedError: rows are missing, or more than the run has steps; a gradient norm below 0.
    """
    rows, stop = len(history), history.stop
    if rows > history.config.steps:
        allowed = f"at most {history.config.steps:,} rows, as it has steps"
        raise SavedError(f"the run in {folder.path} has {allowed}, got {rows:,}")
    if stop and not (rows - 1 if stop.reason in BY_ITSELF else 0) <= stop.step <= rows:
        said = f"its record says {stop.reason.value} at step {stop.step:,}"
        raise SavedError(f"the run in {folder.path} has {rows:,} rows, but {said}")
    norms = history.rows_after(-1)["grad_norm"]
    if (norms < 0).any():
        got = norms[norms < 0][0]
        raise SavedError(f"the rows in {folder.path} must have grad_norm >= 0, got {got:g}")


def with_known_file(record: RunRecord, entry: Entry | None) -> RunRecord:
    """The record with the path of the file that this store has entered for the run, if any: what
    was written elsewhere must not have this machine read a file of its own."""
    if PATH not in record.config.options:
        return record
    known = RunConfig.from_json(entry.config).options.get(PATH, "") if entry else ""
    return replace(record, config=with_file(record.config, known))


def _try(store: Store, path: Path, *, new: bool) -> None:
    """Take a folder in, or say why it can't be: one must not keep the others from the page."""
    try:
        enter(store, path, new=new)
    except OperationalError:  # the catalogue's fault, not the folder's
        raise
    except Exception as error:  # noqa: BLE001 - it is named, on the page and in the log
        moved = _put_aside(store, path, error) if new else ""
        store.damaged[path.name] = f"{error}{moved}"
        _log.warning("skipped: %s%s", error, moved)


def enter(store: Store, path: Path, *, new: bool) -> None:
    """Take a folder into the catalogue, and to its place.

    Raises:
        SavedError: it can't be.
    """
    if not is_id(path.name):
        raise SavedError(f"{path} is no run: its name must be letters and digits")
    folder, place = RunFolder(path), store.folder(path.name).path
    if not folder.begun:
        return
    record, history = read(folder)
    labels = folder.labels() if new else None
    if path != place:
        if place.exists():
            raise SavedError(f"{path} has the name of a run that is there: {place}")
        path.rename(place)
    record = with_known_file(record, store.catalogue.entry(record.id))
    history.config = record.config
    store.take_in(record, history, labels)


def _put_aside(store: Store, path: Path, error: Exception) -> str:
    """Where the folder is now, in words; nothing where it stays: one that a newer version has
    written, or that can't be read just now."""
    cause = error.__cause__
    newer = isinstance(cause, ConfigError) and NEWER in str(cause)
    unread = isinstance(cause, OSError) and cause.errno is not None
    if newer or unread or path.parent != store.runs or not is_id(path.name):
        return ""
    try:
        store.aside.mkdir(exist_ok=True)
        path.rename(store.aside / path.name)
    except OSError as failure:
        return f"; it can't be moved to {store.aside} ({failure.strerror})"
    return f"; it is in {store.aside} now"


def _outdated(store: Store) -> set[str]:
    """Runs of servers that were killed between the files and the catalogue."""
    left = store.find(Query(status="interrupted", limit=None)).entries
    return {
        one.id for one in left if is_id(one.id) and store.folder(one.id).last_step > one.last_step
    }
