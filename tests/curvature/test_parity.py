"""Parity in small cases, each worked out by hand or with the matrix in full."""

import numpy as np
import pytest
import torch
from torch import Tensor

from samedge_core.curvature import SharpnessTracker
from samedge_core.curvature.hessian_model import Array
from samedge_core.curvature.parity import Found, Parity
from samedge_core.curvature.settings import MEASURED as S
from tests.curvature.matrices import Matrix, rotation, with_spectrum
from tests.curvature.stepwise import (
    AXES,
    PROMISED,
    SIZE,
    Drawn,
    Model,
    Stepwise,
    aged,
    close,
    diagonal,
    known,
    known_gap,
    silent,
    told,
)

# --- how well it foresees -----------------------------------------------------------------------


def test_what_should_lead_is_multiplied_first_and_tells_how_far_the_model_was_off():
    noise, parity = Drawn(), known(diagonal(0.5, -1.0))
    off = moved = S.first_error * (1 - S.error_weight)  # of a first measurement that had no model
    assert (parity.error, parity.change) == (off, moved)
    rate = 0.0
    for leader in (-1.03, -1.06, -1.09, -1.09):
        before = parity.space.values[0]
        parity.begin(diagonal(0.5, leader), noise)
        assert parity.space.applied.tolist() == [[0.0, 1.0]]
        assert parity.space.ritz == pytest.approx([leader], rel=1e-15)
        missed = leader - (before + rate)
        rate = S.lasting * rate + S.learned * missed
        # the largest of this measurement and of what is remembered
        newest = abs(missed / leader), abs((leader - before) / leader)
        off, moved = max(off, newest[0]), max(moved, newest[1])
        assert (parity.error, parity.change) == pytest.approx((off, moved), rel=1e-12)
        assert not parity.invalid
        parity.end(noise, 2)
        off += S.error_weight * (newest[0] - off)
        moved += S.error_weight * (newest[1] - moved)
        assert (parity.error, parity.change) == pytest.approx((off, moved), rel=1e-12)
    assert len(noise.drawn) == 1  # the first scout


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_a_model_that_is_off_by_too_much_is_lost_until_the_next_measurement(factor):
    noise = Drawn()
    for leader in (1 / (1 - factor * S.invalid), 1 / (1 + factor * S.invalid)):
        parity = known(diagonal(1.0, 0.3))
        parity.begin(diagonal(leader, 0.3), noise)
        assert parity.invalid == (factor > 1)
        assert parity.error == parity.change == pytest.approx(factor * S.invalid, rel=1e-12)
        parity.end(noise, 2)
        # its rate is learned in part
        parity.begin(diagonal(leader + S.learned * (leader - 1), 0.3), noise)
        assert not parity.invalid
        # it is remembered in full when it was the newest, and then less
        assert parity.error == pytest.approx(factor * S.invalid, rel=1e-12)
        parity.end(noise, 2)
        assert parity.error == pytest.approx(factor * S.invalid * (1 - S.error_weight), rel=1e-12)


def test_a_model_that_moves_far_as_it_is_foreseen_is_not_lost():
    noise, parity = Drawn(), known(diagonal(1.0, 0.3))
    for leader in (1.05, 1.15):
        parity.begin(diagonal(leader, 0.3), noise)
        assert not parity.invalid
        parity.end(noise, 2)
    newest = (parity.carried.state[0].newest_error, parity.carried.state[0].newest_change)
    assert newest == pytest.approx(((0.1 - S.learned * 0.05) / 1.15, 0.1 / 1.15), rel=1e-12)
    assert newest[0] < S.invalid < newest[1]


def test_a_zero_hessian_is_no_surprise():
    parity = known(diagonal(0.0, 0.0))
    parity.begin(diagonal(0.0, 0.0), Drawn())
    assert parity.error == parity.change == S.first_error * (1 - S.error_weight)
    assert not parity.invalid
    parity.apply(np.eye(2)[1])
    assert parity.error == S.first_error * (1 - S.error_weight)


def test_what_is_not_finite_says_nothing_of_the_drift():
    parity = known(diagonal(1.0, 0.5))
    parity.begin(diagonal(np.nan, np.nan), Drawn())
    assert not parity.space.finite
    assert parity.error == parity.change == S.first_error * (1 - S.error_weight)
    parity = known(diagonal(1.0, 0.5))
    parity.begin(diagonal(1.0, np.inf), Drawn())
    assert not parity.space.finite  # inf times 0
    assert parity.error == parity.change == S.first_error * (1 - S.error_weight)


@pytest.mark.parametrize("waited", [1, 3])
def test_a_further_product_counts_by_how_far_it_was_off_at_each_measurement(waited):
    noise, parity = Drawn(), known(diagonal(2.0, 1.0))
    for _ in range(waited):
        parity.begin(diagonal(2.0, 1.3), noise)
    moved = parity.change
    assert parity.error < 0.01
    parity.apply(np.eye(2)[1])
    assert parity.error == pytest.approx(0.3 / waited / 2.0, rel=1e-12)
    assert parity.change == moved
    assert not parity.invalid
    # less than what is remembered changes nothing
    parity.begin(diagonal(2.0, 1.3 + S.learned * 0.3 / waited), noise)
    before = parity.error
    parity.apply(np.eye(2)[1])
    assert parity.error == before


def test_a_product_along_what_was_never_multiplied_is_no_measure_of_the_drift():
    operator, noise = diagonal(2.0, 1.0, 1.7), Drawn()
    parity = known(operator)
    for _ in range(30):  # until no drift is remembered
        parity.begin(operator, noise)
        parity.end(noise, 2)
    parity.begin(operator, noise)
    c = parity.space.append(AXES[2])
    assert c is not None
    parity.apply(c)
    assert parity.space.ritz.tolist() == [2.0, 1.7]
    assert (
        parity.error
        == parity.change
        == pytest.approx(S.first_error * (1 - S.error_weight) ** 31, rel=1e-12)
    )


def test_how_far_others_were_off_is_remembered_longer_than_of_the_leader():
    noise, parity = Drawn(), known(diagonal(2.0, 1.0))
    parity.begin(diagonal(2.0, 1.1), noise)
    parity.apply(np.eye(2)[1])
    for since in range(1, 20):
        parity.end(noise, 2)
        parity.begin(diagonal(2.0, 1.1), noise)
        expected = 0.05 * (1 - S.others_fading) ** since
        assert parity.error == pytest.approx(expected, rel=1e-12)


def outside(parity: Stepwise, axis: int, *, lacked: bool) -> None:
    """Multiply an axis that was outside the basis, as what the leader lacks or else."""
    c = parity.space.append(AXES[axis])
    assert c is not None
    if lacked:
        parity.carried.state[0].correction = parity.space.products
    parity.apply(c)


def test_how_far_below_it_lies_what_is_outside_is_learned_and_forgotten():
    noise, parity = Drawn(), known(diagonal(-2.0, 1.0), room=20)
    assert known_gap(parity) == pytest.approx(S.gap, rel=1e-12)  # nothing is known yet
    operator = diagonal(-2.0, 1.0, 0.2, 0.4, -0.1, 1.6, 3.9)
    parity.begin(operator, noise)
    outside(parity, 2, lacked=True)
    assert parity.carried.state[0].rayleigh_outside == pytest.approx(0.1, rel=1e-12)
    outside(parity, 3, lacked=True)  # a further one counts where it is higher
    assert parity.carried.state[0].rayleigh_outside == pytest.approx(0.2, rel=1e-12)
    outside(parity, 4, lacked=False)
    assert known_gap(parity) == pytest.approx(S.gap / (S.gap + 0.2), rel=1e-12)
    parity.end(noise, 5)
    forgotten = 0.2 + S.gap_forgotten * (1 - S.gap - 0.2)
    assert parity.carried.state[0].rayleigh_outside == pytest.approx(forgotten, rel=1e-12)
    parity.begin(operator, noise)
    outside(parity, 5, lacked=False)  # a scout: what it finds may lie higher, not lower
    assert parity.carried.state[0].rayleigh_outside == pytest.approx(0.8, rel=1e-12)
    outside(parity, 6, lacked=False)  # which is the leader now
    assert known_gap(parity) == pytest.approx(S.gap, rel=1e-12)


@pytest.mark.parametrize("count", [2, 6, 9])
def test_a_search_starts_from_the_leading_vectors_and_from_all_of_the_rest(count):
    values = [6.0, 0.1, -3.0, 0.2, 4.0, 0.3, -5.0, 0.4, 2.0][:count]
    parity = known(diagonal(*values), count=count)
    *leading, rest = parity.starts()
    order = np.argsort(-np.abs(values))
    close(torch.stack(leading).abs(), AXES[order[: S.search_pairs]].numpy())
    # the sum of the others, up to their signs
    close(rest.abs(), AXES[order[S.search_pairs :]].sum(0).numpy())


# --- what the parities tell each other ------------------------------------------------------------


def looked_at(parity: Stepwise, found: Found) -> Array | None:
    parity.take_hints(found)
    direction = parity.hint()
    assert parity.hint() is None  # once
    return direction


def test_a_contender_that_is_far_below_here_is_looked_at_where_that_is_old():
    operator = diagonal(1.0, 0.9)
    for age in (1, 2, 3):
        parity = aged(known(operator), operator, age)
        direction = looked_at(parity, told([1.0, 0.99], *AXES[:2]))
        assert (direction is not None) == (age > S.hint_age)
        if direction is not None:
            close(direction, [0, 1])
            parity.apply(direction)
            # it believes itself
            assert looked_at(parity, told([1.0, 0.99], *AXES[:2])) is None


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("margin", [-1e-6, 1e-6])
def test_a_contender_is_doubted_only_where_it_is_far_below(sign, margin):
    # 0.98 there, relative to the sharpness, and nearly so much less here, whatever that is
    operator = diagonal(3.0, sign * 3.0 * (0.98 - S.hint_margin + margin))
    parity = aged(known(operator), operator, 5)
    assert (looked_at(parity, told([1.0, 0.98], *AXES[:2])) is None) == (margin > 0)


@pytest.mark.parametrize("share", [S.new - 0.01, S.new + 0.01])
@pytest.mark.parametrize("new_leader", [False, True])
@pytest.mark.parametrize("value", [1.0, 0.98])
def test_what_is_outside_the_basis_is_news_only_where_it_is_a_new_leader(share, new_leader, value):
    operator = diagonal(1.0, 0.9)
    parity = aged(known(operator), operator, 5)
    vector = np.sqrt(1 - share) * AXES[1] + np.sqrt(share) * AXES[4]
    found = told([value], vector, new_leader=new_leader)
    direction = looked_at(parity, found)
    if share < S.new:  # within it, as far as the model sees: 0.9 here, so much more there
        assert direction is not None
        close(direction, [0, 1])
        assert parity.space.size == 2
    elif new_leader and value == 1.0:
        assert direction is not None
        assert direction.tolist() == [0, 0, 1]
        close(parity.space.basis[2], AXES[4].numpy())
    else:
        assert direction is None
        assert parity.space.size == 2


def test_the_latest_that_is_told_counts():
    operator = diagonal(1.0, 0.9, 0.8)
    parity = aged(known(operator, count=3), operator, 3)
    parity.take_hints(told([1.0, 0.99], AXES[0], AXES[1]))
    assert looked_at(parity, told([1.0, 0.99], AXES[0], AXES[2])) is not None
    parity.take_hints(told([1.0, 0.99], AXES[0], AXES[1]))
    assert looked_at(parity, told([1.0], AXES[0])) is None
    # the first of two that are news
    direction = looked_at(parity, told([1.0, 0.99], AXES[1], AXES[2]))
    assert direction is not None
    close(direction, [0, 1, 0])


def test_what_one_phase_finds_the_other_looks_at():
    # the runner-up of the odd steps is far below by what the even ones measured long ago
    q, bulk = rotation(150), np.linspace(-0.5, 0.5, 147)
    tracker = SharpnessTracker(seed=0)
    for _ in range(18):  # the even ones have looked last two of theirs ago
        tracker.measure(with_spectrum([1.0, 0.9, 0.8, *bulk], q))
    unmoved = SharpnessTracker(seed=0)
    unmoved.restore(tracker.state())
    risen = with_spectrum([1.0, 0.99, 0.8, *bulk], q)
    found = Found(np.array([1.0, 0.99]), q[:, :2].T.contiguous().numpy(), new_leader=False)
    tracker._parities[0].take_hints(found)
    assert unmoved.measure(risen).values == pytest.approx([1.0], rel=PROMISED)
    assert tracker.measure(risen).values == pytest.approx([1.0], rel=PROMISED)
    models = (t._parities[0].model for t in (tracker, unmoved))
    model, untold = (m.projected[:size, :size] for m in models if (size := m.counts[0].dimension))
    assert np.linalg.eigvalsh(model)[-2] == pytest.approx(0.99, rel=PROMISED)
    assert np.linalg.eigvalsh(untold)[-2] == pytest.approx(0.9, rel=PROMISED)
    # it has looked: told the same again, it believes itself
    tracker._parities[0].take_hints(found)
    assert not tracker._parities[0].carried.state[0].has_hint


# --- the end of a measurement -------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("second", [(1 - S.hint_margin) - 1e-6, (1 - S.hint_margin) + 1e-6])
def test_the_leader_is_told_and_the_next_one_where_it_contends(sign, second):
    parity = known(diagonal(0.0, 0.0, 0.0, 0.0), count=4)
    operator = diagonal(0.1, sign * -3.0, sign * 3.0 * second, 2.99 * second)
    parity.operator = operator
    parity.space.begin(operator)
    for c in np.eye(4):
        parity.apply(c)
    found = parity.hints(silent, 4)
    count = 2 if second > (1 - S.hint_margin) else 1
    np.testing.assert_allclose(found.values, [1.0, second][:count], rtol=1e-13)
    close(np.abs(found.vectors[:count]), AXES[1:3][:count].numpy())


def test_a_zero_hessian_has_a_leader_but_no_contenders():
    parity = known(diagonal(0.0, 0.0))
    parity.begin(diagonal(0.0, 0.0), Drawn())
    found = parity.hints(Drawn(), 2)
    assert found.values.tolist() == []
    assert found.vectors.shape == (1, SIZE)  # of the leading pair


@pytest.mark.parametrize("products", [1, 2, 3])
def test_the_leading_pairs_are_given_and_nan_for_those_that_are_missing(products):
    values = [3.0, -2.0, 1.0]
    operator = diagonal(*values)
    operator.matrix[0, 7] = operator.matrix[7, 0] = 1e-3  # what the leader has outside
    parity = known(operator, count=3)
    parity.begin(operator, Drawn())
    for c in np.eye(3)[1:products]:
        parity.apply(c)
    pairs, _ = parity.end(Drawn(), 3, 3)
    missing = [np.nan] * (3 - products)
    np.testing.assert_allclose(pairs.values, [*values[:products], *missing], rtol=1e-6)
    # known() has turned the leader by 1e-3 / (3 (1 - S.bulk)) already, towards what is at 0
    left = 1e-3 * abs(1 - 1 / (1 - S.bulk))
    expected = [left, *[0.0] * (products - 1), *missing]
    np.testing.assert_allclose(pairs.residuals, expected, rtol=1e-3, atol=1e-6)
    close(pairs.vectors.abs(), AXES[:products].numpy(), 1e-3)


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_a_leader_is_new_that_does_not_overlap_the_last(factor):
    parity = known(diagonal(1.0, 0.2))
    overlap = np.sqrt(1 - S.new) * factor
    v = overlap * AXES[0] - np.sqrt(1 - overlap**2) * AXES[1]
    operator = Matrix(torch.outer(v, v))
    parity.begin(operator, Drawn())
    parity.apply(np.eye(2)[1])
    assert parity.hints(Drawn(), 2).new_leader == (factor < 1)
    # and then it is the last
    parity.begin(operator, Drawn())
    assert not parity.hints(Drawn(), 2).new_leader


def test_the_first_leader_is_new():
    parity = Stepwise(Model.restore(known(diagonal(1.0, 0.2)).space.state(), 10).arrays)
    parity.begin(diagonal(1.0, 0.2), Drawn())
    assert parity.hints(Drawn(), 2).new_leader


def test_a_leader_is_followed_through_shrinking_and_growing():
    values = [0.3, -0.4, 1.0, 0.5, 0.2, 0.1, 0.05]
    parity, operator = known(diagonal(*values), count=7, room=9), diagonal(*values)
    assert parity.space.size == 7 > 3 + S.slack
    parity.begin(operator, noise := Drawn())
    assert not parity.hints(noise, 3).new_leader
    # the leading three, and so the leader is the first
    assert parity.space.size == 3
    close(parity.space.basis.abs(), AXES[[2, 3, 1]].numpy())
    close(np.abs(parity.carried.leader[: int(parity.carried.state[0].leader_size)]), [1, 0, 0])
    parity.begin(operator, noise)
    assert parity.space.append(AXES[9]) is not None
    assert not parity.hints(noise, 3).new_leader
    assert parity.space.size == 4  # not cut back before it has S.slack more


@pytest.mark.parametrize("high", [2, 4, 12])
def test_pairs_that_lie_high_are_kept_too(high):
    values = [*np.linspace(1.0, S.high + 0.01, high), *np.linspace(S.high - 0.01, 0.1, 16 - high)]
    axes = torch.eye(16, dtype=torch.float64)
    space = Model(20, axes[0])
    for e in axes:
        space.append(e)
    space.begin(Matrix(torch.diag(torch.tensor(values, dtype=torch.float64))))
    for c in np.eye(16):
        space.apply(c)
    Parity(space.arrays).end(silent, 3)
    kept = min(max(3, high), S.kept + S.further)
    assert space.size == kept
    close(space.values, values[:kept])


def test_the_basis_is_turned_for_what_is_close_to_the_leader():
    values = [1.0, S.high + 0.01, -S.high - 0.01, S.high - 0.01]
    matrix = diagonal(*values).matrix
    for i in range(4):
        matrix[i, 5 + i] = matrix[5 + i, i] = 0.01
    parity, operator = known(diagonal(*values), count=4), Matrix(matrix)
    parity.begin(operator, Drawn())
    for c in np.eye(4)[1:]:
        parity.apply(c)
    expected = AXES[:4].clone()
    for i in range(3):  # by 0.01 along what is outside, over the distance to the bulk
        expected[i, 5 + i] = 0.01 / (values[i] * (1 - S.bulk))
        expected[i] /= expected[i].norm()
    parity.end(Drawn(), 4)
    close(parity.space.basis, expected.numpy(), 1e-12)


# --- state --------------------------------------------------------------------------------------


@pytest.mark.parametrize("news", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_a_restored_phase_goes_on_bit_for_bit(begun, news):
    q = rotation(40, 2)
    hessians = [
        with_spectrum([1 + 0.01 * t, 0.98 - 0.01 * t, *np.linspace(-0.3, 0.5, 38)], q)
        for t in range(12)
    ]
    space = Model(20, q[0])
    for v in q[:, :5].T:
        space.append(v + 0.05 * q[:, 6])
    space.begin(hessians[0])
    for c in np.eye(5):
        space.apply(c)
    parity = Stepwise(space.arrays)

    def follow(one: Stepwise, operator: Matrix, noise: Drawn) -> Found:
        one.begin(operator, noise)
        for wanted in (one.hint, one.refresh, one.probe):
            if (direction := wanted()) is not None:
                one.apply(direction)
        return one.hints(noise, 3)

    if begun:
        parity.end(Drawn(), 3)
        for operator in hessians[1:4]:
            follow(parity, operator, Drawn())
    if news:
        parity.take_hints(told([1.0], q[:, 30], new_leader=True))
    state = parity.state()
    assert (state["news"] is not None) == news
    assert (state["leader"] is not None) == (state["scout"] is not None) == begun
    kept = {k: v.clone() if isinstance(v, Tensor) else v for k, v in state.items()}
    other, noises = Stepwise.restore(state, 20), (Drawn(7), Drawn(7))
    for operator in hessians[4:]:
        ours, expected = (
            follow(one, operator, noise) for one, noise in zip((other, parity), noises, strict=True)
        )
        assert np.array_equal(ours.values, expected.values)
        assert np.array_equal(ours.vectors, expected.vectors)
        assert ours.new_leader == expected.new_leader
        assert (other.error, other.change, other.invalid) == (
            parity.error,
            parity.change,
            parity.invalid,
        )
        for name, part in other.state().items():
            np.testing.assert_array_equal(part, parity.state()[name])
    # the state is a copy: what came after did not change it
    for name, part in state.items():
        np.testing.assert_array_equal(part, kept[name])
