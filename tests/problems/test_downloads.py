"""Where data files come from: the folder first, the network once, and clear refusals."""

import hashlib
import http.server
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from samedge_core.problems.data import DataError
from samedge_core.problems.downloads import (
    SOURCES,
    Downloads,
    Source,
    data_folder,
    locate,
    missing,
    missing_megabytes,
)

CONTENT = b"To be, or not to be\n"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def folder(tmp_path, monkeypatch):
    target = tmp_path / "data"
    monkeypatch.setenv("SAMEDGE_DATA", str(target))
    return target


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A file served on this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    served = tmp_path / "served"
    served.mkdir()
    (served / "play.txt").write_bytes(CONTENT)
    handler = partial(Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/play.txt"
        yield Source("play.txt", url, hashlib.sha256(CONTENT).hexdigest(), 0.001)
        server.shutdown()
        thread.join()


def test_a_file_is_downloaded_once_and_then_needs_no_network(folder, source):
    assert locate(source).read_bytes() == CONTENT
    assert locate(replace(source, url="http://127.0.0.1:1/gone")) == folder / "play.txt"


def test_a_download_tells_how_far_it_is(folder, source):
    received = []
    locate(source, received.append)
    assert received == sorted(received)
    assert received[-1] == len(CONTENT)
    received.clear()
    locate(source, received.append)  # it is there: nothing comes any more
    assert received == []


def test_a_download_with_another_hash_is_refused(folder, source):
    with pytest.raises(DataError, match=f"its sha256 must be {'0' * 64}"):
        locate(replace(source, sha256="0" * 64))
    assert not (folder / "play.txt").exists()


def test_without_network_the_message_says_what_to_do(folder):
    nowhere = Source("play.txt.gz", "http://127.0.0.1:1/play", "ab" * 32, 9.9, unpacked="play.txt")
    with pytest.raises(DataError) as caught:
        locate(nowhere)
    for part in (
        "play.txt.gz (9.9 MB)",
        str(folder),
        nowhere.url,
        "ab" * 32,
        "or unpacked as play.txt",
        "SAMEDGE_DATA",
    ):
        assert part in str(caught.value)


def test_a_file_that_is_another_one_is_refused_and_kept(folder, source):
    folder.mkdir()
    file = folder / "play.txt"
    file.write_bytes(b"something else")
    got = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(DataError, match=f"must be {source.sha256}, got {got}. Remove it"):
        locate(source)
    assert file.read_bytes() == b"something else"


def test_an_unpacked_file_is_preferred(folder, source):
    folder.mkdir()
    (folder / "play").write_bytes(b"unpacked by hand")
    assert locate(replace(source, unpacked="play")) == folder / "play"


def test_what_is_missing(folder):
    folder.mkdir()
    assert missing("mnist") == list(SOURCES["mnist"])
    (folder / "t10k-labels-idx1-ubyte").touch()
    (folder / "train-labels-idx1-ubyte.gz").touch()
    assert [source.name for source in missing("mnist")] == [
        "train-images-idx3-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
    ]


def test_the_folder_is_the_users_cache_unless_named(monkeypatch):
    monkeypatch.delenv("SAMEDGE_DATA", raising=False)
    assert data_folder().name == "samedge"
    monkeypatch.setenv("SAMEDGE_DATA", "~/elsewhere")
    assert data_folder() == Path.home() / "elsewhere"


@pytest.mark.parametrize("source", [s for all_ in SOURCES.values() for s in all_])
def test_every_source_is_complete(source):
    assert source.url.startswith("https://")
    assert len(bytes.fromhex(source.sha256)) == 32


def test_downloads_run_in_threads_once_each(folder, source, monkeypatch):
    monkeypatch.setitem(SOURCES, "play", (source,))
    downloads = Downloads()
    assert not downloads.ready("play")
    assert missing_megabytes("play") == source.megabytes
    downloads.begin("play")
    downloads.begin("play")
    finished(downloads)
    assert downloads.ready("play")
    assert downloads.failure("play") == ""
    (folder / "play.txt").unlink()
    monkeypatch.setitem(SOURCES, "play", (replace(source, url="http://127.0.0.1:1/gone"),))
    downloads.begin("play")
    finished(downloads)
    assert not downloads.ready("play")
    assert "could not be downloaded" in downloads.failure("play")
    downloads.forget("play")
    assert downloads.failure("play") == ""


def finished(downloads: Downloads) -> None:
    end = time.monotonic() + 60
    while downloads.running("play"):
        assert time.monotonic() < end
        time.sleep(0.01)
