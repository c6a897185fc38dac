"""A run's folder as one zip file, and back: what comes in is checked like anything from a stranger.

No file is written outside of the folder that is made for it, none is unpickled, and limits on
number and size hold for what comes out of the archive, not for what its directory says.
"""

from __future__ import annotations

import io
import re
import secrets
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import IO

import pyarrow.parquet as pq

from samedge_core.sharing import files
from samedge_core.store.folder import RECORD, RunFolder
from samedge_core.store.store import Store
from samedge_core.training.history import History
from samedge_core.training.packing import PackError, unpack

MOST_BYTES = 500_000_000
MOST_ENTRIES = 2000
PIECE = 1 << 20

_KNOWN = re.compile(
    rf"{re.escape(RECORD)}|rows/\d{{1,10}}-\d{{1,10}}\.parquet|snapshots/\d{{1,10}}\.safetensors"
)


class ArchiveError(ValueError):
    """A file that can't be taken in; the message says what is wrong and what is allowed."""


def take_out(folder: RunFolder) -> bytes:
    """The folder as a zip file.

    Raises:
        SavedError: there is no run in it.
    """
    folder.record()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # Parquet is compressed, and states don't shrink
        for file in sorted(folder.path.rglob("*")):
            name = file.relative_to(folder.path).as_posix()
            if _KNOWN.fullmatch(name):
                archive.write(file, name)
    return buffer.getvalue()


def bring_in(store: Store, file: IO[bytes]) -> str:
    """Take a run into the store and return its id: its own, or a new one where that is taken.

    Raises:
        ArchiveError: it is no such archive, or one that is too large; the store is as before.
        OSError: the store can't be written to.
    """
    place = store.settings.home / "incoming" / secrets.token_hex(8)
    folder = RunFolder(place)
    folder.create()
    try:
        _extract(file, place)
        history = _checked(folder)
        record = folder.record()
        if record.id in store.catalogue.ids() or store.folder(record.id).path.exists():
            record = replace(record, id=store.new_id())
            folder.write_record(record)
        place.replace(store.folder(record.id).path)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    store.take_in(record, history)
    return record.id


def _extract(file: IO[bytes], place: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MOST_ENTRIES:
                raise ArchiveError(
                    f"a run has at most {MOST_ENTRIES:,} files, got {len(entries):,}"
                )
            names = [entry.filename for entry in entries]
            for name in names:
                if not _KNOWN.fullmatch(name) or names.count(name) > 1:
                    raise ArchiveError(
                        f"a run has {RECORD}, rows/A-B.parquet and snapshots/S.safetensors, each "
                        f"once, got {name[:80]!r}"
                    )
            room = MOST_BYTES
            for entry in entries:
                with archive.open(entry) as source, (place / entry.filename).open("wb") as target:
                    room -= _copy(source, target, room)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        # RuntimeError: an entry that is encrypted
        raise ArchiveError(f"this is no zip file of a run ({error})") from error


def _copy(source: IO[bytes], target: IO[bytes], room: int) -> int:
    """Bytes copied; more than `room` are refused, whatever the archive's directory says."""
    copied = 0
    while piece := source.read(PIECE):
        copied += len(piece)
        if copied > room:
            raise ArchiveError(f"a run's files have at most {MOST_BYTES / 1e6:,.0f} MB in all")
        target.write(piece)
    return copied


def _checked(folder: RunFolder) -> History:
    """The history; every file of the folder has been read."""
    try:
        record = folder.record()
        for part in folder.parts():
            with files.reading(part.file) as file:
                found = pq.ParquetFile(file).metadata.num_rows
                # a few bytes can stand for any number of equal rows
                if found > len(part):
                    raise ValueError(f"it has {found:,} rows for {len(part):,} steps")
        for step in folder.snapshots():
            unpack(folder.snapshot(step))
        return folder.history(record)
    except (files.SavedError, PackError) as error:
        named = str(error).replace(f"{folder.path}/", "")  # the reader knows no such folder
        raise ArchiveError(named) from error
