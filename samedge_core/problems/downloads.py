"""The files of the paper's three data sets: where they are kept, downloaded once, and checked.

A file that is already in the folder is used without network. Needs no torch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch

from samedge_core.fields import abridged
from samedge_core.problems.data import DataError

FOLDER_VARIABLE = "SAMEDGE_DATA"
TIMEOUT = 30  # seconds without an answer


@dataclass(frozen=True)
class Source:
    """One file as its authors publish it.

    Attributes:
        name: file name in the data folder.
        url: where it is downloaded from.
        sha256: of the file.
        megabytes: size of the download.
        unpacked: a file or folder of this name is used instead when it is there; it is checked by
            its format only.
    """

    name: str
    url: str
    sha256: str
    megabytes: float
    unpacked: str | None = None


# the host that its authors' page names; that page itself refuses downloads now and then
_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_MNIST_FILES = (  # sha256, megabytes
    ("train-images-idx3", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9.9),
    ("train-labels-idx1", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 0.03),
    ("t10k-images-idx3", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1.6),
    ("t10k-labels-idx1", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 0.01),
)


def _mnist(stem: str, sha256: str, megabytes: float) -> Source:
    name = f"{stem}-ubyte"
    return Source(f"{name}.gz", f"{_MNIST}{name}.gz", sha256, megabytes, unpacked=name)


SOURCES: dict[str, tuple[Source, ...]] = {
    "mnist": tuple(_mnist(*file) for file in _MNIST_FILES),
    "cifar10": (
        # the binary version: reading the Python one means unpickling what was downloaded
        Source(
            "cifar-10-binary.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            170,
            unpacked="cifar-10-batches-bin",
        ),
    ),
    "shakespeare": (
        Source(
            "tinyshakespeare.txt",
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
            "input.txt",
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            1.1,
        ),
    ),
}


def data_folder() -> Path:
    """The folder named by SAMEDGE_DATA, else "samedge" in the user's cache folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    try:
        return Path(named).expanduser() if named else Path(pooch.os_cache("samedge"))
    except RuntimeError:  # a user whom the system does not know
        raise DataError(f"{FOLDER_VARIABLE} must be a folder, got {abridged(named)}") from None


def missing_megabytes(dataset: str) -> float:
    """The size of the missing files of a data set."""
    return sum(source.megabytes for source in missing(dataset))


def available(source: Source) -> Path | None:
    """The file, or its unpacked form, where it is in the data folder already; else None."""
    folder = data_folder()
    names = (source.unpacked, source.name) if source.unpacked else (source.name,)
    return next((folder / name for name in names if (folder / name).exists()), None)


def missing(dataset: str) -> list[Source]:
    """The files of a data set that would have to be downloaded; empty when all are there."""
    return [source for source in SOURCES[dataset] if available(source) is None]


@dataclass
class Download:
    """A download of one data set, in progress or ended.

    Attributes:
        megabytes: size of all that is to be downloaded.
        received: bytes so far.
        failure: the reason and the remedy; empty unless it failed.
    """

    megabytes: float
    received: int = 0
    running: bool = True
    failure: str = ""

    @property
    def share(self) -> float:
        """The share received, from 0 to 1."""
        return min(1.0, self.received / 1e6 / self.megabytes)

    def run(self, dataset: str) -> None:
        """Download the missing files; `running` is False at the end."""
        before = 0

        def on_bytes(received: int) -> None:
            self.received = before + received

        try:
            for source in SOURCES[dataset]:
                locate(source, on_bytes)
                before = self.received
        except DataError as error:
            self.failure = str(error)
        finally:
            self.running = False


class Downloads:
    """Downloads of data sets in threads of this process, one for each data set."""

    def __init__(self) -> None:
        self._known: dict[str, Download] = {}

    def begin(self, dataset: str) -> None:
        """Start downloading the missing files, unless a download is in progress."""
        if not self.running(dataset):
            download = self._known[dataset] = Download(missing_megabytes(dataset))
            threading.Thread(target=download.run, args=(dataset,), daemon=True).start()

    def running(self, dataset: str) -> Download | None:
        """The download in progress, or None."""
        found = self._known.get(dataset)
        return found if found and found.running else None

    def ready(self, dataset: str) -> bool:
        """Whether every file is in the data folder."""
        return not missing(dataset) and not self.running(dataset)

    def failure(self, dataset: str) -> str:
        """Why the last download failed; empty if none did, or if the files are there now."""
        found = self._known.get(dataset)
        return found.failure if found and missing(dataset) else ""

    def forget(self, dataset: str | None = None) -> None:
        """Forget a failed download; without a name, all of them."""
        for name in [dataset] if dataset else list(self._known):
            if not self.running(name):
                self._known.pop(name, None)


def locate(source: Source, on_bytes: Callable[[int], None] | None = None) -> Path:
    """Return the path of the file (checked against its sha256) or of its unpacked form; downloads
    the file when neither exists.

    `on_bytes` is called with the number of bytes received so far; without it, a progress bar is
    drawn on standard error.

    Raises:
        DataError: the file has another sha256, or can't be downloaded; says where to put it and
            which sha256 it must have.
    """
    found = available(source)
    if found is None:
        return _download(source, on_bytes)
    if found.name == source.name:
        _check(found, source)
    return found


def _check(file: Path, source: Source) -> None:
    got = pooch.file_hash(str(file), alg="sha256")
    if got != source.sha256:
        raise DataError(
            f"{file} is not the published file: its sha256 must be {source.sha256}, got {got}. "
            f"Remove it to have it downloaded again from {source.url}"
        )


class _Progress:
    """A progress bar for pooch that calls `on_bytes` instead of drawing."""

    def __init__(self, on_bytes: Callable[[int], None]) -> None:
        self.total = 0
        self._received = 0
        self._on_bytes = on_bytes

    def update(self, count: int) -> None:
        """Add `count` bytes; pooch counts the last chunk as a full one."""
        self._received = min(self.total, self._received + count)
        self._on_bytes(self._received)

    def reset(self) -> None:
        """Start again at 0; pooch ends with this and an update by the total."""
        self._received = 0

    def close(self) -> None:
        """Nothing is open."""


def _download(source: Source, on_bytes: Callable[[int], None] | None) -> Path:
    folder = data_folder()
    # pooch takes any object with these methods, but is typed for its own bar only
    progress: Any = _Progress(on_bytes) if on_bytes else True
    downloader: Any = pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT)
    try:
        fetched = pooch.retrieve(
            source.url, f"sha256:{source.sha256}", source.name, folder, downloader=downloader
        )
    # OSError: no network, refused, no room, no permission; ValueError: another hash
    except (OSError, ValueError) as error:
        also = f", or unpacked as {source.unpacked}" if source.unpacked else ""
        raise DataError(
            f"{source.name} ({source.megabytes:g} MB) is not in {folder} and could not be "
            f"downloaded from {source.url} ({_root(error)}). Put the file "
            f"there by hand{also}; its sha256 must be {source.sha256}. Another folder can be named "
            f"by the environment variable {FOLDER_VARIABLE}."
        ) from error
    return Path(fetched)


def _root(error: BaseException) -> str:
    """The error at the bottom: those above it repeat its text and the address."""
    while below := error.__cause__ or error.__context__:
        error = below
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= 200 else text[:197] + "..."
