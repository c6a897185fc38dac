"""Rows of a run as a Parquet file, to the bit; a strange one is refused before it is unpacked."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from samedge_core.store import parquet

CHECKSUMS = b"crc32"  # of each column: the footer of a Parquet file, with their names, has none
SPARE = 4096  # bytes of a column beyond its values and a dictionary of them


def to_parquet(rows: NDArray[np.void]) -> bytes:
    """The content of a file for `read`."""
    table = pa.table({name: pa.array(rows[name]) for name in rows.dtype.names or ()})
    table = table.replace_schema_metadata({CHECKSUMS: json.dumps(_checksums(rows))})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def read(file: Path, dtype: np.dtype, first: int, last: int) -> NDArray[np.void]:
    """The rows (n,) of the steps `first` to `last`, which are all that the file may hold.

    A column that the version which wrote them did not have is "not measured" there; one that this
    version doesn't know is neither read nor unpacked.

    Raises:
        ValueError, TypeError or what pyarrow raises: the file is damaged, or not of this form.
    """
    columns = _columns(file, dtype, last - first + 1)
    with pq.ParquetFile(file, page_checksum_verification=True) as opened:
        names = _known(opened.schema_arrow, columns, dtype)
        table = opened.read(columns=names, use_threads=False)
    rows = np.zeros(last - first + 1, dtype)
    for name in dtype.names or ():
        if name in names:
            rows[name] = _column(table, name, dtype[name])
        elif dtype[name].kind == "f":
            rows[name] = np.nan
    _check_sums(rows, names, table.schema.metadata or {}, columns)
    if not np.array_equal(rows["step"], np.arange(first, last + 1)):
        raise ValueError("its rows are not those of its name")
    return rows


def _columns(file: Path, dtype: np.dtype, count: int) -> set[str]:
    """The names of all columns, after those of `dtype` were seen to hold `count` values of a
    fitting size."""
    found = parquet.measure(file, dtype.names or ())
    if found.rows != count:  # a few bytes can stand for any number of equal rows
        raise ValueError(
            f"its rows are not those of its name: it has {found.rows:,} rows for {count:,} steps"
        )
    for name, column in found.columns.items():
        most = 2 * count * dtype[name].itemsize + SPARE
        if column.values != count or max(column.packed, column.unpacked) > most:
            allowed = f"{count:,} values in {most:,} bytes"
            got = f"{column.values:,} in {column.unpacked:,}"
            raise ValueError(f"column {name} must hold {allowed}, got {got}")
    return found.names


def _known(schema: pa.Schema, columns: set[str], dtype: np.dtype) -> list[str]:
    """The names of the columns to read, each of the right type."""
    if set(schema.names) != columns or len(schema.names) != len(columns):
        raise ValueError("its columns are not those of its schema")
    names = [name for name in dtype.names or () if name in columns]
    if "step" not in names:
        raise ValueError("it must have a column step")
    for name in names:
        got, wanted = schema.field(name).type, dtype[name]
        if got != pa.from_numpy_dtype(wanted):  # a conversion could lose bits
            plain = np.dtype(got.to_pandas_dtype()) if pa.types.is_primitive(got) else got
            raise TypeError(f"column {name} must be {wanted}, got {plain!s:.60}")
    return names


def _column(table: pa.Table, name: str, dtype: np.dtype) -> NDArray:
    column = table.column(name).to_numpy()
    if column.dtype != dtype:  # it has nulls
        raise TypeError(f"column {name} must be {dtype}, got {column.dtype}")
    return column


def _checksums(rows: NDArray[np.void]) -> dict[str, int]:
    return {name: zlib.crc32(rows[name].tobytes()) for name in rows.dtype.names or ()}


def _check_sums(
    rows: NDArray[np.void], names: Sequence[str], metadata: dict[bytes, bytes], there: set[str]
) -> None:
    written = json.loads(metadata.get(CHECKSUMS, b"null"))
    if written is None:
        return
    if set(written) != there:
        raise ValueError("its columns are not those that were written")
    for name in names:
        if zlib.crc32(rows[name].tobytes()) != written[name]:
            raise ValueError(f"column {name} is damaged")
