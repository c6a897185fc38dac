"""The table of the paper's tasks."""

import math
import subprocess
import sys

import pytest

from samedge_core.analysis.summary import summarise
from samedge_core.experiments.paper import ALL_PRESETS, PAPER_PRESETS, TASKS
from samedge_core.problems.downloads import SOURCES
from samedge_core.problems.registry import PROBLEMS
from samedge_core.training import History, Measurement, RunConfig


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_gd_and_sam_at_two_radii(name):
    task = TASKS[name]
    configs = [PAPER_PRESETS[preset].config for preset in task.reduced]
    assert [config.rule for config in configs] == ["gd", "sam", "sam"]
    assert configs[1].rho != configs[2].rho
    assert {PROBLEMS[config.problem].data for config in configs} == {task.data}
    assert task.data in SOURCES
    assert {PAPER_PRESETS[preset].config.problem for preset in task.full} == {configs[0].problem}
    # they need no download
    assert all(PROBLEMS[ALL_PRESETS[p].config.problem].data is None for p in task.offline)


def test_full_size_is_the_papers():
    mnist, text = PAPER_PRESETS["paper-mnist"].config, PAPER_PRESETS["paper-shakespeare"].config
    assert (mnist.options["n"], mnist.options["width"], mnist.batch_size) == (60_000, 1000, 0)
    assert (mnist.eta, mnist.rho) == (0.01, 0.1)
    assert PAPER_PRESETS["paper-cifar"].config.options["n"] == 1000
    assert (text.options["layers"], text.options["model"], text.batch_size) == (6, 128, 128)


@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_a_preset_is_complete_and_survives_its_saved_form(name):
    preset = PAPER_PRESETS[name]
    assert preset.name == name
    assert preset.see.endswith(".")
    assert len(preset.see) < 260
    assert RunConfig.from_json(preset.config.to_json()) == preset.config


def test_titles_differ():
    assert len({preset.title for preset in ALL_PRESETS.values()}) == len(ALL_PRESETS)


def test_imports_no_torch():
    code = "import sys, samedge_core.experiments.paper; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def history(ratios) -> History:
    """A GD run with these ratios of sharpness and edge, 2."""
    made = History(RunConfig(rule="gd", eta=1.0))
    for step, ratio in enumerate(ratios):
        made.append(Measurement(step, loss=1.0, grad_norm=1.0, lambda_max=2 * ratio))
    return made


@pytest.mark.parametrize(
    ("ratios", "going", "expected"),
    [
        ([0.5, 0.96, 1.02, 1.02], False, "✓ within 0.05"),
        ([0.5, 1.2, 1.1, 1.02], False, "✗ outside 0.05"),
        ([0.5, 1.2, 1.1], True, "✗ outside 0.05 so far"),
        ([0.5, 0.94, math.nan], False, "edge not reached"),
        ([0.5], True, "edge not reached so far"),
        ([], True, "edge not reached so far"),
    ],
)
def test_verdict(ratios, going, expected):
    task = next(task for task in TASKS.values() if task.band == 0.05)
    assert task.verdict(summarise(history(ratios)), going=going) == expected


def test_a_run_that_rests_near_its_edge_has_not_kept_to_it():
    made = History(RunConfig(rule="gd", eta=1.0))
    for step in range(40):
        hops = math.nan if step == 0 else float(step < 12)
        made.append(Measurement(step, loss=1.0, grad_norm=1.0, lambda_max=1.96, hopping=hops))
    task = next(task for task in TASKS.values() if task.band == 0.05)
    assert task.verdict(summarise(made), going=False) == "✗ does not hop"
