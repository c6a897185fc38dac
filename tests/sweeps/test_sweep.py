import math
from itertools import pairwise

import pytest

import samedge_core as se
from samedge_core.sweeps.sweep import MOST_CELLS, SAMPLES, axis_fields

CHEBYSHEV = se.PRESETS["sam-chebyshev"].config
POINT = se.RunConfig(problem="two-weight", rule="gd")


def test_a_span_is_even_in_steps_or_in_ratios_and_keeps_its_ends():
    even = se.Axis.span(CHEBYSHEV, "eta", 0.1, 0.5, 5)
    assert even.values == (0.1, 0.2, 0.3, 0.4, 0.5)
    ratios = se.Axis.span(CHEBYSHEV, "rho", "0.002", "0.2", "16", log=True).values
    assert ratios[0] == 0.002
    assert ratios[-1] == 0.2
    steps = [math.log(b / a) for a, b in pairwise(ratios)]
    assert steps == pytest.approx([math.log(100) / 15] * 15, rel=1e-9)  # 12 digits are kept
    wide = se.Axis.span(CHEBYSHEV, "eta", 1e-320, 1, 3, log=True).values  # no ratio is infinite
    assert wide[1] == pytest.approx(1e-160, rel=1e-3)  # the lowest has a few bits only


def test_an_axis_of_whole_numbers_has_whole_numbers():
    assert se.Axis.span(CHEBYSHEV, "n", 10, 80, 4, log=True).values == (10, 20, 40, 80)
    assert all(isinstance(value, int) for value in se.Axis.parse(CHEBYSHEV, "degree=2,3").values)


def test_a_line_of_the_command_line_is_the_same_axis():
    parsed = se.Axis.parse(CHEBYSHEV, " eta = 0.05:0.8:16:log")
    assert parsed == se.Axis.span(CHEBYSHEV, "eta", 0.05, 0.8, 16, log=True)
    assert se.Axis.parse(CHEBYSHEV, "eta=0.1:0.4:4").values == (0.1, 0.2, 0.3, 0.4)
    assert se.Axis.parse(CHEBYSHEV, "eta=0.1, 0.25").values == (0.1, 0.25)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eta", "an axis must be NAME=LOW:HIGH:COUNT"),
        ("eta=", "an axis must be"),
        ("eta=0.1:0.2", "got 'eta=0.1:0.2'"),
        ("eta=0.1:0.2:4:lin", "eta must be log or linear, got 'lin'"),
        ("eta=nan:1:4", "eta must be a number > 0 and <= 1e+06, got 'nan'"),
        ("eta=0:1:4", "eta must be a number > 0 and <= 1e+06, got '0'"),
        ("rho=0:1:4:log", "rho must be > 0 on a logarithmic axis, got 0"),
        ("eta=1:1:4", "eta must go from low to high, got 1 to 1"),
        ("eta=2:1:4", "got 2 to 1"),
        ("eta=0.1:1:1", "eta's count must be a whole number >= 2 and <= 10000, got '1'"),
        ("eta=0.1:1:1e9", "got '1e9'"),
        ("eta=0.3,0.2", "eta must be ascending values, got 0.3 before 0.2"),
        ("eta=0.2,0.2", "got 0.2 before 0.2"),
        ("n=10:12:8", "n has fewer than 8 different values from 10 to 12"),
        ("eta=0.1:0.10000000000001:50", "eta has fewer than 50 different values"),
        ("degree=2.5,3", "degree must be a whole number"),
        ("seed=1,2", "an axis of SAM on chebyshev-mlp is one of eta, rho, weight_decay, batch"),
        ("beta=0.1,0.2", "got 'beta'"),
        ("rule=0.1,0.2", "got 'rule'"),
    ],
)
def test_a_bad_axis_is_refused_with_its_value(text, message):
    with pytest.raises(se.ConfigError) as refused:
        se.Axis.parse(CHEBYSHEV, text)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("axes", "seeds", "message"),
    [
        ({"eta": 0.1}, (0,), r"eta must be a list, such as \(1, 2\), got 0.1"),
        (None, (0,), "axes must be a list, such as .*, got None"),
        ({"eta": (0.1,)}, 3, "seeds must be a list, such as .*, got 3"),
    ],
)
def test_a_number_in_place_of_a_list_is_refused(axes, seeds, message):
    with pytest.raises(se.ConfigError, match=message):
        se.Sweep(CHEBYSHEV, axes, seeds)


def test_what_can_be_an_axis_follows_from_rule_and_problem():
    assert list(axis_fields(POINT)) == ["eta", "weight_decay", "a", "b"]
    adam = CHEBYSHEV.replace(rule="adam", schedule="linear-warmup")
    assert {"beta2", "eps", "weight_decay", "warmup"} <= set(axis_fields(adam))
    assert not {"rho", "sharpness_every"} & set(axis_fields(adam))
    assert "warmup" not in axis_fields(adam.replace(schedule="cosine"))
    momentum = CHEBYSHEV.replace(rule="polyak")
    assert {"eta", "beta"} <= set(axis_fields(momentum))
    assert "rho" not in axis_fields(momentum)


def test_the_cells_count_seeds_first_then_columns_then_rows():
    sweep = se.Sweep(CHEBYSHEV, {"eta": (0.1, 0.2, 0.3), "degree": (2, 5)}, seeds=(4, 7))
    assert sweep.shape == (3, 2)
    assert [cell.index for cell in sweep.cells] == list(range(12))
    assert [(cell.ix, cell.iy, cell.seed) for cell in sweep.cells[:3]] == [
        (0, 0, 4),
        (0, 0, 7),
        (1, 0, 4),
    ]
    last = sweep.cells[-1].config
    assert (last.eta, last.options["degree"], last.seed) == (0.3, 5, 7)
    assert last == CHEBYSHEV.replace(eta=0.3, seed=7, options={**CHEBYSHEV.options, "degree": 5})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": {}}, "a sweep has one axis, or two different, got []"),
        ({"axes": {"eta": (0.1,), "rho": (0.1,), "n": (9,)}}, "got ['eta', 'rho', 'n']"),
        ({"axes": {"eta": ()}}, "eta must have 1 to 10,000 values, got 0"),
        ({"axes": {"eta": (0.1, math.inf)}}, "got inf"),
        ({"axes": {"eta": (True,)}}, "got True"),
        ({"axes": [0.1, 0.2]}, "axes must be Axis objects or a mapping, got (0.1, 0.2)"),
        ({"seeds": ()}, "seeds must be different numbers, got ()"),
        ({"seeds": (1, 1)}, "got (1, 1)"),
        ({"seeds": (-1,)}, "seed must be a whole number"),
        ({"samples": 3}, "samples must be a whole number >= 4"),
        ({"seeds": range(501), "axes": {"eta": range(1, 21)}}, "20 x 501 seeds = 10,020"),
        ({"base": se.RunConfig(problem="own-problem")}, "needs a problem by its name"),
        # each alone is allowed
        ({"axes": {"batch_size": (10, 40), "n": (20, 50)}}, "batch_size must be at most"),
    ],
)
def test_a_bad_sweep_is_refused_before_anything_starts(changes, message):
    given = {"base": CHEBYSHEV, "axes": {"eta": (0.1, 0.2)}, **changes}
    with pytest.raises(se.ConfigError) as refused:
        se.Sweep(**given)
    assert message in str(refused.value)


def test_a_sweep_is_found_again_by_its_key():
    axes = {"eta": (0.1, 0.2), "rho": (0.01, 0.1)}
    sweep = se.Sweep(CHEBYSHEV, axes, seeds=(3, 4))
    same = se.Sweep(CHEBYSHEV.replace(seed=9), axes, seeds=(3, 4))  # the seeds are the sweep's
    assert same == sweep
    assert same.key == sweep.key
    assert len(sweep.key) == 16
    again = se.Sweep.from_values(sweep.to_values())
    assert again == sweep
    assert again.cells == sweep.cells
    others = [
        se.Sweep(CHEBYSHEV, axes, seeds=(4, 3)),
        se.Sweep(CHEBYSHEV, axes, seeds=(3, 4), samples=41),
        se.Sweep(CHEBYSHEV, dict(reversed(axes.items())), seeds=(3, 4)),
        se.Sweep(CHEBYSHEV, {**axes, "eta": se.Axis("eta", (0.1, 0.2), log=True)}, seeds=(3, 4)),
    ]
    assert len({sweep.key, *(other.key for other in others)}) == 5


@pytest.mark.parametrize(
    "change",
    [{"schema": 2}, {"seeds": "1"}, {"axes": [{"name": "eta"}]}, {"more": 1}, {"samples": 1e9}],
)
def test_values_of_another_kind_are_refused(change):
    values = se.Sweep(POINT, {"eta": (0.1, 0.2)}).to_values()
    with pytest.raises(se.ConfigError):
        se.Sweep.from_values({**values, **change})


def test_the_defaults_are_those_of_the_field():
    assert se.Sweep(POINT, {"eta": (0.1,)}).samples == SAMPLES.default
    assert SAMPLES.default * 250 == MOST_CELLS
