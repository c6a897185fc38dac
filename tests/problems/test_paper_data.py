"""The loaders against files in the original formats, written here byte by byte."""

import shutil

import numpy as np
import pytest

from samedge_core.problems import paper_data
from samedge_core.problems.data import DataError, Split, centred, sequences
from samedge_core.problems.paper_data import ascii_codes, cifar10, mnist, shakespeare
from tests.problems.originals import (
    accept,
    cifar_archive,
    cifar_files,
    idx,
    write_cifar,
    write_mnist,
    write_shakespeare,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMEDGE_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_the_first_n_of_the_idx_files(folder, monkeypatch, packed):
    images, labels, test_images, test_labels = write_mnist(folder, packed=packed)
    if packed:
        accept(monkeypatch, folder, "mnist")
    split = mnist(25, 7)
    np.testing.assert_array_equal(split.x, images[:25, :, :, None])
    np.testing.assert_array_equal(split.y, labels[:25])
    np.testing.assert_array_equal(split.x_test, test_images[:7, :, :, None])
    np.testing.assert_array_equal(split.y_test, test_labels[:7])
    assert split.x.dtype == np.uint8
    with pytest.raises(DataError, match="n must be from 1 to 60, all there are, got 61"):
        mnist(61, 7)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "must be an idx file of unsigned bytes, got one with b''"),
        (b"\0\0\x0d\x01" + bytes(8), "must be an idx file of unsigned bytes"),
        (idx(np.zeros((3, 2), np.uint8))[:-1], r"must have 18 bytes for shape \(3, 2\), got 17"),
        (idx(np.zeros((60, 784), np.uint8)), r"got shapes \(60, 784\) and \(60,\)"),
        (idx(np.zeros((59, 28, 28), np.uint8)), r"got shapes \(59, 28, 28\) and \(60,\)"),
    ],
)
def test_a_damaged_idx_file_is_refused(folder, raw, message):
    write_mnist(folder)
    (folder / "train-images-idx3-ubyte").write_bytes(raw)
    with pytest.raises(DataError, match=message):
        mnist(10, 10)


@pytest.mark.parametrize("packed", [False, True])
def test_cifar_planes_become_channels(folder, monkeypatch, packed):
    files = cifar_files()
    if packed:
        (folder / "cifar-10-binary.tar.gz").write_bytes(cifar_archive(files))
        accept(monkeypatch, folder, "cifar10")
    else:
        write_cifar(folder)
    split = cifar10(8, 2)
    assert split.x.shape == (8, 32, 32, 3)
    # image 7 is the second record of the second file; pixel (row 5, column 9) of the blue plane
    record = files["data_batch_2.bin"][3073 : 2 * 3073]
    assert split.x[7, 5, 9, 2] == record[1 + 2 * 1024 + 5 * 32 + 9]
    assert split.y[7] == record[0]
    assert split.x_test[1, 0, 0, 0] == files["test_batch.bin"][3073 + 1]


def test_a_damaged_cifar_file_is_refused(folder, monkeypatch):
    files = write_cifar(folder)
    (folder / "cifar-10-batches-bin" / "data_batch_3.bin").write_bytes(bytes(3072))
    with pytest.raises(
        DataError, match=r"data_batch_3\.bin must have a multiple of 3073 bytes, got"
    ):
        cifar10(5, 5)
    (folder / "cifar-10-batches-bin" / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"must hold .*; missing: data_batch_3\.bin"):
        cifar10(5, 5)
    del files["test_batch.bin"]
    shutil.rmtree(folder / "cifar-10-batches-bin")
    (folder / "cifar-10-binary.tar.gz").write_bytes(cifar_archive(files))
    accept(monkeypatch, folder, "cifar10")
    with pytest.raises(DataError, match=r"missing: test_batch\.bin"):
        cifar10(5, 5)


def test_shakespeare_holds_out_its_last_lines(folder, monkeypatch):
    text = write_shakespeare(folder)
    accept(monkeypatch, folder, "shakespeare")
    # 400 lines of 11 characters to train on, in windows of 9
    split = shakespeare(4400 // 9, 3, 8)
    windows = np.array([ord(c) for c in text[: 4400 // 9 * 9]]).reshape(-1, 9)
    np.testing.assert_array_equal(split.x, windows[:, :-1])
    np.testing.assert_array_equal(split.y, windows[:, 1:])
    assert bytes(split.x_test[0].astype(np.uint8)) == b"line 00400"[:8]
    assert len(split.x_test) == 3
    with pytest.raises(DataError, match="n must be from 1 to 488, all there are, got 489"):
        shakespeare(489, 3, 8)


def test_text_that_is_not_ascii_is_refused():
    assert ascii_codes(b"ab\n", "t").tolist() == [97, 98, 10]
    with pytest.raises(DataError, match="got byte 195 at position 1, and 2 such bytes in all"):
        ascii_codes("xä".encode(), "t")
    with pytest.raises(DataError, match="got byte 0 at position 2"):
        ascii_codes(b"ab\0", "t")


def test_a_text_shorter_than_a_window_is_refused():
    with pytest.raises(DataError, match=r"at least 6 characters to train on .* got 5"):
        sequences(np.ones(5, np.uint8), np.ones(0, np.uint8), 5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pixels_are_scaled_and_the_training_mean_is_taken_from_both_parts(dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 3, 2), dtype=np.uint8)
    x_test = rng.integers(0, 256, (4, 3, 2), dtype=np.uint8)
    y = np.zeros(40, np.uint8)
    split = centred(Split(x, y, x_test, y[:4]), dtype)
    mean = (x / 256).mean(axis=0)
    # numbers below 1, rounded twice in this precision
    rounding = 2 * np.finfo(dtype).eps
    np.testing.assert_allclose(split.x, x / 256 - mean, rtol=0, atol=rounding)
    np.testing.assert_allclose(split.x_test, x_test / 256 - mean, rtol=0, atol=rounding)
    assert split.x.dtype == dtype
    assert split.y.dtype == np.int64


def test_floats_are_centred_but_not_scaled():
    x = np.array([[1.0], [3.0]])
    split = centred(Split(x, np.array([0, 1]), x[:0], np.array([], int)), "float64")
    assert split.x.tolist() == [[-1.0], [1.0]]
    assert x.tolist() == [[1.0], [3.0]]  # the caller's array stays as it was


def test_the_paper_holds_out_ten_thousand_lines():
    assert paper_data.HELD_OUT_LINES == 10_000
