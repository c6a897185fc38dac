"""A zip file from a stranger, unpacked into one folder: what it would unpack to is judged first."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from samedge_core.fields import abridged

MOST_BYTES = 200_000_000
MOST_ENTRIES = 2000
MOST_DIRECTORY = 2_000_000  # bytes that list the entries
PIECE = 1 << 20

# of the others, zipfile unpacks any amount at once
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OTHERS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ"}
_ENCRYPTED = 1
# what Macs and Windows add
_ADDED = re.compile(r"__MACOSX/.*|(.*/)?(\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini)", re.I | re.S)


class ArchiveError(ValueError):
    """A file that can't be taken in; the message says what is wrong and what is allowed."""


def unzip(file: IO[bytes], place: Path, known: re.Pattern[str], anchor: str, what: str) -> None:
    """Unpack the files whose names are `known` into the folders at `place`.

    Folders around the file `anchor` and what Macs and Windows add are left out; with any other file
    the archive is refused, in words that say `what` it must hold.

    Raises:
        ArchiveError: it is no such archive, or one that is too large.
        OSError: the files can't be written.
    """
    with _opened(file) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(entries) > MOST_ENTRIES:
            raise ArchiveError(f"a run has at most {MOST_ENTRIES:,} files, got {len(entries):,}")
        names = _names(entries, anchor)
        _check_names(names.values(), known, what)
        for entry in names:
            _check_packing(entry)
        if sum(entry.file_size for entry in names) > MOST_BYTES:
            raise _too_large()
        room = MOST_BYTES
        for entry, name in names.items():
            with (place / name).open("wb") as target:
                for piece in _pieces(archive, entry):
                    room -= len(piece)
                    if room < 0:  # the directory does not say the truth
                        raise _too_large()
                    target.write(piece)


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    directory = _Directory(file)
    try:
        archive = zipfile.ZipFile(directory)  # pyright: ignore[reportCallIssue, reportArgumentType]
    except ArchiveError:
        raise
    except Exception as error:  # whatever a damaged one makes its reader raise
        raise ArchiveError(f"this is no zip file of a run ({error!s:.200})") from error
    directory.read = file.read
    return archive


class _Directory:
    """A file while its directory is read: zipfile takes all of it into memory, however long."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell
        self.read: Callable[[int], bytes] = self._read

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing: the caller has opened it."""

    def _read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_DIRECTORY:
            at = self._file.tell()
            size = self._file.seek(0, os.SEEK_END) - at
            self._file.seek(at)
        if size > MOST_DIRECTORY:
            allowed = f"at most {MOST_DIRECTORY:,} bytes"
            raise ArchiveError(f"the directory of a run's zip file has {allowed}, got {size:,}")
        return self._file.read(size)


def _names(entries: list[zipfile.ZipInfo], anchor: str) -> Mapping[zipfile.ZipInfo, str]:
    """The name in the run's folder of each entry that is of the run."""
    slashed = any("/" in entry.filename for entry in entries)
    names = {e: e.filename if slashed else e.filename.replace("\\", "/") for e in entries}
    names = {
        e: name for e, name in names.items() if not _ADDED.fullmatch(name) and name[-1:] != "/"
    }
    anchors = [name for name in names.values() if f"/{name}".endswith(f"/{anchor}")]
    around = min(anchors, key=len, default=anchor).removesuffix(anchor)
    return {entry: name.removeprefix(around) for entry, name in names.items()}


def _check_names(names: Iterable[str], known: re.Pattern[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen or not known.fullmatch(name):
            raise ArchiveError(f"{what}, each once, got {abridged(name)}")
        seen.add(name)


def _check_packing(entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveError("the zip file is encrypted: pack it again without a password")
    if entry.compress_type not in _PACKINGS:
        packing = _OTHERS.get(entry.compress_type, f"method {entry.compress_type}")
        raise ArchiveError(f"the zip file is packed as {packing}: pack it again as usual (deflate)")


def _pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of an entry, whose checksum is compared at the end."""
    try:
        with archive.open(entry) as source:
            while piece := source.read(PIECE):
                yield piece
    except Exception as error:  # whatever a damaged one makes its reader raise
        name = abridged(entry.filename)
        raise ArchiveError(f"this zip file is damaged at {name} ({error!s:.200})") from error


def _too_large() -> ArchiveError:
    return ArchiveError(f"a run's files have at most {MOST_BYTES / 1e6:,.0f} MB in all")
