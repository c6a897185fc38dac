"""A run's folder as one zip file, and back: what comes in is checked like anything from a stranger.

No file is written outside of the folder that is made for it, none is unpickled, and what would
unpack to more than a server can bear is refused before.
"""

from __future__ import annotations

import io
import re
import secrets
import shutil
import threading
import zipfile
from typing import IO

from sqlalchemy.exc import SQLAlchemyError

from samedge_core.sharing import files
from samedge_core.store.adoption import check
from samedge_core.store.folder import LABELS, PREDICTIONS, RECORD, RunFolder
from samedge_core.store.imports import NoRoomError, enter
from samedge_core.store.labels import Labels
from samedge_core.store.record import RunRecord
from samedge_core.store.store import Store
from samedge_core.store.unzipping import ArchiveError, unzip
from samedge_core.training.history import History

__all__ = ["ArchiveError", "bring_in", "take_out"]

MOST_ROWS = 250_000  # with some 100 bytes each, read three times over

_ONE_AT_A_TIME = threading.Lock()  # each may take 200 MB and 2 s of the server
_KNOWN = re.compile(
    rf"{'|'.join(map(re.escape, (RECORD, LABELS, PREDICTIONS)))}|"
    r"rows/[0-9]{1,10}-[0-9]{1,10}\.parquet|snapshots/[0-9]{1,10}\.safetensors"
)
_WHAT = f"a run has {RECORD}, rows/A-B.parquet and snapshots/S.safetensors"


def take_out(folder: RunFolder) -> bytes:
    """The folder as a zip file.

    Raises:
        SavedError: there is no run in it.
    """
    folder.record()
    buffer = io.BytesIO()
    # Parquet is compressed, and states don't shrink; a file may be older than zip files can say
    with zipfile.ZipFile(buffer, "w", strict_timestamps=False) as archive:
        for file in sorted(folder.path.rglob("*")):
            name = file.relative_to(folder.path).as_posix()
            if _KNOWN.fullmatch(name):
                archive.write(file, name)
    return buffer.getvalue()


def bring_in(store: Store, file: IO[bytes], *, visitor: bool = False) -> str:
    """Take a run into the store and return its id: its own, or a new one where that is taken.

    Args:
        visitor: whether a visitor of the page brings it; see `imports.enter`.

    Raises:
        ArchiveError: it is no such archive, or one that is too large, or there is no room for it;
            the store is as before.
        OSError: the store can't be written to.
    """
    folder = RunFolder(store.settings.home / "incoming" / secrets.token_hex(8))
    with _ONE_AT_A_TIME:
        return _bring_in(store, folder, file, visitor=visitor)


def _bring_in(store: Store, folder: RunFolder, file: IO[bytes], *, visitor: bool) -> str:
    folder.create()
    try:
        unzip(file, folder.path, _KNOWN, RECORD, _WHAT)
        return enter(store, folder, *_checked(folder), visitor=visitor)
    except NoRoomError as error:
        raise ArchiveError(str(error)) from error
    except SQLAlchemyError as error:
        raise ArchiveError(f"the catalogue can't take it in now: try again ({error})") from error
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)


def _checked(folder: RunFolder) -> tuple[RunRecord, History, Labels]:
    """The content of the folder, every file of which has been read."""
    try:
        record, labels = folder.record(), folder.labels()
        rows = folder.last_step + 1
        if rows > MOST_ROWS:
            raise files.SavedError(
                f"a run that is imported has at most {MOST_ROWS:,} steps, got {rows:,}"
            )
        history = folder.history(record)
        check(folder, history)
        folder.predictions(record.config)
        for step in folder.snapshots():
            if step > rows:
                raise files.SavedError(
                    f"a state after {step:,} steps needs their rows, got {rows:,}"
                )
            folder.check_snapshot(step, record.parameters)
        return record, history, labels
    except files.SavedError as error:
        named = str(error).replace(f"{folder.path}/", "")  # the reader knows no such folder
        raise ArchiveError(named) from error
