"""Lines, means and differences of runs, against NumPy by hand."""

import numpy as np
import pytest

import samedge_core as se
from samedge_core.analysis import compare
from samedge_core.analysis.compare import (
    QUANTITIES,
    differing,
    interventions_in_words,
    lines,
    names,
    what,
)
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.history import Intervention

GD = {"problem": "digits-mlp", "rule": "gd", "eta": 0.5}  # edge 4, one gradient a step
SAM = {"problem": "digits-mlp", "rule": "sam", "eta": 1.0, "rho": 0.1}  # two gradients a step


def record(config: dict, steps, **columns) -> se.History:
    """A history with a row at each of `steps`; what is not given is 1."""
    history = se.History(se.RunConfig(**config))
    for row, step in enumerate(steps):
        values = {name: column[row] for name, column in columns.items()}
        history.append(
            se.Measurement(
                int(step), **{"loss": 1.0, "grad_norm": 1.0, "lambda_max": 1.0, **values}
            )
        )
    return history


def test_one_run_shows_its_own_values_where_they_are_known():
    history = record(
        GD,
        range(4),
        lambda_max=[1.0, np.nan, -3.0, 4.0],
        loss=[1.0, 2.0, np.inf, 3.0],
        grad_norm=[1.0, 2.0, 3.0, 4.0],
    )
    drawn = lines([history], "step")
    assert set(drawn) == set(QUANTITIES)
    np.testing.assert_array_equal(drawn["sharpness"].x, [0, 2, 3])
    np.testing.assert_array_equal(drawn["sharpness"].y, [1, 3, 4])
    np.testing.assert_array_equal(drawn["ratio"].y, [0.25, 0.75, 1])
    np.testing.assert_array_equal(drawn["loss"].x, [0, 1, 3])
    np.testing.assert_array_equal(drawn["edge"].y, [4, 4, 4, 4])
    assert drawn["loss"].low is None


def test_axes_are_the_runs_own():
    history = record(SAM, range(3))
    history.intervene(Intervention(1, {"eta": 0.25}))
    np.testing.assert_array_equal(lines([history], "time")["loss"].x, [0, 1, 1.25])
    np.testing.assert_array_equal(lines([history], "evals")["loss"].x, [0, 2, 4])


def test_thinning_keeps_the_extremes_of_a_run():
    rng = np.random.default_rng(0)
    columns = {name: rng.lognormal(size=5000) for name in ("loss", "grad_norm", "lambda_max")}
    drawn = lines([record(GD, range(5000), **columns)], "step", most=200)
    for quantity, name in {
        "loss": "loss",
        "grad_norm": "grad_norm",
        "sharpness": "lambda_max",
    }.items():
        line, values = drawn[quantity], columns[name]
        assert len(line.x) <= 200
        assert line.at is not None
        assert line.low is not None
        assert line.high is not None
        assert len(line.at) <= 200
        assert (line.low.min(), line.high.max()) == (values.min(), values.max())
        starts = np.append(0, line.at[1::2].astype(int))  # the first step is a point of its own
        ends = np.append(0, line.at[2::2].astype(int))
        inside = [values[start : end + 1] for start, end in zip(starts, ends, strict=True)]
        assert sum(map(len, inside)) == 5000
        np.testing.assert_array_equal(line.low[1::2], [part.min() for part in inside[1:]])
        np.testing.assert_array_equal(line.high[::2], [part.max() for part in inside])


def test_the_step_at_which_eta_changes_is_in_the_lines_of_a_long_run():
    history = record(GD, range(3000), lambda_max=np.where(np.arange(3000) == 1500, 4.0, 4.1))
    history.intervene(Intervention(1500, {"eta": 0.25}))
    ratio = lines([history], "step", most=200)["ratio"]
    assert {1499, 1500} <= set(ratio.x)
    assert ratio.low is not None
    assert ratio.low.min() == 0.5  # 4 over 2 / 0.25


def test_the_mean_over_steps_is_of_the_steps_that_all_have():
    a = record(GD, [0, 2, 4, 6], loss=[1.0, 2.0, 3.0, 4.0])
    b = record(GD, [0, 1, 2, 3, 4], loss=[5.0, 9.0, 1.0, 9.0, np.inf])
    c = record(GD, [0, 2, 3, 4], loss=[3.0, 6.0, 9.0, 1.0])
    line = lines([a, b, c], "step")["loss"]
    np.testing.assert_array_equal(line.x, [0, 2])  # b is not finite at step 4
    np.testing.assert_array_equal(line.y, [3, 3])
    np.testing.assert_array_equal(line.low, [1, 1])
    np.testing.assert_array_equal(line.high, [5, 6])


def test_unmeasured_steps_take_no_part_in_the_mean():
    a = record(GD, range(4), lambda_max=[1.0, np.nan, 3.0, 4.0])
    b = record(GD, range(4), lambda_max=[3.0, 5.0, np.nan, -8.0])
    line = lines([a, b], "step")["sharpness"]
    np.testing.assert_array_equal(line.x, [0, 3])
    np.testing.assert_array_equal(line.y, [2, 6])


@pytest.mark.parametrize("axis", ["time", "evals"])
def test_runs_of_equal_pace_have_the_same_mean_over_every_axis(axis):
    rng = np.random.default_rng(1)
    runs = [record(SAM, range(300), loss=rng.random(300)) for _ in range(3)]
    over_steps, other = lines(runs, "step", most=10**6), lines(runs, axis, most=10**6)
    np.testing.assert_array_equal(other["loss"].y, over_steps["loss"].y)
    np.testing.assert_array_equal(other["loss"].low, over_steps["loss"].low)


def test_runs_of_unequal_pace_are_interpolated_on_the_stretch_they_share():
    # a: time 0, 0.5, ..., 2.5; b: time 0, 1, ..., 4, of which 0, 1, 2 lie within both
    a = record(GD, range(6), loss=[0.0, 1.0, 4.0, 9.0, 16.0, 25.0])
    b = record({**GD, "eta": 1.0}, range(5), loss=[2.0, 4.0, 6.0, 8.0, 10.0])
    line = lines([a, b], "time")["loss"]
    np.testing.assert_array_equal(line.x, [0, 1, 2])
    np.testing.assert_array_equal(line.y, [1, 4, 11])
    # in evals, GD takes 1 a step and SAM 2: SAM has the fewest points, a is read at 0, 2, 4
    line = lines([a, record(SAM, range(5), loss=[2.0, 4.0, 6.0, 8.0, 10.0])], "evals")["loss"]
    np.testing.assert_array_equal(line.x, [0, 2, 4])
    np.testing.assert_array_equal(line.y, [1, 4, 11])


def test_interpolation_is_linear():
    a = record({**GD, "eta": 1.0}, [0, 4], loss=[0.0, 8.0])
    b = record({**GD, "eta": 1.0}, [1, 2, 5], loss=[1.0, 2.0, 3.0])
    line = lines([a, b], "time")["loss"]
    # shared: 1 to 4, where a has the point 4 alone, and b there 2 + 2/3
    np.testing.assert_array_equal(line.x, [4])
    np.testing.assert_allclose(line.y, [(8 + 8 / 3) / 2], rtol=1e-15)
    # a run without a point of its own there is interpolated, too
    b = record({**GD, "eta": 1.0}, [1, 2, 3], loss=[1.0, 2.0, 3.0])
    line = lines([a, b], "time")["loss"]
    np.testing.assert_array_equal(line.x, [1, 2, 3])
    np.testing.assert_array_equal(line.y, [1.5, 3, 4.5])


@pytest.mark.parametrize("axis", ["step", "time", "evals"])
def test_nothing_shared_is_an_empty_line(axis):
    a, b = record(GD, [0, 1]), record(GD, [5, 6])
    for pair in ([a, b], [a, se.History(se.RunConfig(**GD))]):
        line = lines(pair, axis)["loss"]
        assert len(line.x) == len(line.y) == 0
        assert line.low is not None
        assert len(line.low) == 0


def test_thinning_keeps_the_extremes_of_mean_and_band():
    rng = np.random.default_rng(2)
    losses = rng.lognormal(size=(4, 5000))
    line = lines([record(GD, range(5000), loss=row) for row in losses], "step", most=300)["loss"]
    mean = losses.mean(axis=0)
    assert len(line.x) <= 300
    assert (line.x[0], line.x[-1]) == (0, 4999)
    assert mean.min() < line.y.min() < line.y.max() < mean.max()
    assert line.at is not None
    assert line.low is not None
    assert line.high is not None
    assert (line.at[0], line.at[-1]) == (0, 4999)
    assert (line.low.min(), line.high.max()) == (losses.min(), losses.max())
    starts, ends = line.at[::2].astype(int), line.at[1::2].astype(int)
    highest = [losses[:, a : b + 1].max() for a, b in zip(starts, ends, strict=True)]
    np.testing.assert_array_equal(line.high[::2], highest)


def test_what_differs_are_settings_and_options_of_every_problem():
    mlp = se.RunConfig(problem="digits-mlp", options={"width": 20}, rule="gd")
    assert differing([mlp]) == []
    assert differing([mlp, mlp.replace(seed=2)]) == ["seed"]
    wide = mlp.replace(options={**mlp.options, "width": 30})
    assert differing([mlp, wide]) == ["width"]
    other = differing([mlp, mlp.replace(problem="digits-cnn")])
    assert "problem" in other
    assert "width" in other  # that the CNN has none is a difference too


def test_names_leave_out_what_the_rule_does_not_use_and_what_does_not_change_a_run():
    gd = se.RunConfig(rule="gd", rho=0.1, steps=10)
    sam = se.RunConfig(rule="sam", rho=0.05, steps=20)
    assert names([gd, sam]) == ["GD", "SAM ρ 0.05"]
    assert names([sam, sam.replace(measure_every=2)]) == ["SAM", "SAM"]
    assert names([gd, gd.replace(problem="digits-cnn")])[1].startswith("GD CNN on digits")


def test_names_tell_what_has_changed_on_the_way():
    start = se.RunConfig(rule="gd", eta=0.2, rho=0.1)
    same, slower = (Hyperparameters("gd", eta, rho=0.1, beta=0.9) for eta in (0.2, 0.1))
    assert differing([start, start], [same, slower]) == ["eta"]
    lower = [Intervention(1200, {"eta": 0.1}, {"eta": 0.2}), Intervention(1300)]
    told = "GD η 0.2; η → 0.1 at step 1,200"
    assert names([start] * 3, [[], lower, []]) == ["GD η 0.2", told, "GD η 0.2"]
    sam = [Intervention(5, {"rule": "sam", "rho": 0.05}, {"rule": "gd", "rho": 0.1})]
    assert names([start] * 2, [[], sam]) == ["GD", "GD ρ 0.1; rule → SAM, ρ → 0.05 at step 5"]
    assert names([start], [lower]) == [told]
    # a run that comes back to its first value is another run all the same
    back = [*lower, Intervention(1400, {"eta": 0.2}, {"eta": 0.1})]
    assert names([start], [back]) == [f"{told}; η → 0.2 at step 1,400"]
    assert names([start], [back * 2])[0].endswith("step 1,400; 2 more changes")


def test_what_a_run_is_depends_on_no_others():
    assert what(se.RunConfig(rule="gd", eta=2.0, seed=4)) == "GD η 2, MLP on digits"
    options = {"eigenvalues": [1000.0, 1.0, 0.5, 0.25], "rotated": False}
    bowl = se.RunConfig(problem="quadratic", options=options, rule="polyak", eta=0.1, beta=0.9)
    told = "eigenvalues of A 1000, 1, 0.5, …, random rotation no"
    assert what(bowl) == f"Polyak η 0.1, β 0.9, Quadratic, {told}"
    batches = se.RunConfig(eta=1.0, rho=0.1, batch_size=32)
    assert what(batches) == "SAM η 1, ρ 0.1, MLP on digits, batch size 32"
    assert names([batches, batches.replace(batch_size=0)]) == [
        "SAM batch size 32",
        "SAM full batch",
    ]


def test_names_tell_options_within_a_problem_alone_and_never_where_a_file_lies():
    files = [
        se.RunConfig(problem="own-text", options={"path": f"/tmp/up/{i}/my {i}.txt"})
        for i in range(2)
    ]
    assert names(files) == ["SAM my 0.txt", "SAM my 1.txt"]
    assert names([files[0], se.RunConfig()]) == ["SAM Your own text (.txt)", "SAM MLP on digits"]
    wide = se.RunConfig(options={"width": 50})
    mlps = ["SAM MLP on digits, width 100", "SAM MLP on digits, width 50"]
    assert names([files[0], se.RunConfig(), wide]) == ["SAM Your own text (.txt)", *mlps]
    path = compare.settings_of(files)["path"]
    assert compare.as_text(path, files[1].options["path"]) == "my 1.txt"


def test_changes_on_the_way_in_words():
    changes = [Intervention(5, {"rule": "sam", "rho": 0.1}, {"rule": "gd", "rho": 0.0})]
    assert interventions_in_words([*changes, Intervention(9)]) == "step 5: GD → SAM, ρ 0 → 0.1"
    assert interventions_in_words([]) == ""


def test_values_are_said_in_the_fields_own_words():
    fields = compare.settings_of([se.RunConfig()])
    assert compare.as_text(fields["width"], 50) == "50"
    assert compare.as_text(fields["activation"], "relu") == "ReLU"
    assert compare.as_text(fields["width"], None) == "–"
