"""Which settings of the sidebar need another run."""

from types import SimpleNamespace
from typing import Any

import pytest

from pages.parts.lab import session
from samedge_core.training.config import RunConfig

CONFIG = RunConfig(problem="two-weight", rule="gd", steps=100)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_run_that_was_resumed_at_its_cap_needs_no_other_one(schedule):
    config = CONFIG.replace(schedule=schedule)
    view: Any = SimpleNamespace(config=config.capped(200), stretch=100)
    assert session.restart_needed(config, view) == []
    assert session.restart_needed(config.replace(seed=1), view) == ["Seed"]


def test_another_length_of_the_cosine_needs_another_run():
    config = CONFIG.replace(schedule="cosine")
    view: Any = SimpleNamespace(config=config, stretch=100)
    assert session.restart_needed(config, view) == []
    assert session.restart_needed(config.replace(period=50), view) == ["Cosine over"]
