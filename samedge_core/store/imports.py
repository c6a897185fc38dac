"""Imports: runs of other stores. Those that visitors of the page bring make room for one another,
and take none from the runs that are recorded here."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from samedge_core.store.adoption import with_known_file
from samedge_core.store.catalogue import Entry, Query
from samedge_core.store.folder import RunFolder
from samedge_core.store.labels import Labels
from samedge_core.store.record import RunRecord, began_alike
from samedge_core.training.history import History

if TYPE_CHECKING:
    from samedge_core.store.store import Store

BROUGHT = "imported"  # a file in the folder of a run that a visitor has brought
SHARE, LEAST = 10, 200_000_000  # bytes for all of these: the quota / 10, or so many
MOST = 1000

_log = logging.getLogger(__name__)


class NoRoomError(ValueError):
    """Visitors have brought as many runs as there is room for; the message says what helps."""


def enter(
    store: Store,
    folder: RunFolder,
    record: RunRecord,
    history: History,
    labels: Labels,
    *,
    visitor: bool,
) -> str:
    """Make a folder with a run of another store one of this store; returns the run's id: its own,
    or a new one where that is taken.

    Args:
        visitor: whether a visitor brings it, for which the oldest that visitors have brought go; it
            comes without star and pin.

    Raises:
        NoRoomError: there is none.
        OSError, SQLAlchemyError: it can't be written; the store is as before.
    """
    if visitor:
        _make_room(store, sum(folder.sizes()))
        (folder.path / BROUGHT).touch()
        labels = replace(labels, starred=False, pinned=False)  # what keeps a run is given here
        folder.write_labels(labels)
    record = _of_this_store(store, record)
    if record.id in store.catalogue.ids() or store.folder(record.id).path.exists():
        record = replace(record, id=store.new_id())
    folder.write_record(record)
    history.config = record.config
    place = store.folder(record.id).path
    folder.path.replace(place)
    try:
        store.take_in(record, history, labels)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return record.id


def _of_this_store(store: Store, record: RunRecord) -> RunRecord:
    """The record without a file of this machine, a start in the future, or a run of this store as
    its parent that is another one."""
    record = with_known_file(record, None)
    parent = store.catalogue.entry(record.origin.parent) if record.origin else None
    if parent and not began_alike(parent.config, record.config):
        _log.warning("the imported run %s does not come from %s", record.id, parent.id)
        record = replace(record, origin=None)
    return replace(record, created=min(record.created, time.time()))


def brought(store: Store) -> Sequence[Entry]:
    """The runs that visitors have brought, oldest first."""
    ids = [file.parent.name for file in store.runs.glob(f"*/{BROUGHT}")]
    query = Query(ids=ids, sort="updated", descending=False, limit=None)
    return store.find(query).entries if ids else ()


def room(store: Store) -> int:
    """The bytes that they may take, beside the quota."""
    return max(store.settings.quota // SHARE, LEAST)


def size(entries: Iterable[Entry]) -> int:
    """The bytes that runs take on disk."""
    return sum(entry.row_bytes + entry.snapshot_bytes for entry in entries)


def _make_room(store: Store, new: int) -> None:
    there, most = brought(store), room(store)
    kept = [entry for entry in there if entry.pinned or entry.starred]
    if new + size(kept) > most or len(kept) >= MOST:
        raise NoRoomError(
            f"imported runs may take {most / 1e6:,.0f} MB and be {MOST:,}; {len(kept):,} that are "
            f"starred or pinned take {size(kept) / 1e6:,.3g} MB, this one {new / 1e6:,.3g}: delete "
            "some of them"
        )
    excess, over = new + size(there) - most, len(there) + 1 - MOST
    for entry in there:
        if (excess > 0 or over > 0) and entry not in kept and store.delete([entry.id]):
            excess, over = excess - size([entry]), over - 1
            _log.warning("imported run %s deleted: another one needed its room", entry.id)
