"""The loss along a line against the loss itself, and its quadratic model against the dense H."""

import numpy as np
import pytest
import torch

from samedge_core.curvature import HessianOperator, dense_hessian
from samedge_core.problems.quadratic import quadratic
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem
from samedge_core.training.slices import CLEAR, POINTS, STILL, loss_along

# tanh: a curve without kinks, whose parabola is off by the third order
NET = RunConfig(
    problem="digits-mlp", options={"n": 40, "width": 3, "activation": "tanh"}, dtype="float64"
)


def sliced(problem, w, direction, points):
    operator = HessianOperator(problem.terms(problem.full_batch()), w)
    return loss_along(
        "g",
        direction,
        w=w,
        value=float(operator.value),
        g=operator.g,
        operator=operator,
        points=points,
        loss=lambda at: float(problem.loss(at, problem.full_batch())),
    )


@pytest.fixture
def net():
    problem = build_problem(NET)
    return problem, problem.init(seed=1)


def random_direction(w, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(w), generator=generator, dtype=w.dtype)


def test_offsets_and_losses_are_those_of_the_line(net):
    problem, w = net
    z = random_direction(w)
    d = z / z.norm()
    points = {"perturbed": w + 0.3 * d, "next": w - 0.1 * random_direction(w, 1)}
    line = sliced(problem, w, z, points)
    assert (len(line.offsets), line.offsets[POINTS // 2], line.along) == (POINTS, 0.0, "g")
    np.testing.assert_allclose(np.diff(line.offsets), np.ptp(line.offsets) / (POINTS - 1))
    direct = [float(problem.loss(w + t * d, problem.full_batch())) for t in line.offsets]
    np.testing.assert_allclose(line.losses, direct, rtol=1e-14)
    assert line.losses[POINTS // 2] == pytest.approx(line.loss, rel=1e-14)


def test_the_model_has_the_slope_and_the_curvature_of_the_dense_hessian(net):
    problem, w = net
    z = random_direction(w)
    d = z / z.norm()
    line = sliced(problem, w, z, {"next": w + d})
    batch = problem.full_batch()
    dense = dense_hessian(lambda v: problem.loss(v, batch), w)
    assert line.curvature == pytest.approx(float(d @ dense @ d), rel=1e-10)
    assert line.slope == pytest.approx(float(problem.gradient(w, batch) @ d), rel=1e-12)
    small, large = np.abs(line.model - line.losses)[[POINTS // 2 + 4, POINTS // 2 + 8]]
    assert large > 7 * small > 0  # at twice the distance, by the third order at least


def test_the_model_of_a_quadratic_is_the_loss():
    problem = quadratic(eigenvalues=(6.0, 2.0, -0.6), rotated=True, seed=0, dtype="float64")
    w = problem.init(seed=0)
    line = sliced(problem, w, random_direction(w), {"next": w + random_direction(w, 1)})
    np.testing.assert_allclose(line.model, line.losses, rtol=1e-12, atol=1e-12)


def test_points_are_drawn_at_their_projections_and_keep_their_own_loss(net):
    problem, w = net
    d = torch.zeros_like(w)
    d[0] = 2.0  # of any length
    uphill, after = w.clone(), w.clone()
    uphill[0] += 0.4
    after[0] -= 0.1
    after[1] += 0.2
    line = sliced(problem, w, d, {"perturbed": uphill, "next": after})
    marks = {mark.place: mark for mark in line.marks}
    assert list(marks) == ["iterate", "perturbed", "next"]
    assert [marks[p].offset for p in marks] == pytest.approx([0.0, 0.4, -0.1])
    assert [marks[p].beside for p in marks] == pytest.approx([0.0, 0.0, 0.2], abs=1e-15)
    batch = problem.full_batch()
    assert marks["next"].loss == float(problem.loss(after, batch))
    foot = w.clone()
    foot[0] -= 0.1
    assert marks["next"].on_line == pytest.approx(float(problem.loss(foot, batch)), rel=1e-14)
    assert marks["perturbed"].on_line == pytest.approx(marks["perturbed"].loss, rel=1e-14)
    assert (line.offsets[0], line.offsets[-1]) == pytest.approx((-0.8, 0.8))


def test_the_range_holds_twice_the_reach_on_every_line(net):
    """Across the ascent direction no mark moves, and yet the same distance is shown."""
    problem, w = net
    d, across = torch.zeros_like(w), torch.zeros_like(w)
    d[0] = across[1] = 1.0
    points = {"perturbed": w + 0.05 * across, "next": w - 0.01 * d}
    assert sliced(problem, w, d, points).offsets[-1] == pytest.approx(0.1)
    assert sliced(problem, w, d, {"next": w - 0.01 * d}).offsets[-1] == pytest.approx(0.02)
    still = sliced(problem, w, d, {"next": w})
    assert still.offsets[-1] == pytest.approx(1e-3 * max(1.0, float(w.norm())))


def test_a_step_too_short_for_the_precision_is_drawn_in_a_range_where_the_loss_is_a_curve():
    problem = build_problem(NET.replace(dtype="float32"))
    w = problem.init(seed=1)
    d = problem.gradient(w, problem.full_batch())
    line = sliced(problem, w, d, {"next": w - 1e-6 * d / d.norm()})
    rises = np.ptp(line.model)
    assert rises >= CLEAR * torch.finfo(torch.float32).eps * line.loss
    # some roundings of the loss, of the CLEAR that it moves by, and the third order
    assert np.abs(line.model - line.losses).max() < 0.02 * rises
    assert line.offsets[-1] < STILL * max(1.0, float(w.norm()))  # no wider than that takes


def test_a_point_out_of_range_is_left_out_and_each_point_is_told(net):
    problem, w = net
    operator = HessianOperator(problem.terms(problem.full_batch()), w)
    told = []
    line = loss_along(
        "v1",
        w,
        w=w,
        value=0.0,
        g=operator.g,
        operator=operator,
        loss=lambda at: 0.0,
        points={"next": w * torch.inf},
        on_progress=lambda: told.append(1),
    )
    assert [mark.place for mark in line.marks] == ["iterate"]
    assert len(told) == POINTS
