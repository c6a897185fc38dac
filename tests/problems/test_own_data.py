"""Data of one's own: what is taken, and that every refusal shows what came."""

import numpy as np
import pytest

from samedge_core.problems import own_data
from samedge_core.problems.data import DataError
from samedge_core.problems.own_data import own_arrays, own_text

X = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
Y = np.array([0, 1, 2, 0, 1])


@pytest.fixture
def save(tmp_path):
    def write(**arrays) -> str:
        file = tmp_path / "own.npz"
        np.savez(file, **arrays)
        return str(file)

    return write


def test_arrays_are_read_as_they_are(save):
    split = own_arrays(save(x=X, y=Y), 4, 10)
    np.testing.assert_array_equal(split.x, X[:4])
    np.testing.assert_array_equal(split.y, Y[:4])
    assert split.x.dtype == np.uint8
    assert split.x_test.shape == (0, 4, 3)
    held = own_arrays(save(x=X / 7, y=Y, x_test=X[:3] / 7, y_test=Y[:3]), 5, 2)
    np.testing.assert_array_equal(held.x_test, X[:2] / 7)
    assert held.y_test.tolist() == [0, 1]


FLOATS = X.astype(float)
HOLES = FLOATS.copy()
HOLES[0, 0, :2] = np.nan, np.inf


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "must hold arrays x and y, .* got x$"),
        ({"z": X}, "got z$"),
        ({"x": X, "y": Y, "x_test": X}, "both or neither, got x, x_test, y$"),
        ({"x": X.astype(int), "y": Y}, "x must be uint8 or float, got int64"),
        ({"x": X.astype(str), "y": Y}, "x must be uint8 or float, got <U3"),
        ({"x": X[:, 0, 0], "y": Y}, r"shape \(n, ...\) with 2 or more axes, got \(5,\)"),
        ({"x": X[:, :0], "y": Y}, r"got \(5, 0, 3\)"),
        ({"x": HOLES, "y": Y}, r"x must be finite, from -1e\+08 to 1e\+08, got 2 other .* of 60"),
        ({"x": HOLES.astype(np.float16), "y": Y}, "got 2 other entries of 60"),
        ({"x": FLOATS * 3e38, "y": Y}, r"to 1e\+08, got 59 other entries of 60"),
        ({"x": X, "y": Y.astype(float)}, "y must be of an integer type, got float64"),
        ({"x": X, "y": Y > 0}, "y must be of an integer type, got bool"),
        ({"x": X, "y": Y[:4]}, r"y must have shape \(5,\), a class for each of x, got \(4,\)"),
        ({"x": X, "y": Y[:, None]}, r"got \(5, 1\)"),
        ({"x": X, "y": Y - 1}, "y must hold classes from 0 .* got -1 to 1"),
        ({"x": X, "y": 0 * Y}, "y must hold classes .* got 0 to 0"),
        ({"x": X, "y": Y + 999}, "999 at most, got 999 to 1001"),
        ({"x": X[:0], "y": Y[:0]}, "got no examples"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y + 1}, "the classes of y, 0 to 2, got 3"),
        ({"x": X, "y": Y, "x_test": X[:, 1:], "y_test": Y}, r"must be like x, uint8 \(4, 3\)"),
        ({"x": X, "y": Y, "x_test": FLOATS, "y_test": Y}, "x_test must be like x, .* got float64"),
        ({"x": np.array([[None]]), "y": Y}, "must hold plain arrays of numbers: .*pickle"),
    ],
)
def test_refusals_show_what_came(save, arrays, message):
    with pytest.raises(DataError, match=message):
        own_arrays(save(**arrays), 1, 0)


def test_more_than_there_are_takes_what_there_is(save):
    assert len(own_arrays(save(x=X, y=Y), 500, 0).x) == 5


def test_the_size_is_checked_before_unpacking(save, monkeypatch):
    path = save(x=np.zeros((100, 100)), y=np.zeros(100, int))
    monkeypatch.setattr(own_data, "MOST_BYTES", 81_000)
    with pytest.raises(DataError, match="must have 1 to 81,000 bytes, got 81,"):
        own_arrays(path, 1, 0)
    np.savez_compressed(path, x=np.zeros((100, 100)), y=np.zeros(100, int))
    with pytest.raises(DataError, match="must unpack to 81,000 bytes at most, got 81,"):
        own_arrays(path, 1, 0)


@pytest.mark.parametrize("path", ["", "missing.npz", "own.csv"])
def test_a_path_that_is_no_such_file(path):
    with pytest.raises(DataError, match=rf"path must name a \.npz file that exists, got '{path}'"):
        own_arrays(path, 1, 0)


def test_a_file_that_is_no_archive(tmp_path):
    file = tmp_path / "own.npz"
    file.write_bytes(b"x = 1")
    with pytest.raises(DataError, match=r"must be an archive as numpy\.savez writes it"):
        own_arrays(str(file), 1, 0)


def test_text_holds_out_its_last_tenth(tmp_path):
    file = tmp_path / "own.txt"
    text = "abcdefghij" * 10
    file.write_text(text)
    split = own_text(str(file), 10, 5, 8)
    # 90 characters to train on are ten windows of nine, the last 10 are one
    assert "".join(map(chr, split.x[0])) == text[:8]
    assert "".join(map(chr, split.y[0])) == text[1:9]
    assert split.x.shape == (10, 8)
    assert split.x_test.shape == (1, 8)
    assert len(own_text(str(file), 200, 5, 8).x) == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must have 1 to .* bytes, got 0"),
        ("naïve".encode(), "got byte 195 at position 2"),
        (b"short", "at least 9 characters"),
    ],
)
def test_text_that_is_refused(tmp_path, content, message):
    file = tmp_path / "own.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        own_text(str(file), 1, 1, 8)


@pytest.mark.parametrize("names", own_data.NAMES)
@pytest.mark.parametrize("held_out", [True, False])
def test_arrays_by_their_usual_names(save, names, held_out):
    arrays = (X, Y, X[:2], Y[:2]) if held_out else (X, Y)
    named = {name.upper(): array for name, array in zip(names, arrays, strict=False)}
    split = own_arrays(save(**named, other=np.zeros(3)), 5, 5)
    np.testing.assert_array_equal(split.x, X)
    assert split.y_test.tolist() == (Y[:2].tolist() if held_out else [])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X, "y": Y + 1}, r"from 0 on, got 1 to 3: save y - 1, and y_test - 1"),
        (
            {"x": X, "y": np.array([0, 1, 255, 0, 1])},
            "got 3 of them up to 255; the last are 0, 1, 255: leave",
        ),
        ({"x": X, "y": np.array([1, 2, 255, 2, 1])}, "the last are 1, 2, 255: leave out"),
        ({"x": X, "y": Y - 1}, r"got -1 to 1: save np\.unique\(y, return_inverse=True\)\[1\]$"),
        ({"x": X, "y": 0 * Y + 3}, "got 3 to 3; there must be two to tell apart"),
        ({"x": X, "y": Y[:, None]}, r"got \(5, 1\): save y\.ravel\(\)$"),
        ({"x": X, "y": np.eye(3)[Y]}, r"got float64: save y\.argmax\(1\)$"),
        ({"x": X, "y": np.eye(3, dtype=int)[Y]}, r"got \(5, 3\): save y\.argmax\(1\)$"),
        ({"x": X, "y": Y.astype(float)}, r"got float64: save y\.astype\(int\)$"),
        ({"x": X, "y": Y.astype(str)}, r"got <U21: save np\.unique\(y, return_inverse=True\)"),
        ({"x": X.astype(int), "y": Y}, "got int64: save x as uint8 for pixels$"),
        ({"x": X.astype(complex), "y": Y}, "got complex128: save x as float32$"),
    ],
)
def test_what_would_be_learned_wrongly_is_refused_with_a_remedy(save, arrays, message):
    with pytest.raises(DataError, match=message):
        own_arrays(save(**arrays), 5, 0)


def test_what_is_used_must_make_a_problem(save):
    def use(x, y, n, network="cnn", blocks=2):
        options = {"path": save(x=x, y=y), "n": n, "n_test": 0, "network": network}
        found = own_data.contents_of({**options, "blocks": blocks})
        assert found is not None
        return found

    colours, y = np.zeros((9, 3, 32, 32), np.uint8), np.arange(9) // 3
    with pytest.raises(
        DataError, match=r"\(3, 32, 32\), with the channels first: .*moveaxis\(x, 1, -1"
    ):
        use(colours, y, 9, blocks=1)
    assert use(colours, y, 9, "mlp").outputs == 3
    assert use(np.moveaxis(colours, 1, -1), y, 9).classes == 3
    assert use(colours[:, 0], y, 9).in_words().startswith("9 examples of 32 × 32 uint8, 3 classes")
    assert "inputs go up to" not in use(colours[:, 0], y, 9).in_words()
    bright = np.full((9, 4), -1e7, np.float32)
    assert (
        use(bright, y, 9, "mlp")
        .in_words()
        .endswith("; inputs go up to 1e+07: divide them by that, or take a tiny η")
    )
    with pytest.raises(DataError, match=r"first 3 examples must hold two .* got 0 alone: shuffle"):
        use(colours[:, 0], y, 3)


def test_examples_are_known_by_a_hash_of_what_is_used(save):
    def sha256(n=5, n_test=0, **arrays):
        return own_data.read_arrays(save(**{"x": X, "y": Y, **arrays}), n, n_test)[1].sha256

    assert sha256() == sha256(other=X) == sha256(n=500) == sha256(y=Y.astype(np.uint8))
    held_out = {"x_test": X[:2], "y_test": Y[:2]}
    assert sha256() == sha256(**held_out)
    different = {
        sha256(),
        sha256(n=4),
        sha256(x=X + 1),
        sha256(y=Y[::-1]),
        sha256(x=X.astype("f4")),
    }
    different |= {sha256(n_test=1, **held_out), sha256(n_test=2, **held_out)}
    assert len(different) == 7
    looked = own_data.read_arrays(save(x=X, y=Y), 4, 0, keep=False)
    assert looked[1].sha256 == sha256(n=4)
    assert not len(looked[0].x)


def test_a_text_is_known_by_a_hash_of_what_is_used(tmp_path):
    file = tmp_path / "own.txt"

    def sha256(text, n=3, n_test=1, length=8):
        file.write_text(text)
        looked = own_data.read_text(str(file), n, n_test, length, keep=False)[1]
        assert own_data.read_text(str(file), n, n_test, length)[1] == looked
        return looked.sha256

    text = "abcdefghij" * 10
    assert sha256(text) == sha256(text[:40] + "?" + text[41:])  # which is not used
    assert len({sha256(text), sha256("?" + text[1:]), sha256(text, 4), sha256(text, length=9)}) == 4
