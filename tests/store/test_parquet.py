"""What a Parquet file would unpack to is what it does unpack to, or it is refused."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from samedge_core.store import parquet, rows
from samedge_core.training.history import row_dtype
from tests.store import made
from tests.store.hostile import INPUTS, equal_rows, wide

DTYPE = row_dtype(3)


def file_of(place: Path, content: bytes) -> Path:
    file = place / "rows.parquet"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_measure_is_that_of_pyarrow(tmp_path, codec, version):
    values = made.rows(0, 499)
    table = pa.table({name: pa.array(values[name]) for name in DTYPE.names or ()})
    content = io.BytesIO()
    pq.write_table(
        table,
        content,
        compression=codec,
        data_page_version=version,
        row_group_size=100,
        write_page_checksum=True,
    )
    file = file_of(tmp_path, content.getvalue())
    count, columns, there = parquet.measure(file, table.column_names)
    metadata = pq.read_metadata(content)
    assert count == 500
    assert list(columns) == table.column_names
    assert there == {*table.column_names}
    assert parquet.measure(file, ["loss"]).columns == {"loss": columns["loss"]}
    for index, column in enumerate(columns.values()):
        chunks = [metadata.row_group(group).column(index) for group in range(5)]
        assert column.packed == sum(chunk.total_compressed_size for chunk in chunks)
        # the metadata counts the headers of the pages, too
        promised = sum(chunk.total_uncompressed_size for chunk in chunks)
        assert column.unpacked <= promised <= column.unpacked + 5 * 6 * 200
        assert column.values == 500


def test_rows_come_back_whatever_packs_them(tmp_path):
    content = equal_rows(1000)
    found = rows.read(file_of(tmp_path, content), row_dtype(1), 0, 999)
    assert found["step"].tolist() == list(range(1000))
    with pytest.raises(ValueError, match=r"it has 1,000 rows for 10 steps"):
        rows.read(file_of(tmp_path, content), row_dtype(1), 0, 9)


def test_a_column_that_nobody_knows_is_not_read(tmp_path, monkeypatch):
    lists = pa.array([[b"x" * 1000] * 100] * 20)
    file = file_of(tmp_path, wide(rows.to_parquet(made.rows(0, 19)), lists))
    read = []
    real = pq.ParquetFile.read

    def noted(self, columns=None, **rest):
        read.extend(columns or ["all"])
        return real(self, columns=columns, **rest)

    monkeypatch.setattr(pq.ParquetFile, "read", noted)
    assert rows.read(file, DTYPE, 0, 19).tobytes() == made.rows(0, 19).tobytes()
    assert read == list(DTYPE.names or ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no whole Parquet file"),
        (b"PAR1PAR1", "no whole Parquet file"),
        (b"PAR1" + bytes(300_000) + (300_000).to_bytes(4, "little") + b"PAR1", "250,000 bytes"),
        (b"PAR1\x15\x02\x19\xfc\xff\xff\xff\x0f\x08\0\0\0PAR1", "cut short"),  # 2^31 structs
        (b"PAR1" + b"\x1c" * 40 + b"\x28\0\0\0PAR1", "nested too deeply"),
        (b"PAR1\x16\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x0c\0\0\0PAR1", "64 bits"),
    ],
)
def test_what_no_parquet_file_declares_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        parquet.measure(file_of(tmp_path, content), ["step"])


def test_a_damaged_file_is_measured_or_refused_and_ends_no_process(tmp_path):
    good = rows.to_parquet(made.rows(0, 19))
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    draw = np.random.default_rng(3)
    for _ in range(INPUTS):
        bad = bytearray(good)
        for at in draw.integers(
            footer if draw.random() < 0.7 else 0, len(bad), 1 + draw.integers(3)
        ):
            bad[at] = draw.integers(256)
        try:
            found = rows.read(file_of(tmp_path, bytes(bad)), DTYPE, 0, 19)
        except (ValueError, TypeError, OSError, LookupError):  # the last: pyarrow's
            continue
        assert found["step"].tolist() == list(range(20))
