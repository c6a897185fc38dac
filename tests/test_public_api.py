"""What scripts and notebooks rely on: the public names (docs/api.md)."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import samedge_core as se

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", se.__all__)
def test_every_public_name_exists(name):
    assert getattr(se, name) is not None


def test_the_names_of_the_design_are_public():
    names = {
        "gd_edge",
        "sam_edge",
        "usam_edge",
        "polyak_edge",
        "nesterov_edge",
        "RunConfig",
        "run",
        "sharpness",
        "Problem",
        "History",
        "EigenEstimate",
        "StopReason",
        "Intervention",
        "open_runs",
        "paper_figures",
        "PRESETS",
        "PAPER_PRESETS",
    }
    assert names <= set(se.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No samedge_core attribute sharpnes"):
        se.sharpnes  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_tab_completion_shows_every_public_name():
    assert set(se.__all__) <= set(dir(se))
    assert len(se.__all__) == len(set(se.__all__))


def test_the_presets_and_the_papers_are_apart():
    assert "sam-digits-relu" in se.PRESETS
    assert "paper-mnist-small" in se.PAPER_PRESETS
    assert not set(se.PRESETS) & set(se.PAPER_PRESETS)


@pytest.mark.parametrize(
    "module",
    [
        "samedge_core",
        "samedge_core.training.config",
        "samedge_core.training.history",
        "samedge_core.problems.registry",
        "samedge_core.theory.rules",
        "samedge_core.store.branching",
        "samedge_core.runs",
        "samedge_core.sharing.export",
    ],
)
def test_importing_does_not_load_torch_or_streamlit(module):
    code = (
        f"import sys, {module} as m; import samedge_core as se; "
        "se.RunConfig(); se.History(se.RunConfig()).columns(); "
        "print([n for n in ('torch', 'streamlit', 'pandas', 'sklearn') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_importing_does_not_load_the_database():
    code = "import sys, samedge_core; print('sqlalchemy' in sys.modules, 'pyarrow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False False"


def test_a_run_from_a_script():
    config = se.RunConfig(
        problem="digits-mlp",
        options={"n": 20, "width": 5},
        rule="sam",
        eta=1.0,
        rho=0.05,
        steps=3,
        seed=0,
    )
    history = se.run(config)
    assert isinstance(history, se.History)
    assert len(history.to_frame()) == 3
    assert history.stop_reason is se.StopReason.STEP_CAP


def test_recorded_runs_from_a_script(tmp_path):
    config = se.RunConfig(options={"n": 20, "width": 5}, steps=6)
    with se.open_runs(tmp_path) as runs:
        run = runs.run(config)
        assert len(run.history.to_frame()) == 6
        assert isinstance(run.snapshot(4), se.TrainState)
        fork = run.fork(4, eta=0.5)
        assert fork.origin == se.Origin(run.id, 4)
        assert [found.id for found in runs] == [fork.id, run.id]
        with pytest.raises(se.RunKeyError):
            runs["none"]


def test_sharpness_of_a_lambda():
    estimate = se.sharpness(lambda w: w[0] ** 2 - 3 * w[1] ** 2, torch.zeros(2))
    assert isinstance(estimate, se.EigenEstimate)
    # P = 2, float32
    assert estimate.value == pytest.approx(-6.0, rel=1e-6)
    assert estimate.sharpness == pytest.approx(6.0, rel=1e-6)
    assert estimate.converged


def test_a_module_of_ones_own():
    problem = se.Problem.from_module(torch.nn.Linear(2, 1), torch.eye(2), torch.zeros(2, 1))
    assert problem.size == 3
    assert problem.loss(torch.tensor([1.0, 2.0, 0.0]), None) == 2.5
