"""Forks: bit for bit what the run itself did, or would have done with other settings."""

import numpy as np
import pytest

from samedge_core.fields import ConfigError
from samedge_core.problems.registry import PROBLEMS
from samedge_core.store import Origin, open_store
from samedge_core.theory.rules import RULES
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.history import History, Intervention
from samedge_core.training.loop import run
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.worker.harness import until

STEPS = 24
FORKED = 13  # odd: in the middle of the tracker's two phases
SMALL = {
    "digits-mlp": {"n": 40, "width": 6},
    "digits-cnn": {"n": 40},
    "mnist-mlp": {"n": 40, "n_test": 20, "width": 6, "depth": 2},
    "cifar-cnn": {"n": 10, "n_test": 10, "channels": 2, "blocks": 1, "layers": 1},
    "own-images": {"n": 40, "n_test": 20, "width": 6, "depth": 2},
    "own-text": {"n": 8, "n_test": 8, "length": 8, "layers": 1, "heads": 1, "key": 4, "model": 8},
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory, paper_files):
    store = open_store(tmp_path_factory.mktemp("forks"))
    registry = RunRegistry(Settings(max_workers=4, spares=2), store)
    yield registry
    registry.close()


def ended(registry: RunRegistry, run_id: str) -> History:
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    return registry.history(run_id)


def bits(history: History) -> bytes:
    return history.rows_after(-1).tobytes()


def forked(registry: RunRegistry, config: RunConfig, **changes) -> tuple[History, History]:
    """A run to its end, and its fork."""
    source = registry.start(config)
    whole = ended(registry, source)
    fork = registry.fork(source, FORKED, Changes.of(changes))
    assert registry.view(fork).origin == Origin(source, FORKED, "fork")
    return whole, ended(registry, fork)


# shakespeare-transformer is own-text with a file whose hash a worker would refuse here
@pytest.mark.parametrize("problem", [n for n in PROBLEMS if n != "shakespeare-transformer"])
def test_a_fork_without_changes_is_the_run_itself_for_every_problem(registry, own_files, problem):
    options = {**SMALL.get(problem, {}), **own_files.get(problem, {})}
    config = RunConfig(problem=problem, options=options, eta=0.01, steps=STEPS)
    whole, fork = forked(registry, config)
    assert len(whole) == STEPS
    assert bits(whole) == bits(fork)


@pytest.mark.parametrize("batch_size", [0, 10])
@pytest.mark.parametrize("rule", RULES)
def test_and_for_every_rule_full_and_mini_batch(registry, rule, batch_size):
    config = RunConfig(
        options=SMALL["digits-mlp"],
        rule=rule,
        eta=0.05,
        steps=STEPS,
        batch_size=batch_size,
        cadence="adaptive" if batch_size else "every",
        top_k=2,
    )
    whole, fork = forked(registry, config)
    assert bits(whole) == bits(fork)


def test_a_changed_fork_is_the_run_with_that_intervention(registry):
    config = RunConfig(options=SMALL["digits-mlp"], steps=STEPS)
    _, fork = forked(registry, config, eta=0.3, rule="gd")
    changed = Intervention(FORKED, {"eta": 0.3, "rule": "gd"}, {"eta": 1.0, "rule": "sam"})
    assert fork.interventions == [changed]
    assert bits(fork) == bits(run(config, interventions=[changed]))


def test_a_fork_keeps_what_was_in_force_and_forgets_what_came_later(registry):
    config = RunConfig(options=SMALL["digits-mlp"], steps=STEPS)
    planned = [Intervention(at, {"eta": eta}) for at, eta in ((5, 0.5), (FORKED, 0.4), (20, 0.3))]
    source = registry.start(config, planned=planned)
    whole = ended(registry, source)
    assert [(i.step, dict(i.changes)) for i in whole.interventions] == [
        (i.step, dict(i.changes)) for i in planned
    ]
    assert bits(whole) == bits(run(config, interventions=planned))
    fork = ended(registry, registry.fork(source, FORKED))
    assert [item.step for item in fork.interventions] == [5, FORKED]
    assert bits(fork) == bits(run(config, interventions=planned[:2]))


@pytest.mark.parametrize("step", [0, STEPS])
def test_at_either_end(registry, step):
    config = RunConfig(options=SMALL["digits-mlp"], steps=STEPS)
    source = registry.start(config)
    whole = ended(registry, source)
    fork = ended(registry, registry.fork(source, step))
    assert bits(fork)[: len(bits(whole))] == bits(whole)
    assert len(fork) == (STEPS if step == 0 else 2 * STEPS)


def test_a_fork_of_a_running_run_leaves_it_alone(registry):
    config = RunConfig(problem="two-weight", rule="sam", eta=0.1, rho=0.05, steps=1_000_000)
    source = registry.start(config)
    until(registry, source, lambda v: v.last_step > 2000)
    fork = registry.fork(source, 1500, paused=True)
    assert registry.view(fork).last_step == 1499
    registry.advance(fork, 100)
    until(registry, fork, lambda v: v.last_step == 1599)
    own, shared = registry.history(fork).rows_after(-1), registry.history(source).rows_after(-1)
    assert own.tobytes() == shared[:1600].tobytes()
    assert registry.view(source).phase is Phase.RUNNING
    for run_id in (source, fork):
        registry.stop(run_id)


def test_a_step_that_is_not_recorded_and_a_bad_change_are_refused(registry):
    source = registry.start(RunConfig(options=SMALL["digits-mlp"], steps=STEPS))
    ended(registry, source)
    with pytest.raises(ValueError, match=r"from 0 to 24, the recorded ones and the next, got 25"):
        registry.fork(source, STEPS + 1)
    with pytest.raises(ConfigError, match="got -1"):
        registry.fork(source, 3, Changes.of({"eta": -1}))


def test_the_fork_of_a_fork_belongs_to_one_family(registry):
    source = registry.start(RunConfig(options=SMALL["digits-mlp"], steps=STEPS))
    ended(registry, source)
    child = registry.fork(source, 5, Changes.of({"eta": 0.5}))
    ended(registry, child)
    grandchild = registry.fork(child, 15, Changes.of({"rho": 0.2}), branch="rewind")
    ended(registry, grandchild)
    until(registry, grandchild, lambda v: registry.store.catalogue.entry(grandchild))
    entry = registry.store.catalogue.entry(grandchild)
    assert (entry.root, entry.parent, entry.parent_step, entry.branch) == (
        source,
        child,
        15,
        "rewind",
    )


def test_without_a_store_a_fork_begins_at_step_0_or_at_the_last_state():
    registry = RunRegistry(Settings(max_workers=2, spares=0))
    try:
        whole, fork = forked(registry, RunConfig(options=SMALL["digits-mlp"], steps=STEPS))
        assert np.array_equal(bits(whole), bits(fork))
    finally:
        registry.close()
