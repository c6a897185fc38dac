"""What the tests of networks with written-out derivatives share."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from samedge_core.problems.compiled.operator import CompiledOperator
from samedge_core.problems.problem import Batch, LossFunction, ModuleProblem, Problem

DOUBLE = torch.float64
# float64 sums of at most some hundred terms, in two orders, against parts of order 1
ROUNDING = 1e-13


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def by_hand(problem: Problem, w: Tensor, batch: Batch | None = None) -> CompiledOperator:
    operator = problem.operator(w, batch)
    assert isinstance(operator, CompiledOperator)
    return operator


def matrix(operator: CompiledOperator) -> Tensor:
    """H column by column."""
    columns = [operator.matvec(v) for v in torch.eye(operator.size, dtype=operator.dtype)]
    return torch.stack(columns, 1)


def agree(ours: Tensor, expected: Tensor, bound: float = ROUNDING) -> None:
    atol = bound * (1 + float(expected.norm()))
    torch.testing.assert_close(ours, expected, rtol=0, atol=atol)


def agree_with_jax(
    problem: ModuleProblem, w: Tensor, made: Callable, bound: float = ROUNDING
) -> None:
    """Loss, gradient and a product are those of JAX; `made(x, y)` is the loss there as a function
    of w."""
    ours, v = by_hand(problem, w), noise(problem.size, seed=9)
    batch = problem.full_batch()
    assert batch is not None
    with jax.enable_x64(True):
        loss = made(*(jnp.asarray(part.numpy()) for part in batch))

        def along(w, v):
            return jax.jvp(jax.value_and_grad(loss), (w,), (v,))

        here, (_, expected) = jax.jit(along)(jnp.asarray(w.numpy()), jnp.asarray(v.numpy()))
        value, g, product = (torch.tensor(np.asarray(part)) for part in (*here, expected))
    assert product.dtype == DOUBLE
    assert product.norm() > 0.1
    agree(ours.value, value, bound)
    agree(ours.g, g, bound)
    agree(ours.matvec(v), product, bound)


def plain_loss(outputs: Tensor, y: Tensor, loss: str | LossFunction) -> Tensor:
    if callable(loss):
        return loss(outputs, y)
    if loss == "cross-entropy":
        return cross_entropy(outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1))
    target = y if y.is_floating_point() else one_hot(y, outputs.shape[-1])
    return (outputs - target).square().mean() / (2 if loss == "half-mse" else 1)


def same_gradient(module: nn.Module, x: Tensor, y: Tensor, loss: str | LossFunction) -> None:
    """`loss_and_gradient` is the module's own backward pass."""
    for seed, p in enumerate(module.parameters()):
        p.data.copy_(0.7 * noise(*p.shape, seed=seed))
    module.zero_grad()
    # first: `functional_call` leaves its own tensors in a layer that is used twice
    expected = plain_loss(module(x), y, loss)
    expected.backward()
    gradients = [p.grad.reshape(-1) for p in module.parameters() if p.grad is not None]
    problem = ModuleProblem(module, x, y, loss)
    value, g = problem.loss_and_gradient(problem.init(seed=0), None)
    agree(value, expected.detach())
    agree(g, torch.cat(gradients))
    assert float(g.norm()) > 0.01
