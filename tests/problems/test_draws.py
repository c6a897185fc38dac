"""Draws from torch's global generator, in one thread: made from another one, or refused."""

import pytest
import torch
from torch import nn

from samedge_core.problems.draws import DrawError, DrawingFrom
from samedge_core.problems.networks import initialiser, mlp
from samedge_core.problems.paper_networks import glorot_truncated


@pytest.mark.parametrize(
    "initialise", [initialiser(name) for name in ("torch", "glorot", "fan-in")] + [glorot_truncated]
)
def test_a_generator_of_ones_own_gives_the_weights_of_the_global_one(initialise):
    ours, expected = mlp([5, 4, 3], "relu"), mlp([5, 4, 3], "relu")
    with torch.random.fork_rng():
        torch.manual_seed(7)
        initialise(expected)
    before = torch.get_rng_state()
    with DrawingFrom(torch.Generator().manual_seed(7)):
        initialise(ours)
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(ours.parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(2),
        lambda: torch.randperm(3),
        lambda: torch.bernoulli(torch.ones(2) / 2),
        lambda: torch.multinomial(torch.ones(3), 1),
        lambda: nn.functional.dropout(torch.ones(4)),
        lambda: nn.functional.rrelu(torch.ones(4), training=True),
        lambda: nn.functional.gumbel_softmax(torch.ones(4)),
        lambda: nn.init.normal_(torch.empty(2)),
    ],
)
def test_a_draw_from_the_global_generator_is_seen_before_it_is_made(draw):
    before = torch.get_rng_state()
    with pytest.raises(DrawError), DrawingFrom(None):
        draw()
    assert torch.equal(torch.get_rng_state(), before)


def test_what_draws_nothing_is_no_draw():
    with DrawingFrom(None):
        nn.functional.rrelu(torch.ones(4), training=False)
        nn.functional.dropout(torch.ones(4), training=False)
        torch.rand(2, generator=torch.Generator())
