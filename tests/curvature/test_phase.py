"""Phase in small cases, each worked out by hand or with the matrix in full."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samedge_core.curvature import SharpnessTracker
from samedge_core.curvature.model import LASTING, LEARNED
from samedge_core.curvature.operator import LinearOperator
from samedge_core.curvature.phase import (
    BEYOND,
    CLOSE,
    CONTENDS,
    DOUBTED,
    FADING,
    FIRST_DRIFT,
    FOLLOWED,
    FORGOTTEN,
    GAP,
    HIGH,
    LACKED,
    LED,
    LOOK_EVERY,
    MOST_KEPT,
    NEWCOMER,
    NEWEST_MOVED,
    NEWEST_OFF,
    NOISE,
    RECENT,
    RECENTLY,
    SCOUT_ALONG,
    SCOUT_EVERY,
    SCOUT_MOVED,
    SCOUTS,
    SLACK,
    STARTS,
    TOLD,
    TOO_FAR_OFF,
    UNSCOUTED,
    Carried,
    Found,
    Noise,
    Phase,
    absorb,
    gap,
    look,
    newcomer,
    scout,
)
from samedge_core.curvature.space import BULK, Space, ready
from samedge_core.curvature.subspace import Array, Subspace
from tests.curvature.matrices import Matrix, rotation, with_spectrum

SIZE = 12
AXES = torch.eye(SIZE, dtype=torch.float64)
PROMISED = 1e-3  # relative error of the sharpness where it says that it has converged
# float64, sums of at most 60 terms, on numbers near 1
ROUNDING = 1e-13


def diagonal(*values: float) -> Matrix:
    entries = torch.zeros(SIZE, dtype=torch.float64)
    entries[: len(values)] = torch.tensor(values, dtype=torch.float64)
    return Matrix(torch.diag(entries))


class Drawn:
    """Noise, and what was drawn of it."""

    def __init__(self, seed: int = 0) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self.drawn: list[Tensor] = []

    def __call__(self, operator: LinearOperator) -> Tensor:
        noise = torch.randn(operator.size, generator=self._generator, dtype=operator.dtype)
        self.drawn.append(noise / noise.norm())
        return self.drawn[-1].clone()


class Stepwise(Phase):
    """What the tracker does in one compiled call for each product, a step at a time."""

    def begin(self, operator: LinearOperator, noise: Noise) -> None:
        super().begin(operator, noise)
        self._multiply_what_is_ready()

    def multiply(self, c: Array) -> None:
        self.space.arrays.chosen[: len(c)] = c
        ready(self.space.arrays)
        self._multiply_what_is_ready()

    def _multiply_what_is_ready(self) -> None:
        self.space.multiply_next()
        absorb(self.space.arrays, self.carried)

    def newcomer(self) -> Array | None:
        return self._chosen(newcomer)

    def look(self) -> Array | None:
        return self._chosen(look)

    def scouted(self) -> Array | None:
        return self._chosen(scout)

    def _chosen(self, choose: Callable[[Space, Carried], bool]) -> Array | None:
        arrays = self.space.arrays
        return arrays.chosen[: self.space.size].copy() if choose(arrays, self.carried) else None

    def told(self, noise: Noise, kept: int) -> Found:
        """The end of a measurement, and what it tells the other phase."""
        return self.end(noise, kept)[1]


def silent(operator: LinearOperator) -> Tensor:
    raise AssertionError("no noise is needed here")


def known(operator: Matrix, count: int = 2, room: int = 10) -> Stepwise:
    """A phase whose basis is the first axes, all multiplied; with its leader and its scout."""
    space = Subspace(room, AXES[0])
    for e in AXES[:count]:
        space.grow(e)
    space.begin(operator)
    for c in np.eye(count):
        space.multiply(c)
    phase = Stepwise(space)
    phase.end(silent, count)
    return phase


def close(ours, expected, bound: float = ROUNDING) -> None:
    np.testing.assert_allclose(ours, expected, rtol=0, atol=bound)


# --- how well it foresees -----------------------------------------------------------------------


def test_what_should_lead_is_multiplied_first_and_tells_how_far_the_model_was_off():
    noise, phase = Drawn(), known(diagonal(0.5, -1.0))
    off = moved = FIRST_DRIFT * (1 - RECENT)  # of a first measurement that had no model
    assert (phase.off, phase.moved) == (off, moved)
    rate = 0.0
    for leader in (-1.03, -1.06, -1.09, -1.09):
        before = phase.space.values[0]
        phase.begin(diagonal(0.5, leader), noise)
        assert phase.space.multiplied.tolist() == [[0.0, 1.0]]
        assert phase.space.ritz == pytest.approx([leader], rel=1e-15)
        missed = leader - (before + rate)
        rate = LASTING * rate + LEARNED * missed
        # the largest of this measurement and of what is remembered
        newest = abs(missed / leader), abs((leader - before) / leader)
        off, moved = max(off, newest[0]), max(moved, newest[1])
        assert (phase.off, phase.moved) == pytest.approx((off, moved), rel=1e-12)
        assert not phase.lost
        phase.end(noise, 2)
        off += RECENT * (newest[0] - off)
        moved += RECENT * (newest[1] - moved)
        assert (phase.off, phase.moved) == pytest.approx((off, moved), rel=1e-12)
    assert len(noise.drawn) == 1  # the first scout


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_a_model_that_is_off_by_too_much_is_lost_until_the_next_measurement(factor):
    noise = Drawn()
    for leader in (1 / (1 - factor * TOO_FAR_OFF), 1 / (1 + factor * TOO_FAR_OFF)):
        phase = known(diagonal(1.0, 0.3))
        phase.begin(diagonal(leader, 0.3), noise)
        assert phase.lost == (factor > 1)
        assert phase.off == phase.moved == pytest.approx(factor * TOO_FAR_OFF, rel=1e-12)
        phase.end(noise, 2)
        # its rate is learned in part
        phase.begin(diagonal(leader + LEARNED * (leader - 1), 0.3), noise)
        assert not phase.lost
        # it is remembered in full when it was the newest, and then less
        assert phase.off == pytest.approx(factor * TOO_FAR_OFF, rel=1e-12)
        phase.end(noise, 2)
        assert phase.off == pytest.approx(factor * TOO_FAR_OFF * (1 - RECENT), rel=1e-12)


def test_a_model_that_moves_far_as_it_is_foreseen_is_not_lost():
    noise, phase = Drawn(), known(diagonal(1.0, 0.3))
    for leader in (1.05, 1.15):
        phase.begin(diagonal(leader, 0.3), noise)
        assert not phase.lost
        phase.end(noise, 2)
    newest = phase.carried.numbers[[NEWEST_OFF, NEWEST_MOVED]]
    assert newest == pytest.approx(((0.1 - LEARNED * 0.05) / 1.15, 0.1 / 1.15), rel=1e-12)
    assert newest[0] < TOO_FAR_OFF < newest[1]


def test_a_zero_hessian_is_no_surprise():
    phase = known(diagonal(0.0, 0.0))
    phase.begin(diagonal(0.0, 0.0), Drawn())
    assert phase.off == phase.moved == FIRST_DRIFT * (1 - RECENT)
    assert not phase.lost
    phase.multiply(np.eye(2)[1])
    assert phase.off == FIRST_DRIFT * (1 - RECENT)


def test_what_is_not_finite_says_nothing_of_the_drift():
    phase = known(diagonal(1.0, 0.5))
    phase.begin(diagonal(np.nan, np.nan), Drawn())
    assert not phase.space.finite
    assert phase.off == phase.moved == FIRST_DRIFT * (1 - RECENT)
    phase = known(diagonal(1.0, 0.5))
    phase.begin(diagonal(1.0, np.inf), Drawn())
    assert not phase.space.finite  # inf times 0
    assert phase.off == phase.moved == FIRST_DRIFT * (1 - RECENT)


@pytest.mark.parametrize("waited", [1, 3])
def test_a_further_product_counts_by_how_far_it_was_off_at_each_measurement(waited):
    noise, phase = Drawn(), known(diagonal(2.0, 1.0))
    for _ in range(waited):
        phase.begin(diagonal(2.0, 1.3), noise)
    moved = phase.moved
    assert phase.off < 0.01
    phase.multiply(np.eye(2)[1])
    assert phase.off == pytest.approx(0.3 / waited / 2.0, rel=1e-12)
    assert phase.moved == moved
    assert not phase.lost
    # less than what is remembered changes nothing
    phase.begin(diagonal(2.0, 1.3 + LEARNED * 0.3 / waited), noise)
    before = phase.off
    phase.multiply(np.eye(2)[1])
    assert phase.off == before


def test_a_product_along_what_was_never_multiplied_is_no_measure_of_the_drift():
    operator, noise = diagonal(2.0, 1.0, 1.7), Drawn()
    phase = known(operator)
    for _ in range(30):  # until no drift is remembered
        phase.begin(operator, noise)
        phase.end(noise, 2)
    phase.begin(operator, noise)
    c = phase.space.grow(AXES[2])
    assert c is not None
    phase.multiply(c)
    assert phase.space.ritz.tolist() == [2.0, 1.7]
    assert phase.off == phase.moved == pytest.approx(FIRST_DRIFT * (1 - RECENT) ** 31, rel=1e-12)


def test_how_far_others_were_off_is_remembered_longer_than_of_the_leader():
    noise, phase = Drawn(), known(diagonal(2.0, 1.0))
    phase.begin(diagonal(2.0, 1.1), noise)
    phase.multiply(np.eye(2)[1])
    for since in range(1, 20):
        phase.end(noise, 2)
        phase.begin(diagonal(2.0, 1.1), noise)
        expected = 0.05 * (1 - FADING) ** since
        assert phase.off == pytest.approx(expected, rel=1e-12)


def outside(phase: Stepwise, axis: int, *, lacked: bool) -> None:
    """Multiply an axis that was outside the basis, as what the leader lacks or else."""
    c = phase.space.grow(AXES[axis])
    assert c is not None
    if lacked:
        phase.carried.numbers[LACKED] = phase.space.products
    phase.multiply(c)


@given(st.lists(st.floats(0, 1 - GAP), min_size=1, max_size=5), st.integers(0, 1000))
def test_no_residual_is_nearer_to_the_leader_than_its_gap_says(eigenvalues, seed):
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(eigenvalues)))
    phase = known(diagonal(1.0))
    phase.carried.numbers[BEYOND] = shares @ eigenvalues
    # to second order the leading value 1 rises by the residual squared times this
    rise = shares @ (1 / (1 - np.array(eigenvalues)))
    assert rise <= (1 + 1e-12) / gap(phase.carried)


def test_how_far_below_it_lies_what_is_outside_is_learned_and_forgotten():
    noise, phase = Drawn(), known(diagonal(-2.0, 1.0), room=20)
    assert gap(phase.carried) == pytest.approx(GAP, rel=1e-12)  # nothing is known yet
    operator = diagonal(-2.0, 1.0, 0.2, 0.4, -0.1, 1.6, 3.9)
    phase.begin(operator, noise)
    outside(phase, 2, lacked=True)
    assert phase.carried.numbers[BEYOND] == pytest.approx(0.1, rel=1e-12)
    outside(phase, 3, lacked=True)  # a further one counts where it is higher
    assert phase.carried.numbers[BEYOND] == pytest.approx(0.2, rel=1e-12)
    outside(phase, 4, lacked=False)
    assert gap(phase.carried) == pytest.approx(GAP / (GAP + 0.2), rel=1e-12)
    phase.end(noise, 5)
    forgotten = 0.2 + FORGOTTEN * (1 - GAP - 0.2)
    assert phase.carried.numbers[BEYOND] == pytest.approx(forgotten, rel=1e-12)
    phase.begin(operator, noise)
    outside(phase, 5, lacked=False)  # a scout: what it finds may lie higher, not lower
    assert phase.carried.numbers[BEYOND] == pytest.approx(0.8, rel=1e-12)
    outside(phase, 6, lacked=False)  # which is the leader now
    assert gap(phase.carried) == pytest.approx(GAP, rel=1e-12)


def test_every_so_often_the_pair_is_looked_at_that_could_lead_first():
    operator, noise, looks = diagonal(2.0, -1.6, 1.4), Drawn(), []
    phase = known(operator, count=3)
    for t in range(1, 3 * LOOK_EVERY):
        phase.begin(operator, noise)
        direction = phase.look()
        if direction is not None:
            phase.multiply(direction)
            looks.append((t, int(np.abs(direction).argmax())))
            assert phase.look() is None  # once
        phase.end(noise, 3)
    # at once, at equal ages, the nearer one; the other, half as far again, when it is twice as old
    assert looks == [(1, 1), (2, 2), (2 + LOOK_EVERY, 1), (2 + 2 * LOOK_EVERY, 2)]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_search_starts_from_the_leading_vectors_and_from_all_of_the_rest(count):
    values = [6.0, 0.1, -3.0, 0.2, 4.0][:count]
    phase = known(diagonal(*values), count=count)
    *leading, rest = phase.starts()
    order = np.argsort(-np.abs(values))
    close(torch.stack(leading).abs(), AXES[order[:STARTS]].numpy())
    # the sum of the others, up to their signs
    close(rest.abs(), AXES[order[STARTS:]].sum(0).numpy())


# --- scouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("speed", "every"),
    [(0.0, SCOUT_EVERY), (0.4 * SCOUT_MOVED, 3), (0.6 * SCOUT_MOVED, 2), (1.2 * SCOUT_MOVED, 1)],
)
def test_scouts_go_as_the_model_moves_though_it_is_foreseen_or_at_least_every_so_often(
    speed, every
):
    phase, noise, went, leader = known(diagonal(1.0, 0.5)), Drawn(), [], 1.0
    # images that go on, outside the basis
    values = [0.0, 0.0, *np.linspace(-0.1, 0.1, SIZE - 2)]
    bulk = with_spectrum(values, torch.block_diag(AXES[:2, :2], rotation(SIZE - 2))).matrix
    for _ in range(3 * every):
        leader /= 1 - speed  # it moves by `speed`, relative to itself
        phase.begin(Matrix(diagonal(leader, 0.5).matrix + bulk), noise)
        direction = phase.scouted()
        went.append(direction is not None)
        if direction is not None:
            phase.multiply(direction)
            # once in a measurement
            assert phase.scouted() is None
        phase.end(noise, 2)
    assert went == 3 * [*[False] * (every - 1), True]


def sent(operator: Matrix, noise: Callable[[LinearOperator], Tensor], **kwargs) -> Stepwise:
    """A phase that has begun, and whose scout's turn it is."""
    phase = known(operator, **kwargs)
    phase.carried.numbers[UNSCOUTED] = SCOUT_MOVED
    phase.begin(operator, noise)
    return phase


def coupled() -> Matrix:
    """The first two axes are nearly eigenvectors."""
    generator = np.random.default_rng(3)
    noise = generator.standard_normal((SIZE, SIZE))
    noise = 0.03 * (noise + noise.T) / np.sqrt(SIZE)
    return Matrix(torch.from_numpy(np.diag([1.0, 0.5, *[0.1] * (SIZE - 2)]) + noise))


def outside_of(basis: Tensor, vector: Tensor) -> Tensor:
    return vector - basis.T @ (basis @ vector)


def test_a_scout_is_noise_and_goes_along_with_what_the_leader_lacks():
    noise, operator = Drawn(), coupled()
    phase = sent(operator, noise)
    basis = phase.space.basis.clone()
    leader = basis.T @ torch.from_numpy(phase.space.coordinates[0])
    lacks = outside_of(basis, operator.matrix @ leader)
    expected = outside_of(basis, noise.drawn[0]) + SCOUT_ALONG * lacks / lacks.norm()
    direction = phase.scouted()
    assert direction is not None
    assert direction.tolist() == [0, 0, 1]
    # a root of a difference of squares, rounded by 1e-16 / 0.03
    close(phase.space.basis[2], expected / expected.norm(), 1e-12)


def test_the_next_scout_is_what_the_image_of_this_one_has_outside_and_noise():
    noise, operator = Drawn(), coupled()
    phase = sent(operator, noise)
    direction = phase.scouted()
    assert direction is not None
    phase.multiply(direction)
    basis = phase.space.basis.clone()
    image = outside_of(basis, operator.matrix @ basis[2])
    phase.end(noise, 10)
    assert len(noise.drawn) == 2
    expected = image / image.norm() + NOISE * outside_of(basis, noise.drawn[1])
    assert phase.carried.numbers[SCOUTS]
    close(outside_of(basis, torch.from_numpy(phase.carried.scout)), expected, 1e-12)


@pytest.mark.parametrize("end", ["multiplied", "capped", "inside"])
def test_a_scout_that_finds_nothing_is_not_the_next_one_again(end):
    # of a matrix of rank one, images have nothing outside a basis that holds the leader
    operator, noise = diagonal(1.0), Drawn()
    phase = sent(operator, noise)
    if end == "inside":  # the basis holds it already
        phase.space.grow(noise.drawn[0])
    direction = phase.scouted()
    assert (direction is None) == (end == "inside")
    if direction is not None and end == "multiplied":
        phase.multiply(direction)
    phase.end(noise, 10)
    phase.carried.numbers[UNSCOUTED] = SCOUT_MOVED
    phase.begin(operator, noise)
    assert phase.scouted() is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(3))
def test_what_appears_beside_a_hessian_of_low_rank_is_found(dtype, seed):
    values = torch.zeros(100, dtype=dtype)
    values[0], tracker = 2.0, SharpnessTracker(seed=seed)
    for _ in range(20):
        tracker.measure(Matrix(torch.diag(values)))
    values[-1] = 4.0
    late = [tracker.measure(Matrix(torch.diag(values))) for _ in range(4 * SCOUT_EVERY)]
    assert late[-1].value == pytest.approx(4.0, rel=PROMISED)


# --- what the phases tell each other ------------------------------------------------------------


def told(values: list[float], *vectors: Tensor, new_leader: bool = False) -> Found:
    return Found(np.array(values), torch.stack(vectors).numpy(), new_leader)


def aged(phase: Stepwise, operator: Matrix, measurements: int) -> Stepwise:
    """After so many measurements of the leader alone, and the beginning of one more."""
    for _ in range(measurements):
        phase.begin(operator, Drawn())
    return phase


def looked_at(phase: Stepwise, found: Found) -> Array | None:
    phase.tell(found)
    direction = phase.newcomer()
    assert phase.newcomer() is None  # once
    return direction


def test_a_contender_that_is_far_below_here_is_looked_at_where_that_is_old():
    operator = diagonal(1.0, 0.9)
    for age in (1, 2, 3):
        phase = aged(known(operator), operator, age)
        direction = looked_at(phase, told([1.0, 0.99], *AXES[:2]))
        assert (direction is not None) == (age > RECENTLY)
        if direction is not None:
            close(direction, [0, 1])
            phase.multiply(direction)
            # it believes itself
            assert looked_at(phase, told([1.0, 0.99], *AXES[:2])) is None


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("margin", [-1e-6, 1e-6])
def test_a_contender_is_doubted_only_where_it_is_far_below(sign, margin):
    # 0.98 there, relative to the sharpness, and nearly so much less here, whatever that is
    operator = diagonal(3.0, sign * 3.0 * (0.98 - DOUBTED + margin))
    phase = aged(known(operator), operator, 5)
    assert (looked_at(phase, told([1.0, 0.98], *AXES[:2])) is None) == (margin > 0)


@pytest.mark.parametrize("share", [NEWCOMER - 0.01, NEWCOMER + 0.01])
@pytest.mark.parametrize("new_leader", [False, True])
@pytest.mark.parametrize("value", [1.0, 0.98])
def test_what_is_outside_the_basis_is_news_only_where_it_is_a_new_leader(share, new_leader, value):
    operator = diagonal(1.0, 0.9)
    phase = aged(known(operator), operator, 5)
    vector = np.sqrt(1 - share) * AXES[1] + np.sqrt(share) * AXES[4]
    found = told([value], vector, new_leader=new_leader)
    direction = looked_at(phase, found)
    if share < NEWCOMER:  # within it, as far as the model sees: 0.9 here, so much more there
        assert direction is not None
        close(direction, [0, 1])
        assert phase.space.size == 2
    elif new_leader and value == 1.0:
        assert direction is not None
        assert direction.tolist() == [0, 0, 1]
        close(phase.space.basis[2], AXES[4].numpy())
    else:
        assert direction is None
        assert phase.space.size == 2


def test_the_latest_that_is_told_counts():
    operator = diagonal(1.0, 0.9, 0.8)
    phase = aged(known(operator, count=3), operator, 3)
    phase.tell(told([1.0, 0.99], AXES[0], AXES[1]))
    assert looked_at(phase, told([1.0, 0.99], AXES[0], AXES[2])) is not None
    phase.tell(told([1.0, 0.99], AXES[0], AXES[1]))
    assert looked_at(phase, told([1.0], AXES[0])) is None
    # the first of two that are news
    direction = looked_at(phase, told([1.0, 0.99], AXES[1], AXES[2]))
    assert direction is not None
    close(direction, [0, 1, 0])


def test_what_is_multiplied_by_now_is_not_looked_at():
    operator = diagonal(1.0, 0.9)
    phase = aged(known(operator), operator, 3)
    phase.tell(told([1.0, 0.99], *AXES[:2]))
    phase.multiply(np.eye(2)[1])
    assert phase.newcomer() is None


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
    tracker._phases[0].tell(found)
    assert unmoved.measure(risen).values == pytest.approx([1.0], rel=PROMISED)
    assert tracker.measure(risen).values == pytest.approx([1.0], rel=PROMISED)
    model, untold = (t._phases[0].space.matrices.model for t in (tracker, unmoved))
    assert np.linalg.eigvalsh(model)[-2] == pytest.approx(0.99, rel=PROMISED)
    assert np.linalg.eigvalsh(untold)[-2] == pytest.approx(0.9, rel=PROMISED)
    # it has looked: told the same again, it believes itself
    tracker._phases[0].tell(found)
    assert not tracker._phases[0].carried.numbers[TOLD]


# --- the end of a measurement -------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("second", [CONTENDS - 1e-6, CONTENDS + 1e-6])
def test_the_leader_is_told_and_the_next_one_where_it_contends(sign, second):
    phase = known(diagonal(0.0, 0.0, 0.0, 0.0), count=4)
    operator = diagonal(0.1, sign * -3.0, sign * 3.0 * second, 2.99 * second)
    phase.space.begin(operator)
    for c in np.eye(4):
        phase.multiply(c)
    found = phase.told(silent, 4)
    count = 2 if second > CONTENDS else 1
    np.testing.assert_allclose(found.values, [1.0, second][:count], rtol=1e-13)
    close(np.abs(found.vectors[:count]), AXES[1:3][:count].numpy())


def test_a_zero_hessian_has_a_leader_but_no_contenders():
    phase = known(diagonal(0.0, 0.0))
    phase.begin(diagonal(0.0, 0.0), Drawn())
    found = phase.told(Drawn(), 2)
    assert found.values.tolist() == []
    assert found.vectors.shape == (1, SIZE)  # of the leading pair


@pytest.mark.parametrize("products", [1, 2, 3])
def test_the_leading_pairs_are_given_and_nan_for_those_that_are_missing(products):
    values = [3.0, -2.0, 1.0]
    operator = diagonal(*values)
    operator.matrix[0, 7] = operator.matrix[7, 0] = 1e-3  # what the leader has outside
    phase = known(operator, count=3)
    phase.begin(operator, Drawn())
    for c in np.eye(3)[1:products]:
        phase.multiply(c)
    pairs, _ = phase.end(Drawn(), 3, 3)
    missing = [np.nan] * (3 - products)
    np.testing.assert_allclose(pairs.values, [*values[:products], *missing], rtol=1e-6)
    # known() has turned the leader by 1e-3 / (3 (1 - BULK)) already, towards what is at 0
    left = 1e-3 * abs(1 - 1 / (1 - BULK))
    expected = [left, *[0.0] * (products - 1), *missing]
    np.testing.assert_allclose(pairs.residuals, expected, rtol=1e-3, atol=1e-6)
    close(pairs.vectors.abs(), AXES[:products].numpy(), 1e-3)


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_a_leader_is_new_that_does_not_overlap_the_last(factor):
    phase = known(diagonal(1.0, 0.2))
    overlap = FOLLOWED * factor
    v = overlap * AXES[0] - np.sqrt(1 - overlap**2) * AXES[1]
    operator = Matrix(torch.outer(v, v))
    phase.begin(operator, Drawn())
    phase.multiply(np.eye(2)[1])
    assert phase.told(Drawn(), 2).new_leader == (factor < 1)
    # and then it is the last
    phase.begin(operator, Drawn())
    assert not phase.told(Drawn(), 2).new_leader


def test_the_first_leader_is_new():
    phase = Stepwise(Subspace.restore(known(diagonal(1.0, 0.2)).space.state(), 10))
    phase.begin(diagonal(1.0, 0.2), Drawn())
    assert phase.told(Drawn(), 2).new_leader


def test_a_leader_is_followed_through_shrinking_and_growing():
    values = [0.3, -0.4, 1.0, 0.5, 0.2, 0.1, 0.05]
    phase, operator = known(diagonal(*values), count=7, room=9), diagonal(*values)
    assert phase.space.size == 7 > 3 + SLACK
    phase.begin(operator, noise := Drawn())
    assert not phase.told(noise, 3).new_leader
    # the leading three, and so the leader is the first
    assert phase.space.size == 3
    close(phase.space.basis.abs(), AXES[[2, 3, 1]].numpy())
    close(np.abs(phase.carried.leader[: int(phase.carried.numbers[LED])]), [1, 0, 0])
    phase.begin(operator, noise)
    assert phase.space.grow(AXES[9]) is not None
    assert not phase.told(noise, 3).new_leader
    assert phase.space.size == 4  # not cut back before it has SLACK more


@pytest.mark.parametrize("high", [2, 4, 12])
def test_pairs_that_lie_high_are_kept_too(high):
    values = [*np.linspace(1.0, HIGH + 0.01, high), *np.linspace(HIGH - 0.01, 0.1, 16 - high)]
    axes = torch.eye(16, dtype=torch.float64)
    space = Subspace(20, axes[0])
    for e in axes:
        space.grow(e)
    space.begin(Matrix(torch.diag(torch.tensor(values, dtype=torch.float64))))
    for c in np.eye(16):
        space.multiply(c)
    Phase(space).end(silent, 3)
    kept = min(max(3, high), MOST_KEPT)
    assert space.size == kept
    close(space.values, values[:kept])


def test_the_basis_is_turned_for_what_is_close_to_the_leader():
    values = [1.0, CLOSE + 0.01, -CLOSE - 0.01, CLOSE - 0.01]
    matrix = diagonal(*values).matrix
    for i in range(4):
        matrix[i, 5 + i] = matrix[5 + i, i] = 0.01
    phase, operator = known(diagonal(*values), count=4), Matrix(matrix)
    phase.begin(operator, Drawn())
    for c in np.eye(4)[1:]:
        phase.multiply(c)
    expected = AXES[:4].clone()
    for i in range(3):  # by 0.01 along what is outside, over the distance to the bulk
        expected[i, 5 + i] = 0.01 / (values[i] * (1 - BULK))
        expected[i] /= expected[i].norm()
    phase.end(Drawn(), 4)
    close(phase.space.basis, expected.numpy(), 1e-12)


# --- state --------------------------------------------------------------------------------------


@pytest.mark.parametrize("news", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_a_restored_phase_goes_on_bit_for_bit(begun, news):
    q = rotation(40, 2)
    hessians = [
        with_spectrum([1 + 0.01 * t, 0.98 - 0.01 * t, *np.linspace(-0.3, 0.5, 38)], q)
        for t in range(12)
    ]
    space = Subspace(20, q[0])
    for v in q[:, :5].T:
        space.grow(v + 0.05 * q[:, 6])
    space.begin(hessians[0])
    for c in np.eye(5):
        space.multiply(c)
    phase = Stepwise(space)

    def follow(one: Stepwise, operator: Matrix, noise: Drawn) -> Found:
        one.begin(operator, noise)
        for wanted in (one.newcomer, one.look, one.scouted):
            if (direction := wanted()) is not None:
                one.multiply(direction)
        return one.told(noise, 3)

    if begun:
        phase.end(Drawn(), 3)
        for operator in hessians[1:4]:
            follow(phase, operator, Drawn())
    if news:
        phase.tell(told([1.0], q[:, 30], new_leader=True))
    state = phase.state()
    assert (state["news"] is not None) == news
    assert (state["leader"] is not None) == (state["scout"] is not None) == begun
    kept = {k: v.clone() if isinstance(v, Tensor) else v for k, v in state.items()}
    other, noises = Stepwise.restore(state, 20), (Drawn(7), Drawn(7))
    for operator in hessians[4:]:
        ours, expected = (
            follow(one, operator, noise) for one, noise in zip((other, phase), noises, strict=True)
        )
        assert np.array_equal(ours.values, expected.values)
        assert np.array_equal(ours.vectors, expected.vectors)
        assert ours.new_leader == expected.new_leader
        assert (other.off, other.moved, other.lost) == (phase.off, phase.moved, phase.lost)
        for name, part in other.state().items():
            np.testing.assert_array_equal(part, phase.state()[name])
    # the state is a copy: what came after did not change it
    for name, part in state.items():
        np.testing.assert_array_equal(part, kept[name])
