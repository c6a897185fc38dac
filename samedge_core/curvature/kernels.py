"""Whether the compiled kernels of this installation are ready, and where numba keeps them.

Compiling them takes minutes, once, in a separate process (`python -m
samedge_core.training.warmup`). Runs that start before it ends use plain arithmetic, torch's
autograd and the `PlainTracker`; a run keeps the arithmetic that it began with. Importable without
numba, and imported before it: this module chooses a writable folder for numba's cache.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

Arithmetic = Literal["compiled", "plain"]
ARITHMETICS: tuple[Arithmetic, ...] = ("compiled", "plain")
DTYPES = ("float32", "float64")
NICENESS = 15  # of compiling in the background: pages and runs go first

_PACKAGE = Path(__file__).resolve().parents[1]
_ROOMS = (_PACKAGE / "curvature", _PACKAGE / "problems" / "compiled")  # of the kernels
_MARKS = (b"\nfrom numba import", b"\n@compiled")  # of a file with compiled functions
_log = logging.getLogger(__name__)


def _folder() -> Path | None:
    """The folder of numba's files, or of some of them; None where no folder is writable."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if not given and all(_writable(room / "__pycache__") for room in _ROOMS):
        return _ROOMS[0] / "__pycache__"
    home = Path(os.environ.get("SAMEDGE_HOME") or "~/.samedge")
    user = os.getuid() if hasattr(os, "getuid") else 0
    temporary = Path(tempfile.gettempdir()) / f"samedge-{user}"
    for folder in [Path(given)] if given else [home / "compiled", temporary]:
        # numba runs what it finds there: never from another user's temporary folder
        if _writable(folder) and (folder != temporary or folder.stat().st_uid == user):
            os.environ["NUMBA_CACHE_DIR"] = str(folder.expanduser().absolute())
            return folder.expanduser().absolute()
    os.environ["NUMBA_DISABLE_JIT"] = "1"  # else numba refuses what it can't cache
    return None


def _writable(folder: Path) -> bool:
    try:
        folder = folder.expanduser()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            return False
        with tempfile.TemporaryFile(dir=folder):  # on Windows, rights alone do not tell
            return True
    except (OSError, RuntimeError):  # a read-only disk; no home
        return False


FOLDER = _folder()


def ready(dtype: str) -> bool:
    """Whether all kernels are compiled for this precision, from the present sources."""
    return FOLDER is not None and dtype in (_noted() or ())


def at_hand(dtype: str) -> Arithmetic:
    """The arithmetic of a run that starts now, without waiting for the compiler."""
    return "compiled" if ready(dtype) else "plain"


def why_plain() -> str:
    """The reason why a run that starts now has plain arithmetic, in words."""
    if FOLDER is None:
        return "there is no folder to keep compiled code in"
    if _failed:
        return "the fast kernels could not be compiled; the server's log says why"
    return "the fast kernels were still compiling when it started"


def outlook(dtype: str) -> str:
    """What becomes of the kernels while such a run goes on, for its page."""
    if ready(dtype):
        return "a new run takes the fast kernels"
    return "compiling takes about two minutes, once" if FOLDER and not _failed else ""


# --- compiling ------------------------------------------------------------------------------

_process: subprocess.Popen[bytes] | None = None
_failed = False


def compile_in_background() -> None:
    """Start a process that compiles what is not ready, unless one does so or has failed to."""
    global _process, _failed
    if FOLDER and _process is None and not _failed and not all(map(ready, DTYPES)):
        try:
            _process = _start()
        except OSError as error:  # no memory, or no process more: runs stay plain
            _log.warning("the fast kernels can't be compiled: %s", error)
            _failed = True
            return
        # numba keeps what is compiled by then; the output pipe that it inherits closes with it
        atexit.register(_process.terminate)
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, _process.pid, NICENESS)


def compiled_in_background() -> bool:
    """Whether that process has ended since the last call."""
    global _process, _failed
    if _process is None or _process.poll() is None:
        return False
    _failed, _process = _process.returncode != 0, None
    return True


class KernelsError(RuntimeError):
    """The kernels that a run needs can't be compiled; the message says why."""


def require(dtype: str) -> None:
    """Wait until the kernels are compiled for this precision, and compile them where needed.

    Raises:
        KernelsError: the kernels can't be compiled.
    """
    if ready(dtype):
        return
    if FOLDER:
        # without a handler, as in a script, a warning is what Python shows on standard error
        _log.warning("compiling the fast kernels for %s: about two minutes, once", dtype)
        _start(dtype).wait()
    if not ready(dtype):
        reason = "the log says why" if FOLDER else "there is no folder to keep compiled code in"
        raise KernelsError(f"the fast kernels, which this run needs, can't be compiled: {reason}")


def _command(*dtypes: str) -> list[str]:
    return [sys.executable, "-m", "samedge_core.training.warmup", *dtypes]


def _start(*dtypes: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, (str(_PACKAGE.parent), os.environ.get("PYTHONPATH"))))
    environ = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(_command(*dtypes), env=environ, stdin=subprocess.DEVNULL)


@contextmanager
def compiling() -> Iterator[bool]:
    """Hold the lock under which one process at a time compiles; yields whether numba's files are
    of other sources and must be removed: numba checks a kernel's own file, not those it calls."""
    from filelock import FileLock

    with FileLock(_stamp().with_suffix(".lock")):
        stale = _noted() is None
        if stale:
            _note([])
        yield stale


def compiled(dtype: str) -> None:
    """Note that all kernels are compiled for this precision."""
    _note([*(_noted() or ()), dtype])


def modules() -> list[str]:
    """The names of the modules that hold kernels."""
    files = (file.relative_to(_PACKAGE.parent).with_suffix("") for file in _sources())
    return [".".join(file.parts) for file in files]


# --- the note --------------------------------------------------------------------------------


def _stamp() -> Path:
    assert FOLDER is not None
    installation = hashlib.sha256(str(_PACKAGE).encode()).hexdigest()[:12]
    return FOLDER / f"samedge-{installation}.{sys.implementation.cache_tag}.json"


def _noted() -> list[str] | None:
    """The precisions for which all is compiled; None where there is no note of these sources."""
    try:
        noted = json.loads(_stamp().read_text(encoding="utf-8"))
        return list(noted["dtypes"]) if noted["key"] == _key() else None
    except (OSError, ValueError, LookupError, TypeError):  # no note, or a damaged one
        return None


def _note(dtypes: list[str]) -> None:
    new = _stamp().with_suffix(".new")
    new.write_text(json.dumps({"key": _key(), "dtypes": dtypes}), encoding="utf-8")
    new.replace(_stamp())


def _sources() -> list[Path]:
    files = [file for room in _ROOMS for file in sorted(room.rglob("*.py"))]
    return [file for file in files if any(mark in file.read_bytes() for mark in _MARKS)]


@cache
def _key() -> str:
    """A hash of what compiled code depends on: sources, compiler, processor."""
    packages = [f"{name} {metadata.version(name)}" for name in ("numba", "llvmlite", "torch")]
    stats = [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in _sources()]
    text = repr((packages, platform.python_version(), _processor(), stats))
    return hashlib.sha256(text.encode()).hexdigest()


def _processor() -> str:
    """Its name and instruction sets, where /proc has them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = ("model name", "flags", "Features")  # the last on ARM
    return repr([next((line for line in lines if line.startswith(name)), "") for name in names])
