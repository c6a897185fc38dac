"""The command doctor: the parts of an installation, and remedies for faults."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from samedge_core import __version__
from samedge_core.cli.common import PROGRAM, Exit, add_command, say
from samedge_core.cli.serve import LOCAL
from samedge_core.curvature import kernels
from samedge_core.problems.memory import size_in_words
from samedge_core.store.settings import HOME, StoreSettings
from samedge_core.worker.limit import LIMITED
from samedge_core.worker.settings import Settings

_ROOT = Path(__file__).resolve().parents[2]  # of the checkout, or what the package is installed in
_PORT = 8501  # Streamlit's
LEAST_FREE = 100e6  # bytes; a run of some minutes takes 5 to 60 MB


class _Finding(NamedTuple):
    """The state of one part and, where that is a fault, a remedy."""

    about: str
    found: str
    remedy: str = ""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """doctor."""
    about = "Show versions, device, folders and limits, and what to do where one of them is wrong; "
    about += "the exit code then is 1."
    doctor = add_command(
        commands, "doctor", "check this installation", about=about, examples="doctor"
    )
    doctor.set_defaults(command=_doctor)


def _doctor(_: argparse.Namespace) -> Exit:
    wrong = 0
    for about, found, remedy in _findings():
        wrong += bool(remedy)
        say(f"{'wrong' if remedy else 'ok':<7}{about:<14}{found}")
        if remedy:
            say(f"{'':21}-> {remedy}")
    say(f"{wrong} to mend." if wrong else "All is well.")
    return Exit.CANNOT if wrong else Exit.FINISHED


def _findings() -> Iterator[_Finding]:
    yield _Finding("samedge", f"{__version__} in {_ROOT}")
    yield _Finding("python", f"{platform.python_version()} in {sys.prefix}")
    yield from map(_package, _requirements())
    yield from (_device(), _compiled(), _home(), _workers(), _port())


def _requirements() -> list[Requirement]:
    """The dependencies in pyproject.toml, in a checkout; else those of the installed package."""
    project = _ROOT / "pyproject.toml"
    if project.is_file():
        lines = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
    else:
        lines = metadata.requires("samedge") or []
    needed = map(Requirement, lines)
    return [one for one in needed if not one.marker or one.marker.evaluate({"extra": ""})]


def _package(needed: Requirement) -> _Finding:
    remedy = f'{sys.executable} -m pip install "{needed}"'
    try:
        version = metadata.version(needed.name)
    except metadata.PackageNotFoundError:
        return _Finding(needed.name, "not installed", remedy)
    fits = needed.specifier.contains(version, prereleases=True)
    return _Finding(needed.name, version, "" if fits else remedy)


def _device() -> _Finding:
    try:
        import torch  # takes seconds, and no other command of this kind needs it
    except (ImportError, OSError) as error:  # a library that torch needs is missing
        remedy = f"{sys.executable} -m pip install --force-reinstall torch"
        return _Finding("device", f"torch can't be loaded: {error}", remedy)
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    names += ["Apple's GPU"] if torch.backends.mps.is_available() else []
    return _Finding("device", ", ".join([*names, f"{os.cpu_count()} CPU cores"]))


def _compiled() -> _Finding:
    if kernels.FOLDER is None:
        remedy = "set NUMBA_CACHE_DIR to a folder that you can write to; runs are slower without"
        return _Finding("compiled", kernels.why_plain(), remedy)
    try:
        missing = [dtype for dtype in kernels.DTYPES if not kernels.ready(dtype)]
    except metadata.PackageNotFoundError as error:  # said above, with its remedy
        return _Finding("compiled", f"not known without {error.name}")
    if not missing:
        return _Finding("compiled", f"yes, in {kernels.FOLDER}")
    warmup = f"`{sys.executable} -m samedge_core.training.warmup` does it, or the first run"
    return _Finding("compiled", f"not yet for {' and '.join(missing)}: {warmup}")


def _home() -> _Finding:
    try:
        home = StoreSettings.from_env().home
        place = next(place for place in (home, *home.parents) if place.exists())
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        remedy = f"set {HOME} to a folder that you can write to; runs are recorded there"
        return _Finding("home", f"can't be written: {error}", remedy)
    except ValueError as error:  # a size in the environment
        return _Finding("home", "not known", str(error))
    free = shutil.disk_usage(place).free
    remedy = f"free some space there, or set {HOME} to another disk; rows need it to be recorded"
    found = f"{home}, {size_in_words(free)} free"
    return _Finding("home", found, remedy if free < LEAST_FREE else "")


def _workers() -> _Finding:
    try:
        settings = Settings.from_env()
    except ValueError as error:
        return _Finding("workers", "not known", str(error))
    room = f"each may take {size_in_words(1e6 * settings.worker_mb)}"
    if not LIMITED:
        room = "no limit to the memory of each, which is known on Linux alone"
    found = f"at most {settings.max_workers}, {settings.spares} kept ready; {room}"
    return _Finding("workers", found)


def _port() -> _Finding:
    try:
        socket.create_server((LOCAL, _PORT)).close()
    except OSError as error:
        other = f"{PROGRAM} --server.port {_PORT + 1}"
        remedy = f"if that is the lab, open http://{LOCAL}:{_PORT}; else start {other}"
        return _Finding("port", f"{_PORT} is not free: {error.strerror}", remedy)
    return _Finding("port", f"{_PORT} is free")
