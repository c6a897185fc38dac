"""TensorBoard logs, as TensorBoard itself reads them."""

import builtins
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import samedge_core as se
from samedge_core.sharing import tensorboard

ROOT = Path(__file__).parents[2]
ALL = {"scalars": 0, "tensors": 0}  # 0: keep every event


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance=ALL)
    events.Reload()
    return events


def text_of(events: EventAccumulator, tag: str) -> str:
    return events.Tensors(tag)[0].tensor_proto.string_val[0].decode()


@pytest.fixture(scope="module")
def history() -> se.History:
    config = se.RunConfig(options={"n": 30, "width": 5}, measure_every=3, steps=10)
    return se.run(config, interventions=[se.Intervention(4, {"eta": 0.5})])


@pytest.fixture(scope="module")
def events(history, tmp_path_factory) -> EventAccumulator:
    folder = tmp_path_factory.mktemp("logs") / "new" / "run"
    tensorboard.log(history, folder)
    return read(folder)


@pytest.mark.parametrize("name", tensorboard.SCALARS)
def test_scalars_are_the_columns(events, history, name):
    columns = history.columns()
    known = ~np.isnan(columns[name])
    if not known.any():
        assert name.startswith("held_out")
        assert name not in events.Tags()["scalars"]
        return
    logged = events.Scalars(name)
    assert [event.step for event in logged] == columns["step"][known].tolist()
    # TensorBoard's scalars are float32: equal to the nearest of these, not merely close
    assert [e.value for e in logged] == columns[name][known].astype(np.float32).tolist()


def test_what_was_not_measured_has_no_point(events):
    assert [event.step for event in events.Scalars("sharpness")] == [0, 3, 6, 9]
    assert [event.value for event in events.Scalars("eta")] == [1.0] * 4 + [0.5] * 6


def test_configuration_and_interventions_are_texts(events, history):
    assert json.loads(text_of(events, "config")) == json.loads(history.config.to_json())
    assert all(line.startswith("    ") for line in text_of(events, "config").splitlines())
    assert text_of(events, "interventions") == "- step 4: η 1 → 0.5"


def test_values_beyond_float32_are_infinite(tmp_path):
    history = se.History(se.RunConfig())
    history.append(se.Measurement(0, loss=1e300, grad_norm=math.inf))
    tensorboard.log(history, tmp_path)
    assert read(tmp_path).Scalars("loss")[0].value == math.inf
    assert read(tmp_path).Scalars("grad_norm")[0].value == math.inf


def test_a_run_without_rows_has_a_log(tmp_path):
    tensorboard.log(se.History(se.RunConfig()), tmp_path)
    assert read(tmp_path).Tags()["scalars"] == []
    assert read(tmp_path).Tags()["tensors"] == ["config"]


def test_two_runs_are_not_mixed(tmp_path, history):
    tensorboard.log(history, tmp_path)
    with pytest.raises(FileExistsError, match="holds a TensorBoard log already: choose another"):
        tensorboard.log(history, tmp_path)


def test_a_missing_package_is_named_with_its_remedy(monkeypatch, tmp_path):
    def refuse(name, *args, original=builtins.__import__):
        if name.split(".")[0] == "tensorboard":
            raise ImportError("No module named 'tensorboard'")
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install tensorboard==2\.21\.0"):
        tensorboard.log(se.History(se.RunConfig()), tmp_path)


def test_the_remedy_is_the_pinned_version():
    pinned = (ROOT / "requirements-tensorboard.txt").read_text().splitlines()
    assert tensorboard.PACKAGE in pinned


def test_neither_torch_nor_tensorflow_is_loaded(tmp_path):
    code = (
        "import sys, samedge_core as se; from samedge_core.sharing import tensorboard as tb; "
        "print('tensorboard' in sys.modules); "
        f"tb.log(se.History(se.RunConfig()), {str(tmp_path)!r}); "
        "print([n for n in ('torch', 'tensorflow') if n in sys.modules])"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["False", "[]"]
