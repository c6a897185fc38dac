"""Uploads: files of visitors in one folder of a server, limited in all, deleted once unused."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Collection
from pathlib import Path
from typing import BinaryIO

PIECE = 1 << 20
LONGEST = 60  # characters of a name; a file system takes 255 bytes
MOST_BYTES = 1_000_000_000  # of all files together
MOST_FILES = 100
UNUSED_AFTER = 3600.0  # seconds since a page that names the file was last drawn
WAITS = 60.0  # the same, for one that has to make room for another


class UploadError(ValueError):
    """A file for which there is no room; the message says what is allowed."""


class Uploads:
    """Files under the hash of their content and their own names; thread-safe.

    A file stays while a page names it, which says so by `seen`, and while a run needs it.
    """

    def __init__(self, needed: Callable[[], Collection[str]]) -> None:
        """`needed` tells the paths of the files that runs which have not ended need."""
        self._needed = needed
        self._folder = Path(tempfile.mkdtemp(prefix="samedge-uploads-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._lock = threading.Lock()
        self._seen: dict[Path, dict[str, float]] = {}  # file: page: when
        self._timer: threading.Timer | None = None

    def keep(self, file: BinaryIO, name: str, suffix: str, page: str, instead_of: str = "") -> str:
        """Store a file that a page names from now on, `instead_of` another one; returns its path.

        Raises:
            UploadError: there is no room for it, or it can't be written.
        """
        digest, size = hashlib.sha256(), 0
        file.seek(0)
        while piece := file.read(PIECE):
            digest.update(piece)
            size += len(piece)
        path = self._folder / digest.hexdigest()[:20] / _safe(name, suffix)
        with self._lock:
            self._seen.get(Path(instead_of), {}).pop(page, None)
            self._sweep()
            if path not in self._seen:
                self._make_room(size)
                _copy(file, path)
            self._seen.setdefault(path, {})[page] = time.monotonic()
            self._sweep_later()
        return str(path)

    def seen(self, path: str, page: str) -> None:
        """A page that names the file is being drawn."""
        with self._lock:
            if Path(path) in self._seen:
                self._seen[Path(path)][page] = time.monotonic()

    def sweep(self) -> None:
        """Delete what is not used any more, now and once in UNUSED_AFTER while anything is left."""
        with self._lock:
            self._timer = None
            self._sweep()
            self._sweep_later()

    def _make_room(self, size: int) -> None:
        needed = self._needed()
        while True:
            there = {path: path.stat().st_size for path in self._seen}
            if len(there) < MOST_FILES and sum(there.values()) + size <= MOST_BYTES:
                return
            free = [path for path in there if str(path) not in needed]
            oldest = min(free, key=self._last_seen, default=None)
            if oldest is None or time.monotonic() - self._last_seen(oldest) < WAITS:
                raise UploadError(
                    f"the server keeps {MOST_FILES:,} files and {MOST_BYTES:,} bytes of uploads at "
                    f"most, and holds {len(there):,} files of {sum(there.values()):,} bytes that "
                    f"are in use; got {size:,} bytes: try again later, or bring a smaller file"
                )
            self._delete(oldest)

    def _sweep(self) -> None:
        needed, latest = self._needed(), time.monotonic() - UNUSED_AFTER
        for path in list(self._seen):
            if self._last_seen(path) < latest and str(path) not in needed:
                self._delete(path)

    def _sweep_later(self) -> None:
        if self._seen and self._timer is None:
            self._timer = threading.Timer(UNUSED_AFTER, self.sweep)
            self._timer.daemon = True
            self._timer.start()

    def _last_seen(self, path: Path) -> float:
        return max(self._seen[path].values(), default=0.0)

    def _delete(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        del self._seen[path]


def _copy(file: BinaryIO, path: Path) -> None:
    file.seek(0)
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as target:
            while piece := file.read(PIECE):
                target.write(piece)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UploadError(f"the server can't store it: {error.strerror}") from error


def _safe(name: str, suffix: str) -> str:
    """The name of a file without what could lead out of a folder, or what can't be printed."""
    stem = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    kept = "".join(c for c in stem if c.isprintable() and c not in "/\\")
    return kept[-LONGEST:] + suffix
