"""Uploaded files: kept on the server while they are used, and checked at once."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.parts import server
from samedge_core.fields import ConfigError
from samedge_core.problems.data import DataError
from samedge_core.problems.own_data import Contents, contents_of
from samedge_core.problems.uploads import Uploads


@st.cache_resource(show_spinner=False)
def _uploads() -> Uploads:
    return Uploads(lambda: server.registry().files())


def keep(file: BinaryIO, suffix: str, instead_of: str = "") -> str:
    """Store an uploaded file, which this page names `instead_of` another; returns its path.

    Raises:
        UploadError: there is no room for it.
    """
    return _uploads().keep(file, file.name, suffix, _page(), instead_of)


def _page() -> str:
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else ""


def check(options: Mapping[str, Any], batch_size: int = 0) -> str:
    """What the file named by the option `path` holds, in words; raises as `look`."""
    return look(options, batch_size).in_words()


def look(options: Mapping[str, Any], batch_size: int = 0) -> Contents:
    """What the file named by the option `path` holds.

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
    _uploads().seen(path, _page())
    chosen = ("path", "n", "n_test", "length", "network", "blocks")
    found, problem = _look({name: options[name] for name in chosen if name in options})
    if found is None:
        # a reader need not know where the server keeps it
        problem = problem.replace(f"{file.parent}{os.sep}", "")
        raise ConfigError("path", problem)
    examples = found.shape[0]
    if batch_size > examples:
        allowed = f"at most the {examples:,} examples that are trained on, of {file.name}"
        raise ConfigError("batch_size", f"batch_size must be {allowed}, got {batch_size:,}")
    return found


@st.cache_data(show_spinner="Checking the file …", max_entries=50)
def _look(options: Mapping[str, Any]) -> tuple[Contents | None, str]:
    """What it holds, or None and what is wrong with it."""
    try:
        return contents_of({"network": "mlp", "blocks": 0, **options}), ""
    except DataError as error:
        return None, str(error)
