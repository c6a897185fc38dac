"""Files that readers bring: kept in a folder of the server while it runs, and checked at once."""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import streamlit as st

from samedge_core.fields import ConfigError
from samedge_core.problems.data import DataError
from samedge_core.problems.own_data import own_arrays, own_text

PIECE = 1024 * 1024


@st.cache_resource(show_spinner=False)
def _folder() -> tempfile.TemporaryDirectory[str]:
    # removed when the server ends
    return tempfile.TemporaryDirectory(prefix="samedge-uploads-")


def keep(file: BinaryIO, suffix: str) -> str:
    """Store an uploaded file under the hash of its content; returns its path."""
    digest = hashlib.sha256()
    for piece in iter(lambda: file.read(PIECE), b""):
        digest.update(piece)
    file.seek(0)
    path = Path(_folder().name) / f"{digest.hexdigest()[:20]}{suffix}"
    if not path.exists():
        path.write_bytes(file.read())
    return str(path)


def check(options: Mapping[str, Any]) -> str:
    """What the file named by the option `path` holds, in words.

    Raises:
        ConfigError: there is none, or these options can't be used with it; names path or n.
    """
    path = options["path"]
    if not path:
        raise ConfigError("path", "choose a file first")
    told, problem = _look(path, options["n"], options["n_test"], options.get("length"))
    if problem:
        raise ConfigError("n" if problem.startswith("n must") else "path", problem)
    return told


@st.cache_data(show_spinner="Checking the file …", max_entries=50)
def _look(path: str, n: int, n_test: int, length: int | None) -> tuple[str, str]:
    """What it holds, or what is wrong with it."""
    try:
        split = own_text(path, n, n_test, length) if length else own_arrays(path, n, n_test)
    except DataError as error:
        return "", str(error)
    held_out = f"{len(split.x_test):,} held out"
    if length:
        return f"{len(split.x):,} sequences of {length} characters, {held_out}", ""
    shape = " × ".join(map(str, split.x.shape[1:]))
    classes = len(set(split.y.tolist()))
    return (
        f"{len(split.x):,} examples of {shape} {split.x.dtype}, {classes} classes, {held_out}",
        "",
    )
