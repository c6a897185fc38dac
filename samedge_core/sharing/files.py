"""Files of runs, read with a named reason for what is wrong, and written whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_WORDS = 500  # characters of what a reader says of a file


class SavedError(ValueError):
    """A saved run that can't be read; the message names the file and what is wrong with it."""


@contextmanager
def reading(file: Path) -> Iterator[Path]:
    """Turns whatever a damaged or foreign `file` makes its reader raise into a SavedError."""
    try:
        yield file
    except FileNotFoundError:
        raise SavedError(f"{file} is missing: {file.parent} holds no complete run") from None
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        what = what if len(what) <= MOST_WORDS else f"{what[:MOST_WORDS]} …"
        raise SavedError(f"{file} is damaged or not part of a saved run ({what})") from error


def text(file: Path, most: int) -> str:
    """The text of a file of at most `most` bytes.

    Raises:
        ValueError: it is no plain file, is larger, or not UTF-8.
        OSError: it can't be read.
    """
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):  # to read a pipe would never end
        raise ValueError("it is no file")
    if found.st_size > most:
        raise ValueError(f"it may have {most:,} bytes, got {found.st_size:,}")
    return file.read_text(encoding="utf-8")


def replace(file: Path, content: bytes) -> None:
    """Write the whole file or, if killed on the way, nothing of it."""
    new = file.with_name(f".{file.name}.new")
    with new.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
    if os.name == "posix":  # else a power cut could undo the renaming
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
