"""Uploaded files: kept in a folder of the server while it runs, and checked at once."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import streamlit as st

from samedge_core.fields import ConfigError
from samedge_core.problems.data import DataError
from samedge_core.problems.own_data import own_arrays, own_text

PIECE = 1024 * 1024
LONGEST = 60  # characters of a name; a file system takes 255 bytes


@st.cache_resource(show_spinner=False)
def _folder() -> tempfile.TemporaryDirectory[str]:
    # removed when the server ends
    return tempfile.TemporaryDirectory(prefix="samedge-uploads-")


def keep(file: BinaryIO, suffix: str) -> str:
    """Store an uploaded file under the hash of its content and its own name; returns its path."""
    digest = hashlib.sha256()
    for piece in iter(lambda: file.read(PIECE), b""):
        digest.update(piece)
    file.seek(0)
    path = Path(_folder().name) / digest.hexdigest()[:20] / _safe(file.name, suffix)
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(file.read())
    return str(path)


def _safe(name: str, suffix: str) -> str:
    """The name of a file without what could lead out of a folder, or what can't be printed."""
    stem = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    kept = "".join(c for c in stem if c.isprintable() and c not in "/\\")
    return kept[-LONGEST:] + suffix


def check(options: Mapping[str, Any], batch_size: int = 0) -> str:
    """What the file named by the option `path` holds, in words.

    Raises:
        ConfigError: there is none, or these options can't be used with it; names path, and the file
            by its own name. Or the batch has more examples than there are; names batch_size.
    """
    path = options["path"]
    if not path:
        raise ConfigError("path", "choose a file first")
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError("path", f"{file.name} is not on the server: choose the file again")
    content, examples, problem = _look(path, options["n"], options["n_test"], options.get("length"))
    if problem:
        # a reader need not know where the server keeps it
        problem = problem.replace(f"{file.parent}{os.sep}", "")
        raise ConfigError("path", problem)
    if batch_size > examples:
        allowed = f"at most the {examples:,} examples that are trained on, of {file.name}"
        raise ConfigError("batch_size", f"batch_size must be {allowed}, got {batch_size:,}")
    return content


@st.cache_data(show_spinner="Checking the file …", max_entries=50)
def _look(path: str, n: int, n_test: int, length: int | None) -> tuple[str, int, str]:
    """What it holds, in words, and how many examples of it are trained on; or what is wrong."""
    try:
        split = own_text(path, n, n_test, length) if length else own_arrays(path, n, n_test)
    except DataError as error:
        return "", 0, str(error)
    held_out = f"{len(split.x_test):,} held out"
    if length:
        return f"{len(split.x):,} sequences of {length} characters, {held_out}", len(split.x), ""
    shape = " × ".join(map(str, split.x.shape[1:]))
    classes = len(set(split.y.tolist()))
    return (
        f"{len(split.x):,} examples of {shape} {split.x.dtype}, {classes} classes, {held_out}",
        len(split.x),
        "",
    )
