"""How many workers there are room for."""

import os

import pytest

from samedge_core.worker import memory


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], 8e9),
        (["max"], 8e9),
        (["2700000000"], 2.7e9),
        (["max", "1000"], 1000),
        (["9223372036854771712"], 8e9),
    ],
)
def test_a_containers_limit_counts_where_it_is_lower(monkeypatch, tmp_path, texts, expected):
    sizes = {"SC_PAGE_SIZE": 4000, "SC_PHYS_PAGES": 2_000_000}
    monkeypatch.setattr(os, "sysconf", sizes.get)
    files = [tmp_path / str(number) for number in range(2)]
    for file, text in zip(files, texts, strict=False):
        file.write_text(f"{text}\n")
    monkeypatch.setattr(memory, "LIMITS", files)
    assert memory.memory() == expected


def test_where_memory_is_not_told_there_is_room(monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(memory, "LIMITS", ())
    assert memory.room() == (max(4, os.cpu_count() or 1), 2)


def test_one_run_at_a_time_where_memory_is_scarce(monkeypatch):
    monkeypatch.setattr(memory, "memory", lambda: 2.7e9)
    assert memory.room() == (1, 0)
