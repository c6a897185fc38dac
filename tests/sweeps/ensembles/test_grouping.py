"""Which cells advance together."""

import pytest

from samedge_core.sweeps.ensembles.grouping import groups
from samedge_core.training.config import RunConfig

BASE = RunConfig("chebyshev-mlp", steps=100)


def test_settings_of_a_step_may_differ():
    configs = [
        BASE.replace(rule=rule, eta=eta, rho=0.1, beta=0.5, seed=seed)
        for rule in ("gd", "sam", "nesterov")
        for eta in (0.1, 0.2)
        for seed in (0, 1)
    ]
    assert groups(configs) == [list(range(12))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BASE, BASE.replace(steps=200)),
        (BASE, BASE.replace(dtype="float64")),
        (BASE, BASE.replace(options={"degree": 4})),
        (BASE, BASE.replace(batch_size=5)),
        (BASE, BASE.replace(hessian_share=0.5)),
        (RunConfig("points-mlp", seed=0), RunConfig("points-mlp", seed=1)),  # other points
        (RunConfig("digits-mlp"), RunConfig("digits-mlp")),  # no ensemble
    ],
)
def test_what_keeps_cells_apart(one, other):
    assert groups([one, other]) == [[0], [1]]


def test_a_batch_of_all_examples_is_none():
    assert groups([BASE, BASE.replace(batch_size=20)]) == [[0, 1]]


def test_the_start_of_two_weights_may_differ():
    configs = [RunConfig("two-weight", {"a": a}) for a in (1, 2, 3)]
    assert groups(configs) == [[0, 1, 2]]


def test_large_groups_come_in_even_parts():
    configs = [BASE.replace(eta=0.001 * (i + 1)) for i in range(1000)]
    parts = groups(configs)
    sizes = [len(part) for part in parts]
    assert sum(sizes) == 1000
    assert max(sizes) - min(sizes) <= 1
    assert 100 < max(sizes) < 1000
    assert [i for part in parts for i in part] == list(range(1000))
