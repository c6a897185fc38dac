"""`samedge doctor`: what it finds, and what it says to do."""

import builtins
import re
import shutil
import socket
from importlib import metadata
from types import SimpleNamespace

import pytest

import samedge_core as se
from samedge_core.cli import doctor, main
from samedge_core.curvature import kernels


@pytest.fixture(autouse=True)
def port(monkeypatch) -> int:
    """Of the lab: a free one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(doctor, "_PORT", port)
    return port


def found(capsys) -> dict[str, str]:
    """What is said of each thing, and whether it is right, by its name."""
    lines = re.findall(r"^(ok|wrong) +(\S+) +(.*)$", capsys.readouterr().out, re.MULTILINE)
    return {name: f"{right}: {text}" for right, name, text in lines}


def test_a_sound_installation(capsys, port, monkeypatch, tmp_path):
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path / "to be" / "made"))
    monkeypatch.setenv("SAMEDGE_MAX_WORKERS", "3")
    assert main(["doctor"]) == 0
    said = found(capsys)
    assert said["samedge"].startswith(f"ok: {se.__version__} in ")
    for package in ("torch", "streamlit", "numba", "packaging"):
        assert said[package] == f"ok: {metadata.version(package)}"
    assert said["device"].endswith("CPU cores")
    assert said["home"].startswith(f"ok: {tmp_path}/to be/made, ")
    assert said["workers"].startswith("ok: at most 3, ")
    assert said["port"] == f"ok: {port} is free"
    assert set(said) >= {"python", "compiled"}
    assert not list(tmp_path.iterdir())  # it only looks


def test_packages_that_are_missing_or_of_another_version(capsys, monkeypatch):
    def version(name: str) -> str:
        if name == "tqdm":
            raise metadata.PackageNotFoundError(name)
        return "1.68.0" if name == "streamlit" else installed(name)

    installed = metadata.version
    monkeypatch.setattr(metadata, "version", version)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert re.search(r'^wrong +streamlit +1\.68\.0\n +-> .* "streamlit==1\.67\.\*"$', said, re.M)
    assert re.search(r'^wrong +tqdm +not installed\n +-> .* install "tqdm<', said, re.M)
    assert said.endswith("\n2 to mend.\n")


def test_what_is_compiled(capsys, monkeypatch, tmp_path):
    def said() -> str:
        main(["doctor"])
        return found(capsys)["compiled"]

    monkeypatch.setattr(kernels, "FOLDER", tmp_path)  # of which the note tells, not numba's files
    (tmp_path / "tracker.go_on-100.py311.nbi").touch()
    assert said().startswith("ok: not yet for float32 and float64: `")
    with kernels.compiling():
        kernels.compiled("float32")
    assert said().startswith("ok: not yet for float64: `")
    assert said().endswith("samedge_core.training.warmup` does it, or the first run")
    kernels.compiled("float64")
    assert said() == f"ok: yes, in {tmp_path}"


def test_where_nothing_compiled_can_be_kept(capsys, monkeypatch):
    monkeypatch.setattr(kernels, "FOLDER", None)
    assert main(["doctor"]) == 1
    text = "there is no folder to keep compiled code in"
    pattern = rf"^wrong +compiled +{text}\n +-> set NUMBA_CACHE_DIR to a folder"
    assert re.search(pattern, capsys.readouterr().out, re.M)


def test_what_is_compiled_is_not_known_without_the_compiler(capsys, monkeypatch, tmp_path):
    def version(name: str) -> str:
        if name == "numba":
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(kernels, "FOLDER", tmp_path)
    with kernels.compiling():
        kernels.compiled("float32")
    installed = metadata.version
    monkeypatch.setattr(metadata, "version", version)
    kernels._key.cache_clear()
    assert main(["doctor"]) == 1
    assert found(capsys)["compiled"] == "ok: not known without numba"


def test_what_is_installed_knows_what_it_needs(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_ROOT", tmp_path)
    lines = ["tqdm>=4", "tensorboard>=2; extra == 'tensorboard'"]
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    assert [needed.name for needed in doctor._requirements()] == ["tqdm"]


@pytest.mark.parametrize(
    ("name", "value", "about", "message"),
    [
        ("SAMEDGE_HOME", "/proc/nowhere", "home", "can't be written: "),
        ("SAMEDGE_QUOTA_MB", "much", "home", "not known"),
        ("SAMEDGE_SPARES", "many", "workers", "not known"),
    ],
)
def test_settings_that_can_not_be_used(capsys, monkeypatch, name, value, about, message):
    monkeypatch.setenv(name, value)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert re.search(rf"^wrong +{about} +{message}.*\n +-> .*{name}", said, re.M)


def test_a_port_that_is_taken(capsys, port):
    with socket.create_server(("127.0.0.1", port)):
        assert main(["doctor"]) == 1
    assert f"open http://127.0.0.1:{port}; else start " in capsys.readouterr().out


def test_a_torch_that_can_not_be_loaded(capsys, monkeypatch):
    load = builtins.__import__

    def failing(name, *arguments):
        if name == "torch":
            raise OSError("libcudart.so.13: cannot open shared object file")
        return load(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", failing)
    assert main(["doctor"]) == 1
    assert "torch can't be loaded: libcudart.so.13" in capsys.readouterr().out


def test_a_full_disk(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=3_000_000))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert re.search(r"^wrong +home +.*, 3 MB free\n +-> free some space there, or set", said, re.M)
