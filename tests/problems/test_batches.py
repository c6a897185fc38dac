"""Mini-batches: seeded, restorable, and no example twice in an epoch."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.problems.batches import Batch, Batches, subsample


def numbered(n: int) -> Batch:
    """Example i has x = (i, i) and y = 10 i."""
    index = torch.arange(n)
    return Batch(torch.stack([index, index], dim=1), 10 * index)


def take(source: Batches, count: int) -> list[list[int]]:
    return [source.next().x[:, 0].tolist() for _ in range(count)]


SIZES = st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@given(SIZES, st.integers(0, 2**31))
def test_an_epoch_shows_each_example_at_most_once(sizes, seed):
    n, size = sizes
    source = Batches(numbered(n), size, seed=seed)
    for _ in range(3):
        batches = take(source, n // size)  # the short last batch is dropped
        assert all(len(batch) == size for batch in batches)
        seen = [example for batch in batches for example in batch]
        assert len(set(seen)) == len(seen) == n // size * size
        assert set(seen) <= set(range(n))


@given(SIZES, st.integers(0, 2**31))
def test_targets_stay_with_their_inputs(sizes, seed):
    n, size = sizes
    batch = Batches(numbered(n), size, seed=seed).next()
    assert batch.y.tolist() == [10 * i for i in batch.x[:, 1].tolist()]


def test_the_seed_fixes_the_order():
    first, again, other = (Batches(numbered(50), 7, seed=s) for s in (1, 1, 2))
    order = take(first, 30)
    assert take(again, 30) == order
    assert take(other, 30) != order


def test_every_epoch_has_its_own_order():
    source = Batches(numbered(50), 10, seed=0)
    assert take(source, 5) != take(source, 5)


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    take(Batches(numbered(10), 3, seed=0), 10)
    assert torch.equal(torch.get_rng_state(), before)


@given(SIZES, st.integers(0, 10), st.integers(0, 2**31))
def test_restore_continues_the_very_same_order(sizes, taken, seed):
    n, size = sizes
    source = Batches(numbered(n), size, seed=seed)
    take(source, taken)
    state = source.state()
    rest = take(source, 2 * (n // size) + 1)
    elsewhere = Batches(numbered(n), size, seed=seed + 1)
    elsewhere.restore(state)
    assert take(elsewhere, len(rest)) == rest
    # the state is a snapshot: what came after it has not moved it
    source.restore(state)
    assert take(source, len(rest)) == rest


@pytest.mark.parametrize("size", [0, -1, 11])
def test_a_batch_larger_than_the_data_is_refused(size):
    with pytest.raises(ValueError, match=f"from 1 to the data size 10, got {size}$"):
        Batches(numbered(10), size, seed=0)


@given(st.integers(1, 60), st.floats(0, 1, exclude_min=True))
def test_a_subsample_is_a_fixed_share(n, share):
    data = numbered(n)
    chosen = subsample(data, share)
    assert len(chosen.x) == math.ceil(share * n)
    # whole examples, in their order, each once
    assert chosen.x[:, 0].tolist() == sorted(set(chosen.x[:, 0].tolist()))
    assert (10 * chosen.x[:, 0]).tolist() == chosen.y.tolist()
    assert torch.equal(subsample(numbered(n), share).y, chosen.y)


def test_all_of_a_batch_is_the_batch_itself():
    data = numbered(7)
    assert subsample(data, 1.0) is data


@pytest.mark.parametrize(("batch_size", "expected"), [(1, 3), (2, 2), (3, 1)])
def test_as_many_batches_as_hold_every_example(batch_size, expected):
    data = Batch(torch.zeros(3, 1), torch.zeros(3))
    assert Batches(data, batch_size, seed=0).epoch == expected
