"""Nested values and arrays as bytes that hold no code (safetensors), unlike pickles.

Importable without torch.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

METADATA = "samedge"
_ARRAY, _PAIRS, _TUPLE = "array", "pairs", "tuple"
_LENGTH = struct.Struct("<Q")  # of the header, at the beginning of a safetensors file


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
        (length,) = _LENGTH.unpack_from(packed)
        header = json.loads(packed[_LENGTH.size : _LENGTH.size + length])
        held = json.loads(header["__metadata__"][METADATA])
        arrays = load(packed)
        whole = held["crc32"] == _checksum(held["tree"], arrays)
        tree = _decoded(json.loads(held["tree"]), arrays)
    except (SafetensorError, struct.error, LookupError, TypeError, ValueError) as error:
        raise PackError(f"no packed state ({type(error).__name__}: {error})") from error
    if not whole:
        raise PackError("the checksum does not fit what is there")
    return tree


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


def _decoded(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
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
