"""The networks: sizes, initial weights, and the loss against a forward pass in plain NumPy."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from samedge_core.problems.batches import Batch
from samedge_core.problems.datasets import chebyshev, digits
from samedge_core.problems.networks import cnn, mlp
from samedge_core.problems.registry import PROBLEMS, build
from samedge_core.training.config import RunConfig


def make(name: str, *, seed: int = 0, dtype: str = "float64", **options):
    config = RunConfig(problem=name, options=options)
    return build(name, config.options, seed=seed, dtype=dtype)


def layers(w: torch.Tensor, sizes: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight (out, in) and bias (out,) of each layer, read off the flat vector."""
    flat, out, start = w.double().numpy(), [], 0
    for fan_in, fan_out in pairwise(sizes):
        weight = flat[start : start + fan_in * fan_out].reshape(fan_out, fan_in)
        start += fan_in * fan_out
        out.append((weight, flat[start : start + fan_out]))
        start += fan_out
    assert start == len(flat)
    return out


def forward(w, sizes, x, activation):
    *hidden, last = layers(w, sizes)
    for weight, bias in hidden:
        x = activation(x @ weight.T + bias)
    return x @ last[0].T + last[1]


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("digits-mlp", 17_610),
        ("digits-cnn", 1_898),
        ("points-mlp", 1_082),
        ("chebyshev-mlp", 701),
        ("deep-linear", 6_310),
        ("two-weight", 2),
        ("quadratic", 3),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_number_of_parameters_and_precision(name, size, dtype):
    problem = make(name, dtype=dtype)
    w = problem.init(seed=0)
    assert problem.size == size
    assert w.shape == (size,)
    assert problem.dtype == w.dtype == getattr(torch, dtype)
    assert problem.loss(w, problem.full_batch()).dtype == getattr(torch, dtype)


@pytest.mark.usefixtures("paper_files")
@pytest.mark.parametrize("name", PROBLEMS)
def test_init_is_seeded_and_leaves_the_global_generator_alone(name, own_files):
    options = own_files.get(name, {})
    problem = make(name, **options)
    before = torch.get_rng_state()
    first, again, other = (problem.init(seed=s) for s in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert torch.equal(make(name, **options).init(seed=5), first)
    # the two weights are given, not drawn
    assert torch.equal(first, other) == (name == "two-weight")


@pytest.mark.parametrize("init", ["torch", "glorot", "fan-in"])
def test_initial_weights_have_the_spread_they_should(init):
    sizes = [64, 100, 100, 10]
    w = make("digits-mlp", init=init).init(seed=0)
    for (weight, bias), (fan_in, fan_out) in zip(layers(w, sizes), pairwise(sizes), strict=True):
        variance = {"torch": 1 / (3 * fan_in), "glorot": 2 / (fan_in + fan_out)}.get(
            init, 1 / fan_in
        )
        # the spread of n normal draws is known to 1/sqrt(2 n); five of those
        assert weight.std() == pytest.approx(
            math.sqrt(variance), rel=5 / math.sqrt(2 * weight.size)
        )
        if init == "torch":
            assert np.abs(weight).max() <= 1 / math.sqrt(fan_in)
            assert np.abs(bias).max() <= 1 / math.sqrt(fan_in)
            assert np.abs(bias).min() > 0
        else:
            assert not bias.any()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("loss", ["mse", "half-mse", "cross-entropy"])
def test_loss_and_accuracy_of_the_mlp_by_hand(activation, depth, loss):
    n, width = 40, 7
    problem = make("digits-mlp", n=n, width=width, depth=depth, activation=activation, loss=loss)
    w = 3 * problem.init(seed=1)
    x, labels, *_ = digits(n)
    function = relu if activation == "relu" else np.tanh
    outputs = forward(w, [64, *[width] * depth, 10], x, function)  # (n, 10)
    if loss == "cross-entropy":
        chosen = outputs[np.arange(n), labels]
        expected = np.mean(np.log(np.exp(outputs).sum(axis=1)) - chosen)
    else:
        squares = (outputs - np.eye(10)[labels]) ** 2
        # the mean over examples and over the ten classes
        expected = squares.sum() / (n * 10) * (0.5 if loss == "half-mse" else 1)
    got = problem.evaluate(w)
    # sums of a few hundred terms in float64
    assert got.loss == pytest.approx(expected, rel=1e-12)
    assert float(problem.loss(w, problem.full_batch())) == got.loss
    assert got.accuracy == np.mean(outputs.argmax(axis=1) == labels)
    assert problem.classes == 10


def test_loss_of_the_deep_linear_net_by_hand():
    problem = make("deep-linear", n=30, width=5, depth=3)
    w = problem.init(seed=0)
    x, labels, *_ = digits(30)
    outputs = forward(w, [64, 5, 5, 5, 10], x, lambda x: x)
    expected = np.mean((outputs - np.eye(10)[labels]) ** 2)
    assert problem.evaluate(w).loss == pytest.approx(expected, rel=1e-12)  # float64 sums


@pytest.mark.parametrize("name", ["digits-mlp", "deep-linear"])
def test_held_out_loss_and_accuracy_by_hand(name):
    n, n_test = 1000, 200
    problem = make(name, n=n, n_test=n_test, width=7, depth=2)
    w = 3 * problem.init(seed=1)
    _, _, x, labels = digits(n, n_test)
    outputs = forward(w, [64, 7, 7, 10], x, relu if name == "digits-mlp" else lambda z: z)
    got = problem.evaluate_held_out(w)
    expected = np.mean((outputs - np.eye(10)[labels]) ** 2)
    assert got.loss == pytest.approx(expected, rel=1e-12)  # float64 sums
    assert got.accuracy == np.mean(outputs.argmax(axis=1) == labels)
    assert torch.equal(problem.init(seed=1), make(name, n=n, width=7, depth=2).init(seed=1))


def test_loss_of_the_chebyshev_mlp_by_hand():
    problem = make("chebyshev-mlp", n=15, degree=4)
    w = problem.init(seed=0)
    x, y = chebyshev(15, 4)
    expected = 0.5 * np.mean((forward(w, [1, 30, 20, 1], x, np.tanh) - y) ** 2)
    got = problem.evaluate(w)
    assert got.loss == pytest.approx(expected, rel=1e-12)  # float64 sums
    assert math.isnan(got.accuracy)
    assert problem.classes == 0


def test_the_cnn_sees_images():
    problem = make("digits-cnn", n=12)
    batch = problem.full_batch()
    assert batch is not None
    assert batch.x.shape == (12, 1, 8, 8)
    x = digits(12).x
    np.testing.assert_array_equal(batch.x[3, 0].numpy(), x[3].reshape(8, 8))


def test_the_held_out_images_of_the_cnn_are_those_that_it_would_train_on():
    held_out = make("digits-cnn", n=1000, n_test=797)
    w = held_out.init(seed=0)
    _, _, x, labels = digits(1000, 797)
    images, classes = torch.from_numpy(x).reshape(-1, 1, 8, 8), torch.from_numpy(labels)
    expected = float(held_out.loss(w, Batch(images, classes)))
    assert held_out.evaluate_held_out(w).loss == pytest.approx(expected, rel=1e-12)  # float64 sums


def test_the_cnn_does_not_care_where_in_the_pool_a_pixel_is():
    # an impulse response by hand: one channel, identity kernel, then the maximum of each 2x2 block
    net = cnn(4, (1,), 4).double()
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net[0].weight[0, 0, 1, 1] = 1.0  # pyright: ignore
        net[-1].weight.copy_(torch.eye(4))  # pyright: ignore
    image = torch.arange(16.0, dtype=torch.float64).reshape(1, 1, 4, 4)
    assert net(image).tolist() == [[5.0, 7.0, 13.0, 15.0]]


def test_no_activation_after_the_last_layer():
    assert isinstance(mlp([2, 3, 1], "relu")[-1], torch.nn.Linear)
    assert [type(m) for m in mlp([2, 3, 1], None)] == [torch.nn.Linear] * 2


SMOOTH = [
    ("digits-mlp", {"n": 20, "width": 10, "activation": "tanh"}),
    ("digits-mlp", {"n": 20, "width": 10, "activation": "tanh", "loss": "cross-entropy"}),
    ("chebyshev-mlp", {}),
    ("deep-linear", {"n": 20, "width": 10}),
    ("two-weight", {}),
]
KINKED = [
    ("digits-mlp", {"n": 20, "width": 10}),
    ("digits-cnn", {"n": 20}),
    ("digits-cnn", {"n": 20, "loss": "cross-entropy"}),
]


def difference_error(problem, h: float) -> float:
    """|central difference - <g, d>| along a random unit direction d."""
    w = problem.init(seed=2)
    d = torch.randn(problem.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    d = d / d.norm()
    batch = problem.full_batch()
    ahead, behind = (float(problem.loss(w + s * h * d, batch)) for s in (1, -1))
    slope = float(torch.dot(problem.gradient(w, batch), d))
    assert abs(slope) > 1e-4  # something to compare with
    return abs((ahead - behind) / (2 * h) - slope)


@pytest.mark.parametrize(("name", "options"), SMOOTH)
def test_gradient_of_smooth_losses_is_the_limit_of_central_differences(name, options):
    problem = make(name, **options)
    # the error is h^2 f'''/6, with |f'''| < 60 here, plus a rounding of 1e-16/h
    assert difference_error(problem, 1e-3) < 1e-5
    assert difference_error(problem, 1e-5) < 1e-9 + 1e-11


@pytest.mark.parametrize(("name", "options"), KINKED)
def test_gradient_of_losses_with_kinks_agrees_with_central_differences(name, options):
    # a kink inside the interval adds h times the jump of the slope, at most the curvature, < 10
    assert difference_error(make(name, **options), 1e-7) < 1e-6


def test_gradient_is_of_the_given_batch():
    problem = make("digits-mlp", n=20, width=5)
    w = problem.init(seed=0)
    source = problem.batches(seed=0, batch_size=10)
    assert source is not None
    halves = [problem.loss_and_gradient(w, source.next()) for _ in range(2)]
    loss, g = problem.loss_and_gradient(w, problem.full_batch())
    # the full batch is the mean of its two halves; float64 sums
    torch.testing.assert_close((halves[0][0] + halves[1][0]) / 2, loss, rtol=1e-12, atol=0)
    torch.testing.assert_close((halves[0][1] + halves[1][1]) / 2, g, rtol=0, atol=1e-14)
    assert (halves[0][1] - halves[1][1]).norm() > 1e-3
    assert not g.requires_grad
