"""A run's folder: everything that a run leaves on disk, written so that a kill does no harm.

    config.json       what the run started with
    history.parquet   every row; interventions, stop and parameters in the file's metadata
    history.csv       the same rows as text
    summary.json      the run in one row; null where there is nothing to tell
    report.html       the report, which needs no network
    state.pt          what the next step needs; it names its own step

Rows are written before the state, so that the state is never ahead of them. Importable without
torch; nothing is unpickled here.
"""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from samedge_core.report import report_html
from samedge_core.summary import summarise
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, Intervention, check_changes
from samedge_core.training.stop import Stop, StopReason

__all__ = [
    "FILES",
    "ResumeError",
    "SavedError",
    "checked_archive",
    "holds_run",
    "read",
    "read_state",
    "reading",
    "replace",
    "rows_of",
    "write",
]

CONFIG, ROWS, STATE = "config.json", "history.parquet", "state.pt"
TABLE, SUMMARY, REPORT = "history.csv", "summary.json", "report.html"
FILES = (REPORT, SUMMARY, TABLE, ROWS, CONFIG, STATE)
METADATA = b"samedge"
SCHEMA = 1

# what parquet, JSON, zip and torch raise on bytes that are not theirs
_UNREADABLE = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, OSError, EOFError,
    RuntimeError, MemoryError, zipfile.BadZipFile, pickle.UnpicklingError,
)  # fmt: skip


class SavedError(ValueError):
    """A saved run that can't be read; the message names the file and what is wrong with it."""


class ResumeError(ValueError):
    """A saved run that can't go on in the way that was asked for."""


def holds_run(folder: Path) -> bool:
    """Whether a run has been saved in `folder`."""
    return (folder / CONFIG).exists()


def write(folder: Path, history: History, state: bytes | None, *, results: bool) -> None:
    """Save a run, making `folder` where needed.

    Args:
        state: `TrainState.pack()` after the newest row; None leaves the one that is there.
        results: also write what only readers need: the table, the summary and the report.

    Raises:
        OSError: the folder can't be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / ROWS, _parquet(history))
    if results:
        replace(folder / TABLE, _csv(history))
        replace(folder / SUMMARY, _summary_json(history).encode())
        replace(folder / REPORT, report_html(history).encode())
    if state is not None:
        replace(folder / STATE, state)
    # last: a folder without it holds no run yet
    replace(folder / CONFIG, history.config.to_json().encode())


def read(folder: Path) -> History:
    """The History that was saved, its stored rows bit for bit.

    Raises:
        SavedError: a file is missing, damaged or of another program.
    """
    with reading(folder / CONFIG) as file:
        config = RunConfig.from_json(file.read_text(encoding="utf-8"))
    history = History(config)
    with reading(folder / ROWS) as file:
        names = list(history.dtype.names or ())
        table = pq.read_table(file, columns=names, page_checksum_verification=True)
        history.extend(rows_of(table, history.dtype))
        _restore(history, json.loads((table.schema.metadata or {})[METADATA]))
    return history


def read_state(folder: Path) -> bytes:
    """The packed state, for `TrainState.unpack`.

    Raises:
        SavedError: it is missing or damaged.
    """
    with reading(folder / STATE) as file:
        return checked_archive(file.read_bytes())


def checked_archive(packed: bytes) -> bytes:
    """The same bytes, if they are an undamaged file of torch's.

    Raises:
        ValueError, zipfile.BadZipFile: they are not.
    """
    # torch's files are zip archives; torch itself doesn't look at the checksums
    damaged = zipfile.ZipFile(io.BytesIO(packed)).testzip()
    if damaged:
        raise ValueError(f"{damaged} in it is damaged")
    return packed


@contextmanager
def reading(file: Path) -> Iterator[Path]:
    """Turns whatever a damaged or foreign `file` makes its reader raise into a SavedError."""
    try:
        yield file
    except FileNotFoundError:
        raise SavedError(f"{file} is missing: {file.parent} holds no complete run") from None
    except _UNREADABLE as error:
        what = f"{type(error).__name__}: {error}"
        raise SavedError(f"{file} is damaged or not part of a saved run ({what})") from error


def replace(file: Path, content: bytes) -> None:
    """Write the whole file or, if killed on the way, nothing of it."""
    new = file.with_name(f".{file.name}.new")
    with new.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)


def _parquet(history: History) -> bytes:
    # pa.array, not a data frame: that would turn each NaN into a null and lose its bits
    columns = {name: pa.array(column) for name, column in history.columns().items()}
    table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(_record(history))})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def _csv(history: History) -> bytes:
    """Every digit that it takes to get the numbers back; empty for NaN."""
    columns = history.columns().items()
    table = pa.table({name: pa.array(column, from_pandas=True) for name, column in columns})
    buffer = io.BytesIO()
    pc.write_csv(table, buffer, pc.WriteOptions(quoting_header="none", quoting_style="none"))
    return buffer.getvalue()


def rows_of(table: pa.Table, dtype: np.dtype) -> NDArray[np.void]:
    """Stored rows; columns of another type are refused, since a conversion could lose bits."""
    rows = np.empty(table.num_rows, dtype=dtype)
    for name in dtype.names or ():
        column = table.column(name).to_numpy()
        if column.dtype != dtype[name]:
            raise TypeError(f"column {name} must be {dtype[name]}, got {column.dtype}")
        rows[name] = column
    return rows


def _record(history: History) -> dict[str, Any]:
    """What neither the rows nor the configuration hold."""
    stop = history.stop
    return {
        "schema": SCHEMA,
        "parameters": history.parameters,
        "interventions": [
            {"step": item.step, "changes": dict(item.changes), "before": dict(item.before)}
            for item in history.interventions
        ],
        "stop": stop and {"reason": stop.reason.value, "step": stop.step, "what": stop.what},
    }


def _restore(history: History, record: dict[str, Any]) -> None:
    if record["schema"] != SCHEMA:
        raise ValueError(f"schema must be {SCHEMA}, got {record['schema']!r}")
    parameters, stop = record["parameters"], record["stop"]
    history.parameters = None if parameters is None else int(parameters)
    for item in record["interventions"]:
        step, next_step = int(item["step"]), history.last_step + 1
        if not 0 <= step <= next_step:
            raise ValueError(f"interventions must be from step 0 to {next_step}, got {step}")
        changes, before = check_changes(item["changes"]), check_changes(item["before"])
        history.intervene(Intervention(step, changes, before))
    if stop is not None:
        history.stop = Stop(StopReason(stop["reason"]), int(stop["step"]), str(stop["what"]))


def _summary_json(history: History) -> str:
    values = asdict(summarise(history))
    known = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
    return json.dumps(known, indent=2, allow_nan=False) + "\n"
