"""ArrayFile: a .npz file from outside, checked by its headers before anything is unpacked.

A few megabytes can unpack to any number of gigabytes. So the zip's directory, the kind of packing
and the type and shape of each array are looked at first, and an array is read in pieces.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from samedge_core.fields import abridged
from samedge_core.problems.data import DataError

PIECE = 1 << 20  # bytes at a time; also of the zip's directory, which names 10,000 arrays in that
LONGEST_HEADER = 2000  # bytes; NumPy writes 128 for an array of numbers
SUFFIX = ".npy"
PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # by numpy.savez and numpy.savez_compressed

Look = Callable[[NDArray[Any], NDArray[Any]], object]


class Header(NamedTuple):
    """What a file says of an array: its name, type, shape and order; `start` bytes come first."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    start: int

    @property
    def examples(self) -> int:
        """The length of the first axis."""
        return self.shape[0] if self.shape else 0

    @property
    def nbytes(self) -> int:
        """Bytes that the array unpacks to."""
        return math.prod(self.shape) * self.dtype.itemsize


class ArrayFile:
    """An open .npz file, for a `with` block.

    Attributes:
        names: of its arrays, in order.

    Raises:
        DataError: from every method, where the file is no such archive, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with ExitStack() as opened, self._whole():
            file = opened.enter_context(_InPieces(path))
            self._zip = opened.enter_context(zipfile.ZipFile(file))
            names = (member.filename for member in self._zip.infolist())
            self.names = [n.removesuffix(SUFFIX) for n in names if n.endswith(SUFFIX)]
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def header(self, name: str) -> Header:
        """Return what the file says of one of `names`; of the array itself, nothing is read."""
        with self._whole():
            member = self._zip.getinfo(name + SUFFIX)
            if member.compress_type not in PACKED:
                raise DataError(
                    f"{self._path} must be packed as numpy.savez or numpy.savez_compressed do, got "
                    f"compression {member.compress_type} of {abridged(name)}"
                )
            with self._zip.open(member) as stream:
                header = _header(name, stream.read(LONGEST_HEADER))
            if header.dtype.hasobject:
                raise DataError(
                    f"{self._path} must hold plain arrays of numbers: {abridged(name)} holds "
                    "Python objects, a pickle, which is not opened"
                )
            if member.file_size != header.start + header.nbytes:
                raise ValueError(
                    f"{name!r} has {member.file_size - header.start:,} bytes for {header.shape} of "
                    f"{header.dtype}"
                )
        return header

    def read(self, header: Header, n: int, look: Look = lambda all_of_it, used: None) -> None:
        """Read an array in pieces, all of it, so that its checksum is compared.

        `look` is called with the entries (of all examples, at least) of each piece, flat in the
        order of the file, and with those of them that belong to the first n examples.
        """
        with self._whole(), self._zip.open(header.name + SUFFIX) as stream:
            stream.read(header.start)
            # in Fortran's order the examples are the fastest axis
            unit = header.examples if header.fortran else 1
            left = n * math.prod(header.shape[1:])
            for piece in _pieces(stream, header, max(1, unit)):
                if header.fortran:
                    used = piece.reshape(-1, unit)[:, :n].reshape(-1)
                else:
                    used = piece[:left]
                    left -= len(used)
                look(piece, used)

    def first(self, header: Header, n: int, look: Look = lambda all_of_it, used: None) -> NDArray:
        """Return the first n of an array, at most all of it, in C order; see `read`."""
        inner = header.shape[1:]
        flat, at = np.empty(n * math.prod(inner), header.dtype), 0

        def keep(all_of_it: NDArray[Any], used: NDArray[Any]) -> None:
            nonlocal at
            look(all_of_it, used)
            flat[at : at + len(used)] = used
            at += len(used)

        self.read(header, n, keep)
        if header.fortran:
            return np.ascontiguousarray(flat.reshape(*reversed(inner), n).T)
        return flat.reshape(n, *inner)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Turns whatever a damaged file makes its readers raise into a DataError."""
        try:
            yield
        except (DataError, MemoryError):
            raise
        except Exception as error:
            raise DataError(
                f"{self._path} must be an archive as numpy.savez writes it, whole; reading it "
                f"failed with {type(error).__name__}: {abridged(str(error))}"
            ) from error


class _InPieces(io.FileIO):
    """A file that is read in pieces alone. zipfile would take a directory of any length at once,
    and make twenty times as many bytes of objects from it."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            here = self.tell()
            size = self.seek(0, io.SEEK_END) - here
            self.seek(here)
        if size > PIECE:
            raise DataError(
                f"{self.name} must be an archive of a few arrays, got one whose directory takes "
                f"{size:,} bytes; at most {PIECE:,} are read"
            )
        return super().read(size) or b""


def _header(name: str, head: bytes) -> Header:
    """Parsed by NumPy, from the beginning of a member alone."""
    stream = io.BytesIO(head)
    version = npy.read_magic(stream)
    parse = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if parse is None:
        raise ValueError(f"{name!r} is of the .npy version {version}")
    try:
        shape, fortran, dtype = parse(stream, max_header_size=LONGEST_HEADER)
    except MemoryError as error:  # what Python's parser makes of text that is nested too deeply
        raise ValueError(f"the header of {name!r} can't be parsed") from error
    if dtype.subdtype is not None or any(not 0 <= length < 2**63 for length in shape):
        raise ValueError(f"{name!r} says that it is {shape} of {dtype}")
    return Header(name, dtype, tuple(int(length) for length in shape), fortran, stream.tell())


def _pieces(stream: Any, header: Header, unit: int) -> Iterator[NDArray[Any]]:
    """The entries of an array in the order of the file, a multiple of `unit` at a time."""
    left, size = math.prod(header.shape), header.dtype.itemsize
    most = max(1, PIECE // (unit * size)) * unit
    while left:
        count = min(most, left)
        parts, missing = [], count * size
        while missing and (part := stream.read(min(missing, PIECE))):
            parts.append(part)
            missing -= len(part)
        if missing:
            raise EOFError(f"{missing:,} bytes of {header.name!r} are missing")
        yield np.frombuffer(b"".join(parts), header.dtype)
        left -= count
