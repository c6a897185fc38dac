"""Uploads: limited in all, and gone once no page names them and no run needs them."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from samedge_core.problems import uploads
from samedge_core.problems.uploads import UploadError, Uploads


@dataclass
class Timer:
    due: float
    act: Callable[[], None]

    def start(self) -> None:
        """The clock of the tests does not go by itself."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(uploads, "time", clock)

    def timer(seconds: float, act: Callable[[], None]) -> Timer:
        clock.timers.append(Timer(clock.now + seconds, act))
        return clock.timers[-1]

    monkeypatch.setattr(uploads.threading, "Timer", timer)
    monkeypatch.setattr(uploads, "MOST_BYTES", 100)
    monkeypatch.setattr(uploads, "MOST_FILES", 4)
    return clock


class Server:
    """Uploads, and the paths that runs need."""

    def __init__(self) -> None:
        self.needed: set[str] = set()
        self.uploads = Uploads(lambda: self.needed)

    def keep(self, content: bytes, page: str = "page", instead_of: str = "") -> str:
        return self.uploads.keep(io.BytesIO(content), "a.txt", ".txt", page, instead_of)


def test_a_file_goes_when_its_page_brings_another(clock):
    server = Server()
    first = server.keep(b"one")
    assert Path(server.keep(b"two", instead_of=first)).read_bytes() == b"two"
    clock.now += uploads.UNUSED_AFTER + 1
    server.uploads.sweep()
    assert not Path(first).exists()


def test_a_file_stays_while_a_page_names_it_or_a_run_needs_it(clock):
    server = Server()
    named, needed, unused = (server.keep(content) for content in (b"1", b"2", b"3"))
    server.needed.add(needed)
    clock.now += uploads.UNUSED_AFTER
    server.uploads.seen(named, "page")
    clock.now += 1
    server.uploads.sweep()
    assert [Path(path).exists() for path in (named, needed, unused)] == [True, True, False]
    server.needed.clear()
    clock.now += uploads.UNUSED_AFTER + 1
    server.uploads.sweep()
    assert not Path(named).exists()
    assert not Path(needed).exists()


def test_another_page_that_names_the_same_file_keeps_it(clock):
    server = Server()
    path = server.keep(b"one", "first page")
    assert server.keep(b"one", "second page") == path
    server.keep(b"two", "first page", instead_of=path)
    assert Path(path).read_bytes() == b"one"


def test_the_longest_unseen_makes_room(clock):
    server = Server()
    paths = []
    for i in range(4):
        paths.append(server.keep(bytes([i]) * 25))
        clock.now += uploads.WAITS
    server.needed.add(paths[0])
    server.uploads.seen(paths[1], "page")
    server.keep(b"x" * 25)
    assert [Path(path).exists() for path in paths] == [True, True, False, True]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([b"1", b"2", b"3", b"4", b"5"], "holds 4 files of 4 bytes that are in use; got 1 bytes"),
        ([b"1" * 60, b"2" * 41], "100 bytes of uploads at most, .* 1 files of 60 .*; got 41"),
        ([b"1" * 101], "holds 0 files of 0 bytes"),
    ],
)
def test_where_all_are_in_use_another_one_is_refused(clock, contents, message):
    server = Server()
    for content in contents[:-1]:
        server.keep(content)
    with pytest.raises(UploadError, match=message):
        server.keep(contents[-1])


def test_an_upload_that_can_not_be_written_counts_for_nothing(clock, monkeypatch):
    server = Server()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(UploadError, match="can't store it: No space left"):
            server.keep(b"one")
    assert Path(server.keep(b"one")).read_bytes() == b"one"


def test_what_is_left_unused_is_deleted_without_anybody_coming(clock):
    server = Server()
    path = server.keep(b"one")
    for seconds in (10.0, 20.0):
        clock.now = seconds
        server.keep(b"one")
    for sweeps in (1, 2):
        assert Path(path).exists()
        assert len(clock.timers) == sweeps
        clock.now = clock.timers[-1].due
        clock.timers[-1].act()
    assert not Path(path).exists()
    assert len(clock.timers) == 2
