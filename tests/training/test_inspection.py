"""An inspection is that of the run's own row and next iterate, and leaves the run as it was."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from samedge_core.curvature import dense_hessian, spectrum
from samedge_core.problems.datasets import digit_images, digits
from samedge_core.problems.pictures import pictures
from samedge_core.problems.problem import ModuleProblem
from samedge_core.theory import edges
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention, Measurement
from samedge_core.training.inspect_step import SHOWN, _points, inspection_at
from samedge_core.training.inspection import Inspection
from samedge_core.training.loop import build_problem, measurements, run
from samedge_core.training.observe import observe
from samedge_core.training.optimizers import update
from samedge_core.training.slices import POINTS
from samedge_core.training.state import TrainState

NET = RunConfig(
    problem="digits-mlp",
    options={"n": 50, "width": 3},
    rule="sam",
    eta=0.5,
    steps=40,
    top_k=3,
    seed=3,
    dtype="float64",
)
BATCHES = {"batch_size": 20}
CHANGES = (Intervention(5, {"eta": 0.2}), Intervention(12, {"rule": "usam", "rho": 0.3}))


def taken(config: RunConfig, steps: int, changes=()):
    """The problem, the state after so many steps, and the last row."""
    problem = build_problem(config)
    state = TrainState.initial(config, problem)
    planned = [(i.step, i.changes) for i in changes]
    loop = measurements(
        config, problem, state, changes=lambda at: [c for step, c in planned if step == at]
    )
    row = None
    while state.step < steps:
        item = next(loop)
        row = item if isinstance(item, Measurement) else row
    return problem, state, row


def inspection(config: RunConfig, step: int, *, start=0, changes=(), **options: Any) -> Inspection:
    problem, state, _ = taken(config, start, changes)
    options.setdefault("with_spectrum", False)
    return inspection_at(config, problem, state, step, replay=changes, **options)


@pytest.mark.parametrize(
    "settings",
    [{}, BATCHES, BATCHES | {"measure_on": "fixed"}, {"hessian_share": 0.5}, {"rule": "nesterov"}],
    ids=str,
)
@pytest.mark.parametrize("start", [0, 9])
def test_it_is_the_row_bit_for_bit(settings, start):
    config = NET.replace(**settings)
    step = 17
    found = inspection(config, step, start=start, changes=CHANGES)
    history = run(config, interventions=CHANGES)
    row = {name: values[step] for name, values in history.columns().items()}
    assert (found.step, found.loss, found.grad_norm) == (step, row["loss"], row["grad_norm"])
    expected = [row["lambda_max"], row["lambda_2"], row["lambda_3"]]
    assert found.eigenvalues.tolist() == expected
    assert (found.residuals[0], found.converged) == (row["residual"], row["converged"])
    assert found.hyper == history.in_force(step)
    assert found.edge == row["edge"]
    # the row keeps it in single precision
    assert found.alignments[0] == pytest.approx(row["align_grad"], rel=1e-6)
    assert np.linalg.norm(found.alignments) == pytest.approx(row["align_grad_k"], rel=1e-6)


def test_a_change_at_the_step_itself_is_in_force():
    found = inspection(NET, 12, start=12, changes=CHANGES)
    assert (found.hyper.rule, found.hyper.eta, found.hyper.rho) == ("usam", 0.2, 0.3)
    marks = {mark.place: mark for mark in found.slices[1].marks}
    assert marks["perturbed"].offset == pytest.approx(0.3 * found.grad_norm)  # w + rho g


@pytest.mark.parametrize("settings", [{}, BATCHES, BATCHES | {"measure_on": "fixed"}], ids=str)
def test_the_marks_are_the_run_s_own_next_iterate_and_uphill_point(settings):
    config, step = NET.replace(**settings), 8
    found = inspection(config, step)
    problem, before, _ = taken(config, step)
    _, after, _ = taken(config, step + 1)
    batch = before.batches.next() if before.batches else problem.full_batch()
    seen = before.fixed or batch
    g, own = (problem.gradient(before.w, b) for b in (seen, batch))
    line = found.slices[1]
    d = g / g.norm()
    marks = {mark.place: mark for mark in line.marks}
    _, points = _points(problem, before, batch, own)
    assert torch.equal(points["next"], after.w)
    assert marks["next"].loss == float(problem.loss(after.w, seen))
    assert marks["next"].offset == pytest.approx(float((after.w - before.w) @ d), rel=1e-12)
    assert marks["perturbed"].offset == pytest.approx(config.rho * float(own @ d / own.norm()))
    if seen is batch:
        assert marks["perturbed"].offset == pytest.approx(config.rho, rel=1e-12)
        assert marks["perturbed"].beside == pytest.approx(0, abs=1e-12)
    assert line.slope == pytest.approx(found.grad_norm, rel=1e-12)
    direct = [float(problem.loss(before.w + t * d, seen)) for t in line.offsets]
    np.testing.assert_allclose(line.losses, direct, rtol=1e-12)


def test_the_line_along_v1_has_the_dense_eigenvalue_and_points_uphill():
    found = inspection(NET, 20)
    problem, state, _ = taken(NET, 20)
    batch = problem.full_batch()
    dense = dense_hessian(lambda v: problem.loss(v, batch), state.w)
    values, vectors = np.linalg.eigh(dense.numpy())
    line = found.slices[0]
    assert line.along == "v1"
    # the tracker's residual is 3e-3 of it at most, and the error of second order in that
    assert line.curvature == pytest.approx(values[-1], rel=1e-3)
    # v1 has what its residual says it lacks, of which the Ritz value knows nothing
    assert line.curvature == pytest.approx(found.eigenvalues[0], rel=1e-4)
    assert line.slope >= 0
    v1 = torch.from_numpy(vectors[:, -1])
    g = problem.gradient(state.w, batch)
    # the eigenvector is off by the residual over the gap
    assert line.slope == pytest.approx(abs(float(v1 @ g)), abs=1e-2 * found.grad_norm)
    assert found.alignments[0] == pytest.approx(line.slope / found.grad_norm, rel=1e-12)


@pytest.mark.parametrize("rule", list(RULES))
def test_multipliers_are_those_of_the_rule_in_force(rule):
    eta = 0.002 if RULES[rule].preconditioned else NET.eta
    found = inspection(NET.replace(rule=rule, rho=0.1, beta=0.6, eta=eta), 10)
    c, norm, h = found.eigenvalues, found.grad_norm, found.hyper
    adam = edges.adam_multiplier(c, h.eta, 0.6)
    expected = {
        "gd": edges.gd_multiplier(c, h.eta),
        "sam": edges.sam_multiplier(c, h.eta, 0.1, norm),
        "usam": edges.usam_multiplier(c, h.eta, 0.1),
        "polyak": edges.polyak_multiplier(c, h.eta, 0.6),
        "nesterov": edges.nesterov_multiplier(c, h.eta, 0.6),
        "sam-polyak": edges.polyak_multiplier(c * (1 + 0.1 * c / norm), h.eta, 0.6),
        "rmsprop": edges.gd_multiplier(c, h.eta),
        "sam-rmsprop": edges.gd_multiplier(c, h.eta),
        "adam": adam,
        "sam-adam": adam,
    }[rule]
    np.testing.assert_array_equal(found.multipliers, expected)
    at_edge = replace(found, eigenvalues=np.array([found.edge, np.nan]))
    assert at_edge.multipliers[0] == pytest.approx(-1)
    assert np.isnan(at_edge.multipliers[1])


@pytest.mark.parametrize("rule", ["adam", "sam-adam"])
def test_under_adam_eigenvalues_and_lines_are_those_of_the_edge_operator(rule):
    config = NET.replace(rule=rule, eta=0.002, rho=0.1, beta2=0.99)
    found = inspection(config, 20)
    problem, state, _ = taken(config, 20)
    batch = problem.full_batch()
    hessian = dense_hessian(lambda v: problem.loss(v, batch), state.w)
    g = problem.gradient(state.w, batch)
    made = update(state.w, g, state.moments, state.in_force, lambda w: problem.gradient(w, batch))
    assert made.preconditioner is not None
    root = made.preconditioner.rsqrt()
    uphill = hessian + (0.1 / found.grad_norm) * hessian @ hessian * (rule == "sam-adam")
    values, vectors = np.linalg.eigh((root[:, None] * uphill * root).numpy())
    # the tracker stops at a residual of 1e-3, and the value's error is of second order in that
    assert found.eigenvalues[0] == pytest.approx(values[-1], rel=1e-4)
    assert found.edge == pytest.approx(38 / 0.002, rel=1e-12)
    direction = root * torch.from_numpy(vectors[:, -1])
    direction /= direction.norm()
    # the eigenvector is off by the residual over the gap
    expected = float(direction @ hessian @ direction)
    assert found.slices[0].curvature == pytest.approx(expected, rel=2e-2)
    apart = inspection(config, 20, with_spectrum=True).spectrum
    assert apart is not None
    assert apart.nodes.max() == pytest.approx(values[-1], rel=1e-6)
    assert apart.products % (2 if rule == "sam-adam" else 1) == 0


def test_on_a_quadratic_the_multiplier_is_what_the_step_does():
    """One direction alone, where the model is the loss: the mark lands at (m - 1) times w."""
    config = RunConfig(
        problem="quadratic",
        options={"eigenvalues": (6.0,), "rotated": False},
        rule="sam",
        eta=0.2,
        rho=0.05,
        dtype="float64",
    )
    found = inspection(config, 3)
    _, state, _ = taken(config, 3)
    _, after, _ = taken(config, 4)
    assert float(after.w / state.w) == pytest.approx(found.multipliers[0], rel=1e-12)
    for line in found.slices:
        np.testing.assert_allclose(line.model, line.losses, rtol=1e-12, atol=1e-15)
    assert found.inputs is None


@pytest.mark.parametrize("settings", [{}, BATCHES | {"rule": "polyak"}], ids=str)
def test_the_state_goes_on_as_the_run_would_have(settings):
    config = NET.replace(**settings)
    problem, state, _ = taken(config, 4)
    inspection_at(config, problem, state, 11, with_spectrum=True)
    assert state.step == 11
    rows = [r for r in measurements(config, problem, state) if isinstance(r, Measurement)]
    expected = run(config).columns()
    for name in ("loss", "lambda_max", "hvps", "align_grad"):
        values = np.array([getattr(row, name) for row in rows], dtype=expected[name].dtype)
        np.testing.assert_array_equal(values, expected[name][11:], err_msg=name)


def test_the_spectrum_is_that_of_the_same_hessian_and_progress_is_told():
    told: list[tuple[str, int, int]] = []
    found = inspection(NET, 6, with_spectrum=True, on_progress=lambda *now: told.append(now))
    problem, state, _ = taken(NET, 6)
    _, operator = observe(problem, state.w, problem.full_batch(), 1.0)
    assert found.spectrum is not None
    np.testing.assert_array_equal(found.spectrum.nodes, spectrum(operator, seed=3).nodes)
    assert told[:2] == [("replay", 0, 6), ("replay", 1, 6)]
    assert ("slices", 2 * POINTS, 2 * POINTS) in told
    assert told[-1][0] == "spectrum"
    assert told[-1][1] == told[-1][2]


def test_at_a_stationary_point_there_is_no_line_along_g():
    config = RunConfig(problem="two-weight", options={"a": 2.0, "b": 0.5}, rule="sam")
    found = inspection(config, 0)
    assert [line.along for line in found.slices] == ["v1"]
    assert np.isnan(found.alignments).all()
    assert found.multipliers == pytest.approx([1 - config.eta * 4.25])


def test_a_step_that_is_not_to_be_had_is_refused():
    problem, state, _ = taken(NET, 5)
    with pytest.raises(ValueError, match="step must be 5 at least"):
        inspection_at(NET, problem, state, 4)
    with pytest.raises(ValueError, match="the run ends with step 40, before step 60"):
        inspection_at(NET, problem, state, 60)


def test_a_step_that_left_the_range_of_numbers_says_so():
    wild = RunConfig(
        problem="quadratic", options={"eigenvalues": (1e6,)}, rule="usam", eta=1e6, rho=1e3
    )
    assert run(wild).last_step == 1
    problem, state, _ = taken(wild, 0)
    with pytest.raises(FloatingPointError, match="the loss has left the finite range at step 1"):
        inspection_at(wild, problem, state, 1)


# --- inputs


@pytest.mark.parametrize("loss", ["mse", "cross-entropy"])
def test_inputs_are_what_the_network_says_wrong_ones_first(loss):
    config = NET.replace(options={"n": 50, "width": 3, "loss": loss})
    found = inspection(config, 15).inputs
    assert found is not None
    problem, state, _ = taken(config, 15)
    assert isinstance(problem, ModuleProblem)
    x, y = problem.full_batch()
    outputs = problem.predict(state.w, x)
    scores = outputs.softmax(1) if loss == "cross-entropy" else outputs
    wrong = (outputs.argmax(1) != y).tolist()
    assert (found.looked_at, found.wrong) == (50, sum(wrong))
    assert found.scores == ("probability" if loss == "cross-entropy" else "output")
    indices = sorted(range(50), key=lambda i: not wrong[i])[:SHOWN]
    assert [item.index for item in found.shown] == indices
    for item in found.shown:
        assert item.label == int(y[item.index])
        assert item.predicted == int(outputs[item.index].argmax())
        assert item.score == pytest.approx(float(scores[item.index].max()))
        assert item.label_score == pytest.approx(float(scores[item.index, item.label]))
        assert item.right != wrong[item.index]
        np.testing.assert_array_equal(item.picture, digit_images(50)[item.index])


CURVE = RunConfig(
    problem="chebyshev-mlp",
    options={"n": 9, "degree": 3},
    eta=0.2,
    rho=0.02,
    seed=1,
    dtype="float64",
)


@pytest.mark.parametrize("settings", [{}, {"rule": "polyak"}, {"batch_size": 4}], ids=str)
def test_what_a_network_of_one_number_computes_and_what_the_step_adds(settings):
    config = CURVE.replace(**settings)
    fit = inspection(config, 30).fit
    assert fit is not None
    problem, state, _ = taken(config, 30)
    _, after, _ = taken(config, 31)
    assert isinstance(problem, ModuleProblem)
    data, at = problem.full_batch(), torch.from_numpy(fit.at)[:, None]
    np.testing.assert_array_equal(fit.x, data.x[:, 0])
    np.testing.assert_array_equal(fit.y, data.y[:, 0])
    assert (fit.at[0], fit.at[-1]) == (-1, 1)
    with torch.no_grad():
        before, then = (problem.predict(w, at)[:, 0].numpy() for w in (state.w, after.w))
    np.testing.assert_allclose(fit.values, before, rtol=0, atol=1e-14)
    np.testing.assert_allclose(fit.change, then - before, rtol=0, atol=1e-14)


def test_the_part_along_v1_is_by_the_dense_eigenvector_and_the_whole_jacobian():
    fit = inspection(CURVE, 30).fit
    problem, state, _ = taken(CURVE, 30)
    step = taken(CURVE, 31)[1].w - state.w
    assert fit is not None
    assert isinstance(problem, ModuleProblem)
    values, vectors = torch.linalg.eigh(dense_hessian(lambda w: problem.loss(w, None), state.w))
    v1 = vectors[:, values.abs().argmax()]
    at = torch.from_numpy(fit.at)[:, None]
    jacobian = torch.func.jacrev(lambda w: problem.predict(w, at)[:, 0])(state.w)
    expected = (torch.dot(step, v1) * (jacobian @ v1)).numpy()
    # the tracker's eigenvector is off by some 1e-3
    np.testing.assert_allclose(fit.along_v1, expected, rtol=0, atol=0.01 * np.abs(expected).max())


def test_at_the_edge_the_function_changes_along_v1_above_all():
    config = CURVE.replace(options={}, rule="gd", steps=2000, dtype="float32")
    early, late = (
        inspection(config, step).fit for step in (200, 1500)
    )  # 2/eta is reached near 750
    assert early is not None
    assert late is not None
    left = [
        float(np.linalg.norm(fit.change - fit.along_v1) / np.linalg.norm(fit.change))
        for fit in (early, late)
    ]
    assert left[1] < 0.3 < left[0]


@pytest.mark.parametrize("problem", ["quadratic", "digits-mlp", "deep-linear"])
def test_other_problems_have_no_such_function(problem):
    assert inspection(RunConfig(problem=problem, eta=0.1), 0).fit is None


def test_digit_pictures_are_the_inputs_of_the_network():
    shown = digit_images(60).reshape(60, 64) / 255
    x = digits(60).x
    assert np.abs(shown - shown.mean(axis=0) - x).max() < 1 / 255


def test_pictures_of_the_paper_s_data(paper_files):
    mnist = pictures("mnist-mlp", {"n": 30}, 20)
    assert mnist is not None
    assert (mnist.shape, mnist.dtype) == ((20, 28, 28), np.uint8)
    colour = pictures("cifar-cnn", {"n": 10}, 20)
    assert colour is not None
    assert colour.shape == (10, 32, 32, 3)
    for problem in ("shakespeare-transformer", "chebyshev-mlp", "two-weight", "quadratic"):
        assert pictures(problem, {"n": 10}, 5) is None


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((5, 4), (5, 4)),
        ((5, 4, 1), (5, 4)),
        ((5, 4, 3), (5, 4, 3)),
        ((5, 4, 2), None),
        ((7,), None),
    ],
)
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_pictures_of_one_s_own(tmp_path, shape, shown, kind):
    x = np.random.default_rng(0).integers(0, 256, (9, *shape)).astype(kind)
    file = tmp_path / "own.npz"
    np.savez(file, x=x, y=np.arange(9) % 3)
    found = pictures("own-images", {"path": str(file), "n": 8}, 6)
    if shown is None:
        assert found is None
        return
    assert found is not None
    assert (found.shape, found.dtype) == ((6, *shown), np.uint8)
    if kind == "uint8":
        np.testing.assert_array_equal(found, x[:6].reshape(found.shape))
    else:
        assert (found.min(), found.max()) == (0, 255)
