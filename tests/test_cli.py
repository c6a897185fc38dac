"""The command line: what it runs, what it says, and its exit codes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import samedge_core as se
from samedge_core import cli, listing, progress, saved
from samedge_core.cli import main
from samedge_core.paper import ALL_PRESETS as PRESETS
from samedge_core.presets import Preset
from samedge_core.problems.registry import PROBLEMS
from samedge_core.training.config import FIELDS

ROOT = Path(__file__).parent.parent
DIGITS = {"n": 50, "width": 8}
RUN = ["run", "--set", "n=50", "--set", "width=8", "--set", "eta=0.5", "--set", "dtype=float64"]


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "my run"


def run(out: Path, *more: str, steps: int = 10) -> int:
    """A small run of the command line, into `out`."""
    return main([*RUN, "--set", f"steps={steps}", "--out", str(out), *more])


def resume(out: Path, *more: str) -> int:
    return main(["run", "--resume", "--out", str(out), *more])


def small(**settings) -> se.RunConfig:
    return se.RunConfig(**{"options": DIGITS, "eta": 0.5, "dtype": "float64", **settings})


def assert_same(one: se.History, other: se.History) -> None:
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame(), check_exact=True)
    assert one.interventions == other.interventions


# --- a run ----------------------------------------------------------------------------------


def test_a_run_is_that_of_the_library(out, capsys):
    assert run(out) == 0
    history = saved.read(out)
    assert history.config == small(steps=10)
    assert_same(history, se.run(small(steps=10)))
    said = capsys.readouterr()
    assert said.out.startswith("digits-mlp: the step cap of 10 is reached.\n")
    assert f"--resume --out '{out}' --set steps=N" in said.out
    assert re.search(r"^  Parameters +682$", said.out, re.MULTILINE)
    loss = history.columns()["loss"][-1]
    assert re.search(rf"^  Training loss at the end +{loss:.5g}$", said.out, re.MULTILINE)
    assert f"Files in {out}: report.html, summary.json, history.csv" in said.out


def test_progress_is_plain_lines_where_standard_error_is_no_terminal(out, capsys):
    run(out)
    row = saved.read(out).to_frame().iloc[0]
    line = f"step 1 of 10: loss {row.loss:.4g}, sharpness {row.sharpness:.4g}, edge {row.edge:.4g}"
    assert capsys.readouterr().err == line + "\n"


def test_progress_says_what_measuring_costs(out, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    run(out)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert "curvature costs" not in first  # the first measurement is a cold one
    assert re.search(r", curvature costs [\d.]+ × training$", last)


def test_progress_is_a_bar_in_a_terminal(out, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run(out)
    said = capsys.readouterr().err
    assert "10/10" in said
    assert re.search(r"loss [\d.e-]+, sharpness [\d.e-]+, edge [\d.e-]+", said)


def test_quiet_shows_the_summary_only(out, capsys):
    run(out, "--quiet")
    said = capsys.readouterr()
    assert said.err == ""
    assert "Parameters" in said.out


def test_a_preset_with_some_settings_of_ones_own(out):
    assert main(["run", "--preset", "sam-two-weights", "--set", "steps=5", "--set", "a=2",
                 "--out", str(out)]) == 0  # fmt: skip
    start = PRESETS["sam-two-weights"].config
    assert saved.read(out).config == start.replace(steps=5, options={"a": 2.0, "b": 0.6})


def test_a_preset_that_compares_runs_its_own_rule(out, monkeypatch):
    preset = Preset("pair", "", "", se.RunConfig(problem="two-weight", rule="sam", steps=3), True)
    monkeypatch.setattr(cli, "_presets", lambda: {"pair": preset})
    assert main(["run", "--preset", "pair", "--out", str(out)]) == 0
    assert saved.read(out).config == preset.config


def test_another_problem_comes_with_its_own_options(out):
    assert main(["run", "--preset", "gd-cnn", "--set", "b=0.5", "--set", "problem=two-weight",
                 "--set", "eta=0.3", "--set", "steps=3", "--out", str(out)]) == 0  # fmt: skip
    config = saved.read(out).config
    assert (config.problem, dict(config.options)) == ("two-weight", {"a": 2.5, "b": 0.5})


def test_without_out_the_folder_is_named_after_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--preset", "sam-quadratic", "--set", "steps=2"]) == 0
    assert main(["run", "--set", "problem=two-weight", "--set", "rule=gd", "--set", "eta=0.1",
                 "--set", "steps=2"]) == 0  # fmt: skip
    assert saved.holds_run(Path("runs/sam-quadratic"))
    assert saved.holds_run(Path("runs/two-weight-gd"))


def test_threads(out):
    import torch

    before = torch.get_num_threads()
    assert run(out, "--threads", "2", steps=2) == 0
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


# --- going on -------------------------------------------------------------------------------


def test_a_raised_cap_goes_on_to_the_same_bits(out):
    run(out)
    assert resume(out, "--set", "steps=16") == 0
    assert_same(saved.read(out), se.run(small(steps=16)))


def test_live_settings_become_an_intervention(out):
    run(out)
    assert resume(out, "--set", "steps=16", "--set", "rule=gd", "--set", "eta=0.25") == 0
    change = se.Intervention(10, {"rule": "gd", "eta": 0.25}, {"rule": "sam", "eta": 0.5})
    assert_same(saved.read(out), se.run(small(steps=16), interventions=[change]))


@pytest.mark.parametrize("name", ["seed", "width", "etta"])
def test_other_changes_are_refused(out, capsys, name):
    run(out)
    assert resume(out, "--set", f"{name}=3") == 2
    expected = f"--resume can't change {name}; what it can: steps, rule, eta, rho, beta"
    assert expected in capsys.readouterr().err


def test_a_run_that_has_ended_says_how_it_could_go_on(out, capsys):
    run(out)
    assert resume(out) == 2
    said = capsys.readouterr().err
    assert "has taken all of its 10 steps: raise the cap (steps)" in said


def test_resuming_needs_a_folder_with_a_run(tmp_path, capsys):
    assert main(["run", "--resume"]) == 2
    assert "--resume needs --out FOLDER" in capsys.readouterr().err
    assert main(["run", "--resume", "--out", str(tmp_path)]) == 1
    assert "config.json is missing" in capsys.readouterr().err
    assert main(["run", "--resume", "--preset", "gd-cnn", "--out", str(tmp_path)]) == 2
    assert "takes no --preset" in capsys.readouterr().err


def test_a_folder_that_holds_a_run_is_not_written_over(out, capsys):
    run(out)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert run(out) == 2
    said = capsys.readouterr().err
    assert f"{out} holds a run already: go on with it by --resume --out '{out}'" in said
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


# --- exit codes and messages ----------------------------------------------------------------


def test_divergence_has_its_own_exit_code(out, capsys):
    assert main(["run", "--set", "problem=quadratic", "--set", "rule=gd", "--set", "eta=10",
                 "--out", str(out)]) == 3  # fmt: skip
    said = capsys.readouterr().out
    assert "quadratic: diverged: the loss is" in said
    assert "Try a smaller eta or rho" in said
    assert resume(out, "--set", "eta=0.1") == 2
    assert "can't go on: diverged" in capsys.readouterr().err


def test_convergence_is_a_finish(out, capsys):
    assert main(["run", "--set", "problem=quadratic", "--set", "rule=gd", "--set", "eta=0.25",
                 "--set", "dtype=float64", "--out", str(out)]) == 0  # fmt: skip
    assert "quadratic: converged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "eta=-1"], "eta must be a number > 0 and <= 1e+06, got '-1'"),
        (["--set", "eta"], "--set needs NAME=VALUE, got 'eta'"),
        (["--set", "widht=5"], "no setting of a run or option of digits-mlp is called 'widht' "
                               "(did you mean width?); there are: problem, rule, eta"),
        (["--set", "zzz=5"], "is called 'zzz'; there are: problem, rule, eta"),
        (["--set", "width=0"], "width must be a whole number >= 1 and <= 1000, got '0'"),
        (["--set", "problem=mnist"], "problem must be one of digits-mlp, digits-cnn"),
        (["--preset", "sam-digit-relu"], "no preset is called 'sam-digit-relu' (did you mean "
                                         "sam-digits-relu?); there are: sam-digits-relu, gd-"),
    ],
)  # fmt: skip
def test_wrong_settings_say_what_is_right(out, capsys, arguments, message):
    assert main(["run", "--out", str(out), *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("samedge_core: ")
    assert message in said.err
    assert said.out == ""
    assert not out.exists()


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run", "--threads", "0"], ["run", "--sett"]])
def test_wrong_arguments_are_a_usage_error(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: python -m samedge_core" in capsys.readouterr().err


def test_missing_data_cannot_be_trained_on(out, capsys, tmp_path):
    file = tmp_path / "mine.npz"
    assert main(["run", "--set", "problem=own-images", "--set", f"path={file}",
                 "--out", str(out)]) == 1  # fmt: skip
    assert str(file) in capsys.readouterr().err


def test_damaged_files_cannot_be_read(out, capsys):
    run(out)
    (out / "history.parquet").write_bytes(b"PAR1")
    assert resume(out, "--set", "steps=20") == 1
    assert "history.parquet is damaged or not part of a saved run" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file" / "run") == 1
    assert "Not a directory" in capsys.readouterr().err


def test_a_failure_is_told(out, capsys, monkeypatch):
    def failing(*arguments):
        raise RuntimeError("not enough memory")

    monkeypatch.setattr("samedge_core.training.loop.update", failing)
    assert run(out) == 1
    assert "the run failed: RuntimeError: not enough memory" in capsys.readouterr().out


def test_the_help_documents_the_exit_codes(capsys):
    for arguments in (["--help"], ["run", "--help"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        said = capsys.readouterr().out
        for code in cli.Exit:
            assert re.search(rf"^  {code.value} +\w", said, re.MULTILINE)


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
    assert max(map(len, said.splitlines())) <= listing.WIDTH
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
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def long_run(out: Path) -> subprocess.Popen:
    """A run that would go on for minutes, once its first step is saved."""
    process = program(*RUN, "--set", "steps=100000", "--threads", "1", "--out", str(out))
    while not saved.holds_run(out):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


def test_ctrl_c_saves_everything_and_the_run_goes_on_to_the_same_bits(out):
    process = long_run(out)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "digits-mlp: stopped by hand after step" in said
    history = saved.read(out)
    assert history.stop_reason is se.StopReason.STOPPED
    assert f"stopped by hand after step {len(history) - 1:,}." in said
    steps = len(history) + 5
    assert resume(out, "--set", f"steps={steps}") == 0
    assert_same(saved.read(out), se.run(small(steps=steps)))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_after_a_kill_the_run_goes_on_to_the_same_bits(out):
    process = long_run(out)
    process.kill()
    process.communicate(timeout=30)
    rows = len(saved.read(out))
    assert resume(out, "--set", f"steps={rows + 5}") == 0
    assert_same(saved.read(out), se.run(small(steps=rows + 5)))


def test_the_program_gives_its_exit_code():
    process = program("run", "--set", "eta=0")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert errors == "samedge_core: eta must be a number > 0 and <= 1e+06, got '0'\n"


def test_a_reader_that_has_seen_enough_is_no_error():
    with program("list") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 0


def test_lists_do_not_wait_for_torch():
    code = (
        "import sys; from samedge_core.cli import main; main(['list']); "
        "assert not {'torch', 'sklearn', 'streamlit'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
