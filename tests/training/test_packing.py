"""Packed values come back as they were, and nothing else is taken for them."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from samedge_core.training import packing
from samedge_core.training.packing import PackError

DTYPES = st.sampled_from(["f4", "f8", "i8", "u1", "?"])
ARRAYS = DTYPES.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_side=0)))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.integers()
TREES = st.recursive(
    PLAIN | ARRAYS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
)


def same(a: object, b: object) -> bool:
    """Equal to the bit, in value and kind."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


@given(TREES)
def test_trees_come_back_as_they_were(tree):
    assert same(packing.unpack(packing.pack(tree)), tree)


def test_numbers_that_are_none_come_back_too():
    tree = {"norm": math.nan, "gap": math.inf, "odd": np.array([0x7FC0_1234], "u4").view("f4")}
    assert same(packing.unpack(packing.pack(tree)), tree)


def test_every_flipped_bit_is_seen():
    packed = packing.pack({"w": np.arange(6.0), "last": {1: (3, 0.5)}})
    for at in range(len(packed)):
        damaged = bytearray(packed)
        damaged[at] ^= 4
        try:
            assert same(packing.unpack(bytes(damaged)), packing.unpack(packed)), at
        except PackError:
            continue


@pytest.mark.parametrize(
    "foreign", [b"", b"PK", b"\xff" * 40, b"\0" * 40, pickle.dumps({"w": 1}), b"8" * 8 + b"{}"]
)
def test_anything_else_is_refused(foreign):
    with pytest.raises(PackError):
        packing.unpack(foreign)


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_a_file_cut_short_is_refused(cut):
    packed = packing.pack({"w": np.arange(100.0)})
    with pytest.raises(PackError):
        packing.unpack(packed[:-cut])
