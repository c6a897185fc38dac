"""Run folders as a stranger might make them."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from samedge_core.store import RunFolder, RunRecord
from samedge_core.store.labels import Labels
from samedge_core.training.history import row_dtype
from samedge_core.training.stop import Stop, StopReason
from tests.fuzz import FUZZ
from tests.store.made import history, record, state

INPUTS = FUZZ // 2  # each takes a store of its own
STEPS = 12
ROWS = f"rows/{0:010}-{STEPS - 1:010}.parquet"
STATE = f"snapshots/{STEPS:010}.safetensors"

Files = dict[str, bytes]


def run_files(place: Path, run: str = "a", **changes: Any) -> Files:
    """The content of a good run folder by name; `changes` are of the record."""
    folder = RunFolder(place / run)
    folder.create()
    stop = Stop(StopReason.STOPPED, STEPS, "stopped by hand")
    folder.write_record(record(run, created=1.0, stop=stop, parameters=454, **changes))
    folder.append(history(STEPS).rows_after(-1))
    folder.write_snapshot(STEPS, state())
    folder.write_labels(Labels("mine", "a note", ("x",), starred=True, pinned=True))
    found = [file for file in folder.path.rglob("*") if file.is_file()]
    return {file.relative_to(folder.path).as_posix(): file.read_bytes() for file in found}


def lay(files: Mapping[str, bytes], place: Path) -> None:
    """Put the files into a folder."""
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)


def zipped(files: Mapping[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, packing  # as it is, backslashes too
            archive.writestr(info, content)
    buffer.seek(0)
    return buffer


def with_values(text: bytes, change: Mapping[str, Any]) -> bytes:
    """A record with other values, whose checksum fits them."""
    values = json.loads(text) | change
    values.pop("crc32")
    return json.dumps(values | {"crc32": _sum(values)}).encode()


def _sum(values: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())


def equal_rows(count: int, codec: str = "zstd") -> bytes:
    """A Parquet file of so many steps, all else zero, as small as can be."""
    zeros = np.zeros(count, row_dtype(1))
    columns = {name: pa.array(zeros[name]) for name in zeros.dtype.names or () if name != "step"}
    table = pa.table({"step": pa.array(np.arange(count)), **columns})
    buffer = io.BytesIO()
    settings: Any = {"use_dictionary": [n for n in table.column_names if n != "step"]}
    settings["column_encoding"] = {"step": "DELTA_BINARY_PACKED"}
    pq.write_table(table, buffer, compression=codec, **settings)
    return buffer.getvalue()


def wide(rows: bytes, column: pa.Array) -> bytes:
    """Rows with a column more that nobody knows."""
    table = pq.read_table(io.BytesIO(rows)).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(table.append_column("wide", column), buffer, compression="zstd")
    return buffer.getvalue()


def written(place: Path, run: RunRecord) -> None:
    """A folder with a record and no rows."""
    folder = RunFolder(place / run.id)
    folder.create()
    folder.write_record(run)
