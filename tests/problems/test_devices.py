"""Devices by name: what this machine lacks is refused with what it has."""

import re

import pytest
import torch

from samedge_core.fields import ConfigError
from samedge_core.problems.devices import resolve_device
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem


@pytest.fixture
def machine(monkeypatch):
    def has(*, cuda: bool = False, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


@pytest.mark.parametrize(
    ("found", "dtype", "expected"),
    [
        ({}, "float32", "cpu"),
        ({"cuda": True, "mps": True}, "float32", "cuda"),
        ({"mps": True}, "float32", "mps"),
        # Apple's GPUs have no double precision
        ({"mps": True}, "float64", "cpu"),
    ],
)
def test_auto_is_the_first_that_can_compute(machine, found, dtype, expected):
    machine(**found)
    assert resolve_device("auto", dtype) == torch.device(expected)
    assert resolve_device(expected, dtype) == torch.device(expected)
    assert resolve_device("cpu", dtype) == torch.device("cpu")


@pytest.mark.parametrize(
    ("found", "name", "dtype", "message"),
    [
        ({}, "cuda", "float32", "has for float32: auto, cpu; got 'cuda'"),
        ({"mps": True}, "mps", "float64", "has for float64: auto, cpu; got 'mps'"),
        ({"cuda": True}, "mps", "float32", "auto, cuda, cpu; got 'mps'"),
    ],
)
def test_a_missing_device_is_refused(machine, found, name, dtype, message):
    machine(**found)
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        resolve_device(name, dtype)
    assert refused.value.field == "device"
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_problem(RunConfig(device=name, dtype=dtype))
