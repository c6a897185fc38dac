"""Files that readers bring: kept by content, and described or refused before training."""

import io
from pathlib import Path

import numpy as np
import pytest

from pages.parts.lab import uploads
from samedge_core.fields import ConfigError


def named(content: bytes, name: str) -> io.BytesIO:
    file = io.BytesIO(content)
    file.name = name
    return file


def archive(**arrays) -> io.BytesIO:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return named(file.getvalue(), "mine.npz")


def arrays(n: int = 20) -> io.BytesIO:
    return archive(x=np.zeros((n, 4, 3), np.float32), y=np.arange(n) % 5)


def options(path: str, **changes) -> dict:
    return {"path": path, "n": 10, "n_test": 5} | changes


def test_a_file_is_kept_under_its_content():
    first, again, other = (uploads.keep(arrays(n), ".npz") for n in (20, 20, 21))
    assert first == again != other
    assert Path(first).read_bytes() == arrays().read()
    assert Path(first).name == "mine.npz"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../evil.npz", "....evil.npz"),
        ("..", "...npz"),
        ("\\\\host\\x\0\u202e.NPZ", "hostx.npz"),
        (300 * "ä" + ".npz", 60 * "ä" + ".npz"),
    ],
)
def test_no_name_leads_out_of_the_folder(name, kept):
    file = arrays()
    file.name = name
    path = Path(uploads.keep(file, ".npz"))
    assert path.name == kept
    assert path.parent == Path(uploads.keep(arrays(), ".npz")).parent
    assert path.is_file()


def test_a_batch_larger_than_what_the_file_holds_is_refused():
    path = uploads.keep(arrays(), ".npz")
    uploads.check(options(path, n=500), batch_size=20)
    message = r"batch_size must be at most the 20 examples .*, of mine\.npz, got 21"
    with pytest.raises(ConfigError, match=message) as caught:
        uploads.check(options(path, n=500), batch_size=21)
    assert caught.value.field == "batch_size"


def test_what_a_file_holds_is_told_in_words():
    path = uploads.keep(arrays(), ".npz")
    told = uploads.check(options(path))
    assert told == "10 examples of 4 × 3 float32, 5 classes, 0 held out"
    assert uploads.check(options(path, n=500)).startswith("20 examples of")  # all there are
    text = uploads.keep(named(b"To be, or not to be. " * 40, "play.txt"), ".txt")
    assert uploads.check(options(text, n=5, length=8)) == (
        "5 sequences of 8 characters, 5 held out"
    )


def test_there_must_be_a_file():
    with pytest.raises(ConfigError, match="choose a file first") as refused:
        uploads.check(options(""))
    assert refused.value.field == "path"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (named(b"no archive", "broken.npz"), "broken.npz must be an archive as numpy"),
        (named(b"", "empty.npz"), "empty.npz must have 1 to .* bytes, got 0"),
        (archive(z=np.zeros(3)), "mine.npz must hold arrays x and y, .* got z"),
        (archive(x=np.array([[None]]), y=np.zeros(1)), "mine.npz must hold plain arrays"),
        (named("naïve".encode(), "play.txt"), "play.txt must be ASCII text"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_its_own_name(file, message):
    path = Path(uploads.keep(file, Path(file.name).suffix))
    length = {"length": 8} if path.suffix == ".txt" else {}
    with pytest.raises(ConfigError, match=message) as refused:
        uploads.check(options(str(path), **length))
    assert str(path.parent) not in str(refused.value)


def test_a_file_that_is_gone_is_asked_for_again():
    with pytest.raises(
        ConfigError, match=r"^gone\.npz is not on the server: choose the file again"
    ):
        uploads.check(options("/tmp/samedge-uploads-of-before/0a/gone.npz"))
