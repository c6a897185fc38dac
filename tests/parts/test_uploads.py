"""Files that readers bring: kept by content, and described or refused before training."""

import io
from pathlib import Path

import numpy as np
import pytest

from pages.parts import uploads
from samedge_core.fields import ConfigError


def archive(**arrays) -> io.BytesIO:
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    return file


def arrays(n: int = 20) -> io.BytesIO:
    return archive(x=np.zeros((n, 4, 3), np.float32), y=np.arange(n) % 5)


def options(path: str, **changes) -> dict:
    return {"path": path, "n": 10, "n_test": 5} | changes


def test_a_file_is_kept_under_its_content():
    first, again, other = (uploads.keep(arrays(n), ".npz") for n in (20, 20, 21))
    assert first == again != other
    assert Path(first).read_bytes() == arrays().read()
    assert first.endswith(".npz")


def test_what_a_file_holds_is_told_in_words():
    path = uploads.keep(arrays(), ".npz")
    told = uploads.check(options(path))
    assert told == "10 examples of 4 × 3 float32, 5 classes, 0 held out"
    assert uploads.check(options(path, n=500)).startswith("20 examples of")  # all there are
    text = uploads.keep(io.BytesIO(b"To be, or not to be. " * 40), ".txt")
    assert uploads.check(options(text, n=5, length=8)) == (
        "5 sequences of 8 characters, 5 held out"
    )


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"path": ""}, "path", "choose a file first"),
    ],
)
def test_options_that_do_not_fit_the_file_are_refused(changes, field, message):
    with pytest.raises(ConfigError, match=message) as refused:
        uploads.check(options(uploads.keep(arrays(), ".npz")) | changes)
    assert refused.value.field == field


def test_a_file_that_cannot_be_used_is_refused():
    path = uploads.keep(io.BytesIO(b"no archive"), ".npz")
    with pytest.raises(ConfigError, match="must be an archive as"):
        uploads.check(options(path))
