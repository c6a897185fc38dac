"""`samedge sweep`: what it runs, what it says, and its exit codes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from samedge_core.cli import main
from samedge_core.cli import sweep as command
from samedge_core.sweeps import driver
from samedge_core.sweeps.rows import Row
from samedge_core.sweeps.store import PREDICTED, Sweeps, open_sweeps
from tests.sweeps import sleeping

ROOT = Path(__file__).parents[2]
SWEEP = ["sweep", "--set", "problem=two-weight", "--set", "rule=gd", "--workers=1"]
AXES = ["--axis", "eta=0.1,0.2,0.3", "--axis", "a=2:4:2"]


@pytest.fixture(autouse=True)
def sweeps(tmp_path, monkeypatch) -> Sweeps:
    """A store of each test's own."""
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path))
    return open_sweeps()


class Computed:
    """Instead of Dask, rows at once, of `most` cells."""

    def __init__(self) -> None:
        self.most = 99
        self.options: dict[str, Any] = {}

    def __call__(self, recorded, *, on_row, say, stop, **options) -> None:
        self.options = options
        with recorded.driving():
            done = {row.cell for row in recorded.rows()}
            missing = [cell for cell in recorded.sweep.cells if cell.index not in done]
            for cell in missing[: self.most]:
                fate = "diverged" if cell.config.eta * cell.config.options["a"] > 0.7 else "dead"
                row = Row(cell.index, fate, 3, loss=cell.config.eta, seconds=0.1)
                recorded.append([row])
                on_row(row)
            if recorded.predicts:
                recorded.append((Row(i, "dead", 3) for i in range(5)), PREDICTED)
        say("said")


@pytest.fixture
def computed(monkeypatch) -> Computed:
    instead = Computed()
    monkeypatch.setattr(driver, "drive", instead)
    return instead


def test_the_picture_and_the_fates(computed, sweeps, capsys):
    assert main([*SWEEP, *AXES, "--seeds", "3", "--title", "mine"]) == 0
    said = capsys.readouterr()
    (recorded,) = sweeps.find()
    assert recorded.title == "mine"
    assert recorded.sweep.seeds == (0, 1, 2)
    assert said.out.splitlines()[:3] == [
        "xdd",  # a = 4 above
        "xxx",
        "a 2 to 4 upward, eta 0.1 to 0.3 to the right",
    ]
    assert "d  diverged  6" in said.out
    assert "x  dead      12" in said.out
    assert f"sweep {recorded.id} in" in said.err
    assert "said" in said.err
    assert computed.options == {"scheduler": None, "insecure": False, "workers": 1, "budget": None}


def test_the_same_command_and_continue_go_on(computed, sweeps, capsys):
    computed.most = 2
    assert main([*SWEEP, *AXES, "--quiet"]) == 0
    said = capsys.readouterr()
    (recorded,) = sweeps.find()
    assert said.err == ""
    assert f"sweep --continue {recorded.id}" in said.out
    assert ".  not computed  4" in said.out
    assert main([*SWEEP, *AXES]) == 0
    assert len(sweeps.find()) == 1
    assert len(recorded.rows()) == 4
    assert main(["sweep", "--continue", recorded.id[:4]]) == 0
    assert recorded.state == "finished"
    capsys.readouterr()
    assert main(["sweep", "--list"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split()[0] == recorded.id
    assert "finished  6/6" in line
    assert "eta (3) x a (2)" in line


def test_predictions_are_wanted_by_an_option_also_later(computed, sweeps, capsys):
    assert main([*SWEEP, *AXES]) == 0
    assert "flow" not in capsys.readouterr().out
    (recorded,) = sweeps.find()
    assert main(["sweep", "--continue", recorded.id, "--predict"]) == 0
    said = capsys.readouterr().out
    assert "names the fate of 4 of 5 runs; wrong: 1 diverged (predicted: dead)" in said
    assert f"Go on with: {command.PROGRAM} sweep --continue {recorded.id}" in said
    assert main(["sweep", "--list"]) == 0
    assert "stopped  6/6, predicted 5" in capsys.readouterr().out


def test_a_rule_that_no_flow_describes_is_refused_before_anything_is_stored(sweeps, capsys):
    adam = ["sweep", "--set", "problem=two-weight", "--set", "rule=adam", "--axis", "eta=0.1,0.2"]
    assert main([*adam, "--predict"]) == 2
    assert "a prediction takes one of GD, SAM, USAM, got Adam (adam)" in capsys.readouterr().err
    assert sweeps.find() == []


def test_results_are_written(computed, tmp_path, capsys):
    out = tmp_path / "my results"
    assert main([*SWEEP, *AXES, "--out", str(out)]) == 0
    assert "sweep.parquet" in capsys.readouterr().out
    assert {file.name for file in out.iterdir()} >= {"sweep.csv", "report.html", "diagram.svg"}


def test_seeds_are_a_number_or_a_list(computed, sweeps):
    assert main([*SWEEP, *AXES, "--seeds", "4,9"]) == 0
    assert main([*SWEEP, *AXES, "--seeds", "2", "--set", "seed=5"]) == 0
    assert {recorded.sweep.seeds for recorded in sweeps.find()} == {(4, 9), (5, 6)}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "a sweep needs --axis once or twice, such as --axis eta=0.1:1:8:log"),
        (["--axis", "eta=1:0.1:4"], 2, "eta must go from low to high, got 1 to 0.1"),
        (
            ["--axis", "rho=0.1:1:4"],
            2,
            "an axis of GD on two-weight is one of eta, weight_decay, a, b; got",
        ),
        (["--axis", "eta=0.1:1:101", "--axis", "a=0:1:100"], 2, "101 x 100 x 1 seeds = 10,100"),
        ([*AXES, "--seeds", "0"], 2, "seeds must be a whole number >= 1"),
        ([*AXES, "--seeds", "1,x"], 2, "seed must be a whole number"),
        ([*AXES, "--samples", "2"], 2, "samples must be a whole number >= 4"),
        ([*AXES, "--preset", "none"], 2, "no preset is called 'none'"),
        ([*AXES, "--set", "colour=1"], 2, "is called 'colour'"),
        ([*AXES, "--scheduler", "tcp://elsewhere:8786"], 1, "--insecure-scheduler"),
        ([*AXES, "--out", __file__], 2, "--out must be a folder, got the file"),
        ([*AXES, "--out", f"{__file__}/inside"], 1, "Not a directory"),
        (["--continue", "abc"], 2, "--continue takes no --axis, --set"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_starts(arguments, code, message, sweeps, capsys):
    assert main([*SWEEP, *arguments]) == code
    assert message in capsys.readouterr().err
    assert sweeps.find() == []


@pytest.mark.parametrize("option", ["--seeds=2", "--samples=9", "--axis=eta=1,2"])
def test_a_sweep_that_goes_on_keeps_its_own_and_takes_a_title(option, computed, sweeps, capsys):
    assert main([*SWEEP, *AXES]) == 0
    (recorded,) = sweeps.find()
    assert main(["sweep", "--continue", recorded.id, option]) == 2
    assert "the sweep has its own" in capsys.readouterr().err
    assert main(["sweep", "--continue", recorded.id, "--title=mine"]) == 0
    assert sweeps[recorded.id].title == "mine"


def test_an_unknown_sweep_is_refused(capsys):
    assert main(["sweep", "--continue", "abc"]) == 1
    assert "no sweep begins with 'abc'; there are 0 sweeps" in capsys.readouterr().err


def test_lines_tell_how_long_it_takes(monkeypatch, sweeps, capsys):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    on_row = command._in_lines(4, 24)
    for _ in range(10):
        now[0] += 6
        on_row(Row(0, "dead", 1))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "7 of 24 cells, about 1.7 minutes left"
    assert len(lines) == 4


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that can be handled")
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(sweeps):
    recorded = sweeps.create(sleeping.sweep())
    # cells of Dask's workers in the driver of the command line, which sleep
    code = (
        "import sys; from samedge_core.sweeps import driver; from tests.sweeps import sleeping; "
        "from functools import partial; from samedge_core import cli; "
        "driver.TASK_SECONDS = 0; driver._least_size = lambda of: 1; "
        "driver.drive = partial(driver.drive, compute=sleeping.slow); "
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "sweep", "--continue", recorded.id, "--workers=1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while len(recorded.rows()) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"sweep --continue {recorded.id}" in out
    assert "Traceback" not in err
    assert 2 <= len(recorded.rows()) < 24
    assert recorded.state == "stopped"
