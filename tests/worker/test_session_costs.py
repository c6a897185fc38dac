"""What the worker reports of the cost of measuring: only time spent in steps counts."""

import time

import pytest

from samedge_core.training.config import RunConfig
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.worker.test_registry import until

FAST = RunConfig(problem="two-weight", rule="sam", eta=0.1, rho=0.05, steps=1_000_000)


@pytest.fixture(scope="module")
def registry():
    registry = RunRegistry(Settings(max_workers=4, spares=1))
    yield registry
    registry.close()


def overhead_after(registry: RunRegistry, run_id: str, step: int) -> float:
    """Once that step is recorded and the run waits."""
    view = until(
        registry,
        run_id,
        lambda v: v.status and v.status.step == step + 1 and v.phase is Phase.PAUSED,
    )
    assert view.status is not None
    return view.status.cost.overhead


def test_pauses_and_the_pace_do_not_count_as_training(registry):
    run_id = registry.start(FAST, paused=True, pace=20)
    registry.advance(run_id, 15)  # 50 ms apart, of which a step takes 1 ms
    paced = overhead_after(registry, run_id, 14)
    time.sleep(1.0)
    registry.advance(run_id, 2)
    paused = overhead_after(registry, run_id, 16)
    registry.stop(run_id)
    # about 1; with the waiting in it, 0.02 and less; a busy machine gives 0.3
    assert paced > 0.05
    assert paused > 0.05


def test_nothing_is_said_before_a_second_measurement_has_been_followed_by_another(registry):
    run_id = registry.start(FAST.replace(measure_every=10), paused=True)
    for steps, known in ((1, False), (10, False), (10, True)):
        registry.advance(run_id, steps)
        step = registry.view(run_id).last_step + steps
        assert (overhead_after(registry, run_id, step) > 0) == known  # NaN is not > 0
    registry.stop(run_id)


def test_products_a_measurement_are_those_of_the_rows(registry):
    # of two weights, a cold search has no more to look for than a warm one
    config = FAST.replace(problem="chebyshev-mlp", options={}, eta=0.2)
    run_id = registry.start(config, paused=True)
    registry.advance(run_id, 30)
    overhead_after(registry, run_id, 29)
    status = registry.view(run_id).status
    assert status is not None
    hvps = registry.history(run_id).columns()["hvps"]
    assert hvps[0] > 5 * hvps[1:].mean()  # or the cold one could be in the mean unseen
    assert status.cost.hvps == pytest.approx(hvps[1:-1].mean())
    registry.stop(run_id)
