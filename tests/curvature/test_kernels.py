"""Whether the kernels are compiled, known without a compiler; nothing is compiled here."""

import ast
import inspect
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from samedge_core.curvature import kernels
from samedge_core.training import warmup

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An installation in which nothing is compiled."""
    monkeypatch.setattr(kernels, "FOLDER", tmp_path)
    monkeypatch.setattr(kernels, "_process", None)
    monkeypatch.setattr(kernels, "_failed", False)
    return tmp_path


def command(monkeypatch, code: str) -> None:
    """What compiles, instead of numba; `dtypes` are those that it is to compile."""
    text = f"import sys; from samedge_core.curvature import kernels; dtypes = sys.argv[1:]; {code}"
    monkeypatch.setattr(kernels, "_command", lambda *dtypes: [sys.executable, "-c", text, *dtypes])


def test_each_precision_is_ready_once_it_is_noted(folder):
    assert not kernels.ready("float32")
    assert kernels.at_hand("float32") == "plain"
    with kernels.compiling() as stale:
        assert stale
        kernels.compiled("float32")
    assert kernels.ready("float32")
    assert not kernels.ready("float64")
    assert (kernels.at_hand("float32"), kernels.at_hand("float64")) == ("compiled", "plain")


def test_what_was_begun_is_gone_on_with_and_what_is_of_other_sources_is_not(folder, monkeypatch):
    with kernels.compiling() as stale:
        assert stale
    with kernels.compiling() as stale:
        assert not stale
        kernels.compiled("float32")
    monkeypatch.setattr(kernels, "_key", lambda: "of other sources")
    assert not kernels.ready("float32")
    with kernels.compiling() as stale:
        assert stale
    assert not kernels.ready("float32")


def test_a_damaged_note_is_none(folder):
    with kernels.compiling():
        kernels.compiled("float32")
    (note,) = folder.glob("*.json")
    note.write_text(note.read_text()[:-5])
    assert not kernels.ready("float32")


def test_the_modules_are_all_that_have_kernels():
    found = {module for module, _ in warmup.dispatchers()}
    assert found == set(kernels.modules())
    rooms = {module.rpartition(".")[0] for module in found}
    assert rooms == {"samedge_core.curvature", "samedge_core.problems.compiled"}


def _read_by(code: types.CodeType) -> set[str]:
    """The global names that a function and those inside it read."""
    inner = [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return set(code.co_names).union(*map(_read_by, inner))


def test_compiled_code_reads_only_files_whose_changes_compile_it_anew():
    for (module, name), kernel in warmup.dispatchers().items():
        tree = ast.parse(inspect.getsource(sys.modules[module]))
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        origin = {alias.name: node.module for node in imports for alias in node.names}
        read = _read_by(kernel.py_func.__code__) & set(origin)
        whole = {part: f"{origin[part]}.{part}" for part in read}  # a module, or what is in one
        files = {full if full in sys.modules else origin[part] for part, full in whole.items()}
        own = {file for file in files if file and file.startswith("samedge_core")}
        assert own <= set(kernels.modules()), (module, name)


def test_make_watches_every_file_with_compiled_functions():
    command = ["make", "--silent", "--eval", "kernels: ; @echo $(KERNELS)", "kernels"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    files = {f"{module.replace('.', '/')}.py" for module in kernels.modules()}
    fates = {"samedge_core/sweeps/following.py", "samedge_core/sweeps/fate_program.py"}
    assert set(done.stdout.split()) == files | fates


def test_stale_files_of_all_kernels_are_removed_and_no_others(tmp_path, monkeypatch):
    kept = tmp_path / "other.function-1.py311.nbi"
    index = tmp_path / "tracker.go_on-100.py311.nbi"
    for file in (kept, index):
        file.touch()

    class Stats:
        cache_path = str(tmp_path)

    class Kernel:
        stats = Stats

    found = {("samedge_core.curvature.tracker", "go_on"): Kernel}
    monkeypatch.setattr(warmup, "dispatchers", lambda: found)
    warmup._forget()
    assert kept.exists()
    assert not index.exists()


def test_whoever_needs_them_has_them_compiled_and_waits(folder, monkeypatch):
    calls = folder / "calls"
    code = f"open({str(calls)!r}, 'a').write(str(dtypes)); kernels.compiled(dtypes[0])"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    command(monkeypatch, code)
    with kernels.compiling():
        pass
    kernels.require("float64")
    kernels.require("float64")
    assert kernels.ready("float64")
    assert calls.read_text() == "['float64']"


def test_that_they_cannot_be_compiled_is_said(folder, monkeypatch):
    command(monkeypatch, "sys.exit(3)")
    with pytest.raises(RuntimeError, match="can't be compiled: the log says why"):
        kernels.require("float32")
    kernels.compile_in_background()
    assert kernels._process is not None
    kernels._process.wait()
    assert kernels.compiled_in_background()
    assert not kernels.compiled_in_background()
    assert "could not be compiled" in kernels.why_plain()
    kernels.compile_in_background()  # asked again with each worker: what failed is not repeated
    assert kernels._process is None
    assert kernels.outlook("float32") == ""


def test_a_script_that_waits_says_so_where_a_person_sees_it(tmp_path):
    script = """
import sys
from samedge_core.curvature import kernels
code = "from samedge_core.curvature import kernels as k; k._note([]); k.compiled('float32')"
kernels._command = lambda *dtypes: [sys.executable, "-c", code]
kernels.require("float32")
kernels.require("float32")
"""
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    assert done.stderr == "compiling the fast kernels for float32: about two minutes, once\n"
    assert done.stdout == ""


def test_one_process_compiles_in_the_background_and_gives_way(folder, monkeypatch):
    command(monkeypatch, "sys.stdin.read(); import time; time.sleep(60)")
    kernels.compile_in_background()
    process = kernels._process
    assert process is not None
    try:
        kernels.compile_in_background()
        assert kernels._process is process
        assert not kernels.compiled_in_background()
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == kernels.NICENESS
        assert "still compiling" in kernels.why_plain()
        assert kernels.outlook("float32") == "compiling takes about two minutes, once"
    finally:
        process.kill()
        process.wait()


def test_nothing_is_started_where_all_is_ready(folder, monkeypatch):
    with kernels.compiling():
        for dtype in kernels.DTYPES:
            kernels.compiled(dtype)
    command(monkeypatch, "")
    kernels.compile_in_background()
    assert kernels._process is None
    assert kernels.outlook("float32") == "a new run takes the fast kernels"


def test_without_a_folder_all_is_plain(monkeypatch):
    monkeypatch.setattr(kernels, "FOLDER", None)
    assert not kernels.ready("float32")
    assert kernels.at_hand("float32") == "plain"
    assert "no folder" in kernels.why_plain()
    assert kernels.outlook("float32") == ""
    with pytest.raises(RuntimeError, match="there is no folder to keep compiled code in"):
        kernels.require("float32")
    kernels.compile_in_background()


READ_ONLY = """
import sys
from pathlib import Path
access = __import__("os").access
__import__("os").access = lambda path, mode: "samedge_core" not in str(path) and access(path, mode)
import samedge_core
from samedge_core.curvature import kernels
print(kernels.FOLDER)
assert "numba" not in sys.modules
"""


def found(script: str, **environ: str) -> str:
    """What a process of its own prints, with these variables."""
    usual = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "TMPDIR")}
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, env={**usual, **environ}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_of_an_installation_that_is_read_only_the_home_keeps_them(tmp_path):
    home = tmp_path / "home"
    assert found(READ_ONLY, SAMEDGE_HOME=str(home)) == str(home / "compiled")


def test_and_without_a_home_a_temporary_folder_that_is_our_own(tmp_path):
    nowhere = {"HOME": "/proc/nohome", "SAMEDGE_HOME": "/proc/nohome", "TMPDIR": str(tmp_path)}
    folder = found(READ_ONLY, **nowhere)
    assert folder == str(tmp_path / f"samedge-{os.getuid()}")
    assert os.stat(folder).st_mode & 0o077 == 0


PLAIN = """
from samedge_core.curvature import kernels
from samedge_core.runs.local import LocalRun
from samedge_core.store import open_store
from samedge_core.training.config import RunConfig
assert kernels.FOLDER is None
config = RunConfig(options={"n": 20, "width": 4}, steps=3)
store = open_store()
run = LocalRun.new(config)
history = run.run(store)
print(run.record.arithmetic, len(history), run.record.id in store)
"""


def test_where_none_can_be_kept_runs_are_plain(tmp_path):
    nowhere = {"NUMBA_CACHE_DIR": "/proc/nowhere", "SAMEDGE_HOME": str(tmp_path)}
    assert found(PLAIN, **nowhere) == "plain 3 True"


def test_the_note_says_nothing_of_other_installations(folder, monkeypatch):
    with kernels.compiling():
        kernels.compiled("float32")
    (note,) = folder.glob("*.json")
    assert json.loads(note.read_text())["dtypes"] == ["float32"]
    monkeypatch.setattr(kernels, "_PACKAGE", folder)
    assert not kernels.ready("float32")


def test_a_machine_without_room_for_the_compiler_stays_plain(folder, monkeypatch, caplog):
    def full(*dtypes: str) -> subprocess.Popen[bytes]:
        raise OSError("Resource temporarily unavailable")

    monkeypatch.setattr(kernels, "_start", full)
    kernels.compile_in_background()
    assert "can't be compiled: Resource temporarily unavailable" in caplog.text
    assert "could not be compiled" in kernels.why_plain()
