"""How many workers there are room for, and how much memory each may take."""

import math
import os

import pytest

from samedge_core.problems import memory as machine
from samedge_core.worker import memory


def test_where_memory_is_not_told_there_is_room(monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(machine, "LIMITS", ())
    assert memory.room() == (max(4, os.cpu_count() or 1), 2)
    assert memory.share(4) == math.inf


def test_one_run_at_a_time_where_memory_is_scarce(monkeypatch):
    monkeypatch.setattr(memory, "memory", lambda: 2.7e9)
    assert memory.room() == (1, 0)


@pytest.mark.parametrize(("workers", "share"), [(1, 0.8e9), (4, 0.5e9), (64, 0.5e9)])
def test_no_run_may_take_all_of_it(monkeypatch, workers, share):
    monkeypatch.setattr(memory, "memory", lambda: 1e9)
    assert memory.share(workers) == share
