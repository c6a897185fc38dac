"""The command line: what it runs, what it says, and its exit codes."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import samedge_core as se
from samedge_core import cli
from samedge_core.cli import main, progress, tables, train
from samedge_core.experiments.paper import ALL_PRESETS as PRESETS
from samedge_core.experiments.presets import Preset
from samedge_core.problems.registry import PROBLEMS
from samedge_core.runs import Runs, StoredRun, open_runs
from samedge_core.sharing import export, links
from samedge_core.store.writer import RunWriter
from samedge_core.training import loop
from samedge_core.training.config import FIELDS

ROOT = Path(__file__).parents[2]
DIGITS = {"n": 50, "width": 8}
RUN = ["run", "--set", "n=50", "--set", "width=8", "--set", "eta=0.5", "--set", "dtype=float64"]


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch) -> Iterator[Runs]:
    """A store of each test's own."""
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path / "home"))
    with open_runs() as runs:
        yield runs


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "my run"


def run(*more: str, steps: int = 10) -> int:
    """A small run of the command line."""
    return main([*RUN, "--set", f"steps={steps}", *more])


def made(runs: Runs) -> StoredRun:
    """The newest run."""
    return next(iter(runs))


def resume(run: StoredRun, *more: str) -> int:
    return main(["run", "--resume", run.id, *more])


def small(**settings) -> se.RunConfig:
    return se.RunConfig(**{"options": DIGITS, "eta": 0.5, "dtype": "float64", **settings})


def assert_same(one: se.History, other: se.History) -> None:
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame(), check_exact=True)
    assert one.interventions == other.interventions


# --- a run ----------------------------------------------------------------------------------


def test_a_run_is_that_of_the_library(runs, capsys, tmp_path):
    assert run() == 0
    recorded = made(runs)
    assert recorded.config == small(steps=10)
    assert_same(recorded.history, se.run(small(steps=10)))
    said = capsys.readouterr()
    assert said.err.startswith(f"run {recorded.id} in {tmp_path / 'home'}\n")
    assert said.out.startswith("digits-mlp: all 10 steps are taken.\n")
    assert f"run --resume {recorded.id} --set steps=N" in said.out
    assert re.search(r"^  Parameters +682$", said.out, re.MULTILINE)
    loss = recorded.history.columns()["loss"][-1]
    assert re.search(rf"^  Training loss at the end +{loss:.5g}$", said.out, re.MULTILINE)
    assert said.out.endswith(
        f"Recorded as {recorded.id}: see python -m samedge_core show {recorded.id[:8]}\n"
    )


def test_results_are_written_where_they_are_asked_for(runs, out, capsys):
    assert run("--out", str(out), "--title", "Mine", "--tag", "a", "--tag", "b") == 0
    recorded = made(runs)
    said = capsys.readouterr().out
    assert f"--resume --out '{out}' --set steps=N" in said
    assert f"Files in {out}: {', '.join(export.RESULTS)}" in said
    assert {file.name for file in out.iterdir()} == set(export.RESULTS)
    frame = pd.read_parquet(out / "history.parquet")
    pd.testing.assert_frame_equal(frame, recorded.history.to_frame(), check_exact=True)
    assert (out / "run.txt").read_text() == f"{recorded.id}\n"
    assert (recorded.entry.title, recorded.entry.tags) == ("Mine", ("a", "b"))
    assert json.loads((out / "replay.json").read_text())["about"]["title"] == "Mine"


def test_results_are_whole_where_the_store_can_not_take_the_end(runs, out, capsys, monkeypatch):
    save = RunWriter.save

    def full(self, news):
        if news.record.stop:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, news)

    monkeypatch.setattr(RunWriter, "save", full)
    assert run("--quiet", "--out", str(out)) == 1
    said = capsys.readouterr().err
    assert f"the whole run is in {out}: " in said
    assert "No space left on device" in said
    frame = pd.read_parquet(out / "history.parquet")
    pd.testing.assert_frame_equal(frame, se.run(small(steps=10)).to_frame(), check_exact=True)


def test_a_fault_of_the_run_is_in_all_that_it_leaves(out, capsys):
    dead = ["--set", "eta=1", "--set", "rho=5", "--set", "n=100", "--set", "width=20"]
    assert run("--quiet", "--out", str(out), *dead, steps=60) == 0
    said = capsys.readouterr().out
    (diagnosis,) = json.loads((out / "summary.json").read_text())["diagnoses"]
    assert "looks like a dead network" in diagnosis
    assert diagnosis in said
    assert diagnosis in (out / "report.html").read_text(encoding="utf-8")


def test_progress_is_plain_lines_where_standard_error_is_no_terminal(runs, capsys):
    run()
    row = made(runs).history.to_frame().iloc[0]
    line = f"step 1 of 10: loss {row.loss:.4g}, sharpness {row.sharpness:.4g}, edge {row.edge:.4g}"
    assert capsys.readouterr().err.splitlines()[1:] == [line]


def test_progress_says_what_measuring_costs(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    run()
    _, first, *_, last = capsys.readouterr().err.splitlines()
    assert "curvature costs" not in first  # the first measurement is a cold one
    assert re.search(r", curvature costs [\d.]+ × training$", last)


def test_progress_is_a_bar_in_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run()
    said = capsys.readouterr().err
    assert "10/10" in said
    assert re.search(r"loss [\d.e-]+, sharpness [\d.e-]+, edge [\d.e-]+", said)


def test_quiet_shows_the_summary_only(capsys):
    run("--quiet")
    said = capsys.readouterr()
    assert said.err == ""
    assert "Parameters" in said.out


def test_a_preset_with_some_settings_of_ones_own(runs):
    assert main(["run", "--preset", "sam-two-weights", "--set", "steps=5", "--set", "a=2"]) == 0
    start = PRESETS["sam-two-weights"].config
    assert made(runs).config == start.replace(steps=5, options={"a": 2.0, "b": 0.6})


def test_a_preset_that_compares_runs_its_own_rule(runs, monkeypatch):
    preset = Preset("pair", "", "", se.RunConfig(problem="two-weight", rule="sam", steps=3), "rule")
    monkeypatch.setattr(train, "ALL_PRESETS", {"pair": preset})
    assert main(["run", "--preset", "pair"]) == 0
    assert made(runs).config == preset.config


def test_another_problem_comes_with_its_own_options(runs):
    assert (
        main(
            [
                "run",
                "--preset",
                "gd-cnn",
                "--set",
                "b=0.5",
                "--set",
                "problem=two-weight",
                "--set",
                "eta=0.3",
                "--set",
                "steps=3",
            ]
        )
        == 0
    )
    config = made(runs).config
    assert (config.problem, dict(config.options)) == ("two-weight", {"a": 2.5, "b": 0.5})


def test_threads(runs):
    assert run("--threads", "2", steps=2) == 0
    assert made(runs).record.machine["threads"] == 2


# --- going on -------------------------------------------------------------------------------


def test_a_raised_cap_goes_on_to_the_same_bits(runs):
    run()
    assert resume(made(runs), "--set", "steps=16") == 0
    assert_same(made(runs).history, se.run(small(steps=16)))
    assert len(runs) == 1


def test_the_beginning_of_an_id_is_enough(runs):
    run()
    assert main(["run", "--resume", made(runs).id[:5], "--set", "steps=16"]) == 0
    assert len(made(runs).history) == 16


def test_a_folder_with_results_says_which_run_goes_on(runs, out):
    run("--out", str(out))
    first = made(runs).id
    assert main(["run", "--resume", "--out", str(out), "--set", "steps=16"]) == 0
    assert made(runs).id == first
    assert_same(made(runs).history, se.run(small(steps=16)))
    assert len(pd.read_csv(out / "history.csv")) == 16


def test_live_settings_become_an_intervention(runs):
    run()
    more = ["--set", "steps=16", "--set", "rule=gd", "--set", "eta=0.25"]
    assert resume(made(runs), *more) == 0
    change = se.Intervention(10, {"rule": "gd", "eta": 0.25}, {"rule": "sam", "eta": 0.5})
    assert_same(made(runs).history, se.run(small(steps=16), interventions=[change]))


@pytest.mark.parametrize("name", ["seed", "width", "etta"])
def test_other_changes_are_refused(runs, capsys, name):
    run()
    assert resume(made(runs), "--set", f"{name}=3") == 2
    expected = f"--resume can't change {name}; what it can: steps, rule, eta, rho, beta"
    assert expected in capsys.readouterr().err


def test_a_run_that_has_ended_says_how_it_could_go_on(runs, capsys):
    run()
    assert resume(made(runs)) == 2
    said = capsys.readouterr().err
    assert "has taken all of its 10 steps: raise the cap (steps)" in said


def test_resuming_needs_a_run(tmp_path, out, capsys):
    assert main(["run", "--resume"]) == 2
    assert "--resume needs the ID of a run" in capsys.readouterr().err
    assert main(["run", "--resume", "--out", str(tmp_path)]) == 1
    assert "has the results of no run: run.txt is missing" in capsys.readouterr().err
    assert main(["run", "--resume", "--preset", "gd-cnn", "--out", str(tmp_path)]) == 2
    assert "takes no --preset" in capsys.readouterr().err
    assert main(["run", "--resume", "abc"]) == 2
    assert "no run has the id 'abc': there are none in" in capsys.readouterr().err
    export.set_run(out, "abc123")
    assert main(["run", "--resume", "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert f"the run abc123 of {out / 'run.txt'} is not in {tmp_path / 'home'}" in said


def test_a_folder_that_has_results_is_not_written_over(runs, out, capsys):
    run("--out", str(out))
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    run()
    other = made(runs)
    for act in (
        lambda: run("--out", str(out)),
        lambda: resume(other, "--out", str(out)),
        lambda: main(["fork", other.id, "--step", "3", "--out", str(out)]),
    ):
        assert act() == 2
        said = capsys.readouterr().err
        assert f"the run {before['run.txt'].decode().strip()} already: go on with it by " in said
        assert f"--resume --out '{out}'" in said
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert len(runs) == 2


# --- forks and replays ----------------------------------------------------------------------


def test_a_fork_is_the_run_with_that_change(runs, capsys):
    run()
    parent = made(runs)
    assert main(["fork", parent.id[:8], "--step", "4", "--set", "eta=0.1", "--title", "x"]) == 0
    fork = made(runs)
    assert (fork.origin, fork.entry.title) == (se.Origin(parent.id, 4), "x")
    change = se.Intervention(4, {"eta": 0.1}, {"eta": 0.5})
    assert_same(fork.history, se.run(small(steps=10), interventions=[change]))
    assert f"Recorded as {fork.id}" in capsys.readouterr().out


def test_a_fork_may_have_another_cap(runs):
    run()
    parent = made(runs)
    assert main(["fork", parent.id, "--step", "4", "--set", "steps=15"]) == 0
    assert_same(made(runs).history, se.run(small(steps=15)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--step", "11"], "step must be from 0 to 10, the recorded ones and the next, got 11"),
        (["--step", "-1"], "--step must be a whole number >= 0, got '-1'"),
        (["--step", "3", "--set", "eta=-1"], "eta must be a number > 0 and <= 1e+06, got '-1'"),
        (["--step", "3", "--set", "seed=1"], "fork can't change seed; what it can: steps, rule"),
        (["--step", "3", "--set", "steps=3"], "steps must be more than 3, where the fork begins"),
    ],
)
def test_a_fork_that_can_not_be_is_refused(runs, capsys, arguments, message):
    run()
    parent = made(runs).id
    capsys.readouterr()
    assert main(["fork", parent, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert len(runs) == 1


def test_a_long_way_to_a_fork_is_told(runs, capsys, monkeypatch):
    monkeypatch.setattr(train, "LONG", 4)
    run()
    runs.store.folder(made(runs).id).drop_from(2)
    assert main(["fork", made(runs).id, "--step", "8"]) == 0
    assert "taking 7 steps again, from the last kept state on\n" in capsys.readouterr().err


def test_a_replay_file_is_run_again(runs, tmp_path):
    run()
    more = ["--set", "steps=16", "--set", "eta=0.25"]
    resume(made(runs), *more)
    first = made(runs)
    first.export(tmp_path / "replay.json")
    assert main(["replay", str(tmp_path / "replay.json"), "--title", "again"]) == 0
    again = made(runs)
    assert (again.entry.title, len(runs)) == ("again", 2)
    assert_same(again.history, first.history)


def test_a_link_is_run(runs, capsys):
    plan = [se.Intervention(3, {"eta": 0.1})]
    config = small(steps=6)
    url = links.to_url("http://localhost:8501/", config, plan)
    assert main(["replay", f"{url}&run=abc&embed=true"]) == 0
    assert_same(made(runs).history, se.run(config, interventions=plan))
    assert "note:" not in capsys.readouterr().err
    assert main(["replay", "?v=1&n=50&width=0&steps=2"]) == 0
    assert "note: " in capsys.readouterr().err
    assert made(runs).config.options["width"] == 1


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("[1]", 2, "a replay must be a JSON object"),
        (
            '{"samedge": "replay", "schema": 1, "config": {"schema": 1, "eta": -1}, '
            '"interventions": []}',
            2,
            "eta must be a number > 0 and <= 1e+06, got -1",
        ),
        (None, 1, "No such file"),
    ],
)
def test_what_is_no_replay_is_refused(runs, tmp_path, capsys, content, code, message):
    file = tmp_path / "replay.json"
    if content is not None:
        file.write_text(content)
    assert main(["replay", str(file)]) == code
    assert message in capsys.readouterr().err
    assert main(["replay", "http://localhost:8501/?run=abc"]) == 2
    assert "the link names no setting, as in ?v=1&eta=2, got 'http://" in capsys.readouterr().err
    assert len(runs) == 0


# --- what there is --------------------------------------------------------------------------


@pytest.fixture
def some(runs) -> Runs:
    """A GD run, a SAM run and its fork, oldest first."""
    runs.run(small(rule="gd", steps=3)).label(title="Plain descent " * 3, tags=["paper"])
    runs.run(small(steps=6)).label(title="Sharp one", pinned=True, note="of today")
    made(runs).fork(2, eta=0.25)
    return runs


def test_runs_are_listed(some, capsys):
    fork, sam, gd = some
    assert main(["runs"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "id",
        "status",
        "title",
        "problem",
        "rule",
        "eta",
        "rho",
        "seed",
        "steps",
        "ratio",
        "deviation",
    ]
    rows = [re.split(r" {2,}", line) for line in lines]
    assert [row[0] for row in rows] == [run.id[:8] for run in (fork, sam, gd)]
    assert rows[1][1:9] == ["step cap", "Sharp one", "digits-mlp", "sam", "0.5", "0.05", "0", "6/6"]
    assert rows[1][9] == f"{sam.history.columns()['ratio'][-1]:.4g}"
    assert rows[2][2] == "Plain descent Plain descent P…"
    assert rows[2][6] == "-"
    assert max(map(len, lines)) < 120


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--text", "sharp"], 1),
        (["--problem", "digits-mlp"], 3),
        (["--tag", "paper"], 1),
        (["--tag", "paper", "--tag", "b"], 0),
        (["--text", "sharp plain"], 0),
        (["--problem", "two-weight"], 0),
        (["--limit", "all"], 3),
        (["--sort", "last_step"], 3),
    ],
)
def test_runs_are_found(some, capsys, arguments, count):
    assert main(["runs", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    if count:
        assert len(lines) == count + 1
    else:
        assert lines == [f"none of the 3 runs in {some.store.settings.home} is like that"]


def test_a_part_of_the_runs_says_that_it_is_one(some, capsys):
    assert main(["runs", "--limit", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3:] == ["2 of 3 runs; --limit all shows them all"]
    assert main(["runs", "--limit", "0"]) == 2
    assert "--limit must be a whole number >= 1 or all, got '0'" in capsys.readouterr().err


def test_without_runs_it_says_how_to_make_one(runs, capsys):
    assert main(["runs"]) == 0
    home = runs.store.settings.home
    assert f"no runs are recorded in {home} yet; python -m" in capsys.readouterr().out


def test_a_run_is_shown(some, capsys):
    fork, sam, _ = some
    assert main(["show", fork.id[:8]]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{fork.id}\nAll 6 steps are taken.\n")
    sections = {part.splitlines()[0]: part.splitlines()[1:] for part in said.split("\n\n")[1:]}
    assert list(sections) == ["Settings", "Changes on the way", "Summary", "Family"]
    assert "  eta                      0.5" in sections["Settings"]
    assert "  width                    8" in sections["Settings"]
    assert sections["Changes on the way"] == ["  step 2  η 0.5 → 0.25"]
    assert re.search(r"^  Steps +6$", said, re.MULTILINE)
    parent, child = (line.split("  ") for line in map(str.strip, sections["Family"]))
    assert (parent[0], parent[-1]) == (sam.id[:8], "Sharp one")
    assert child[0].startswith("*")
    assert f"{fork.id[:8]}  fork at step 2  to step 5" in sections["Family"][1]


def test_labels_are_shown_and_a_family_of_one_is_not(some, capsys):
    _, sam, gd = some
    main(["show", gd.id])
    assert "Family" not in capsys.readouterr().out
    main(["show", sam.id])
    said = capsys.readouterr().out
    assert "\n  title   Sharp one\n  note    of today\n  pinned  yes\n" in said
    assert "Changes on the way" not in said


def test_a_run_whose_rows_are_damaged_or_gone_is_shown_as_far_as_it_goes(some, capsys):
    fork, sam, _ = some
    next((some.store.folder(fork.id).path / "rows").iterdir()).write_bytes(b"PAR1")
    assert main(["show", fork.id]) == 0
    said = capsys.readouterr().out
    assert "  eta                      0.5\n" in said
    assert ".parquet is damaged or not part of a saved run" in said
    some.store.catalogue.put(sam.id, {"removed": 1.0})
    assert main(["show", sam.id]) == 0
    assert "are gone: the quota has taken them" in capsys.readouterr().out


# --- kept -----------------------------------------------------------------------------------


def test_exports_say_what_they_wrote(some, tmp_path, capsys):
    fork, *_ = some
    files = [str(tmp_path / "new" / name) for name in ("a.csv", "b.html", "c.json", "d.py")]
    assert main(["export", fork.id[:8], *files]) == 0
    assert capsys.readouterr().out.splitlines() == files
    assert len(pd.read_csv(files[0])) == 6
    assert main(["export", fork.id, str(tmp_path / "a.csv"), str(tmp_path / "b.xls")]) == 2
    said = capsys.readouterr().err
    assert (
        "must end with one of .csv, .parquet, .json, .html, .py, .ipynb, .zip, .means.csv" in said
    )
    assert not (tmp_path / "a.csv").exists()


def test_several_runs_go_into_one_file(some, tmp_path, capsys):
    fork, other, *_ = some
    files = [str(tmp_path / name) for name in ("a.csv", "b.parquet", "c.means.csv", "d.ipynb")]
    assert main(["export", fork.id[:8], other.id, fork.id, *files]) == 0  # one of them twice
    assert capsys.readouterr().out.splitlines() == files
    assert list(pd.read_csv(files[0])["run"].unique()) == [fork.id, other.id]
    assert pd.read_csv(files[2])["runs"].unique().tolist() == [1]
    assert main(["export", fork.id, other.id, str(tmp_path / "e.html")]) == 2
    assert "one of .csv, .parquet, .means.csv, .ipynb, got '" in capsys.readouterr().err
    assert main(["export", fork.id, other.id]) == 2
    assert "got 'none'" in capsys.readouterr().err
    assert main(["export", fork.id, str(tmp_path / "f.means.csv")]) == 0
    assert len(pd.read_csv(tmp_path / "f.means.csv")) == len(fork.history)


def test_a_run_on_a_file_of_ones_own_is_no_replay(runs, own_files, tmp_path, capsys):
    options = {**own_files["own-images"], "n": 40, "n_test": 20, "width": 6, "depth": 2}
    mine = runs.run(se.RunConfig(problem="own-images", options=options, eta=0.01, steps=2))
    assert main(["export", mine.id, str(tmp_path / "a.json")]) == 2
    assert "names a file of one's own" in capsys.readouterr().err


def test_a_log_for_tensorboard(some, tmp_path, capsys):
    pytest.importorskip("tensorboard")
    fork, *_ = some
    folder = tmp_path / "logs"
    assert main(["log", fork.id, "--tensorboard", str(folder)]) == 0
    assert [file for file in folder.iterdir() if "tfevents" in file.name]
    assert f"tensorboard --logdir {folder}" in capsys.readouterr().out
    assert main(["log", fork.id, "--tensorboard", str(folder)]) == 1
    assert "holds a TensorBoard log already" in capsys.readouterr().err


def test_deleting_asks_first(some, capsys, monkeypatch):
    fork, _, gd = some
    assert main(["delete", fork.id]) == 2
    assert "delete asks first: add --yes" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    for answer, left in (("\n", 3), ("no\n", 3), ("y\n", 1)):
        monkeypatch.setattr(sys.stdin, "readline", lambda answer=answer: answer)
        assert main(["delete", fork.id, gd.id[:8], gd.id]) == 0
        said = capsys.readouterr()
        assert "Delete these 2 runs? [y/N]" in said.err
        assert fork.id[:8] in said.err
        assert len(some) == left
    assert said.out == f"deleted {fork.id}\ndeleted {gd.id}\n"
    assert main(["restore", gd.id[:8]]) == 0
    assert capsys.readouterr().out == f"restored {gd.id}\n"
    assert len(some) == 2
    assert main(["restore", gd.id]) == 2
    assert f"no run '{gd.id}' was deleted within a day" in capsys.readouterr().err


def test_pinned_runs_are_not_deleted_nor_are_those_beside_them(some, capsys):
    _, sam, gd = some
    assert main(["delete", gd.id, sam.id, "--yes"]) == 1
    assert f"the run {sam.id} is pinned: unpin it first" in capsys.readouterr().err
    assert len(some) == 3
    assert main(["delete", gd.id, "--yes"]) == 0
    assert len(some) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "zz"],
        ["delete", "zz", "--yes"],
        ["export", "zz", "a.csv"],
        ["fork", "zz", "--step", "1"],
        ["run", "--resume", "zz"],
        ["log", "zz", "--tensorboard", "logs"],
    ],
)
def test_an_id_that_is_none_says_which_there_are(runs, capsys, arguments):
    run(steps=1)
    capsys.readouterr()
    assert main(arguments) == 2
    said = f"no run has an id that begins with 'zz'; the newest of 1: {made(runs).id}\n"
    assert capsys.readouterr().err == f"python -m samedge_core: {said}"


# --- exit codes and messages ----------------------------------------------------------------


def test_divergence_has_its_own_exit_code(runs, capsys):
    assert main(["run", "--set", "problem=quadratic", "--set", "rule=gd", "--set", "eta=10"]) == 3
    said = capsys.readouterr().out
    assert "quadratic: diverged: the loss is" in said
    assert "Try a smaller eta or rho" in said
    assert resume(made(runs), "--set", "eta=0.1") == 2
    assert "can't go on: diverged" in capsys.readouterr().err


def test_convergence_is_a_finish(capsys):
    assert (
        main(
            [
                "run",
                "--set",
                "problem=quadratic",
                "--set",
                "rule=gd",
                "--set",
                "eta=0.25",
                "--set",
                "dtype=float64",
            ]
        )
        == 0
    )
    assert "quadratic: converged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "eta=-1"], "eta must be a number > 0 and <= 1e+06, got '-1'"),
        (["--set", "eta"], "--set needs NAME=VALUE, got 'eta'"),
        (
            ["--set", "widht=5"],
            "no setting of a run or option of digits-mlp is called 'widht' "
            "(did you mean width?); there are: problem, rule, eta",
        ),
        (["--set", "zzz=5"], "is called 'zzz'; there are: problem, rule, eta"),
        (["--set", "width=0"], "width must be a whole number >= 1 and <= 1000, got '0'"),
        (["--set", "problem=mnist"], "problem must be one of digits-mlp, digits-cnn"),
        (
            ["--preset", "sam-digit-relu"],
            "no preset is called 'sam-digit-relu' (did you mean "
            "sam-digits-relu?); there are: sam-digits-relu, gd-",
        ),
    ],
)
def test_wrong_settings_say_what_is_right(out, capsys, arguments, message):
    assert main(["run", "--out", str(out), *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("python -m samedge_core: ")
    assert message in said.err
    assert said.out == ""
    assert not out.exists()


@pytest.mark.parametrize("arguments", [["fly"], ["run", "--threads", "0"], ["run", "--sett"]])
def test_wrong_arguments_are_a_usage_error(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: python -m samedge_core" in capsys.readouterr().err


def test_missing_data_cannot_be_trained_on(out, capsys, tmp_path):
    file = tmp_path / "mine.npz"
    assert (
        main(["run", "--set", "problem=own-images", "--set", f"path={file}", "--out", str(out)])
        == 1
    )
    assert str(file) in capsys.readouterr().err


def test_damaged_files_cannot_be_read(runs, capsys):
    run()
    (part,) = (runs.store.folder(made(runs).id).path / "rows").iterdir()
    part.write_bytes(b"PAR1")
    assert resume(made(runs), "--set", "steps=20") == 1
    assert f"{part.name} is damaged or not part of a saved run" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("--out", str(tmp_path / "file" / "run")) == 1
    assert "Not a directory" in capsys.readouterr().err
    assert len(runs) == 0  # told before anything is trained


@pytest.mark.parametrize(
    ("name", "value", "code", "message"),
    [
        ("SAMEDGE_QUOTA_MB", "much", 2, "SAMEDGE_QUOTA_MB must be a number of megabytes"),
        ("SAMEDGE_HOME", "FILE", 1, "Not a directory: .*file/runs"),
        ("SAMEDGE_DATABASE_URL", "sqlite:////nowhere/at/all", 1, "the catalogue .* can't be used"),
    ],
)
def test_a_store_that_cannot_be_used(tmp_path, monkeypatch, capsys, name, value, code, message):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(name, value.replace("FILE", str(tmp_path / "file")))
    assert main(["runs"]) == code
    assert re.search(f"^python -m samedge_core: .*{message}", capsys.readouterr().err)


def test_a_failure_is_told(runs, capsys, monkeypatch):
    update, calls = loop.update, iter(range(100))

    def failing(*arguments):
        if next(calls) == 3:
            raise RuntimeError("not enough memory")
        return update(*arguments)

    monkeypatch.setattr(loop, "update", failing)
    assert run() == 1
    assert "the run failed: RuntimeError: not enough memory" in capsys.readouterr().out
    assert made(runs).entry.stop_reason == "failed"


def test_a_failure_at_once_is_told_and_leaves_nothing(runs, capsys, monkeypatch):
    def failing(*arguments):
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(loop, "update", failing)
    assert run() == 1
    assert "the run failed: RuntimeError: not enough memory" in capsys.readouterr().out
    assert len(runs) == 0


def test_the_help_documents_the_exit_codes(capsys):
    commands = (
        "run",
        "fork",
        "replay",
        "list",
        "runs",
        "show",
        "export",
        "log",
        "delete",
        "doctor",
    )
    for arguments in (["--help"], *([name, "--help"] for name in commands)):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        said = capsys.readouterr().out
        for code in cli.Exit:
            assert re.search(rf"^  {code.value} +\w", said, re.MULTILINE)
        if len(arguments) == 2:
            assert f"examples:\n  python -m samedge_core {arguments[0]}" in said


# --- lists ----------------------------------------------------------------------------------


def test_presets_are_listed_with_their_settings(capsys):
    assert main(["list", "presets"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "title", "problem", "rule", "eta", "rho", "steps"]
    assert len(lines) == len(PRESETS)
    for line, preset in zip(lines, PRESETS.values(), strict=True):
        name, title, problem, rule, eta, rho, steps = re.split(r" {2,}", line)
        config = preset.config
        assert (name, title, problem) == (preset.name, preset.title, config.problem)
        assert (rule, float(eta), int(steps)) == (config.rule, config.eta, config.steps)
        assert rho == (f"{config.rho:g}" if "sam" in config.rule else "-")
    assert len({line.index(p.title) for line, p in zip(lines, PRESETS.values(), strict=True)}) == 1


def test_problems_are_listed_with_their_options(capsys):
    assert main(["list", "problems"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= tables.WIDTH
    blocks = dict(zip(PROBLEMS, said.rstrip().split("\n\n"), strict=True))
    for name, spec in PROBLEMS.items():
        assert blocks[name].startswith(f"{name}: ")
        for field in spec.options:
            assert re.search(rf"^    {field.name} +default ", blocks[name], re.MULTILINE)
    assert "    width       default 100    a whole number >= 1 and <= 1000" in blocks["digits-mlp"]


def test_both_are_listed_by_default(capsys):
    main(["list"])
    said = capsys.readouterr().out
    assert "sam-digits-relu" in said
    assert "two-weight: " in said


def test_no_option_is_called_like_a_setting():
    # --set could not tell them apart
    for spec in PROBLEMS.values():
        assert not {field.name for field in spec.options} & set(FIELDS)


# --- as a program ---------------------------------------------------------------------------


def program(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "samedge_core", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def long_run(runs: Runs, *more: str) -> subprocess.Popen:
    """A run that would go on for minutes, once its first step is saved."""
    process = program(*RUN, "--set", "steps=100000", "--threads", "1", *more)
    while not len(runs):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


def test_ctrl_c_saves_everything_and_the_run_goes_on_to_the_same_bits(runs, out):
    process = long_run(runs, "--out", str(out))
    assert made(runs).entry.status == "recording"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "digits-mlp: stopped by hand after step" in said
    run = made(runs)
    assert run.entry.status == "ended"
    assert run.history.stop_reason is se.StopReason.STOPPED
    assert f"stopped by hand after step {len(run.history) - 1:,}." in said
    assert {file.name for file in out.iterdir()} == set(export.RESULTS)
    steps = len(run.history) + 5
    assert resume(run, "--set", f"steps={steps}") == 0
    assert_same(made(runs).history, se.run(small(steps=steps)))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_after_a_kill_the_run_goes_on_to_the_same_bits(runs, out):
    process = long_run(runs, "--out", str(out))
    time.sleep(2.5)
    process.kill()
    _, errors = process.communicate(timeout=60)
    begun = made(runs)
    assert errors.startswith(f"run {begun.id} in ")
    rows = len(begun.history)
    assert rows > 1  # saved every second
    arguments = ["run", "--resume", "--out", str(out), "--set", f"steps={rows + 5}"]
    assert main(arguments) == 0
    assert made(runs).id == begun.id
    assert_same(made(runs).history, se.run(small(steps=rows + 5)))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_what_was_killed_is_known_to_be_interrupted_at_once(runs):
    process = long_run(runs)
    process.kill()
    process.communicate(timeout=60)
    with open_runs() as others:
        assert made(others).entry.status == "interrupted"


def test_the_program_gives_its_exit_code():
    process = program("run", "--set", "eta=0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors == "python -m samedge_core: eta must be a number > 0 and <= 1e+06, got '0'\n"


def test_a_reader_that_has_seen_enough_is_no_error():
    with program("list") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0


def test_looking_does_not_wait_for_torch(some, tmp_path):
    fork, *_ = some
    code = (
        "import sys; from samedge_core.cli import main; main(['list']); main(['runs']); "
        f"main(['show', {fork.id!r}]); main(['export', {fork.id!r}, {str(tmp_path / 'a.csv')!r}]); "
        "assert not {'torch', 'sklearn', 'streamlit', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
