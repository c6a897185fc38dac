"""Scripts: what they run is the run, and people can read them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import samedge_core as se
from samedge_core.experiments.presets import PRESETS
from samedge_core.sharing.scripts import script
from samedge_core.training.plan import as_recorded
from tests.sharing.test_links import interventions, without_path
from tests.training.test_config import configs

ROOT = Path(__file__).parents[2]
RUFF = Path(sys.executable).with_name("ruff")
OWN = {"own-images": "your-file.npz", "own-text": "your-file.txt"}


class _Ran(Exception):
    """What a script would have run."""


def ran(text: str) -> tuple[se.RunConfig, list[se.Intervention]]:
    def run(config, interventions=()):
        raise _Ran(config, list(interventions))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(se, "run", run)
        with pytest.raises(_Ran) as caught:
            exec(compile(text, "script.py", "exec"), {"__file__": "script.py"})
    return caught.value.args


@given(configs(), interventions, st.text())
def test_a_script_runs_that_very_run(config, made, title):
    config = config.replace(steps=30)
    again, planned = ran(script(config, made, title))
    if any(f.kind == "path" for f in se.PROBLEMS[config.problem].options):
        named = str(Path(OWN[config.problem]).absolute()) if config.options["path"] else ""
        assert again.options["path"] == named
        again, config = without_path(again), without_path(config)
    assert again == config
    assert as_recorded(config, planned) == as_recorded(config, made)


# each example starts ruff twice
@settings(max_examples=8)
@given(st.lists(st.tuples(configs(), interventions, st.text()), min_size=5, max_size=10))
def test_ruff_leaves_a_script_as_it_is(tmp_path_factory, runs):
    folder = tmp_path_factory.mktemp("scripts")
    runs = [*runs, *((preset.config, [], preset.title) for preset in PRESETS.values())]
    for number, (config, made, title) in enumerate(runs):
        text = script(config, made, title)
        (folder / f"script_{number}.py").write_text(text, encoding="utf-8")
    for command in (["format", "--diff"], ["check", "--select", "E,F,W,I,UP,B"]):
        options = ["--isolated", "--no-cache", "--line-length", "100", "--target-version", "py311"]
        done = subprocess.run([RUFF, *command, *options, folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_script_gives_the_same_rows_bit_for_bit(tmp_path):
    config = se.RunConfig(options={"n": 40, "width": 6}, eta=0.7, rho=0.1, top_k=2, steps=12)
    made = [se.Intervention(4, {"eta": 0.5}), se.Intervention(7, {"rule": "gd"})]
    file = tmp_path / "run.py"
    file.write_text(script(config, made, "A run"), encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", file]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    history = se.run(config, interventions=made)
    assert [item.step for item in history.interventions] == [4, 7]
    assert (tmp_path / "run.csv").read_text() == history.to_frame().to_csv(index=False)
    # CSV holds every digit: what is read back is equal, not close
    lines = (tmp_path / "run.csv").read_text().splitlines()
    place = lines[0].split(",").index("sharpness")
    values = [float(line.split(",")[place]) for line in lines[1:]]
    assert values == history.columns()["sharpness"].tolist()
    assert "Update rule at the end: gd\n" in done.stdout


def test_a_script_is_short():
    config = se.RunConfig(eta=2, options={"width": 50})
    text = script(config, [se.Intervention(120, {"eta": 0.5, "rho": 0.1})], "GD and SAM")
    assert text.startswith("# GD and SAM\n# Save this file in the folder of SAMEdge")
    assert 'config = se.RunConfig(options={"width": 50}, eta=2)\n' in text
    assert 'interventions = [se.Intervention(120, {"eta": 0.5, "rho": 0.1})]\n' in text
    assert len(text.splitlines()) < 25
    assert "interventions" not in script(config)


def test_a_long_configuration_has_a_setting_a_line():
    config = se.RunConfig(
        problem="quadratic",
        options={"eigenvalues": [1 / 3] * 6, "rotated": False},
        rule="gd",
        eta=0.1,
        steps=20,
    )
    number = "0.3333333333333333"
    assert f"""
config = se.RunConfig(
    problem="quadratic",
    options={{
        "eigenvalues": [
            {number},
            {number},
            {number},
            {number},
            {number},
            {number},
        ],
        "rotated": False,
    }},
    rule="gd",
    eta=0.1,
    steps=20,
)
""" in script(config)


@pytest.mark.parametrize("title", ["a\nimport os", "a\rimport os", "a\x0cb", "a\u2028b", "\u202eb"])
def test_a_title_is_one_visible_line(title):
    first, second = script(se.RunConfig(), title=title).split("\n")[:2]
    assert first in ("# a import os", "# a b", "# b")
    assert second.startswith("# Save this file")


def test_a_file_of_ones_own_is_not_named():
    config = se.RunConfig(problem="own-text", options={"path": "/tmp/samedge-uploads-1/ab.txt"})
    assert 'options={"path": "your-file.txt"}' in script(config)
    assert "uploads" not in script(config)
