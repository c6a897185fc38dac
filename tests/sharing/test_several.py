"""Several runs in one file: nothing is lost, and means are those of NumPy."""

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import samedge_core as se
from samedge_core.prediction.prediction import Prediction
from samedge_core.prediction.recorded import predicted_columns
from samedge_core.sharing import several
from samedge_core.sharing.replay_file import ExchangeError
from samedge_core.sharing.several import MEANS, MEANS_CSV, Chosen, export

CONFIG = se.RunConfig(rule="gd", eta=0.5, steps=20)


def run(seed: int, *, steps: int = 6, every: int = 1, top_k: int = 1) -> Chosen:
    """Made-up rows, whose sharpness is measured every so many steps."""
    config = CONFIG.replace(seed=seed, top_k=top_k)
    history, draw = se.History(config), np.random.default_rng(seed)
    for step in range(steps):
        measured = draw.random() if step % every == 0 else np.nan
        row = se.Measurement(step, loss=draw.random(), grad_norm=draw.random(), lambda_max=measured)
        row.others = tuple(draw.random(top_k - 1))
        history.append(row)
    return Chosen(f"id{seed}", f"GD, seed {seed}", "GD", "g", config, steps, lambda: history)


def read(runs: Sequence[Chosen], suffix: str = MEANS_CSV) -> pd.DataFrame:
    content = io.BytesIO(export(runs, suffix))
    return pd.read_parquet(content) if suffix == ".parquet" else pd.read_csv(content)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_all_rows_stand_under_each_other(suffix):
    runs = [run(0, top_k=3), run(1, steps=4, every=2)]
    found = read(runs, suffix)
    assert found["run"].tolist() == ["id0"] * 6 + ["id1"] * 4
    assert found["name"].tolist() == ["GD, seed 0"] * 6 + ["GD, seed 1"] * 4
    assert found["seed"].tolist() == [0] * 6 + [1] * 4
    for one, part in zip(runs, (found.iloc[:6], found.iloc[6:]), strict=True):
        expected = one.load().to_frame()
        part = part.astype({name: expected[name].dtype for name in expected})
        pd.testing.assert_frame_equal(
            part[list(expected)].reset_index(drop=True), expected, check_exact=True
        )
    assert found["lambda_3"].isna().tolist() == [False] * 6 + [True] * 4  # the second has none


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_was_predicted_stands_beside_the_rows_of_its_run_alone(suffix):
    made = se.predict(CONFIG.replace(problem="two-weight", steps=4))
    known = replace(run(0), predicted=lambda: [made])
    found = read([known, run(1)], suffix)
    expected = predicted_columns([made], known.load())
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].iloc[:6], values)
        assert np.isnan(found[name].iloc[6:]).all()
    assert np.isfinite(expected["predicted_loss"]).sum() == 4
    assert not set(expected) & set(read([run(1)], suffix))


def test_a_notebook_predicts_those_again_that_were_predicted_from_their_start():
    config = CONFIG.replace(problem="two-weight", steps=4)
    later = Prediction(config, "hop", begin=2)
    runs = [replace(run(seed), predicted=lambda m=m: m) for seed, m in enumerate(([], [later]))]
    assert b"se.predict(" not in export(runs, ".ipynb")
    content = export([*runs, replace(run(2), predicted=lambda: [se.predict(config)])], ".ipynb")
    assert content.count(b"se.predict(") == 1
    assert b'se.predict(runs[\\"GD, seed 2\\"].config)' in content


def test_means_and_sample_deviations_are_those_of_numpy_and_say_of_how_many():
    runs = [run(0), run(1, every=2), run(2, steps=4, every=3)]
    found = read(runs).to_dict("list")
    assert found["step"] == list(range(6))
    assert found["runs"] == [3, 3, 3, 3, 2, 2]
    for name in MEANS:
        rows = np.full((3, 6), np.nan)
        for one, row in zip(runs, rows, strict=True):
            column = one.load().columns()[name]
            row[: len(column)] = column
        for step, values in enumerate(rows.T):
            known = values[~np.isnan(values)]
            assert found[f"{name}_runs"][step] == len(known)
            if len(known):
                # both sum at most three numbers in double precision
                assert found[f"{name}_mean"][step] == pytest.approx(known.mean(), rel=1e-14)
            if len(known) > 1:
                deviation = known.std(ddof=1)
                assert found[f"{name}_deviation"][step] == pytest.approx(deviation, rel=1e-12)
            else:
                assert np.isnan(found[f"{name}_deviation"][step])


def test_groups_stay_apart_even_where_they_are_called_alike():
    other = replace(run(5), group="h")
    found = read([run(0), other, run(1)])
    assert found.groupby("group")["runs"].unique().map(list).tolist() == [[2], [1]]
    assert set(found["setting"]) == {"GD"}


def test_a_name_is_no_formula_of_a_spreadsheet():
    evil = replace(run(0), name="=cmd|' /C calc'!A0", what="@x")
    assert read([evil], ".csv")["name"].tolist()[0] == "'=cmd|' /C calc'!A0"
    assert read([evil])["setting"].tolist()[0] == "'@x"
    assert read([evil], ".parquet")["name"].tolist()[0] == "=cmd|' /C calc'!A0"


@pytest.mark.parametrize("suffix", several.FORMATS)
def test_too_many_rows_are_refused_with_both_numbers_before_any_is_read(suffix):
    def load():
        raise AssertionError("read")

    most = several.LIMITS[suffix]
    runs = [replace(run(seed), rows=most // 2 + 1, load=load) for seed in range(2)]
    told = f"2 runs with {2 * (most // 2 + 1):,} rows .* has {most:,} rows at most"
    with pytest.raises(ExchangeError, match=told):
        export(runs, suffix)
    with pytest.raises(ExchangeError, match="one at least, got none"):
        export([], suffix)


def test_the_end_of_a_name_says_the_kind():
    assert several.suffix_of("a.means.CSV") == MEANS_CSV
    assert several.suffix_of("a.csv") == ".csv"
    with pytest.raises(ValueError, match=r"one of \.csv, .*, got 'a\.html'"):
        several.suffix_of("a.html")
