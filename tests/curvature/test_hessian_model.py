"""HessianModel against the matrices that it models, written out in full."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samedge_core.curvature import hessian_model as hm
from samedge_core.curvature.hessian_model import KNOWN, NEVER, Array
from samedge_core.curvature.settings import MEASURED
from tests.curvature.matrices import Matrix, rotation, with_spectrum
from tests.curvature.stepwise import Model, PredictionError

LASTING, LEARNED = MEASURED.lasting, MEASURED.learned
BULK, TOUCHED = MEASURED.bulk, MEASURED.touched

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


def grown(size: int, count: int, room: int, rng: np.random.Generator) -> Model:
    """`count` random vectors as a basis, nothing multiplied."""
    space = Model(room, torch.empty(size, dtype=torch.float64))
    for _ in range(count):
        assert space.append(vector(size, rng)) is not None
    return space


def unit(space: Model, rng: np.random.Generator) -> Array:
    """Random unit coordinates orthogonal to what is multiplied."""
    assert space.products < space.size
    while (c := space.remainder(rng.standard_normal(space.size))) is None:
        pass  # little of it was new
    return c


def complement(rows: Array) -> Array:
    """What is orthogonal to these rows, as orthonormal columns."""
    return np.asarray(scipy.linalg.null_space(rows)) if len(rows) else np.eye(rows.shape[1])


def within(space: Model, h: Tensor) -> Array:
    """B H B^T."""
    basis = space.basis.double()
    return (basis @ h.double() @ basis.T).numpy()


def overlaps(space: Model) -> Array:
    basis = space.basis.double()
    return (basis @ basis.T).numpy()


def close(ours, expected, bound: float = ROUNDING) -> None:
    np.testing.assert_allclose(ours, expected, rtol=0, atol=bound)


class Moment(NamedTuple):
    """A subspace while its operator is measured, and what was done with it."""

    space: Model
    h: Tensor
    done: Array  # coordinates multiplied since `begin`, one a row
    rng: np.random.Generator


def story(seed: int, check: Callable[[Moment], None], *, measurements: int = 3) -> Model:
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
                assert space.append(vector(size, rng)) is not None
                done = np.hstack([done, np.zeros((len(done), 1))])
            elif len(done) < space.size:
                c = unit(space, rng)
                space.apply(c)
                done = np.vstack([done, c])
            check(Moment(space, h, done, rng))
    return space


def right(matrix: Array, c: Array, image: Array) -> Array:
    """The symmetric matrix that takes the unit vector c to `image`, with `matrix` beside c."""
    rest = np.eye(len(c)) - np.outer(c, c)
    along = np.outer(c, image) + np.outer(image, c) - (c @ image) * np.outer(c, c)
    return rest @ matrix @ rest + along


class Kept:
    """The five matrices as the docstring of `HessianModel` defines them, written out in full."""

    def __init__(self, size: int) -> None:
        self.projected, self.drift = np.zeros((size, size)), np.zeros((size, size))
        self.drift_uncertainty = np.eye(size)
        self.uncertainty, self.age = NEVER * np.eye(size), NEVER * np.eye(size)

    def begin(self) -> None:
        one = np.eye(len(self.projected))
        self.projected = self.projected + self.drift
        self.uncertainty = self.uncertainty + self.drift_uncertainty
        self.drift = LASTING * self.drift
        self.drift_uncertainty = LASTING * self.drift_uncertainty + (1 - LASTING) * one
        self.age = self.age + one

    def apply(self, c: Array, image: Array) -> PredictionError:
        foreseen, change = self.projected @ c, self.drift @ c / LASTING
        off, age = image - foreseen, max(1.0, c @ self.age @ c)
        learned = LEARNED if age < KNOWN else 0.0
        self.projected = right(self.projected, c, image)
        self.drift = right(self.drift, c, self.drift @ c + learned / age * off)
        self.drift_uncertainty = right(
            self.drift_uncertainty, c, (1 - learned) * (self.drift_uncertainty @ c)
        )
        self.uncertainty, self.age = (
            right(matrix, c, np.zeros_like(c)) for matrix in (self.uncertainty, self.age)
        )
        moved = image - (foreseen - change)
        return PredictionError(float(np.linalg.norm(off)), float(np.linalg.norm(moved)), float(age))

    def append(self, couplings: Array) -> None:
        """`couplings` (size,) of what is multiplied to the new vector."""
        new = {"drift": 0, "drift_uncertainty": 1, "uncertainty": NEVER, "age": NEVER}
        for name, entry in new.items():
            setattr(self, name, scipy.linalg.block_diag(getattr(self, name), float(entry)))
        self.projected = np.block([[self.projected, couplings[:, None]], [couplings, np.zeros(1)]])

    def check(self, space: Model) -> None:
        close(space.projected, self.projected)
        close(space.drift, self.drift)
        close(space.drift_uncertainty, self.drift_uncertainty)
        close(space.uncertainty, self.uncertainty, 1e-11)  # of entries of 1000
        close(space.age, self.age, 1e-11)


# --- the model ----------------------------------------------------------------------------------


@given(SEEDS)
def test_the_model_is_exact_along_what_was_multiplied_and_symmetric(seed):
    def check(now: Moment) -> None:
        model, exact = now.space.projected, within(now.space, now.h)
        close(model @ now.done.T, exact @ now.done.T)
        for matrix in now.space.matrices:
            np.testing.assert_array_equal(matrix, matrix.T)
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
            before, c = space.projected.copy(), unit(space, rng)
            surprise = space.apply(c)
            assert surprise.error == pytest.approx(
                np.linalg.norm((within(space, h) - before) @ c), rel=1e-12, abs=ROUNDING
            )
            rest = complement(c[None])
            close(rest.T @ space.projected @ rest, rest.T @ before @ rest)


def test_a_model_that_is_right_is_not_off():
    rng = np.random.default_rng(0)
    h = symmetric(12, rng)
    space = grown(12, 4, 8, rng)
    for expected in (False, True):
        space.begin(Matrix(h))
        offs = [space.apply(unit(space, rng)).error for _ in range(4)]
        assert (max(offs) < ROUNDING) == expected
    close(space.projected, within(space, h))


@given(SEEDS)
def test_pairs_are_those_of_the_model_by_magnitude(seed):
    def check(now: Moment) -> None:
        space = now.space
        close(space.pairs @ space.pairs.T, np.eye(space.size))
        assert space.values.shape == (space.size,)
        close(np.sort(space.values), np.linalg.eigvalsh(space.projected))
        close(space.pairs @ space.projected, space.values[:, None] * space.pairs)
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
            space.apply(unit(space, rng))
        before, z, k = space.basis.clone(), 1e6 * vector(15, rng), space.size
        matrices = space.matrices
        c = space.append(z)
        assert c is not None
        assert c.tolist() == [*[0.0] * k, 1.0]
        assert torch.equal(space.basis[:k], before)
        close(overlaps(space), np.eye(k + 1))
        # z lies within the basis now
        close(space.basis.T @ (space.basis @ z), z, 1e6 * ROUNDING)
        rest = complement(space.coordinates[:, :k]) if multiplied else np.eye(k)
        close(rest.T @ space.projected[:k, k], 0)
        if multiplied:
            close(
                space.coordinates[:, :k] @ space.projected[:k, k],
                space.coordinates @ within(space, h)[k],
            )
            # a Ritz vector has no share of it yet
            assert space.coordinates.shape == (multiplied, k + 1)
            assert not space.coordinates[:, k].any()
        # what was known stays, and of the new vector only the model knows its couplings
        np.testing.assert_array_equal(space.matrices[:, :k, :k], matrices)
        assert not space.matrices[1:, :k, k].any()
        assert not space.matrices[1:, k, :k].any()
        assert space.matrices[:, k, k].tolist() == [0, NEVER, 0, 1, NEVER]


# --- staleness ----------------------------------------------------------------------------------


def test_staleness_counts_measurements():
    rng = np.random.default_rng(1)
    space = grown(9, 3, 4, rng)
    first, second, third = np.eye(3)
    both, apart = (first + second) / np.sqrt(2), (first - second) / np.sqrt(2)

    def staleness(c: Array) -> float:
        return float(c @ space.age @ c)

    def measure(*directions: Array) -> None:
        space.begin(Matrix(symmetric(9, rng)))
        for c in directions:
            space.apply(c)

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


# --- the rate, and what is not known of it ------------------------------------------------------


@given(SEEDS)
def test_all_that_is_kept_is_as_defined(seed):
    rng = np.random.default_rng(seed)
    space, kept = grown(12, 5, 8, rng), Kept(5)
    for _ in range(5):
        h = symmetric(12, rng)
        before = space.projected.copy()
        space.begin(Matrix(h))
        kept.begin()
        kept.check(space)
        for product in range(int(rng.integers(0, 4))):
            c = unit(space, rng)
            exact = within(space, h)
            found, expected = space.apply(c), kept.apply(c, exact @ c)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=ROUNDING)
            if product == 0:  # nothing else of this Hessian is in the model
                moved = np.linalg.norm((exact - before) @ c)
                assert found.change == pytest.approx(moved, rel=1e-12)
            for gone in (space.uncertainty, space.age):
                close(gone @ c, 0, 1e-12)
            kept.check(space)
        if rng.random() < 0.3 and space.append(vector(12, rng)) is not None:
            done = space.applied[:, :-1]
            kept.append(within(space, h)[-1, :-1] @ done.T @ done)
            kept.check(space)


@given(SEEDS)
def test_doubt_is_a_share_and_adds_up_to_no_more_than_staleness(seed):
    def check(now: Moment) -> None:
        space = now.space
        shares = np.linalg.eigvalsh(space.drift_uncertainty)
        assert shares[0] >= -ROUNDING
        assert shares[-1] <= 1 + ROUNDING
        # of entries of 1000
        doubts, staleness = space.uncertainty, space.age
        assert np.linalg.eigvalsh(doubts)[0] >= -1e-12 * NEVER
        assert np.linalg.eigvalsh(staleness - doubts)[0] >= -1e-12 * NEVER

    story(seed, check, measurements=6)


def measured(times: int) -> Model:
    """Of three basis vectors, the first was multiplied each time, the second at the first one, and
    the third never; by a Hessian that stays."""
    rng = np.random.default_rng(12)
    space, operator = grown(9, 3, 4, rng), Matrix(symmetric(9, rng))
    for t in range(times):
        space.begin(operator)
        space.apply(np.eye(3)[0])
        if t == 0:
            space.apply(np.eye(3)[1])
    return space


@pytest.mark.parametrize("count", [1, 2, 3, 20, 100])
def test_the_doubt_of_what_is_multiplied_each_time_goes_to_what_does_not_last(count):
    # once the first product is known, k becomes (1 - LEARNED)(LASTING k + 1 - LASTING)
    space = measured(count)
    shrinks = (1 - LEARNED) * LASTING
    limit = (1 - LEARNED) * (1 - LASTING) / (1 - shrinks)
    expected = limit + (1 - limit) * shrinks ** (count - 1)
    np.testing.assert_allclose(space.drift_uncertainty[0], [expected, 0, 0], rtol=1e-13, atol=0)
    assert not space.uncertainty[0].any()
    assert not space.age[0].any()


@pytest.mark.parametrize("count", [1, 2, 50, 300])
def test_what_was_multiplied_once_or_never_is_in_full_doubt(count):
    space = measured(count)
    # summed from NEVER, in steps of 1 that are exact but for LASTING + (1 - LASTING)
    np.testing.assert_allclose(np.diag(space.drift_uncertainty)[1:], 1, rtol=1e-13)
    expected = [count - 1, NEVER + count]
    np.testing.assert_allclose(np.diag(space.uncertainty)[1:], expected, rtol=1e-13)
    assert np.diag(space.age)[1:].tolist() == expected
    for matrix in space.matrices[1:]:
        # nothing is learned off the diagonal; some processors' BLAS leave a rounding of 1 there
        np.testing.assert_allclose(matrix, np.diag(np.diag(matrix)), rtol=0, atol=1e-15)


@pytest.mark.parametrize("waited", [1, 2, 10, 99, 300])
def test_doubts_are_the_sum_of_doubt_since_the_last_product(waited):
    space = measured(4)
    first = space.drift_uncertainty[0, 0]
    operator, expected = space.operator, 0.0
    for since in range(waited):
        space.begin(operator)
        expected += 1 - (1 - first) * LASTING**since  # what was learned lasts less and less
    left = (1 - first) * LASTING**waited
    assert space.drift_uncertainty[0, 0] == pytest.approx(1 - left, rel=1e-12)
    assert space.uncertainty[0, 0] == pytest.approx(expected, rel=1e-12)
    assert space.age[0, 0] == waited
    age = space.apply(np.eye(3)[0]).age
    assert age == waited
    learned = LEARNED if waited < KNOWN else 0
    assert space.drift_uncertainty[0, 0] == pytest.approx((1 - learned) * (1 - left), rel=1e-12)
    assert space.uncertainty[0, 0] == space.age[0, 0] == 0


@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_constant_rate_is_learned_geometrically(every):
    # along c, a share s of the rate is known: s becomes LASTING^n s + LEARNED e / n, where the
    # error e after n measurements is n - (1 + LASTING + ... + LASTING^(n-1)) s. So e shrinks by a
    # factor at each product, which is 1 - LEARNED but for what does not last
    rng = np.random.default_rng(13)
    a, speed = symmetric(12, rng), symmetric(12, rng, 0.01)
    space = grown(12, 5, 8, rng)
    first = unit(space, rng)
    carried = sum(LASTING**j for j in range(every))
    factor = LASTING**every - LEARNED * carried / every
    assert every > 1 or factor == pytest.approx(1 - LEARNED - (1 - LASTING))
    limit = LEARNED / (1 - factor)
    second = first
    for t in range(20 * every):
        h = a + t * speed
        space.begin(Matrix(h))
        if t % every:
            continue
        n = t // every
        error = every - carried * limit * (1 - factor ** (n - 1)) if n else 0.0
        moves = within(space, speed)
        foreseen = space.projected @ first
        surprise = space.apply(first)
        if n == 0:
            second = unit(space, rng)
            assert surprise.age == pytest.approx(NEVER + 1, rel=1e-12)
            assert surprise.error == surprise.change
        else:
            off = abs(error) * np.linalg.norm(moves @ first)
            assert surprise.age == pytest.approx(every, rel=1e-12)
            # of a model of norm 1
            assert surprise.error == pytest.approx(off, abs=ROUNDING)
            close(within(space, h) @ first - foreseen, error * moves @ first)
            if every == 1:
                speed_there = np.linalg.norm(moves @ first)
                assert surprise.change == pytest.approx(speed_there, abs=ROUNDING)
        # along a second direction, the first has told its coupling already
        rest = np.eye(5) - np.outer(first, first)
        off = space.apply(second).error
        if n:
            expected = abs(error) * np.linalg.norm(rest @ moves @ second)
            assert off == pytest.approx(expected, abs=ROUNDING)
            close(space.drift @ first, limit * (1 - factor**n) * moves @ first)
            close(space.drift @ second, limit * (1 - factor**n) * moves @ second)
        # nothing is made up elsewhere
        others = complement(np.array([first, second]))
        close(others.T @ space.drift @ others, 0)


@pytest.mark.parametrize("wait", [KNOWN - 1, KNOWN, KNOWN + 50])
def test_what_was_not_multiplied_for_long_tells_nothing_of_the_rate(wait):
    rng = np.random.default_rng(14)
    space, c = grown(9, 3, 4, rng), np.eye(3)[0]
    a, b = symmetric(9, rng), symmetric(9, rng)
    space.begin(Matrix(a))
    space.apply(c)
    for _ in range(wait):
        space.begin(Matrix(b))
    surprise = space.apply(c)
    assert surprise.age == wait
    share = LEARNED / wait if wait < KNOWN else 0
    close(space.drift @ c, share * within(space, b - a) @ c)
    close(space.drift_uncertainty @ c, (1 - LEARNED if wait < KNOWN else 1) * c)


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
            found = space.residual(i)
            close(found.vector, residual)
            assert found.norm == pytest.approx(np.linalg.norm(residual), abs=ROUNDING)
            # it is the root of a difference of squares: these are of numbers up to 2
            far = np.linalg.norm(outside)
            assert found.outside**2 == pytest.approx(far**2, abs=ROUNDING)
            assert space.residual_bounds()[i] >= far - np.sqrt(ROUNDING)
            image = now.h.numpy() @ (now.done[i] @ space.basis.numpy())
            whole, norm = space.image(i)
            close(whole, image)
            image -= space.basis.numpy().T @ (space.basis.numpy() @ image)
            assert norm**2 == pytest.approx(np.linalg.norm(image) ** 2, abs=ROUNDING)
        if space.products == 1:
            assert space.residual_bounds() == [space.image(0)[1]]

    story(seed, check)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_is_no_residual(dtype):
    q = rotation(200)
    h = with_spectrum(np.linspace(-1, 1, 200) ** 3, q).matrix.to(dtype)
    space = Model(5, h[0])
    for i in (0, 199, 100, 50):  # eigenvectors: nothing is outside
        space.append(q[:, i].to(dtype))
    space.begin(Matrix(h))
    for c in np.eye(4):
        space.apply(c)
    before = space.basis.clone()
    for i in range(4):
        assert space.residual(i).outside == 0
        space.correct(i + 1)
    assert torch.equal(space.basis, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("share", [0.5, 0.1, 1e-2, 1e-3, 1e-4])
def test_what_is_outside_is_told_by_squared_norms_down_to_their_cancellation(dtype, share):
    # images of norm 1 with this share outside the basis: squares near 1 are subtracted, of which
    # some units of rounding are wrong, so that below their root, 1e-3 in float32, nothing is told
    rounding = 8 * torch.finfo(dtype).eps
    q = rotation(300, 5)
    block = torch.zeros(300, 300, dtype=torch.float64)
    block[:4, :4] = symmetric(4, np.random.default_rng(15))
    block[range(4), range(4, 8)] = block[range(4, 8), range(4)] = share
    h = (q @ block @ q.T).to(dtype)
    exact, space = h.double().numpy(), Model(6, h[0])
    for i in range(4):
        space.append(q[:, i].to(dtype))

    def images(c: Array) -> tuple[Array, float]:
        """H x and the norm of its part outside the basis, in float64."""
        basis = space.basis.double().numpy()
        image = exact @ (c @ basis)
        return image, float(np.linalg.norm(image - basis.T @ (basis @ image)))

    space.begin(Matrix(h))
    rng = np.random.default_rng(16)
    for product in range(4):
        c = unit(space, rng)
        space.apply(c)
        image, outside = images(c)
        assert outside == pytest.approx(share, rel=1e-2)  # the basis is rounded, too
        found, norm = space.image(product)
        close(found, image, rounding)
        assert norm**2 == pytest.approx(outside**2, abs=rounding)
        for i in range(product + 1):
            _, outside = images(space.coordinates[i])  # x itself lies within
            assert space.residual(i).outside ** 2 == pytest.approx(outside**2, abs=rounding)
            assert outside <= space.residual_bounds()[i] + np.sqrt(rounding)
    # and what the basis takes of it is outside no more
    assert space.append(space.image(0)[0]) is not None
    for number in range(4):
        _, outside = images(space.applied[number])
        assert space.image(number)[1] ** 2 == pytest.approx(outside**2, abs=rounding)


def test_untouched_is_what_is_left_as_a_unit_vector():
    rng = np.random.default_rng(2)
    space = grown(9, 4, 6, rng)
    space.begin(Matrix(symmetric(9, rng)))
    first, second, third, _ = np.eye(4)
    assert space.remainder(first).tolist() == first.tolist()  # pyright: ignore[reportOptionalMemberAccess]
    space.apply(first)
    space.apply((second + third) / np.sqrt(2))
    assert space.remainder(first) is None
    for c in (second, (3 * first + second - third) / np.sqrt(11)):
        close(space.remainder(c), (second - third) / np.sqrt(2))

    def nearly(left: float) -> Array:
        return np.sqrt(1 - left**2) * first + left * np.eye(4)[3]

    assert space.remainder(nearly(0.9 * TOUCHED)) is None
    close(space.remainder(nearly(1.1 * TOUCHED)), np.eye(4)[3], 1e-13)


# --- what may hide ------------------------------------------------------------------------------


DRIFTS = st.sampled_from([0.0, 1e-4, 0.01, 1.0])


@given(SEEDS, DRIFTS, DRIFTS)
def test_no_direction_is_above_the_optimistic_value_and_its_own_pair_reaches_it(seed, off, moved):
    def check(now: Moment) -> None:
        space = now.space
        values, pairs = space.upper_bounds(off, moved)
        assert values.shape == (2 * space.size,)
        assert np.all(np.diff(values) <= 0)
        bound = ROUNDING * (1 + max(off, moved) * NEVER)
        more = moved - off if moved > off else 0
        slack = off * space.age + more * space.uncertainty

        def reach(c: Array) -> float:
            return abs(c @ space.projected @ c) + c @ slack @ c

        close(np.linalg.norm(pairs, axis=1), 1)
        assert reach(pairs[0]) == pytest.approx(values[0], abs=bound)
        models = np.einsum("ij,jk,ik->i", pairs, space.projected, pairs)
        slacks = np.einsum("ij,jk,ik->i", pairs, slack, pairs)
        # each is an eigenvalue of T + slack or of -T + slack
        close(np.abs(values - slacks), np.abs(models), bound)
        both = [np.linalg.eigvalsh(sign * space.projected + slack) for sign in (1, -1)]
        close(np.sort(values), np.sort(np.concatenate(both)), bound)
        for _ in range(20):
            c = now.rng.standard_normal(space.size)
            assert reach(c / np.linalg.norm(c)) <= values[0] + bound

    story(seed, check)


@given(SEEDS, st.floats(0, 0.5), st.floats(0, 0.5), st.sampled_from([-1e-3, 1e-3]))
def test_staying_below_is_what_the_optimistic_values_do(seed, off, moved, margin):
    def check(now: Moment) -> None:
        if now.done.size:
            top = now.space.upper_bounds(off, moved)[0][0]
            assert now.space.stays_below(top + margin, off, moved) == (margin > 0)

    story(seed, check)


@given(SEEDS)
def test_without_drift_the_optimistic_pairs_are_those_of_the_model(seed):
    def check(now: Moment) -> None:
        values, _ = now.space.upper_bounds(0.0, 0.0)
        expected = np.linalg.eigvalsh(now.space.projected)
        close(np.sort(values), np.sort(np.concatenate([expected, -expected])))

    story(seed, check)


@given(SEEDS, st.sampled_from([1e-3, 0.02, 0.3]), st.sampled_from([0.0, 0.1]))
def test_what_strays_no_faster_than_the_drift_is_never_above_the_optimistic_value(
    seed, drift, moved
):
    rng = np.random.default_rng(seed)
    h = symmetric(14, rng)
    space = grown(14, 5, 9, rng)
    space.begin(Matrix(h))
    for _ in range(5):  # all is known to begin with
        space.apply(unit(space, rng))
    for _ in range(8):
        # beside the rate, in all directions, or at full speed along a single vector
        if rng.random() < 0.5:
            step = symmetric(14, rng)
        else:
            v = space.basis[int(rng.integers(space.size))]
            step = float(rng.choice([-1, 1])) * torch.outer(v, v)
        h = h + drift * step + space.basis.T @ torch.from_numpy(space.drift) @ space.basis
        space.begin(Matrix(h))
        for _ in range(int(rng.integers(0, 4))):
            space.apply(unit(space, rng))
            true = np.abs(np.linalg.eigvalsh(within(space, h))).max()
            assert space.upper_bounds(drift, moved)[0][0] >= true - 1e-10


def diagonal(*values: float) -> Matrix:
    """With these leading entries, of 6."""
    entries = torch.zeros(6, dtype=torch.float64)
    entries[: len(values)] = torch.tensor(values, dtype=torch.float64)
    return Matrix(torch.diag(entries))


def axes(count: int) -> Model:
    """The first of 6 as a basis."""
    space = Model(4, torch.empty(6, dtype=torch.float64))
    for e in torch.eye(count, 6, dtype=torch.float64):
        space.append(e)
    return space


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("off", [0.0, 0.02])
def test_a_crossing_within_the_basis_is_announced_to_the_step(sign, off):
    # the second rises by 0.02 at each measurement, and only the first is multiplied
    drift, (first, second) = 0.02, np.eye(2)
    space = axes(2)
    for t in range(10):
        rising = 0.9 + drift * t
        space.begin(diagonal(1.0, sign * rising))
        space.apply(first)
        if t == 0:
            space.apply(second)
        values, pairs = space.upper_bounds(off, drift)
        np.testing.assert_allclose(values[:2], sorted([1.0, rising])[::-1], rtol=0, atol=1e-12)
        leader = second if rising > 1 else first
        if abs(rising - 1) > 1e-9:
            close(np.abs(pairs[0]), leader, 1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_contender_is_announced_in_time_though_the_leader_is_foreseen(sign):
    # the leader falls as fast as the contender rises, which was multiplied once, so that its speed
    # is not known: what counts for it is how fast the leader moves, not how well it is foreseen
    speed, (first, second) = 0.01, np.eye(2)
    space, surprises = axes(2), []
    falling, rising = 1.25 + speed, 0.75 - speed
    for t in range(30):
        falling, rising = falling - speed, rising + speed
        space.begin(diagonal(falling, sign * rising))
        surprises.append(space.apply(first))
        if t == 0:
            space.apply(second)
            continue
        off, moved, _ = surprises[-1]
        assert moved == pytest.approx(speed, rel=1e-12)
        values, pairs = space.upper_bounds(off, moved)
        np.testing.assert_allclose(values[:2], sorted([falling, rising])[::-1], rtol=0, atol=1e-12)
        if abs(falling - rising) > 1e-9:
            assert space.stays_below(falling + 1e-9, off, moved) == (falling > rising)
            close(np.abs(pairs[0]), first if falling > rising else second, 1e-12)
    # who goes by how well the leader is foreseen has not seen it coming yet
    assert rising == pytest.approx(falling + 0.08)
    lag = (1 - LASTING) / (1 - LASTING + LEARNED)  # what a rate lacks, once it is learned
    assert surprises[-1].error == pytest.approx(lag * speed, rel=1e-9)
    assert space.stays_below(falling + 1e-9, surprises[-1].error, surprises[-1].error)


@pytest.mark.parametrize("learned", [0, 1, 30])
def test_what_may_be_grows_by_what_moved_where_no_rate_is_learned_else_by_what_is_off(learned):
    off, moved, speed, waited = 1e-4, 0.01, 0.02, 12
    space, c = axes(1), np.eye(1)[0]
    t = 0
    for t in range(learned + 1):
        space.begin(diagonal(1 + speed * t))
        space.apply(c)
    doubt, rate, now = space.drift_uncertainty[0, 0], space.drift[0, 0], 1 + speed * t
    bound = [space.upper_bounds(off, moved)[0][0]]
    assert bound == [pytest.approx(now, rel=1e-13)]  # just multiplied
    for since in range(waited):
        space.begin(diagonal(now))
        now += rate * LASTING**since
        bound.append(space.upper_bounds(off, moved)[0][0] - now)
    unlearned = [1 - (1 - doubt) * LASTING**since for since in range(waited)]
    growth = off + (moved - off) * np.array(unlearned)
    np.testing.assert_allclose(np.diff([0, *bound[1:]]), growth, rtol=0, atol=ROUNDING)
    if learned == 0:
        np.testing.assert_allclose(growth, moved, rtol=1e-12)
    if learned == 30:  # by `off`, and by what did not last
        left = LEARNED * (1 - LASTING) / (1 - LEARNED * LASTING)
        assert unlearned[0] == pytest.approx(left, rel=1e-6)
        assert growth[0] < off + left * moved
    # where it was not more than what is off, there is nothing to add
    close(space.upper_bounds(off, 0.5 * off)[0][0], now + off * waited)


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
    space = Model(8, operator.matrix[0])
    for i in range(4):
        space.append(q[:, i].float() + 0.05 * vector(200, rng).float())
    space.begin(operator)
    for c in np.eye(4)[1:]:
        space.apply(c)
    space.basis[0] *= 1 + bent
    space.begin(operator)
    space.apply(np.eye(4)[0])
    space.correct(1)
    # never the same matrix twice in a row, so that there is something to improve
    shaken = [Matrix(operator.matrix + symmetric(200, rng, 0.02).float()) for _ in range(8)]
    for turn in range(200):
        space.begin(shaken[turn % 8])
        space.apply(space.pairs[0])
        for _ in range(2):
            space.apply(unit(space, rng))
        assert all(space.residual(i).outside > 1e-3 for i in range(3))
        space.correct(3)
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
    space = Model(3, start)
    space.append(start)

    def residual() -> float:
        space.begin(operator)
        space.apply(np.eye(1)[0])
        return space.residual(0).norm / abs(top)

    before = residual()
    assert 0.005 < before < 0.01
    space.correct(1)
    # and the second order of an error of 0.01
    assert residual() <= (spread / (1 - BULK) + 0.01) * before


@given(SEEDS)
def test_improving_turns_the_leading_vectors_only_and_leaves_the_model(seed):
    rng = np.random.default_rng(seed)
    space = grown(30, 5, 8, rng)
    space.begin(Matrix(symmetric(30, rng)))
    for _ in range(3):
        space.apply(unit(space, rng))
    count = int(rng.integers(1, 4))
    basis, matrices = space.basis.clone(), space.matrices
    c, theta = space.coordinates[:count], space.ritz[:count]
    residuals = np.stack([space.residual(i).vector.numpy() for i in range(count)])
    outside = residuals - residuals @ basis.numpy().T @ basis.numpy()
    space.correct(count)
    turned = c @ basis.numpy() + outside / (theta[:, None] * (1 - BULK))
    # made orthonormal in this order; a theta near 0 makes a long step
    expected = np.linalg.solve(np.linalg.cholesky(turned @ turned.T), turned)
    close(space.vector(c), expected, 1e-10)
    rest = complement(c)
    close(rest.T @ space.basis.numpy(), rest.T @ basis.numpy())
    close(overlaps(space), np.eye(5), 1e-12)
    np.testing.assert_array_equal(space.matrices, matrices)


# --- shrinking and growing ----------------------------------------------------------------------


@pytest.mark.parametrize("kept", [1, 3, 6, 9])
def test_shrinking_keeps_the_leading_pairs(kept):
    rng = np.random.default_rng(kept)
    space = grown(20, 6, 8, rng)
    for products in (6, 3):
        space.begin(Matrix(symmetric(20, rng)))
        for _ in range(products):
            space.apply(unit(space, rng))
    values, pairs, size = space.values.copy(), space.pairs.copy(), min(kept, 6)
    vectors, matrices = space.vector(pairs), space.matrices
    returned = space.truncate(kept)
    np.testing.assert_array_equal(returned, pairs[:size])
    assert (space.size, space.products) == (size, 0)
    close(space.basis, vectors[:size])
    close(space.projected, np.diag(values[:size]))
    close(space.values, values[:size])
    close(np.abs(space.pairs), np.eye(size))
    for matrix, before in zip(space.matrices[1:], matrices[1:], strict=True):
        close(matrix, returned @ before @ returned.T, 1e-12)
    # and it goes on
    h = symmetric(20, rng)
    space.begin(Matrix(h))
    space.apply(np.eye(size)[0])
    c = space.append(vector(20, rng))
    assert c is not None
    space.apply(c)
    close(space.projected[[0, -1]], within(space, h)[[0, -1]])


@pytest.mark.parametrize("bent", [1e-3, -1e-2])
def test_shrinking_straightens_a_bent_basis(bent):
    rng = np.random.default_rng(5)
    space = Model(6, torch.empty(50))
    for _ in range(5):
        space.append(vector(50, rng).float())
    space.begin(Matrix(symmetric(50, rng).float()))
    for _ in range(5):
        space.apply(unit(space, rng))
    space.basis[1] += bent * space.basis[0]
    space.basis[2] *= 1 + bent
    vectors = space.vector(space.pairs[:3])
    space.truncate(3)
    close(overlaps(space), np.eye(3), 5e-7)  # float32
    # the same space
    outside = vectors - (vectors @ space.basis.T) @ space.basis
    close(outside, 0, 5e-7)


def test_there_is_room_for_no_more_vectors_than_dimensions():
    rng = np.random.default_rng(6)
    space = grown(3, 2, 10, rng)
    assert (space.room, space.size, space.full) == (3, 2, False)
    assert space.append(vector(3, rng)) is not None
    assert space.full
    assert space.append(vector(3, rng)) is None
    assert space.size == 3


def test_a_full_basis_and_zero_do_not_grow():
    rng = np.random.default_rng(7)
    space = grown(20, 3, 4, rng)
    before = space.state()
    assert space.append(torch.zeros(20, dtype=torch.float64)) is None
    assert space.append(torch.full((20,), np.nan, dtype=torch.float64)) is None
    for name, part in space.state().items():
        assert torch.equal(part, before[name])
    assert space.append(vector(20, rng)) is not None
    assert space.append(vector(20, rng)) is None
    assert space.size == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [5, 50, 2000])
def test_a_vector_in_the_span_does_not_grow(dtype, size):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        space = Model(10, torch.empty(size, dtype=dtype))
        for _ in range(4):
            space.append(vector(size, rng).to(dtype))
        mixture = torch.from_numpy(rng.standard_normal(4)).to(dtype)
        for z in (*space.basis.clone(), mixture @ space.basis, 1e4 * mixture @ space.basis):
            assert space.append(z) is None
            assert space.size == 4


@pytest.mark.parametrize(("dtype", "new"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
def test_a_vector_that_is_nearly_in_the_span_grows_by_what_is_new(dtype, new):
    rng = np.random.default_rng(8)
    space = Model(10, torch.empty(100, dtype=dtype))
    for _ in range(4):
        space.append(vector(100, rng).to(dtype))
    inside = space.basis[2].clone()
    fresh = vector(100, rng).to(dtype)
    fresh = fresh - space.basis.T @ (space.basis @ fresh)
    fresh = fresh / fresh.norm()
    assert space.append(inside + new * fresh) is not None
    eps = torch.finfo(dtype).eps
    close(overlaps(space), np.eye(5), 4 * eps)
    assert float(space.basis[4] @ fresh) == pytest.approx(1, abs=2e-2)  # rounding by `new`


# --- state --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shrunk", [False, True])
def test_a_restored_subspace_goes_on_bit_for_bit(dtype, shrunk):
    rng = np.random.default_rng(9)
    space = Model(9, torch.empty(40, dtype=dtype))
    for _ in range(6):
        space.append(vector(40, rng).to(dtype))
    hessians = [symmetric(40, rng).to(dtype) for _ in range(3)]
    space.begin(Matrix(hessians[0]))
    for _ in range(4):
        space.apply(unit(space, rng))
    space.correct(1)
    if shrunk:
        space.truncate(4)
    state = space.state()
    other = Model.restore(state, 9)
    assert (other.size, other.room, other.products) == (space.size, 9, 0)
    assert other.basis.dtype == dtype
    newcomer = vector(40, rng).to(dtype)
    for h in hessians[1:]:
        np.testing.assert_array_equal(other.values, space.values)
        np.testing.assert_array_equal(other.pairs, space.pairs)
        results = []
        for one in (space, other):
            one.begin(Matrix(h))
            offs = [one.apply(one.pairs[0])]
            c = one.append(newcomer + one.residual(0).vector)
            assert c is not None
            offs.append(one.apply(c))
            direction = one.upper_bounds(0.003, 0.01)
            residuals = [(part.numpy(), *norms) for part, *norms in map(one.residual, range(2))]
            residuals.extend((image.numpy(), norm) for image, norm in map(one.image, range(2)))
            one.correct(1)
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
    other = Model.restore(space.state(), 3)
    assert (other.size, other.room, other.full) == (5, 5, True)
    assert torch.equal(other.basis, space.basis)
    assert Model.restore(space.state(), 7).room == 7


# --- what is not finite -------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_an_image_that_is_not_finite_is_told_and_leaves_the_model_alone(wrong):
    rng = np.random.default_rng(11)
    h = symmetric(9, rng)
    space = grown(9, 3, 5, rng)
    space.begin(Matrix(h))
    assert space.finite
    space.apply(unit(space, rng))
    assert space.finite
    broken = h.clone()
    broken[4, 4] = wrong
    space.begin(Matrix(broken))
    before = space.state()
    assert np.isnan(space.apply(unit(space, rng))[:2]).all()
    assert not space.finite
    for name, part in space.state().items():
        assert torch.equal(part, before[name])
    space.begin(Matrix(h))
    assert space.finite
    c = unit(space, rng)
    space.apply(c)
    assert space.finite
    close(space.projected @ c, within(space, h) @ c)


@pytest.mark.parametrize(
    ("entry", "finite"), [(1e18, True), (1e37, True), (1e38, False), (3e38, False)]
)
def test_an_overflow_of_single_precision_is_told(entry, finite):
    # of 1e38, the image is 2e38 but its product with the basis vector 4e38, which is infinite
    space = Model(3, torch.empty(4))
    space.append(torch.ones(4))
    space.begin(Matrix(torch.full((4, 4), entry)))
    before = space.state()
    surprise = space.apply(np.ones(1))
    assert space.finite == finite
    if finite:
        assert space.ritz[0] == pytest.approx(4 * entry, rel=1e-6)  # float32
        assert surprise.error == pytest.approx(4 * entry, rel=1e-6)
    else:
        assert np.isnan(surprise[:2]).all()
        assert torch.equal(space.state()["matrices"], before["matrices"])


# --- other coordinates ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_in_other_coordinates_the_model_has_the_same_form_of_the_same_directions(seed):
    generator = np.random.default_rng(seed)
    size, count = 30, 6
    f = generator.normal(size=(size, size))
    f, root, ratio = f + f.T, generator.uniform(0.5, 2, size), generator.uniform(0.2, 5, size)
    basis = np.linalg.qr(generator.normal(size=(size, count)))[0].T
    projected = basis * root @ f @ (basis * root).T
    matrices = torch.from_numpy(np.stack([projected, *np.zeros((4, count, count))]))
    m = hm.from_state({"basis": torch.from_numpy(basis.copy()), "matrices": matrices}, count)
    triangle = hm.change_metric(m, ratio)
    np.testing.assert_allclose(m.basis, triangle @ (basis * ratio), atol=1e-12)
    np.testing.assert_allclose(m.basis @ m.basis.T, np.eye(count), atol=1e-12)
    there = m.basis * (root / ratio)
    np.testing.assert_allclose(m.projected, there @ f @ there.T, atol=1e-11)


def test_coordinates_in_which_the_basis_is_one_vector_leave_none():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(9, 3)))[0].T
    matrices = torch.zeros(5, 3, 3, dtype=torch.float64)
    m = hm.from_state({"basis": torch.from_numpy(basis.copy()), "matrices": matrices}, 3)
    assert hm.change_metric(m, np.array([1e20, *np.ones(8)])).shape == (0, 0)
