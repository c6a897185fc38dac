"""The command doctor: what an installation consists of, and what is wrong with it."""

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
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from samedge_core import __version__
from samedge_core.cli.common import PROGRAM, Exit, UsageError, add_command, say
from samedge_core.cli.serve import LOCAL
from samedge_core.store.settings import HOME, StoreSettings
from samedge_core.worker.settings import Settings

_ROOT = Path(__file__).resolve().parents[2]  # of the checkout, or what the package is installed in
_PORT = 8501  # Streamlit's


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: how it is and, where that is wrong, what to do about it."""

    about: str
    found: str
    remedy: str = ""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """doctor."""
    doctor = add_command(
        commands,
        "doctor",
        "check this installation",
        about="Show versions, device, folders and limits, and what to do where one of them is "
        "wrong; the exit code then is 1.",
        examples="doctor\ndoctor --port 8600",
    )
    doctor.add_argument(
        "--port", type=int, default=_PORT, metavar="N", help=f"of the live lab (default: {_PORT})"
    )
    doctor.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> Exit:
    if not 0 < options.port < 2**16:
        raise UsageError(f"--port must be from 1 to 65535, got {options.port}")
    wrong = 0
    for finding in findings(options.port):
        wrong += bool(finding.remedy)
        say(f"{'wrong' if finding.remedy else 'ok':<7}{finding.about:<14}{finding.found}")
        if finding.remedy:
            say(f"{'':21}-> {finding.remedy}")
    say(f"{wrong} to mend." if wrong else "All is well.")
    return Exit.CANNOT if wrong else Exit.FINISHED


def findings(port: int) -> Iterator[Finding]:
    """All that is looked at; `port` is where the live lab would listen."""
    yield Finding("samedge", f"{__version__} in {_ROOT}")
    yield Finding("python", f"{platform.python_version()} in {sys.prefix}")
    yield from map(_package, _requirements())
    yield _device()
    yield _compiled()
    yield _home()
    yield _workers()
    yield _port(port)


def _requirements() -> list[Requirement]:
    """What pyproject.toml asks for, in a checkout; else what was asked for at the installation."""
    project = _ROOT / "pyproject.toml"
    if project.is_file():
        lines = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
    else:
        lines = metadata.requires("samedge") or []
    needed = map(Requirement, lines)
    return [one for one in needed if not one.marker or one.marker.evaluate({"extra": ""})]


def _package(needed: Requirement) -> Finding:
    remedy = f'{sys.executable} -m pip install "{needed}"'
    try:
        version = metadata.version(needed.name)
    except metadata.PackageNotFoundError:
        return Finding(needed.name, "not installed", remedy)
    fits = needed.specifier.contains(version, prereleases=True)
    return Finding(needed.name, version, "" if fits else remedy)


def _device() -> Finding:
    try:
        import torch  # takes seconds, and no other command of this kind needs it
    except (ImportError, OSError) as error:  # a library that torch needs is missing
        remedy = f"{sys.executable} -m pip install --force-reinstall torch"
        return Finding("device", f"torch can't be loaded: {error}", remedy)
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    names += ["Apple's GPU"] if torch.backends.mps.is_available() else []
    return Finding("device", ", ".join([*names, f"{os.cpu_count()} CPU cores"]))


def _home() -> Finding:
    remedy = f"set {HOME} to a folder that you can write to; runs are recorded there"
    try:
        home = StoreSettings.from_env().home
        place = next(place for place in (home, *home.parents) if place.exists())
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        return Finding("home", f"can't be written: {error}", remedy)
    except ValueError as error:  # a size in the environment
        return Finding("home", "not known", str(error))
    return Finding("home", f"{home}, {shutil.disk_usage(place).free / 1e9:,.0f} GB free")


def _workers() -> Finding:
    try:
        settings = Settings.from_env()
    except ValueError as error:
        return Finding("workers", "not known", str(error))
    return Finding("workers", f"at most {settings.max_workers}, {settings.spares} kept ready")


def _compiled() -> Finding:
    kept = _ROOT / "samedge_core" / "curvature" / "__pycache__"  # by numba, as its index files
    later = f"not yet: `{sys.executable} -m samedge_core.training.warmup` does it, or the first run"
    return Finding("compiled", "yes" if any(kept.glob("*.nbi")) else later)


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((LOCAL, port))
        except OSError as error:
            other = f"{PROGRAM} --server.port {port + 1}"
            remedy = f"if that is the lab, open http://{LOCAL}:{port}; else start {other}"
            return Finding("port", f"{port} can't be had: {error.strerror}", remedy)
    return Finding("port", f"{port} is free")
