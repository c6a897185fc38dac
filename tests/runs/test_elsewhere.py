"""A run that was trained on a file elsewhere reads none of this machine until one is chosen."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import samedge_core as se
from samedge_core.cli import main
from samedge_core.runs import Runs, StoredRun
from samedge_core.sharing.export import ResumeError
from samedge_core.store import open_store
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.worker.harness import same_history, until


def images(file: Path, seed: int) -> Path:
    draw = np.random.default_rng(seed)
    np.savez(file, x=draw.integers(0, 256, (40, 4, 4), "u1"), y=np.arange(40) % 3)
    return file


def config_of(file: Path, steps: int) -> se.RunConfig:
    options = {"path": str(file), "n": 30, "n_test": 10, "width": 5}
    return se.RunConfig(problem="own-images", options=options, rule="gd", eta=0.1, steps=steps)


@pytest.fixture
def theirs(tmp_path) -> tuple[Path, Path]:
    """Their run's zip, which names a file that is another one here; and their file."""
    file = images(tmp_path / "images.npz", 1)
    with se.open_runs(tmp_path / "theirs") as runs:
        runs.run(config_of(file, 5)).export(tmp_path / "run.zip")
    kept = file.rename(tmp_path / "chosen.npz")
    images(file, 2)
    return tmp_path / "run.zip", kept


@pytest.fixture
def brought(tmp_path, theirs) -> StoredRun:
    with se.open_runs(tmp_path / "here") as runs:
        return runs.bring_in(theirs[0])


def test_its_rows_are_there_and_nothing_is_read(tmp_path, brought):
    with se.open_runs(tmp_path / "here") as runs:
        run = runs[brought.id]
        assert run.config.options["path"] == ""
        assert len(run.history) == 5
        for act in (
            lambda: run.resume(steps=8),
            lambda: run.fork(3, eta=0.2),
            lambda: run.snapshot(3),
        ):
            with pytest.raises(ResumeError, match="choose that file, then go on"):
                act()
        run.export(tmp_path / "again.zip")
        assert b"images.npz" not in (tmp_path / "again.zip").read_bytes()
        assert len(runs) == 1


def test_with_its_file_it_goes_on_to_the_bit(tmp_path, theirs, brought):
    with se.open_runs(tmp_path / "here") as runs:
        run = runs[brought.id]
        run.choose_file(theirs[1])
        assert run.config.options["path"] == str(theirs[1])
        expected = se.run(config_of(theirs[1], 8))
        assert same_history(run.resume(steps=8).history, expected)
    with se.open_runs(tmp_path / "here") as runs:
        assert runs[brought.id].config.options["path"] == str(theirs[1])


def test_the_command_line_takes_the_file_too(tmp_path, theirs, brought, monkeypatch, capsys):
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path / "here"))
    arguments = ["run", "--resume", brought.id, "--set", "steps=8"]
    assert main(arguments) == 2
    assert "choose that file" in capsys.readouterr().err
    assert main([*arguments, "--set", f"path={tmp_path / 'none.npz'}"]) == 2
    assert main([*arguments, "--set", f"path={theirs[1]}"]) == 0
    with se.open_runs(tmp_path / "here") as runs:
        assert len(runs[brought.id].history) == 8


def test_the_pages_server_resumes_it_with_the_file_alone(tmp_path, theirs, brought):
    registry = RunRegistry(Settings(max_workers=1, spares=1), open_store(tmp_path / "here"))
    with closing(registry):
        assert registry.open(brought.id)
        with pytest.raises(ValueError, match="choose that file"):
            registry.resume(brought.id)
        registry.choose_file(brought.id, str(theirs[1]))
        registry.resume(brought.id)
        until(registry, brought.id, lambda v: v.phase is Phase.ENDED and v.last_step == 9)
        expected = se.run(config_of(theirs[1], 10))
        assert same_history(registry.history(brought.id), expected)
    with Runs(open_store(tmp_path / "here")) as runs:
        assert same_history(runs[brought.id].history, expected)
