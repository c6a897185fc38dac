"""The summary against hand-made histories, whose medians are done by hand."""

import math
from dataclasses import fields

import numpy as np
import pytest

import samedge_core as se
from samedge_core.analysis.summary import EDGE_PHASE, Summary, in_words, summarise

GD = {"problem": "digits-mlp", "rule": "gd", "eta": 0.5}  # edge 4


def record(ratios, *, config: se.RunConfig | None = None, **columns) -> se.History:
    """A history with sharpness = 4 x `ratios`; `columns` hold one value a row."""
    history = se.History(config or se.RunConfig(**GD))
    for step, ratio in enumerate(ratios):
        values = {name: column[step] for name, column in columns.items()}
        row = {"loss": 1.0, "grad_norm": 1.0, "converged": True, "lambda_max": 4 * ratio, **values}
        history.append(se.Measurement(step, **row))
    return history


def test_the_edge_phase_runs_from_the_first_row_at_the_edge_to_the_end():
    # 0.5 comes after the edge was reached, so it counts: the phase is 0.96, 1.1, 0.5, 1.02
    summary = summarise(record([0.2, 0.94, 0.96, 1.1, 0.5, 1.02]))
    assert summary.edge_phase_start == 2
    assert summary.ratio == pytest.approx((0.96 + 1.02) / 2)
    assert summary.deviation == pytest.approx((0.04 + 0.1) / 2)


def test_the_edge_is_reached_at_exactly_the_limit():
    # 0.5 and 0.475 / 0.5 have no exact binary form; 4 * 0.95 / 4 gives the limit back
    assert 4 * EDGE_PHASE / 4 == EDGE_PHASE
    assert summarise(record([0.1, EDGE_PHASE])).edge_phase_start == 1


def test_alignments_are_medians_of_the_edge_phase_that_were_known():
    summary = summarise(
        record(
            [0.1, 1.0, 1.0, 1.0],
            align_grad=[0.9, 0.125, 0.25, 0.5],
            align_sam=[0.9, np.nan, 0.5, 1.0],
        )
    )
    assert summary.align_grad == 0.25
    assert summary.align_sam == 0.75


def test_without_an_edge_phase_there_is_nothing_to_tell():
    summary = summarise(record([0.1, 0.9]))
    assert summary.edge_phase_start is None
    for name in ("deviation", "ratio", "align_grad", "align_sam"):
        assert math.isnan(getattr(summary, name))


def test_the_edge_phase_begins_where_the_steps_hop():
    # the first row has no hop to judge; at 2 the ratio is there, and half of the steps hop at 4
    summary = summarise(record([1.2, 0.9, 1.0, 1.1, 1.0, 1.2], hopping=[np.nan, 0, 0, 0.4, 0.5, 1]))
    assert summary.edge_phase_start == 4
    assert summary.deviation == pytest.approx(0.1)
    assert summary.hopping == 1.0
    assert summary.at_edge


def test_a_run_that_comes_to_rest_near_its_edge_is_not_at_it():
    hops = [np.nan, *[1.0] * 9, *[0.0] * 15]
    history = record([0.98] * 25, hopping=hops)
    summary = summarise(history)
    assert (summary.edge_phase_start, summary.hopping, summary.at_edge) == (1, 0.0, False)
    assert summary.diagnoses == ()  # it may hop yet
    history.stop = se.Stop(se.StopReason.STEP_CAP, 25, "all steps are taken")
    (message,) = summarise(history).diagnoses
    assert message.startswith("The ratio sharpness / edge is 0.980, but no step hops across")
    assert ("Diagnosis", message) in in_words(summarise(history))


def test_a_run_recorded_before_hops_were_is_judged_by_its_ratio():
    history = record([1.0] * 60)
    history.stop = se.Stop(se.StopReason.STEP_CAP, 60, "all steps are taken")
    summary = summarise(history)
    assert (summary.edge_phase_start, summary.at_edge, summary.diagnoses) == (0, True, ())
    assert math.isnan(summary.hopping)


def test_the_last_finite_values_are_shown():
    history = record([1.0, 1.0, 1.0], loss=[3.0, 2.0, np.inf], accuracy=[0.25, np.nan, np.nan])
    summary = summarise(history)
    assert (summary.loss, summary.accuracy) == (2.0, 0.25)
    assert math.isnan(summary.held_out_loss)
    assert math.isnan(summary.held_out_accuracy)


def test_rows_that_were_not_measured_count_in_no_share():
    summary = summarise(record([1.0, np.nan, 1.0, 1.0, 1.0], converged=[True, False, False, 1, 1]))
    assert summary.unconverged == 0.25
    assert summary.steps == 5


def test_what_is_in_force_at_the_end_is_shown():
    history = record([0.2], config=se.RunConfig(rule="sam", eta=0.5, rho=0.1, seed=7))
    history.intervene(se.Intervention(1, {"rule": "gd", "eta": 0.25}))
    summary = summarise(history)
    assert (summary.rule, summary.eta, summary.rho) == ("gd", 0.25, 0.1)
    assert (summary.problem, summary.seed, summary.batch_size) == ("digits-mlp", 7, 0)


def test_the_number_of_parameters_is_the_histories_own():
    history = record([0.2])
    assert summarise(history).parameters is None
    history.parameters = 17_610
    assert summarise(history).parameters == 17_610


def test_an_empty_history_has_a_summary():
    summary = summarise(se.History(se.RunConfig()))
    assert (summary.steps, summary.edge_phase_start) == (0, None)
    for name in ("loss", "accuracy", "ratio", "unconverged"):
        assert math.isnan(getattr(summary, name))


def test_in_words_the_unknown_is_a_dash():
    history = record([0.5, 1.0], loss=[1.0, 0.123456789])
    history.parameters = 17_610
    words = dict(in_words(summarise(history)))
    assert words["Parameters"] == "17,610"
    assert words["Training loss at the end"] == "0.12346"
    assert words["Held-out loss at the end"] == "–"
    assert words["Update rule at the end"] == "gd"
    assert words["Edge phase from step (sharpness / edge ≥ 0.95, steps hop)"] == "1"


def test_a_run_that_starts_above_its_edge_is_said_to():
    words = dict(in_words(summarise(record([3.0, 3.0]))))
    label = "Edge phase from step (sharpness / edge ≥ 0.95, steps hop)"
    assert words[label] == "0: the run starts at its edge or above"


def test_the_columns_of_a_comparison_table():
    assert [field.name for field in fields(Summary)] == [
        "problem",
        "rule",
        "eta",
        "rho",
        "batch_size",
        "seed",
        "parameters",
        "steps",
        "edge_phase_start",
        "deviation",
        "ratio",
        "hopping",
        "align_grad",
        "align_sam",
        "loss",
        "accuracy",
        "held_out_loss",
        "held_out_accuracy",
        "unconverged",
        "diagnoses",
    ]


def test_a_real_run_against_its_own_rows():
    # a quadratic with top eigenvalue 6 under SAM: ||g|| settles where the edge is 6
    history = se.run(se.RunConfig(problem="quadratic", rule="sam", eta=0.2, rho=0.1, steps=80))
    summary = summarise(history)
    rows = history.to_frame()
    # SAM's orbit is the hop: all but the first steps turn the gradient round
    start = int(rows.index[(rows.ratio >= 0.95) & (rows.hopping >= 0.5)][0])
    assert start < 20
    assert summary.edge_phase_start == start
    assert summary.ratio == rows.ratio[start:].median()
    assert summary.deviation == (rows.ratio[start:] - 1).abs().median()
    assert summary.loss == rows.loss.iloc[-1]
