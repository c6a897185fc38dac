"""The sentence on a run against made histories, whose numbers are done by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

import samedge_core as se
from samedge_core.analysis.observed import AVERAGED, Observed, in_words, observe
from samedge_core.analysis.summary import summarise
from samedge_core.training.diagnosis import WINDOW
from samedge_core.training.history import Intervention
from samedge_core.training.stop import Stop, StopReason

GD = se.RunConfig(problem="digits-mlp", rule="gd", eta=0.5)  # edge 4


def record(ratios, hopping=None, *, history: se.History | None = None, **columns) -> se.History:
    """A history with sharpness = 4 x `ratios`; from its second row on all steps hop, unless
    `hopping` has a share for each row; `columns` hold one value a row."""
    history = se.History(GD) if history is None else history
    for i, ratio in enumerate(ratios):
        step = history.last_step + 1
        hops = (math.nan if step == 0 else 1.0) if hopping is None else hopping[i]
        values = {name: column[i] for name, column in columns.items()}
        row = {"grad_norm": 1.0, "converged": True, "lambda_max": 4 * ratio, **values}
        history.append(se.Measurement(step, loss=1.0, hopping=hops, **row))
    return history


def said(history: se.History) -> str:
    return in_words(observe(history), history)


def test_nothing_is_said_before_the_first_measured_row():
    assert said(se.History(GD)) == ""
    assert said(record([math.nan])) == ""


def test_below_its_edge_the_newest_measured_numbers_are_said():
    history = record([0.5, 0.625, math.nan])
    assert said(history) == "Now below its edge: sharpness 2.5, 2/η 4 at step 1."
    history.stop = Stop(StopReason.STEP_CAP, 2, "the cap")
    assert said(history) == "Ended below its edge: sharpness 2.5, 2/η 4 at step 1."


def test_at_its_edge_the_step_the_range_and_the_mean_distance_are_said():
    # from step 2 on |ratio - 1| is 0.04, 0.1, 0.02, 0
    assert said(record([0.2, 0.9, 0.96, 1.1, 0.98, 1.0])) == (
        "Reached its edge at step 2; since then sharpness / edge has been between 0.96 and 1.1, on "
        "average 4 % from 1."
    )


def test_a_ratio_of_one_without_hops_is_no_edge():
    history = record([0.2, 1.0, 1.0], [math.nan, 0.0, 0.25])
    assert said(history) == (
        "Now near its edge, but only 25 % of the steps hop across the valley: sharpness 4, "
        "2/η 4 at step 2."
    )


def test_the_first_step_alone_near_the_edge_has_no_share_of_hops():
    assert said(record([1.0])) == (
        "Now near its edge, but no step before it could hop across the valley: sharpness 4, "
        "2/η 4 at step 0."
    )


def test_where_a_run_is_now_is_not_said_of_the_rows_before():
    # above its edge without hops at step 1, so it never came to rest there, and was not below
    assert said(record([0.5, 1.2, 0.5], [math.nan, 0.0, 0.0])).startswith("Now below its edge: ")


def test_a_start_above_the_edge_is_not_called_reached_before_it_has_come_down():
    assert said(record([1.5, 1.4])) == "Now above its edge: sharpness 5.6, 2/η 4 at step 1."
    assert said(record([1.5, 1.4, 1.04, 1.0])).startswith(
        "Started at 1.5 times its edge and reached it at step 2; since then"
    )
    # thrown far below, it is not at its edge
    assert said(record([1.5, 0.5])).startswith("Now below its edge: ")


def test_a_run_that_leaves_its_edge_is_no_longer_there():
    history = record([0.9, 1.0, 1.0, *[0.5] * (WINDOW - 1)])
    assert said(history).startswith("Reached its edge at step 1; since then")
    record([0.5], history=history)
    assert said(history) == (
        "Was at its edge at steps 1 to 2 and is now below its edge: sharpness 2, 2/η 4 at step "
        f"{WINDOW + 2}."
    )
    record([1.0, 1.0], history=history)  # what was before the absence no longer counts
    assert said(history) == (
        f"Reached its edge at step 1, again at step {WINDOW + 3}; since then sharpness / edge has "
        "been between 1 and 1, on average 0 % from 1."
    )


def test_after_a_change_only_what_followed_counts():
    history = record([0.9, 1.0, 1.0])
    history.intervene(Intervention(3, {"eta": 0.25}, {"eta": 0.5}))  # edge 8 from step 3 on
    record([1.0, 1.1], history=history)
    assert said(history) == (
        "Since step 3 (η 0.5 → 0.25): now below its edge: sharpness 4.4, 2/η 8 at step 4."
    )
    record([1.95], history=history)
    assert said(history).startswith("Since step 3 (η 0.5 → 0.25): reached its edge at step 5;")


def test_a_mark_without_changes_is_no_change():
    history = record([0.9, 1.0])
    history.intervene(Intervention(2))
    assert said(record([1.0], history=history)).startswith("Reached its edge at step 1;")


def test_a_divergence_is_said_without_long_numbers():
    history = record([0.5, 1.0, 1.25e7])
    history.stop = Stop(StopReason.DIVERGED, 3, "diverged")
    assert said(history) == (
        "Diverged at step 3, having reached its edge at step 1; its sharpness was 1.25e+07 times "
        "its edge at step 2."
    )


def test_estimates_that_have_not_converged_are_owned_up_to():
    history = record([1.0] * 5, converged=[True, True, False, True, True])
    assert said(history).endswith("though 25 % of the estimates have not converged.")


def test_a_norm_that_overflowed_and_an_edge_at_zero_are_left_out():
    sam = se.History(GD.replace(rule="sam", rho=0.05))
    history = record([0.1, 1.0, 1.0], grad_norm=[1.0, math.inf, 0.0], history=sam)
    assert observe(history).newest[0] == 0


def test_row_by_row_gives_the_same_as_all_at_once():
    rng = np.random.default_rng(0)
    ratios = np.concatenate([rng.uniform(0.3, 1.1, 30), rng.uniform(0.3, 0.9, 80), [0.97, 1, 1]])
    whole, history, seen = record(ratios), se.History(GD), None
    for ratio in ratios:
        seen = observe(record([ratio], history=history), seen)
    at_once = observe(whole)
    assert isinstance(seen, Observed)
    assert at_once.again is not None
    assert seen.off == pytest.approx(at_once.off, rel=1e-12)  # another order of the sum
    assert replace(seen, off=at_once.off) == at_once
    assert in_words(seen, history) == in_words(at_once, whole)
    assert at_once.reached == summarise(whole).edge_phase_start
    assert at_once.ratio == pytest.approx(ratios[-AVERAGED:].mean())


def test_a_record_that_was_cut_is_read_anew():
    history = record([0.9, 1.0, 1.0, 1.0])
    seen, cut = observe(history), history.before(2)
    assert observe(cut, seen) == observe(cut)


def test_the_batches_of_sgd_have_an_edge_of_their_own():
    measured = [3.0, 3.9, math.nan]
    history = record([0.5] * 3, batch_sharpness=measured, batch_sharpness_error=[0.1] * 3)
    assert said(history).endswith(
        " The batch sharpness, which SGD holds at 2/η, is 3.9 ± 0.1 at step 1: 0.975 of 2/η."
    )
