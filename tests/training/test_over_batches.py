"""The batch sharpness against all batches enumerated, and in runs that it leaves as they are."""

import itertools

import numpy as np
import pytest
import torch

import samedge_core as se
from samedge_core.curvature import dense_hessian
from samedge_core.problems.batches import Batch
from samedge_core.problems.problem import ModuleProblem
from samedge_core.training.batch_sharpness import BatchSharpness
from samedge_core.training.loop import measurements
from samedge_core.training.over_batches import batch_sharpness
from samedge_core.training.state import TrainState

SMALL = se.RunConfig(
    problem="chebyshev-mlp", options={"n": 6}, rule="gd", eta=0.2, batch_size=2, dtype="float64"
)
RUN = SMALL.replace(
    steps=40, measure_every=8, batch_sharpness_every=10, batch_sharpness_batches=5, dtype="float32"
)


@pytest.fixture(scope="module", params=["plain", "compiled"])
def problem(request) -> ModuleProblem:
    problem = se.build_problem(SMALL, request.param)
    assert isinstance(problem, ModuleProblem)
    return problem


def enumerated(problem: ModuleProblem, w: torch.Tensor, size: int) -> np.ndarray:
    """g^T H g / g^T g of each batch there is, by torch.func."""
    data = problem.full_batch()
    values = []
    for chosen in itertools.combinations(range(len(data.x)), size):
        batch = Batch(data.x[list(chosen)], data.y[list(chosen)])
        g = torch.func.grad(lambda at, batch=batch: problem.loss(at, batch))(w)
        h = dense_hessian(lambda at, batch=batch: problem.loss(at, batch), w)
        values.append(float(g @ h @ g / (g @ g)))
    return np.array(values)


def test_it_is_the_mean_over_all_batches(problem):
    w = problem.init(seed=3)
    exact = enumerated(problem, w, 2)
    found = batch_sharpness(problem, w, 2, batches=400, seed=1)
    # each is one of the 15, to float64's rounding in two ways of computing it
    nearest = np.abs(found.values[:, None] - exact).min(axis=1)
    assert nearest.max() < 1e-9 * np.abs(exact).max()
    assert abs(found.mean - exact.mean()) < 4 * found.error  # 4 sigma, and the seed is fixed
    assert found.error == pytest.approx(exact.std() / 20, rel=0.15)  # of a scatter from 400 draws
    assert (found.batches, found.batch_size) == (400, 2)


def test_every_draw_is_by_its_own_seed(problem):
    w, before = problem.init(seed=0), torch.get_rng_state()
    one, same, other = (batch_sharpness(problem, w, 2, batches=9, seed=s) for s in (1, 1, 2))
    assert one.values.tolist() == same.values.tolist() != other.values.tolist()
    assert torch.equal(before, torch.get_rng_state())


def test_a_batch_without_a_gradient_is_left_out():
    data = torch.tensor([[0.0], [1.0]], dtype=torch.float64)  # w x = 0 for x = 0
    module = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    problem = se.Problem.from_module(module, data, 2 * data)
    found = batch_sharpness(problem, problem.init(seed=0), 1, batches=30)
    assert 0 < found.batches < 30
    # (w - 2)^2 on the other example: the curvature is 2 everywhere
    assert (found.mean, found.error) == (2.0, 0.0)


def test_without_any_batch_nothing_is_known():
    none = BatchSharpness(np.array([np.nan, np.inf]), 3)
    assert none.batches == 0
    assert np.isnan([none.mean, none.error, none.variance]).all()


@pytest.mark.parametrize("size", [0, 6])
def test_the_full_batch_is_refused_and_why(problem, size):
    with pytest.raises(se.ConfigError, match=f"got {size}. With the full batch there is one grad"):
        batch_sharpness(problem, problem.init(seed=0), size)


@pytest.mark.parametrize("size", [7, -1])
def test_a_batch_beyond_the_data_is_refused(problem, size):
    with pytest.raises(se.ConfigError, match=f"batch_size must be from 1 to .*got {size}"):
        batch_sharpness(problem, problem.init(seed=0), size)


def test_a_single_batch_is_refused(problem):
    with pytest.raises(se.ConfigError, match=r"batch_sharpness_batches must be .*>= 2"):
        batch_sharpness(problem, problem.init(seed=0), 2, batches=1)


# --- in a run


def test_the_run_is_the_same_to_the_bit():
    columns = se.run(RUN).columns()
    bare = se.run(RUN.replace(batch_sharpness_every=0)).columns()
    for name, values in bare.items():
        if not name.startswith("batch_sharpness"):
            assert values.tobytes() == columns[name].tobytes(), name
    assert np.isnan(bare["batch_sharpness"]).all()
    known = np.flatnonzero(np.isfinite(columns["batch_sharpness"]))
    assert known.tolist() == [0, 10, 20, 30]
    assert (columns["batch_sharpness_error"][known] > 0).all()


def test_what_is_recorded_is_that_of_the_iterate():
    problem = se.build_problem(RUN)
    state = TrainState.initial(RUN, problem)
    loop = measurements(RUN, problem, state)
    for _ in range(10):
        next(loop)
    w = state.w
    row = next(loop)
    assert isinstance(row, se.Measurement)
    seed = (RUN.seed + 4, 10)
    found = batch_sharpness(problem, w, 2, batches=5, seed=seed)
    assert (row.batch_sharpness, row.batch_sharpness_error) == (found.mean, found.error)
    assert row.batch_seconds > 0
    assert row.seconds < 10  # its own cost is told apart


def test_a_resumed_run_measures_the_same():
    problem = se.build_problem(RUN)
    state = TrainState.initial(RUN, problem)
    loop = measurements(RUN, problem, state)
    for _ in range(15):
        next(loop)
    resumed = TrainState.unpack(state.pack(), RUN, problem)
    again = [row for row in measurements(RUN, problem, resumed) if isinstance(row, se.Measurement)]
    assert again[5].batch_sharpness == se.run(RUN).columns()["batch_sharpness"][20]


def test_a_setting_without_meaning_is_refused_and_says_why():
    for size in (0, 6):
        with pytest.raises(se.ConfigError, match=r"must be 0 with the full batch, got 10\. With"):
            RUN.replace(batch_size=size)


def test_all_the_data_can_be_measured_beside_the_steps_on_batches():
    config = RUN.replace(measure_on="all", batch_sharpness_every=0, dtype="float64", steps=3)
    columns = se.run(config).columns()
    bare = se.run(config.replace(measure_on="step"))
    problem = se.build_problem(config)
    w = problem.init(seed=config.seed)
    value, g = problem.loss_and_gradient(w, None)
    top = np.abs(np.linalg.eigvalsh(dense_hessian(lambda at: problem.loss(at, None), w))).max()
    assert columns["loss"][0] == pytest.approx(float(value), rel=1e-12)
    assert columns["grad_norm"][0] == pytest.approx(float(g.norm()), rel=1e-12)
    assert columns["sharpness"][0] == pytest.approx(top, rel=1e-3)  # what the tracker promises
    assert columns["accuracy"].tobytes() == bare.columns()["accuracy"].tobytes()
    assert config.measured_part == "all the data"
