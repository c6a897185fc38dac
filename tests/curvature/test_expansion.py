"""The reasons for a product in small cases, each worked out by hand or with the matrix in full."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samedge_core.curvature import SharpnessTracker
from samedge_core.curvature.operator import LinearOperator
from samedge_core.curvature.settings import MEASURED as S
from tests.curvature.matrices import Matrix, rotation, with_spectrum
from tests.curvature.stepwise import (
    AXES,
    PROMISED,
    SIZE,
    Drawn,
    Stepwise,
    aged,
    close,
    diagonal,
    known,
    known_gap,
    told,
)


@given(st.lists(st.floats(0, 1 - S.gap), min_size=1, max_size=5), st.integers(0, 1000))
def test_no_residual_is_nearer_to_the_leader_than_its_gap_says(eigenvalues, seed):
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(eigenvalues)))
    parity = known(diagonal(1.0))
    parity.carried.state[0].rayleigh_outside = shares @ eigenvalues
    # to second order the leading value 1 rises by the residual squared times this
    rise = shares @ (1 / (1 - np.array(eigenvalues)))
    assert rise <= (1 + 1e-12) / known_gap(parity)


def test_every_so_often_the_pair_is_looked_at_that_could_lead_first():
    operator, noise, looks = diagonal(2.0, -1.6, 1.4), Drawn(), []
    parity = known(operator, count=3)
    for t in range(1, 3 * S.refresh_every):
        parity.begin(operator, noise)
        direction = parity.refresh()
        if direction is not None:
            parity.apply(direction)
            looks.append((t, int(np.abs(direction).argmax())))
            assert parity.refresh() is None  # once
        parity.end(noise, 3)
    # at once, at equal ages, the nearer one; the other, half as far again, when it is twice as old
    assert looks == [(1, 1), (2, 2), (2 + S.refresh_every, 1), (2 + 2 * S.refresh_every, 2)]


@pytest.mark.parametrize(
    ("speed", "every"),
    [
        (0.0, S.probe_every),
        (0.4 * S.probe_change, 3),
        (0.6 * S.probe_change, 2),
        (1.2 * S.probe_change, 1),
    ],
)
def test_scouts_go_as_the_model_moves_though_it_is_foreseen_or_at_least_every_so_often(
    speed, every
):
    parity, noise, went, leader = known(diagonal(1.0, 0.5)), Drawn(), [], 1.0
    # images that go on, outside the basis
    values = [0.0, 0.0, *np.linspace(-0.1, 0.1, SIZE - 2)]
    bulk = with_spectrum(values, torch.block_diag(AXES[:2, :2], rotation(SIZE - 2))).matrix
    for _ in range(3 * every):
        leader /= 1 - speed  # it moves by `speed`, relative to itself
        parity.begin(Matrix(diagonal(leader, 0.5).matrix + bulk), noise)
        direction = parity.probe()
        went.append(direction is not None)
        if direction is not None:
            parity.apply(direction)
            # once in a measurement
            assert parity.probe() is None
        parity.end(noise, 2)
    assert went == 3 * [*[False] * (every - 1), True]


def sent(operator: Matrix, noise: Callable[[LinearOperator], Tensor], **kwargs) -> Stepwise:
    """A parity that has begun, and whose scout's turn it is."""
    parity = known(operator, **kwargs)
    parity.carried.state[0].unprobed = S.probe_change
    parity.begin(operator, noise)
    return parity


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
    parity = sent(operator, noise)
    basis = parity.space.basis.clone()
    leader = basis.T @ torch.from_numpy(parity.space.coordinates[0])
    lacks = outside_of(basis, operator.matrix @ leader)
    expected = outside_of(basis, noise.drawn[0]) + S.probe_residual * lacks / lacks.norm()
    direction = parity.probe()
    assert direction is not None
    assert direction.tolist() == [0, 0, 1]
    # a root of a difference of squares, rounded by 1e-16 / 0.03
    close(parity.space.basis[2], expected / expected.norm(), 1e-12)


def test_the_next_scout_is_what_the_image_of_this_one_has_outside_and_noise():
    noise, operator = Drawn(), coupled()
    parity = sent(operator, noise)
    direction = parity.probe()
    assert direction is not None
    parity.apply(direction)
    basis = parity.space.basis.clone()
    image = outside_of(basis, operator.matrix @ basis[2])
    parity.end(noise, 10)
    assert len(noise.drawn) == 2
    expected = image / image.norm() + S.probe_noise * outside_of(basis, noise.drawn[1])
    assert parity.carried.state[0].has_probe
    close(outside_of(basis, torch.from_numpy(parity.carried.probe)), expected, 1e-12)


@pytest.mark.parametrize("end", ["multiplied", "capped", "inside"])
def test_a_scout_that_finds_nothing_is_not_the_next_one_again(end):
    # of a matrix of rank one, images have nothing outside a basis that holds the leader
    operator, noise = diagonal(1.0), Drawn()
    parity = sent(operator, noise)
    if end == "inside":  # the basis holds it already
        parity.space.append(noise.drawn[0])
    direction = parity.probe()
    assert (direction is None) == (end == "inside")
    if direction is not None and end == "multiplied":
        parity.apply(direction)
    parity.end(noise, 10)
    parity.carried.state[0].unprobed = S.probe_change
    parity.begin(operator, noise)
    assert parity.probe() is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(3))
def test_what_appears_beside_a_hessian_of_low_rank_is_found(dtype, seed):
    values = torch.zeros(100, dtype=dtype)
    values[0], tracker = 2.0, SharpnessTracker(seed=seed)
    for _ in range(20):
        tracker.measure(Matrix(torch.diag(values)))
    values[-1] = 4.0
    late = [tracker.measure(Matrix(torch.diag(values))) for _ in range(4 * S.probe_every)]
    assert late[-1].value == pytest.approx(4.0, rel=PROMISED)


def test_what_is_multiplied_by_now_is_not_looked_at():
    operator = diagonal(1.0, 0.9)
    parity = aged(known(operator), operator, 3)
    parity.take_hints(told([1.0, 0.99], *AXES[:2]))
    parity.apply(np.eye(2)[1])
    assert parity.hint() is None
