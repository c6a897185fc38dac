"""The paper's models against hand calculation and against the same models written in JAX."""

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from samedge_core.problems.data import DataError
from samedge_core.problems.networks import mlp
from samedge_core.problems.paper_networks import ChannelNorm, PaperCNN, glorot_truncated
from samedge_core.problems.problem import ModuleProblem
from samedge_core.problems.registry import build
from samedge_core.problems.transformer import Transformer, haiku_initialiser
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.config import RunConfig
from samedge_core.training.optimizers import Moments, update

pytestmark = pytest.mark.usefixtures("paper_files")

MLP = {"n": 12, "n_test": 6, "width": 5}
CNN = {"n": 6, "n_test": 4, "channels": 3}
TEXT = {"n": 5, "n_test": 4, "length": 7, "heads": 2, "key": 3, "model": 6}
SMALL = [("mnist-mlp", MLP), ("cifar-cnn", CNN), ("shakespeare-transformer", TEXT)]


def make(name: str, **options) -> ModuleProblem:
    config = RunConfig(problem=name, options=options, dtype="float64")
    problem = build(name, config.options, seed=0, dtype="float64")
    assert isinstance(problem, ModuleProblem)
    return problem


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_numbers_of_parameters_by_hand():
    # the paper's sizes and the reduced ones; a layer of n inputs has n + 1 weights an output
    assert count(mlp([784, 1000, 1000, 1000, 10], "relu")) == 785_000 + 2 * 1_001_000 + 10_010
    assert count(mlp([784, 200, 200, 200, 10], "relu")) == 239_410
    # 3x3 kernels and biases, two weights a normalised channel, a head on 8 x 8 x 32
    cnn = (28 * 16 + 32) + (145 * 32 + 64) + 2049 * 10
    assert count(PaperCNN((32, 32, 3), (16, 32), 1, 10)) == cnn == 25_674
    # embeddings, positions, final norm, head; norms, q k v, output and dense layers of a block
    outside = 128 * 128 + 64 * 128 + 2 * 128 + 129 * 128
    block = 4 * 128 + 3 * 129 * 256 + 257 * 128 + 129 * 512 + 513 * 128
    full = Transformer(length=64, layers=6, heads=8, key=32, model=128)
    assert count(full) == outside + 6 * block == 1_626_496
    assert count(Transformer(length=32, layers=2, heads=4, key=16, model=64)) == 118_656


# --- the same models, written in JAX ------------------------------------------------------------


def tensors(problem: ModuleProblem, w) -> list:
    """The tensors of w in the order of the module's parameters."""
    module = problem._module  # pyright: ignore[reportPrivateUsage]
    shapes = [p.shape for p in module.parameters()]
    ends = np.cumsum([0, *(math.prod(shape) for shape in shapes)])
    return [w[a:b].reshape(shape) for (a, b), shape in zip(pairwise(ends), shapes, strict=True)]


def normed(x, weight, bias, epsilon):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + epsilon) * weight + bias


def jax_mlp(weights, x):
    *hidden, (last, shift) = zip(weights[::2], weights[1::2], strict=True)
    for weight, bias in hidden:
        x = jax.nn.relu(x @ weight.T + bias)
    return x @ last.T + shift


def jax_cnn(weights, x):
    """On (n, rows, columns, channels) throughout, as flax computes it."""
    *blocks, head, shift = weights
    for kernel, bias, scale, offset in zip(*(blocks[i::4] for i in range(4)), strict=True):
        x = jax.lax.conv_general_dilated(
            x,
            kernel.transpose(2, 3, 1, 0),
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        x = normed(jax.nn.relu(x + bias), scale, offset, 1e-6)
        n, rows, columns, channels = x.shape
        x = x.reshape(n, rows // 2, 2, columns // 2, 2, channels).max((2, 4))
    # the head's weights are laid out channels first
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1) @ head.T + shift


def jax_transformer(weights, codes, heads=2):
    # the module's own parameter comes before those of its parts
    positions, tokens, *rest = weights
    *blocks, scale, offset, head, shift = rest
    x = tokens[codes] + positions[: codes.shape[1]]
    time = codes.shape[1]
    allowed = jnp.tril(jnp.ones((time, time), bool))
    for i in range(0, len(blocks), 16):
        s1, o1, wq, bq, wk, bk, wv, bv, wo, bo, s2, o2, w1, b1, w2, b2 = blocks[i : i + 16]
        h = normed(x, s1, o1, 1e-5)
        q, k, v = (
            (h @ weight.T + bias).reshape(*codes.shape, heads, -1)
            for weight, bias in ((wq, bq), (wk, bk), (wv, bv))
        )
        scores = jnp.einsum("nthd,nshd->nhts", q, k) / np.sqrt(q.shape[-1])
        attention = jax.nn.softmax(jnp.where(allowed, scores, -1e30))
        mixed = jnp.einsum("nhts,nshd->nthd", attention, v).reshape(*codes.shape, -1)
        x = x + mixed @ wo.T + bo
        h = normed(x, s2, o2, 1e-5)
        x = x + jax.nn.gelu(h @ w1.T + b1) @ w2.T + b2
    return normed(x, scale, offset, 1e-5) @ head.T + shift


def squared_error(outputs, y):
    return ((outputs - jax.nn.one_hot(y, outputs.shape[-1])) ** 2).mean()


def token_loss(outputs, y):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()


TWINS = {
    "mnist-mlp": (jax_mlp, squared_error),
    "cifar-cnn": (jax_cnn, squared_error),
    "shakespeare-transformer": (jax_transformer, token_loss),
}


def twin(name: str, problem: ModuleProblem):
    """The loss of a problem on all its data as a JAX function of w."""
    predict, loss = TWINS[name]
    x, y = (jnp.asarray(part.numpy()) for part in problem.full_batch())
    return lambda w: loss(predict(tensors(problem, w), x), y)


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_loss_and_gradient_agree_with_jax(name, options):
    problem = make(name, **options)
    w = problem.init(seed=0)
    # away from the start, where biases are 0 and normalisations the identity
    w = w + 0.1 * torch.randn(w.shape, generator=torch.Generator().manual_seed(1), dtype=w.dtype)
    with jax.enable_x64(True):
        loss, g = jax.jit(jax.value_and_grad(twin(name, problem)))(jnp.asarray(w.numpy()))
        ours, gradient = problem.loss_and_gradient(w, None)
        # two orders of float64 sums
        assert float(ours) == pytest.approx(float(loss), rel=1e-12)
        scale = float(gradient.abs().max())
        np.testing.assert_allclose(gradient.numpy(), np.asarray(g), rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_sam_steps_agree_with_optax_on_jax(name, options):
    problem = make(name, **options)
    # small enough to stay stable: above its edge a run multiplies differences at every step
    eta, rho = (1e-4 if name == "cifar-cnn" else 0.01), 0.05
    hyper = Hyperparameters("sam", eta, rho, 0.0)
    w = problem.init(seed=0)
    with jax.enable_x64(True):
        gradient = jax.jit(jax.grad(twin(name, problem)))
        uphill = optax.chain(optax.contrib.normalize(), optax.sgd(rho))
        sam = optax.contrib.sam(optax.sgd(eta), uphill, opaque_mode=True)
        other = jnp.asarray(w.numpy())
        state = sam.init(other)
        for _ in range(4):
            g = problem.gradient(w, None)
            w = update(
                w, g, Moments(torch.zeros_like(w)), hyper, lambda v: problem.gradient(v, None)
            ).w
            updates, state = sam.update(
                gradient(other), state, other, grad_fn=lambda v, _: gradient(v)
            )
            other = optax.apply_updates(other, updates)
            # float64 on both sides
            np.testing.assert_allclose(w.numpy(), np.asarray(other), rtol=0, atol=1e-11)


# --- properties ---------------------------------------------------------------------------------


def test_the_causal_mask_leaks_nothing():
    problem = make("shakespeare-transformer", **TEXT)
    w = problem.init(seed=0)
    codes = torch.randint(1, 128, (1, 7), generator=torch.Generator().manual_seed(0))
    before = problem.predict(w, codes)
    for position in range(7):
        changed = codes.clone()
        changed[0, position] = 128 - changed[0, position]
        moved = (problem.predict(w, changed) - before)[0].abs().amax(-1) > 0
        # bit for bit the same before it, different at it
        assert not moved[:position].any()
        assert moved[position]


def test_channels_are_normed_pixel_by_pixel():
    x = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = ChannelNorm(5).double()(7 + 3 * x)
    torch.testing.assert_close(y.mean(1), torch.zeros(2, 3, 4).double(), rtol=0, atol=1e-14)
    # the biased variance, less epsilon over the variance (about 1e-6 / 9)
    torch.testing.assert_close(
        y.var(1, correction=0), torch.ones(2, 3, 4).double(), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("rows", [7, 8])
def test_a_pool_drops_an_odd_last_row_as_flax_does(rows):
    net = PaperCNN((rows, 8, 1), (2, 4), 1, 3)
    assert net(torch.zeros(1, rows, 8, 1)).shape == (1, 3)


def test_glorot_weights_have_the_variance_of_flax_after_the_cut():
    net = PaperCNN((32, 32, 3), (40, 80), 1, 10)
    torch.manual_seed(0)
    glorot_truncated(net)
    weights = {name: p.detach() for name, p in net.named_parameters()}
    kernel = weights["body.4.weight"]  # 40 -> 80 channels
    std = math.sqrt(2 / (9 * 40 + 9 * 80))
    # 28,800 draws: the standard error of a std is 0.4 %
    assert float(kernel.std()) == pytest.approx(std, rel=0.02)
    assert float(kernel.abs().max()) <= 2 * std / 0.879625 + 1e-7
    assert not weights["body.4.bias"].any()


def test_transformer_weights_have_the_spread_of_haiku():
    net = Transformer(length=64, layers=6, heads=8, key=32, model=128)
    torch.manual_seed(0)
    haiku_initialiser(net)
    spread = {name: float(p.detach().std()) for name, p in net.named_parameters()}
    # cutting at two standard deviations leaves 0.88 of it; VarianceScaling makes up for that
    assert spread["tokens.weight"] == pytest.approx(0.02 * 0.8796, rel=0.03)
    assert spread["blocks.0.dense.0.weight"] == pytest.approx(math.sqrt(2 / 6 / 128), rel=0.03)
    assert spread["head.weight"] == pytest.approx(0.8796 / math.sqrt(128), rel=0.03)
    assert spread["blocks.0.attention.query.bias"] == 0


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_held_out_examples_are_others_and_are_evaluated(name, options):
    problem = make(name, **options)
    w = problem.init(seed=0)
    held_out, seen = problem.evaluate_held_out(w), problem.evaluate(w)
    assert math.isfinite(held_out.loss)
    assert 0 <= held_out.accuracy <= 1
    assert held_out.loss != seen.loss
    none = make(name, **{**options, "n_test": 0}).evaluate_held_out(w)
    assert math.isnan(none.loss)


def test_own_images_take_either_network(own_files):
    for options in ({}, {"network": "cnn", "channels": 2}):
        problem = make("own-images", **own_files["own-images"], n=30, n_test=10, **options)
        assert problem.classes == 3
        assert math.isfinite(problem.evaluate_held_out(problem.init(seed=0)).loss)


def test_a_cnn_refuses_what_it_cannot_halve(own_files):
    with pytest.raises(DataError, match=r"4 blocks needs images .* 16 rows .* got \(9, 8, 1\)"):
        make("own-images", **own_files["own-images"], n=30, network="cnn", blocks=4)
