"""The wheel, installed beside the packages of this environment, and the program in it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

ROOT = Path(__file__).parents[1]
PATIENCE = 60


@dataclass(frozen=True)
class Installed:
    """The wheel in `folder`, whose program runs in `elsewhere`; see `install`."""

    folder: Path
    elsewhere: Path
    environ: Mapping[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments],
            cwd=self.elsewhere,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def serving(self, options: Sequence[str], port: int, log: Path, **process) -> Iterator[str]:
        """Start the live lab; its address, once it answers there. Further arguments are Popen's."""
        with log.open("w") as file:
            server = subprocess.Popen(
                [self._program, *options],
                cwd=self.elsewhere,
                env=self._environ,
                stdout=file,
                stderr=file,
                **process,
            )
            try:
                yield answering(f"http://127.0.0.1:{port}", server, log)
            finally:
                server.terminate()
                server.wait(PATIENCE)

    @property
    def _program(self) -> str:
        return str(self.folder / "bin" / "samedge")

    @property
    def _environ(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.folder), "SAMEDGE_SPARES": "0", **self.environ}


def install(folder: Path, elsewhere: Path, **environ: str) -> Installed:
    """Build the wheel and install it into `folder`, without a network. Its program has no files
    of ours around it, and this in its environment."""
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", folder, ROOT], check=True
    )
    return Installed(folder, elsewhere, environ)


def answering(url: str, server: subprocess.Popen, log: Path) -> str:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health") as answer:
                assert answer.status == 200
                return url
        except URLError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
