"""Subspace against the matrices that it models, written out in full."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samedge_core.curvature.subspace import BULK, NEVER, TOUCHED, Array, Subspace
from tests.curvature.matrices import Matrix, rotation, with_spectrum

# float64, sums of at most 60 terms, on matrices of norm 1
ROUNDING = 1e-13
SEEDS = st.integers(0, 10_000)


def symmetric(size: int, rng: np.random.Generator, norm: float = 1.0) -> Tensor:
    """A random symmetric matrix of this norm, float64."""
    a = torch.from_numpy(rng.standard_normal((size, size)))
    a = a + a.T
    return a * (norm / float(torch.linalg.matrix_norm(a, 2)))


def vector(size: int, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.standard_normal(size))


def grown(size: int, count: int, room: int, rng: np.random.Generator) -> Subspace:
    """`count` random vectors as a basis, nothing multiplied."""
    space = Subspace(room, torch.empty(size, dtype=torch.float64))
    for _ in range(count):
        assert space.grow(vector(size, rng)) is not None
    return space


def unit(space: Subspace, rng: np.random.Generator) -> Array:
    """Random unit coordinates orthogonal to what is multiplied."""
    assert space.products < space.size
    while (c := space.untouched(rng.standard_normal(space.size))) is None:
        pass  # little of it was new
    return c


def complement(rows: Array) -> Array:
    """What is orthogonal to these rows, as orthonormal columns."""
    return np.asarray(scipy.linalg.null_space(rows)) if len(rows) else np.eye(rows.shape[1])


def within(space: Subspace, h: Tensor) -> Array:
    """B H B^T."""
    basis = space.basis.double()
    return (basis @ h.double() @ basis.T).numpy()


def overlaps(space: Subspace) -> Array:
    basis = space.basis.double()
    return (basis @ basis.T).numpy()


def close(ours, expected, bound: float = ROUNDING) -> None:
    np.testing.assert_allclose(ours, expected, rtol=0, atol=bound)


class Moment(NamedTuple):
    """A subspace while its operator is measured, and what was done with it."""

    space: Subspace
    h: Tensor
    done: Array  # coordinates multiplied since `begin`, one a row
    rng: np.random.Generator


def story(seed: int, check: Callable[[Moment], None], *, measurements: int = 3) -> Subspace:
    """Several Hessians measured in random directions while the basis grows; checked at each step.

    The Hessians are unrelated, so that what is left of earlier ones is plainly wrong.
    """
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 20))
    count = int(rng.integers(1, min(size, 6) + 1))
    space = grown(size, count, 10, rng)
    for _ in range(measurements):
        h = symmetric(size, rng)
        space.begin(Matrix(h))
        done = np.zeros((0, space.size))
        for _ in range(int(rng.integers(1, 7))):
            if done.size and rng.random() < 0.3 and not space.full:
                assert space.grow(vector(size, rng)) is not None
                done = np.hstack([done, np.zeros((len(done), 1))])
            elif len(done) < space.size:
                c = unit(space, rng)
                space.multiply(c)
                done = np.vstack([done, c])
            check(Moment(space, h, done, rng))
    return space


# --- the model ----------------------------------------------------------------------------------


@given(SEEDS)
def test_the_model_is_exact_along_what_was_multiplied_and_symmetric(seed):
    def check(now: Moment) -> None:
        model, exact = now.space.model, within(now.space, now.h)
        close(model @ now.done.T, exact @ now.done.T)
        np.testing.assert_array_equal(model, model.T)
        assert now.space.products == len(now.done)

    story(seed, check)


@given(SEEDS)
def test_a_product_changes_the_model_there_only_and_returns_how_far_it_was_off(seed):
    rng = np.random.default_rng(seed)
    space = grown(12, 5, 8, rng)
    for _ in range(3):
        h = symmetric(12, rng)
        space.begin(Matrix(h))
        for _ in range(3):
            before, c = space.model.copy(), unit(space, rng)
            off = space.multiply(c)
            assert off == pytest.approx(
                np.linalg.norm((within(space, h) - before) @ c), rel=1e-12, abs=ROUNDING
            )
            rest = complement(c[None])
            close(rest.T @ space.model @ rest, rest.T @ before @ rest)


def test_a_model_that_is_right_is_not_off():
    rng = np.random.default_rng(0)
    h = symmetric(12, rng)
    space = grown(12, 4, 8, rng)
    for expected in (False, True):
        space.begin(Matrix(h))
        offs = [space.multiply(unit(space, rng)) for _ in range(4)]
        assert (max(offs) < ROUNDING) == expected
    close(space.model, within(space, h))


@given(SEEDS)
def test_pairs_are_those_of_the_model_by_magnitude(seed):
    def check(now: Moment) -> None:
        space = now.space
        close(space.pairs @ space.pairs.T, np.eye(space.size))
        assert space.values.shape == (space.size,)
        if now.done[:, -1:].any():  # not while the newest vector waits to be multiplied
            eigenvalues = np.linalg.eigvalsh(space.model)
            close(np.sort(space.values), eigenvalues)
            close(space.pairs @ space.model, space.values[:, None] * space.pairs)
            assert np.all(np.diff(np.abs(space.values)) <= 0)

    story(seed, check)


@given(SEEDS)
def test_a_new_vector_is_orthonormal_and_known_by_nothing_but_its_couplings(seed):
    rng = np.random.default_rng(seed)
    space = grown(15, 4, 8, rng)
    h = symmetric(15, rng)
    for multiplied in (0, 3):
        space.begin(Matrix(h))
        for _ in range(multiplied):
            space.multiply(unit(space, rng))
        before, z, k = space.basis.clone(), 1e6 * vector(15, rng), space.size
        c = space.grow(z)
        assert c is not None
        assert c.tolist() == [*[0.0] * k, 1.0]
        assert torch.equal(space.basis[:k], before)
        close(overlaps(space), np.eye(k + 1))
        # z lies within the basis now
        close(space.basis.T @ (space.basis @ z), z, 1e6 * ROUNDING)
        rest = complement(space.coordinates[:, :k]) if multiplied else np.eye(k)
        close(rest.T @ space.model[:k, k], 0)
        assert space.model[k, k] == 0
        # a Ritz vector has no share of it yet
        assert space.values[-1] == 0
        assert space.pairs[-1].tolist() == c.tolist()


# --- staleness ----------------------------------------------------------------------------------


def test_staleness_counts_measurements():
    rng = np.random.default_rng(1)
    space = grown(9, 3, 4, rng)
    first, second, third = np.eye(3)
    both, apart = (first + second) / np.sqrt(2), (first - second) / np.sqrt(2)

    def staleness(c: Array) -> float:
        return float(c @ space.staleness @ c)

    def measure(*directions: Array) -> None:
        space.begin(Matrix(symmetric(9, rng)))
        for c in directions:
            space.multiply(c)

    assert [staleness(c) for c in np.eye(3)] == [NEVER] * 3
    measure(first, second)
    assert [staleness(c) for c in np.eye(3)] == [0, 0, NEVER + 1]
    measure(second)
    assert [staleness(c) for c in np.eye(3)] == [1, 0, NEVER + 2]
    measure()
    measure(third)
    assert [staleness(c) for c in np.eye(3)] == [3, 2, 0]
    # between them: the mean, and nothing couples them
    assert staleness(both) == pytest.approx(2.5, rel=1e-15)
    measure(both)
    assert staleness(both) == pytest.approx(0, abs=1e-14)
    assert staleness(apart) == pytest.approx(3.5, rel=1e-14)
    # what the first has left is its share of `apart`
    assert staleness(first) == pytest.approx(3.5 / 2, rel=1e-14)


@given(SEEDS)
def test_staleness_ages_by_one_and_loses_what_is_multiplied(seed):
    rng = np.random.default_rng(seed)
    space = grown(12, 5, 8, rng)
    expected = NEVER * np.eye(5)
    for _ in range(5):
        space.begin(Matrix(symmetric(12, rng)))
        expected = expected + np.eye(len(expected))
        for _ in range(int(rng.integers(0, 4))):
            c = unit(space, rng)
            space.multiply(c)
            rest = np.eye(space.size) - np.outer(c, c)
            expected = rest @ expected @ rest
            close(space.staleness @ c, 0, 1e-12)
        if rng.random() < 0.3 and space.grow(vector(12, rng)) is not None:
            expected = np.pad(expected, (0, 1))
            expected[-1, -1] = NEVER
        close(space.staleness, expected, 1e-11)  # of entries of 1000


# --- Ritz pairs and residuals -------------------------------------------------------------------


@given(SEEDS)
def test_ritz_values_are_rayleigh_quotients_of_the_hessian_of_now(seed):
    def check(now: Moment) -> None:
        space = now.space
        vectors = space.vector(space.coordinates)
        assert len(space.ritz) == len(vectors) == space.products
        # never above the norm, however wrong the model was
        assert np.abs(space.ritz).max() <= 1 + ROUNDING
        assert np.all(np.diff(np.abs(space.ritz)) <= 0)
        close(vectors @ vectors.T, np.eye(space.products))
        close(vectors @ now.h @ vectors.T, np.diag(space.ritz))
        # they span what was multiplied
        close(space.coordinates.T @ space.coordinates, now.done.T @ now.done)

    story(seed, check)


@given(SEEDS)
def test_residuals_are_those_of_the_full_matrix(seed):
    def check(now: Moment) -> None:
        space = now.space
        for i in range(space.products):
            x = space.coordinates[i] @ space.basis.numpy()
            residual = now.h.numpy() @ x - space.ritz[i] * x
            outside = residual - space.basis.numpy().T @ (space.basis.numpy() @ residual)
            found, norm, whole = space.residual(i)
            close(found, outside)
            assert norm == pytest.approx(np.linalg.norm(outside), abs=ROUNDING)
            assert whole == pytest.approx(np.linalg.norm(residual), abs=ROUNDING)
            image = now.h.numpy() @ (now.done[i] @ space.basis.numpy())
            image -= space.basis.numpy().T @ (space.basis.numpy() @ image)
            close(space.image_outside(i), image)

    story(seed, check)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_is_no_residual(dtype):
    q = rotation(200)
    h = with_spectrum(np.linspace(-1, 1, 200) ** 3, q).matrix.to(dtype)
    space = Subspace(5, h[0])
    for i in (0, 199, 100, 50):  # eigenvectors: nothing is outside
        space.grow(q[:, i].to(dtype))
    space.begin(Matrix(h))
    for c in np.eye(4):
        space.multiply(c)
    before = space.basis.clone()
    for i in range(4):
        assert space.residual(i)[1] == 0
        space.improve(i + 1)
    assert torch.equal(space.basis, before)


def test_untouched_is_what_is_left_as_a_unit_vector():
    rng = np.random.default_rng(2)
    space = grown(9, 4, 6, rng)
    space.begin(Matrix(symmetric(9, rng)))
    first, second, third, _ = np.eye(4)
    assert space.untouched(first).tolist() == first.tolist()  # pyright: ignore[reportOptionalMemberAccess]
    space.multiply(first)
    space.multiply((second + third) / np.sqrt(2))
    assert space.untouched(first) is None
    for c in (second, (3 * first + second - third) / np.sqrt(11)):
        close(space.untouched(c), (second - third) / np.sqrt(2))

    def nearly(left: float) -> Array:
        return np.sqrt(1 - left**2) * first + left * np.eye(4)[3]

    assert space.untouched(nearly(0.9 * TOUCHED)) is None
    close(space.untouched(nearly(1.1 * TOUCHED)), np.eye(4)[3], 1e-13)


# --- what may hide ------------------------------------------------------------------------------


@given(SEEDS, st.sampled_from([0.0, 1e-4, 0.01, 1.0]))
def test_no_direction_is_above_the_optimistic_value_and_its_own_pair_reaches_it(seed, drift):
    def check(now: Moment) -> None:
        space = now.space
        values, pairs = space.optimistic(drift)
        assert values.shape == (2 * space.size,)
        assert np.all(np.diff(values) <= 0)
        bound = ROUNDING * (1 + drift * NEVER)

        def reach(c: Array) -> float:
            return abs(c @ space.model @ c) + drift * (c @ space.staleness @ c)

        close(np.linalg.norm(pairs, axis=1), 1)
        assert reach(pairs[0]) == pytest.approx(values[0], abs=bound)
        models = np.einsum("ij,jk,ik->i", pairs, space.model, pairs)
        slacks = drift * np.einsum("ij,jk,ik->i", pairs, space.staleness, pairs)
        # each is an eigenvalue of T + drift S or of -T + drift S
        close(np.abs(values - slacks), np.abs(models), bound)
        for _ in range(20):
            c = now.rng.standard_normal(space.size)
            assert reach(c / np.linalg.norm(c)) <= values[0] + bound

    story(seed, check)


@given(SEEDS, st.floats(0, 0.5), st.sampled_from([-1e-3, 1e-3]))
def test_staying_below_is_what_the_optimistic_values_do(seed, drift, margin):
    def check(now: Moment) -> None:
        if now.done.size:
            top = now.space.optimistic(drift)[0][0]
            assert now.space.stays_below(top + margin, drift) == (margin > 0)

    story(seed, check)


@given(SEEDS)
def test_without_drift_the_optimistic_pairs_are_those_of_the_model(seed):
    def check(now: Moment) -> None:
        values, _ = now.space.optimistic(0.0)
        expected = np.linalg.eigvalsh(now.space.model)
        close(np.sort(values), np.sort(np.concatenate([expected, -expected])))

    story(seed, check)


@given(SEEDS, st.sampled_from([1e-3, 0.02, 0.3]))
def test_what_moves_no_faster_than_the_drift_is_never_above_the_optimistic_value(seed, drift):
    rng = np.random.default_rng(seed)
    h = symmetric(14, rng)
    space = grown(14, 5, 9, rng)
    space.begin(Matrix(h))
    for _ in range(5):  # all is known to begin with
        space.multiply(unit(space, rng))
    for _ in range(8):
        # in all directions, or at full speed along a single vector
        if rng.random() < 0.5:
            step = symmetric(14, rng)
        else:
            v = space.basis[int(rng.integers(space.size))]
            step = float(rng.choice([-1, 1])) * torch.outer(v, v)
        h = h + drift * step
        space.begin(Matrix(h))
        for _ in range(int(rng.integers(0, 4))):
            space.multiply(unit(space, rng))
            true = np.abs(np.linalg.eigvalsh(within(space, h))).max()
            assert space.optimistic(drift)[0][0] >= true - 1e-10


@pytest.mark.parametrize("sign", [1, -1])
def test_a_crossing_within_the_basis_is_announced_to_the_step(sign):
    # the second rises by 0.02 at each measurement, and only the first is multiplied
    drift, (first, second) = 0.02, np.eye(2)
    space = Subspace(4, torch.empty(6, dtype=torch.float64))
    for e in torch.eye(2, 6, dtype=torch.float64):
        space.grow(e)
    for t in range(10):
        rising = 0.9 + drift * t
        h = torch.diag(torch.tensor([1.0, sign * rising, 0, 0, 0, 0], dtype=torch.float64))
        space.begin(Matrix(h))
        space.multiply(first)
        if t == 0:
            space.multiply(second)
        values, pairs = space.optimistic(drift)
        np.testing.assert_allclose(values[:2], sorted([1.0, rising])[::-1], rtol=0, atol=1e-12)
        leader = second if rising > 1 else first
        if abs(rising - 1) > 1e-9:
            close(np.abs(pairs[0]), leader, 1e-12)


# --- improving without a product ----------------------------------------------------------------


def leading(values, dtype: torch.dtype, seed: int = 0) -> tuple[Matrix, Tensor]:
    """A matrix, and its eigenvectors as columns."""
    q = rotation(len(values), seed)
    return Matrix(with_spectrum(values, q).matrix.to(dtype)), q


@pytest.mark.parametrize("bent", [0.0, 1e-3, -1e-3])
def test_improving_again_and_again_keeps_the_basis_orthonormal(bent):
    # a leading vector of length 1 + d has H x - theta x point along itself by -2 d: taken as what
    # is outside, that changes d to -1.86 d at every turn
    values = np.array([1, 0.95, -0.9, 0.85, *np.linspace(-0.3, 0.3, 196)])
    operator, q = leading(values, torch.float32)
    rng = np.random.default_rng(3)
    space = Subspace(8, operator.matrix[0])
    for i in range(4):
        space.grow(q[:, i].float() + 0.05 * vector(200, rng).float())
    space.begin(operator)
    for c in np.eye(4)[1:]:
        space.multiply(c)
    space.basis[0] *= 1 + bent
    space.begin(operator)
    space.multiply(np.eye(4)[0])
    space.improve(1)
    # never the same matrix twice in a row, so that there is something to improve
    shaken = [Matrix(operator.matrix + symmetric(200, rng, 0.02).float()) for _ in range(8)]
    for turn in range(200):
        space.begin(shaken[turn % 8])
        space.multiply(space.pairs[0])
        for _ in range(2):
            space.multiply(unit(space, rng))
        assert all(space.residual(i)[1] > 1e-3 for i in range(3))
        space.improve(3)
        # 600 float32 additions of 6e-8 that do not lean to a side
        close(overlaps(space), np.eye(4), 3e-6)
    assert 0.9 < abs(space.ritz[0]) < 1.03


@pytest.mark.parametrize("top", [1.0, -1.0, 40.0])
@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_improving_points_to_the_eigenvector(top, spread):
    # what is outside at eigenvalues mu has (mu - theta) of its error in the residual; taken to be
    # at BULK, (mu - BULK) / (1 - BULK) of it stays
    bulk = BULK + spread * np.linspace(-1, 1, 59)
    operator, q = leading(top * np.array([1, *bulk]), torch.float64)
    start = q[:, 0] + 0.01 * q[:, 1:] @ vector(59, np.random.default_rng(4)) / np.sqrt(59)
    space = Subspace(3, start)
    space.grow(start)

    def residual() -> float:
        space.begin(operator)
        space.multiply(np.eye(1)[0])
        return space.residual(0)[2] / abs(top)

    before = residual()
    assert 0.005 < before < 0.01
    space.improve(1)
    # and the second order of an error of 0.01
    assert residual() <= (spread / (1 - BULK) + 0.01) * before


@given(SEEDS)
def test_improving_turns_the_leading_vectors_only_and_leaves_the_model(seed):
    rng = np.random.default_rng(seed)
    space = grown(30, 5, 8, rng)
    space.begin(Matrix(symmetric(30, rng)))
    for _ in range(3):
        space.multiply(unit(space, rng))
    count = int(rng.integers(1, 4))
    basis, model, staleness = space.basis.clone(), space.model.copy(), space.staleness.copy()
    c, theta = space.coordinates[:count], space.ritz[:count]
    outside = np.stack([space.residual(i)[0].numpy() for i in range(count)])
    space.improve(count)
    turned = c @ basis.numpy() + outside / (theta[:, None] * (1 - BULK))
    # made orthonormal in this order; a theta near 0 makes a long step
    expected = np.linalg.solve(np.linalg.cholesky(turned @ turned.T), turned)
    close(space.vector(c), expected, 1e-10)
    rest = complement(c)
    close(rest.T @ space.basis.numpy(), rest.T @ basis.numpy())
    close(overlaps(space), np.eye(5), 1e-12)
    np.testing.assert_array_equal(space.model, model)
    np.testing.assert_array_equal(space.staleness, staleness)


# --- shrinking and growing ----------------------------------------------------------------------


@pytest.mark.parametrize("kept", [1, 3, 6, 9])
def test_shrinking_keeps_the_leading_pairs(kept):
    rng = np.random.default_rng(kept)
    space = grown(20, 6, 8, rng)
    for products in (6, 3):
        space.begin(Matrix(symmetric(20, rng)))
        for _ in range(products):
            space.multiply(unit(space, rng))
    values, pairs, size = space.values.copy(), space.pairs.copy(), min(kept, 6)
    vectors, staleness = space.vector(pairs), space.staleness.copy()
    returned = space.shrink(kept)
    np.testing.assert_array_equal(returned, pairs[:size])
    assert (space.size, space.products) == (size, 0)
    close(space.basis, vectors[:size])
    close(space.model, np.diag(values[:size]))
    close(space.values, values[:size])
    close(np.abs(space.pairs), np.eye(size))
    close(space.staleness, returned @ staleness @ returned.T, 1e-12)
    # and it goes on
    h = symmetric(20, rng)
    space.begin(Matrix(h))
    space.multiply(np.eye(size)[0])
    c = space.grow(vector(20, rng))
    assert c is not None
    space.multiply(c)
    close(space.model[[0, -1]], within(space, h)[[0, -1]])


@pytest.mark.parametrize("bent", [1e-3, -1e-2])
def test_shrinking_straightens_a_bent_basis(bent):
    rng = np.random.default_rng(5)
    space = Subspace(6, torch.empty(50))
    for _ in range(5):
        space.grow(vector(50, rng).float())
    space.begin(Matrix(symmetric(50, rng).float()))
    for _ in range(5):
        space.multiply(unit(space, rng))
    space.basis[1] += bent * space.basis[0]
    space.basis[2] *= 1 + bent
    vectors = space.vector(space.pairs[:3])
    space.shrink(3)
    close(overlaps(space), np.eye(3), 5e-7)  # float32
    # the same space
    outside = vectors - (vectors @ space.basis.T) @ space.basis
    close(outside, 0, 5e-7)


def test_there_is_room_for_no_more_vectors_than_dimensions():
    rng = np.random.default_rng(6)
    space = grown(3, 2, 10, rng)
    assert (space.room, space.size, space.full) == (3, 2, False)
    assert space.grow(vector(3, rng)) is not None
    assert space.full
    assert space.grow(vector(3, rng)) is None
    assert space.size == 3


def test_a_full_basis_and_zero_do_not_grow():
    rng = np.random.default_rng(7)
    space = grown(20, 3, 4, rng)
    before = space.state()
    assert space.grow(torch.zeros(20, dtype=torch.float64)) is None
    assert space.grow(torch.full((20,), np.nan, dtype=torch.float64)) is None
    for name, part in space.state().items():
        assert torch.equal(part, before[name])
    assert space.grow(vector(20, rng)) is not None
    assert space.grow(vector(20, rng)) is None
    assert space.size == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [5, 50, 2000])
def test_a_vector_in_the_span_does_not_grow(dtype, size):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        space = Subspace(10, torch.empty(size, dtype=dtype))
        for _ in range(4):
            space.grow(vector(size, rng).to(dtype))
        mixture = torch.from_numpy(rng.standard_normal(4)).to(dtype)
        for z in (*space.basis.clone(), mixture @ space.basis, 1e4 * mixture @ space.basis):
            assert space.grow(z) is None
            assert space.size == 4


@pytest.mark.parametrize(("dtype", "new"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
def test_a_vector_that_is_nearly_in_the_span_grows_by_what_is_new(dtype, new):
    rng = np.random.default_rng(8)
    space = Subspace(10, torch.empty(100, dtype=dtype))
    for _ in range(4):
        space.grow(vector(100, rng).to(dtype))
    inside = space.basis[2].clone()
    fresh = vector(100, rng).to(dtype)
    fresh = fresh - space.basis.T @ (space.basis @ fresh)
    fresh = fresh / fresh.norm()
    assert space.grow(inside + new * fresh) is not None
    eps = torch.finfo(dtype).eps
    close(overlaps(space), np.eye(5), 4 * eps)
    assert float(space.basis[4] @ fresh) == pytest.approx(1, abs=2e-2)  # rounding by `new`


# --- state --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shrunk", [False, True])
def test_a_restored_subspace_goes_on_bit_for_bit(dtype, shrunk):
    rng = np.random.default_rng(9)
    space = Subspace(9, torch.empty(40, dtype=dtype))
    for _ in range(6):
        space.grow(vector(40, rng).to(dtype))
    hessians = [symmetric(40, rng).to(dtype) for _ in range(3)]
    space.begin(Matrix(hessians[0]))
    for _ in range(4):
        space.multiply(unit(space, rng))
    space.improve(1)
    if shrunk:
        space.shrink(4)
    state = space.state()
    other = Subspace.restore(state, 9)
    assert (other.size, other.room, other.products) == (space.size, 9, 0)
    assert other.basis.dtype == dtype
    newcomer = vector(40, rng).to(dtype)
    for h in hessians[1:]:
        np.testing.assert_array_equal(other.values, space.values)
        np.testing.assert_array_equal(other.pairs, space.pairs)
        results = []
        for one in (space, other):
            one.begin(Matrix(h))
            offs = [one.multiply(one.pairs[0])]
            c = one.grow(newcomer + one.residual(0)[0])
            assert c is not None
            offs.append(one.multiply(c))
            direction = one.optimistic(0.01)[1]
            residuals = [(part.numpy(), *norms) for part, *norms in map(one.residual, range(2))]
            one.improve(1)
            results.append((offs, direction, residuals, one.ritz, one.coordinates))
        for ours, expected in zip(*results, strict=True):
            np.testing.assert_equal(ours, expected)
        for name, part in other.state().items():
            assert torch.equal(part, space.state()[name])
    # the state is a copy: what came after did not change it
    assert len(state["basis"]) == (4 if shrunk else 6)
    assert not torch.equal(state["basis"], space.basis[: len(state["basis"])])


def test_restoring_into_less_room_keeps_all_vectors():
    space = grown(20, 5, 8, np.random.default_rng(10))
    other = Subspace.restore(space.state(), 3)
    assert (other.size, other.room, other.full) == (5, 5, True)
    assert torch.equal(other.basis, space.basis)
    assert Subspace.restore(space.state(), 7).room == 7


# --- what is not finite -------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_an_image_that_is_not_finite_is_told_and_leaves_the_model_alone(wrong):
    rng = np.random.default_rng(11)
    h = symmetric(9, rng)
    space = grown(9, 3, 5, rng)
    space.begin(Matrix(h))
    assert space.finite
    space.multiply(unit(space, rng))
    assert space.finite
    before = space.state()
    broken = h.clone()
    broken[4, 4] = wrong
    space.begin(Matrix(broken))
    assert np.isnan(space.multiply(unit(space, rng)))
    assert not space.finite
    assert torch.equal(space.state()["model"], before["model"])
    space.begin(Matrix(h))
    assert space.finite


def test_an_overflow_of_single_precision_is_told():
    space = Subspace(3, torch.empty(4))
    space.grow(torch.ones(4))
    space.begin(Matrix(torch.full((4, 4), 3e38)))
    assert np.isnan(space.multiply(np.ones(1)))
    assert not space.finite
