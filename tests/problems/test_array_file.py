"""Archives of arrays from outside: read as NumPy reads them, or refused, at little cost."""

import io
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from samedge_core.problems import array_file, own_data
from samedge_core.problems.array_file import ArrayFile
from samedge_core.problems.data import DataError
from samedge_core.problems.own_data import contents_of, own_arrays
from tests.fuzz import FUZZ

SECONDS, MEGABYTES = 2.0, 200
KINDS = st.sampled_from(["u1", "<f2", "<f4", ">f8", "<i2", ">u8", "?", "<g", "<c8", "<U3", "S2"])


def saved(path, *, packed=False, **arrays):
    (np.savez_compressed if packed else np.savez)(path, **arrays)
    return path


@given(st.data())
def test_an_array_is_read_as_numpy_reads_it(tmp_path_factory, data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
    array = data.draw(hnp.arrays(data.draw(KINDS), shape))
    order = data.draw(st.sampled_from("CF"))
    file = tmp_path_factory.mktemp("npz") / "a.npz"
    saved(file, packed=data.draw(st.booleans()), a=np.asarray(array, order=order))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_file, "PIECE", data.draw(st.sampled_from([1 << 20, 600])))
        with ArrayFile(file) as opened:
            header = opened.header("a")
            assert (header.dtype, header.shape) == (array.dtype, array.shape)
            for n in range(header.examples + 1):
                np.testing.assert_array_equal(opened.first(header, n), array[:n])


def archive(*, packed: bool) -> tuple[bytes, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)).astype(np.float32), np.arange(12) % 3
    file = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(file, x=x, y=y)
    return file.getvalue(), x, y


@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_archive_is_refused_or_whole(tmp_path, packed):
    whole, x, y = archive(packed=packed)
    rng = np.random.default_rng(1)
    file, refused = tmp_path / "damaged.npz", 0
    for _ in range(FUZZ // 2):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(damaged)))
            match rng.integers(4):
                case 0:
                    damaged[at] ^= 1 << int(rng.integers(8))
                case 1:
                    damaged[at : at + 4] = rng.bytes(4)
                case 2:
                    del damaged[at : at + int(rng.integers(1, 40))]
                case 3:
                    damaged[at:at] = damaged[at : at + int(rng.integers(1, 40))]
        file.write_bytes(damaged)
        try:
            split = own_arrays(str(file), 12, 0)
        except DataError:
            refused += 1
        else:
            np.testing.assert_array_equal(split.x, x)
            np.testing.assert_array_equal(split.y, y)
    assert refused > FUZZ / 10


def header(shape, descr="'<f2'", version=1) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-len(text) % 64) + b"\n"
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack("<H", len(text)) + text


def archive_of(file, members: dict[str, bytes], method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file


def claiming(file, size: int):
    """An archive whose directory says that its first member unpacks to `size` bytes."""
    content = bytearray(file.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", size)
    file.write_bytes(content)
    return file


def _gigabytes(file):
    """Float16 (10, 105,000,000) in a few bytes: what follows the header is never reached."""
    head = header("(10, 105000000)")
    saved_y = io.BytesIO()
    np.save(saved_y, np.arange(10) % 2)
    archive_of(file, {"x.npy": head, "y.npy": saved_y.getvalue()})
    return claiming(file, len(head) + 2_100_000_000)


def _crowded(file):
    """A directory of 400,000 names."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 4) + bytes(16) + b"a.py"
    directory = entry * 400_000
    end = b"PK\x05\x06" + bytes(4) + struct.pack("<HHIIH", 65535, 65535, len(directory), 0, 0)
    file.write_bytes(directory + end)


def _long_header(file):
    head = b"\x93NUMPY\x02\x00" + struct.pack("<I", 60_000_000) + bytes(60_000_000)
    archive_of(file, {"x.npy": head, "y.npy": head})


BOMBS = {
    "gigabytes": (_gigabytes, r"must unpack to 536,870,912 bytes at most, got 2,100,000,.* 'x'"),
    "crowded": (_crowded, "at most 1,048,576 are read"),
    "long header": (_long_header, "must be an archive"),
    "other packing": (
        lambda file: archive_of(file, {"x.npy": b"", "y.npy": b""}, zipfile.ZIP_LZMA),
        "must be packed as numpy.savez .* got compression 14 of 'x'",
    ),
    "deep": (
        lambda file: archive_of(file, dict.fromkeys(("x.npy", "y.npy"), header("-" * 1800 + "1"))),
        "must be an archive",
    ),
    "negative": (
        lambda file: archive_of(file, dict.fromkeys(("x.npy", "y.npy"), header("(-2, 3)"))),
        r"must be an archive .*\(-2, 3\)",
    ),
    "huge": (
        lambda file: archive_of(file, dict.fromkeys(("x.npy", "y.npy"), header((2**62, 2**62)))),
        "must be an archive .* bytes for",
    ),
    "digits": (
        lambda file: archive_of(file, dict.fromkeys(("x.npy", "y.npy"), header("9" * 1500))),
        "must be an archive",
    ),
    "nested type": (
        lambda file: archive_of(
            file, dict.fromkeys(("x.npy", "y.npy"), header((2,), "('<f4', (9999999,))"))
        ),
        "must be an archive",
    ),
    "short": (
        lambda file: archive_of(file, dict.fromkeys(("x.npy", "y.npy"), header((5, 2)))),
        "'x' has 0 bytes for",
    ),
    "a folder's name": (lambda file: file.mkdir(), "must name a .npz file that exists"),
}


@pytest.mark.parametrize("make", BOMBS)
def test_what_would_unpack_to_gigabytes_is_refused_at_little_cost(tmp_path, make):
    file = tmp_path / "own.npz"
    BOMBS[make][0](file)
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(DataError, match=BOMBS[make][1]):
            own_arrays(str(file), 500, 500)
        assert time.process_time() - began < SECONDS
        assert tracemalloc.get_traced_memory()[1] < 1e6 * MEGABYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_look_at_a_large_file_keeps_a_piece_of_it_at_a_time(tmp_path, order):
    x = np.zeros((4000, 4000), np.float32, order=order)  # 64 MB
    file = saved(tmp_path / "own.npz", x=x, y=np.arange(4000) % 3)
    options = {"path": str(file), "n": 4000, "n_test": 0, "network": "mlp", "blocks": 2}
    del x
    tracemalloc.start()
    try:
        found = contents_of(options)
        assert found is not None
        assert found.in_words().startswith("4,000 examples of 4000 float32, 3 classes")
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_a_name_that_is_too_long_for_the_system_is_refused_in_words():
    with pytest.raises(DataError, match=r"^path '/a+\.\.\.a+\.npz' can't be looked at: .*too long"):
        own_arrays(f"/{'a' * 3000}.npz", 1, 0)


def test_an_archive_of_many_arrays_lists_some_of_them(tmp_path):
    names = {f"array{i:03d}": np.zeros(1) for i in range(50)}
    file = tmp_path / "own.npz"
    np.savez(file, allow_pickle=False, **names)
    with pytest.raises(DataError, match=r"array000, .*, array019 and 30 more$"):
        own_arrays(str(file), 1, 0)
    assert own_data.NAMED == 20
