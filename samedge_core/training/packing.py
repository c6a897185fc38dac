"""Nested values and arrays as bytes that hold no code (safetensors), unlike pickles.

Importable without torch.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

METADATA = "samedge"
_ARRAY, _PAIRS, _TUPLE = "array", "pairs", "tuple"
_LENGTH = struct.Struct("<Q")  # of the header, at the beginning of a safetensors file
MOST_HEADER = 1_000_000  # bytes: all that is no array; a state has some thousand
PIECE = 1 << 20
_BAD = (SafetensorError, struct.error, LookupError, TypeError, ValueError, RecursionError)


class PackError(ValueError):
    """Bytes that `pack` has not made, or that are damaged."""


def pack(tree: Any) -> bytes:
    """Return mappings, sequences, numbers, strings, None and arrays, nested, as bytes for `unpack`.
    Equal trees give equal bytes.

    >>> unpack(pack({"w": np.zeros(2), "last": {1: (3, 0.5)}}))
    {'w': array([0., 0.]), 'last': {1: (3, 0.5)}}
    """
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_encoded(tree, arrays))
    held = {"tree": text, "crc32": _checksum(text, arrays)}
    return save(arrays, metadata={METADATA: json.dumps(held)})


def unpack(packed: bytes) -> Any:
    """Return the tree that `pack` was given.

    Raises:
        PackError: the bytes are not those of `pack`, or damaged.
    """
    try:
        held = _held(_header(packed))
        arrays = load(packed)
        whole = held["crc32"] == _checksum(held["tree"], arrays)
        tree = _decoded(json.loads(held["tree"]), arrays)
    except _BAD as error:
        raise PackError(f"no packed state ({type(error).__name__}: {error})") from error
    if not whole:
        raise PackError("the checksum does not fit what is there")
    return tree


def check(file: Path) -> Any:
    """Check that a file holds what `pack` has made, without holding it in memory; returns that,
    with its shape for each array.

    Raises:
        PackError: it is not that, or damaged.
        OSError: it can't be read.
    """
    try:
        with file.open("rb") as stream, safe_open(file, framework="numpy") as arrays:
            header = _header(start := stream.read(_LENGTH.size + MOST_HEADER))
            held = _held(header)
            names = sorted(arrays.keys())
            tree = _decoded(
                json.loads(held["tree"]), {name: tuple(header[name]["shape"]) for name in names}
            )
            begin = _LENGTH.size + _LENGTH.unpack_from(start)[0]
            checksum = zlib.crc32(held["tree"].encode())
            for name in names:
                first, end = header[name]["data_offsets"]
                stream.seek(begin + first)
                for at in range(first, end, PIECE):
                    checksum = zlib.crc32(stream.read(min(PIECE, end - at)), checksum)
    except _BAD as error:
        raise PackError(f"no packed state ({type(error).__name__}: {error})") from error
    if checksum != held["crc32"]:
        raise PackError("the checksum does not fit what is there")
    return tree


def _header(packed: bytes) -> dict[str, Any]:
    (length,) = _LENGTH.unpack_from(packed)
    if length > MOST_HEADER:
        raise ValueError(f"its header may have {MOST_HEADER:,} bytes, got {length:,}")
    return json.loads(packed[_LENGTH.size : _LENGTH.size + length])


def _held(header: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(header["__metadata__"][METADATA])


def _checksum(text: str, arrays: Mapping[str, np.ndarray]) -> int:
    checksum = zlib.crc32(text.encode())
    for name in sorted(arrays):
        checksum = zlib.crc32(arrays[name].tobytes(), checksum)
    return checksum


def _encoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        name = f"{len(arrays)}"
        arrays[name] = np.ascontiguousarray(value)
        return {_ARRAY: name}
    if isinstance(value, Mapping):
        return {_PAIRS: [[key, _encoded(item, arrays)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [_encoded(item, arrays) for item in value]}
    if isinstance(value, list):
        return [_encoded(item, arrays) for item in value]
    return value


def _decoded(value: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_decoded(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == _ARRAY:
        return arrays[held]
    if kind == _TUPLE:
        return tuple(_decoded(item, arrays) for item in held)
    if kind == _PAIRS:
        return {key: _decoded(item, arrays) for key, item in held}
    raise ValueError(f"no kind of value is called {kind!r}")
