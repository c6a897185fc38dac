"""Runs of a script: open the store, train, fork, resume, label and export."""

from samedge_core.runs.recorded import (
    ARCHIVE,
    FORMATS,
    DeleteError,
    RunKeyError,
    Runs,
    StoredRun,
    open_runs,
    short_length,
)

__all__ = [
    "ARCHIVE",
    "FORMATS",
    "DeleteError",
    "RunKeyError",
    "Runs",
    "StoredRun",
    "open_runs",
    "short_length",
]
