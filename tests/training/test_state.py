"""TrainState: a run packed, unpacked and continued is the run that was never interrupted."""

import dataclasses
import math

import pytest
import torch

import samedge_core as se
from samedge_core.theory.rules import RULES
from samedge_core.training import packing
from samedge_core.training.history import Measurement as Row
from samedge_core.training.loop import measurements
from samedge_core.training.state import TrainState

SMALL = {"n": 40, "width": 6}


def rows(loop, count: int | None = None) -> list[tuple]:
    """What a loop yields, as comparable text (NaN equals NaN), the wall time apart."""
    out = []
    for item in loop:
        if isinstance(item, se.Measurement):
            item = dataclasses.replace(item, seconds=0.0, evaluation_seconds=0.0)
        out.append(repr(item))
        if len(out) == count:
            break
    return out


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("batch_size", [0, 15])
def test_an_interrupted_run_is_the_uninterrupted_one(rule, batch_size):
    eta = 0.005 if RULES[rule].preconditioned else 0.5
    config = se.RunConfig(
        options=SMALL,
        rule=rule,
        eta=eta,
        weight_decay=0.01,
        schedule="linear-warmup",
        warmup=8,
        sharpness_every=6,
        batch_size=batch_size,
        steps=20,
        measure_every=3,
        top_k=2,
    )

    def changes(step):
        return (
            [{"eta": eta / 2}] if step == 5 else [{"rho": 0.2, "beta": 0.5}] if step == 12 else []
        )

    problem = se.build_problem(config)
    whole = TrainState.initial(config, problem)
    expected = rows(measurements(config, problem, whole, changes=changes))
    for taken in (1, 9, 16):
        first = TrainState.initial(config, problem)
        before = rows(measurements(config, problem, first, changes=changes), taken)
        packed = first.pack()
        # another process would build its own problem
        elsewhere = se.build_problem(config)
        second = TrainState.unpack(packed, config, elsewhere)
        assert second.pack() == packed
        after = rows(measurements(config, elsewhere, second, changes=changes))
        assert before + after == expected
        assert torch.equal(second.w, whole.w)
        assert torch.equal(second.velocity, whole.velocity)
        if whole.second is None:
            assert second.second is None
        else:
            assert second.second is not None
            assert torch.equal(second.second, whole.second)


def test_a_state_of_a_version_without_hops_goes_on():
    config = se.RunConfig(options=SMALL, eta=0.5, steps=8, batch_size=15)
    problem = se.build_problem(config)
    whole = TrainState.initial(config, problem)
    rows(measurements(config, problem, whole), 4)
    tree = packing.unpack(whole.pack())
    for name in ("previous", "hops", "diverged", "converged"):
        del tree[name]
    earlier = TrainState.unpack(packing.pack(tree), config, problem)
    assert (earlier.previous, earlier.hops) == (None, ())
    made = [item for item in measurements(config, problem, earlier) if isinstance(item, Row)]
    assert [math.isnan(row.hopping) for row in made] == [True, False, False, False]


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("adam", "sam-adam", True),
        ("polyak", "nesterov", True),
        ("polyak", "gd", True),  # which has none, so that it keeps them for who comes next
        ("adam", "rmsprop", False),
        ("polyak", "adam", False),
        ("adam", "polyak", False),
    ],
)
def test_moments_of_another_kind_start_at_zero(before, after, kept):
    config = se.RunConfig(options=SMALL, rule=before, eta=0.01, steps=8)
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    rows(measurements(config, problem, state), 4)
    was = state.moments
    state.change(dataclasses.replace(state.hyper, rule=after))
    assert was.first.any()
    assert torch.equal(state.velocity, was.first) == kept
    assert state.seen == (was.steps if kept else 0)
    assert (state.second is None) == (was.second is None or not kept)


def test_packing_is_a_snapshot():
    config = se.RunConfig(options=SMALL, batch_size=15, steps=10)
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    loop = measurements(config, problem, state)
    next(loop)
    packed = state.pack()
    w = state.w.clone()
    rows(loop)
    again = TrainState.unpack(packed, config, problem)
    assert torch.equal(again.w, w)
    assert again.step == 1
    assert not torch.equal(state.w, w)


def test_divergence_is_still_judged_against_step_zero():
    config = se.RunConfig(problem="quadratic", rule="gd", eta=0.1, steps=5)
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    first = next(measurements(config, problem, state))
    assert isinstance(first, se.Measurement)
    again = TrainState.unpack(state.pack(), config, problem)
    assert again.first_loss == first.loss
    assert again.first_grad_norm == first.grad_norm
    assert again.hyper == config.hyperparameters


def test_the_initial_state():
    config = se.RunConfig(options=SMALL, batch_size=15, seed=3)
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    assert state.step == 0
    assert torch.equal(state.w, problem.init(seed=3))
    assert not state.velocity.any()
    assert state.velocity.shape == state.w.shape
    assert state.batches is not None
    assert TrainState.initial(config.replace(batch_size=0), problem).batches is None


def test_a_state_of_a_model_of_another_size_is_refused():
    small, large = (se.RunConfig(options={"n": 20, "width": w}, steps=2) for w in (4, 5))
    state = TrainState.initial(small, se.build_problem(small))
    problem = se.build_problem(large)
    with pytest.raises(packing.PackError, match=rf"w must have {problem.size:,} entries, got \("):
        TrainState.unpack(state.pack(), large, problem)
