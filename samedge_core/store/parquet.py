"""What a Parquet file would unpack to, by its footer and the headers of its pages.

pyarrow unpacks whatever a file declares, and ends the process at some footers that it can't read.
So a strange file is looked at here first. Format: github.com/apache/parquet-format (parquet.thrift)
in Thrift's compact protocol.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

MAGIC = b"PAR1"
LARGEST_FOOTER = 250_000  # bytes; one of ours has some thousand for each million rows
PAGE_HEADER = 4096  # bytes, at most: statistics of a page stand in it
PAGE_ROWS = 1000  # rows in a page, at least, but for some pages
_DEEPEST = 16  # structs in structs

# numbers of the fields, as parquet.thrift gives them
_ROWS, _GROUPS = 3, 4
_COLUMNS, _GROUP_ROWS = 1, 3
_OTHER_FILE, _COLUMN = 1, 3
_PATH, _VALUES, _PACKED, _DATA, _DICTIONARY = 3, 5, 7, 9, 11
_UNPACKED, _PACKED_PAGE, _DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_2 = 2, 3, 5, 7, 8


class Column(NamedTuple):
    """A column: the bytes that it takes in the file and unpacked, and its values."""

    packed: int
    unpacked: int
    values: int


class Measure(NamedTuple):
    """The number of rows, the `columns` that were asked for, and the names of all columns."""

    rows: int
    columns: Mapping[str, Column]
    names: set[str]


def measure(file: Path, wanted: Container[str]) -> Measure:
    """What the file holds, with the measure of each column that is wanted.

    Raises:
        ValueError: it is no Parquet file, or declares what can't be.
        OSError: it can't be read.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        try:
            return _sums(stream, _footer(stream, size), size, wanted)
        except (AttributeError, TypeError) as error:
            raise ValueError(f"a field in it has another type ({error})") from error


def _sums(stream: BinaryIO, footer: dict[int, Any], size: int, wanted: Container[str]) -> Measure:
    columns, names = {}, set()
    for group in footer[_GROUPS]:
        for chunk in group[_COLUMNS]:
            path = chunk[_COLUMN][_PATH]
            names.add(path[0].decode())
            name = b".".join(path).decode()
            if name in wanted:
                found = _measured(stream, chunk, group[_GROUP_ROWS], size)
                before = columns.get(name, Column(0, 0, 0))
                columns[name] = Column(*(sum(pair) for pair in zip(before, found, strict=True)))
    return Measure(footer[_ROWS], columns, names)


def _footer(stream: BinaryIO, size: int) -> dict[int, Any]:
    stream.seek(max(0, size - 8))
    end = stream.read(8)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != MAGIC or length > size - 8:
        raise ValueError("it is no whole Parquet file")
    if length > LARGEST_FOOTER:
        raise ValueError(f"its footer may have {LARGEST_FOOTER:,} bytes, got {length:,}")
    stream.seek(size - 8 - length)
    return _Struct(stream.read(length)).read()


def _measured(stream: BinaryIO, chunk: dict[int, Any], rows: int, size: int) -> Column:
    """The measure of a column in a row group; each page's header is read."""
    column = chunk[_COLUMN]
    name, packed = column[_PATH][0].decode(), column[_PACKED]
    start, dictionary = column[_DATA], column.get(_DICTIONARY, 0)
    if _OTHER_FILE in chunk or column[_VALUES] != rows or 0 < start < dictionary:
        raise ValueError(f"the column {name:.60} must have {rows:,} values of its own")
    start = dictionary or start
    if not (0 <= start <= start + packed <= size):
        raise ValueError(f"the column {name:.60} must lie in the file")
    end, unpacked, values, pages = start + packed, 0, 0, 0
    while start < end:
        stream.seek(start)
        reader = _Struct(stream.read(PAGE_HEADER))
        page = reader.read()
        start += reader.at + page[_PACKED_PAGE]
        unpacked += page[_UNPACKED]
        values += (page.get(_DATA_PAGE) or page.get(_DATA_PAGE_2) or {1: 0})[1]
        pages += 1
        held = page.get(_DICTIONARY_PAGE, {1: 0})[1]
        bad = min(page[_PACKED_PAGE], page[_UNPACKED], values, held) < 0
        if bad or values > rows or held > rows or pages > 4 + 2 * rows // PAGE_ROWS:
            raise ValueError(f"the pages of the column {name:.60} must hold {rows:,} values")
    if start != end or values != rows:
        raise ValueError(f"the pages of the column {name:.60} must hold {rows:,} values")
    return Column(packed, unpacked, values)


class _Struct:
    """A struct in Thrift's compact protocol, read as field number -> value."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.at = 0

    def read(self) -> dict[int, Any]:
        """All of it."""
        try:
            return self._struct(0)
        except IndexError:
            raise ValueError("it is cut short") from None

    def _byte(self) -> int:
        self.at += 1
        return self._content[self.at - 1]

    def _whole(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise ValueError("a number has more than 64 bits")

    def _signed(self) -> int:
        value = self._whole()
        return (value >> 1) ^ -(value & 1)

    def _bytes(self, length: int) -> bytes:
        if length > len(self._content) - self.at:
            raise IndexError
        self.at += length
        return self._content[self.at - length : self.at]

    def _struct(self, depth: int) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        fields = _Fields()
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = self._value(head & 0xF, depth)
        return fields

    def _value(self, kind: int, depth: int, *, listed: bool = False) -> Any:
        match kind:
            case 1 | 2:
                return self._byte() == 1 if listed else kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._signed()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._whole())
            case 9 | 10:
                return self._list(depth)
            case 12:
                return self._struct(depth + 1)
        raise ValueError(f"nothing has the type {kind}")  # maps: Parquet has none

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._whole()
        if count > len(self._content) - self.at:  # each takes a byte at least
            raise IndexError
        return [self._value(head & 0xF, depth + 1, listed=True) for _ in range(count)]


class _Fields(dict[int, Any]):
    """Fields by number; a missing one is named."""

    def __missing__(self, number: int) -> Any:
        raise ValueError(f"the field {number} is missing")
