"""A PostgreSQL server of the tests' own, from Debian's package (`make postgresql`)."""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

BINARIES = "/usr/lib/postgresql/*/bin"
UNPRIVILEGED = "postgres"  # the package makes this user; the server refuses to run as root
PATIENCE = 60.0  # seconds; it takes one here

_numbers = itertools.count(1)


class Server:
    """Listens on the loopback at `port`, and trusts everybody there."""

    def __init__(self, port: int) -> None:
        self.port = port

    def new_database(self) -> str:
        """SQLAlchemy's URL of an empty one: a schema, which takes less time than a database."""
        name = f"test_{next(_numbers)}"
        with psycopg.connect(self._url("postgresql"), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self._url('postgresql+psycopg')}?options=-csearch_path%3D{name}"

    def answers(self) -> bool:
        """Whether it can be talked to yet."""
        try:
            psycopg.connect(self._url("postgresql"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _url(self, scheme: str) -> str:
        return f"{scheme}://{UNPRIVILEGED}@127.0.0.1:{self.port}/postgres"


@contextmanager
def running() -> Iterator[Server]:
    """A server with an empty data folder; nothing of it is left afterwards.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    bin_folder = binaries()
    folder = Path(tempfile.mkdtemp(prefix="samedge-postgres-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
        _initialise(bin_folder, folder / "data")
        with _serving(bin_folder, folder) as server:
            yield server
    finally:
        shutil.rmtree(folder)


def binaries() -> Path:
    """Of the newest version that is installed."""
    found = sorted(Path("/").glob(f"{BINARIES[1:]}/initdb"), key=lambda file: float(file.parts[4]))
    if not found:
        raise FileNotFoundError(f"no PostgreSQL in {BINARIES}: run `make postgresql`")
    return found[-1].parent


def _initialise(bin_folder: Path, data: Path) -> None:
    options = ["--auth=trust", f"--username={UNPRIVILEGED}", "--encoding=UTF8", "--no-sync"]
    subprocess.run(
        [bin_folder / "initdb", "-D", data, "--locale=C.UTF-8", *options],
        check=True,
        capture_output=True,
        cwd="/",
        **_as_nobody_special(),
    )


@contextmanager
def _serving(bin_folder: Path, folder: Path) -> Iterator[Server]:
    server = Server(_free_port())
    options = ["-h", "127.0.0.1", "-p", str(server.port), "-k", "", "-F"]  # no fsync
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            [bin_folder / "postgres", "-D", folder / "data", *options],
            stdout=log,
            stderr=log,
            cwd="/",
            **_as_nobody_special(),
        )
        try:
            end = time.monotonic() + PATIENCE
            while not server.answers():
                late = process.poll() is not None or time.monotonic() > end
                assert not late, (folder / "log").read_text()
                time.sleep(0.05)
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            process.wait(PATIENCE)


def _as_nobody_special() -> dict[str, Any]:
    if os.getuid() != 0:
        return {}
    return {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
