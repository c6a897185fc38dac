"""Small files in the original formats of the three data sets, written for the tests."""

import gzip
import hashlib
import io
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from samedge_core.problems import downloads


def idx(array: np.ndarray) -> bytes:
    """An array of unsigned bytes in idx format."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder: Path, n: int = 60, n_test: int = 20, *, packed: bool = False):
    """Random images and labels under the four names; returns the arrays in that order."""
    rng = np.random.default_rng(0)
    arrays = {}
    for stem, count in (("train", n), ("t10k", n_test)):
        arrays[f"{stem}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{stem}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    for name, array in arrays.items():
        raw = idx(array)
        file = folder / (f"{name}.gz" if packed else name)
        file.write_bytes(gzip.compress(raw) if packed else raw)
    return list(arrays.values())


def cifar_files(each: int = 6) -> dict[str, bytes]:
    """The six files: `each` records of a label byte and 3,072 random pixels."""
    rng = np.random.default_rng(1)
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    files = {}
    for name in names:
        records = rng.integers(0, 256, (each, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(each) % 10
        files[name] = records.tobytes()
    return files


def write_cifar(folder: Path, each: int = 6) -> dict[str, bytes]:
    """The unpacked folder."""
    target = folder / "cifar-10-batches-bin"
    target.mkdir()
    files = cifar_files(each)
    for name, raw in files.items():
        (target / name).write_bytes(raw)
    return files


def cifar_archive(files: dict[str, bytes]) -> bytes:
    """The files as the published archive lays them out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, raw in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return buffer.getvalue()


def write_shakespeare(folder: Path, lines: int = 10_400) -> str:
    """Numbered lines of 11 characters; returns the text."""
    text = "".join(f"line {i:05d}\n" for i in range(lines))
    (folder / "tinyshakespeare.txt").write_bytes(text.encode())
    return text


def accept(monkeypatch: pytest.MonkeyPatch, folder: Path, dataset: str) -> None:
    """Take the files in the folder for the published ones."""
    sources = tuple(
        replace(s, sha256=hashlib.sha256((folder / s.name).read_bytes()).hexdigest())
        for s in downloads.SOURCES[dataset]
    )
    monkeypatch.setitem(downloads.SOURCES, dataset, sources)
