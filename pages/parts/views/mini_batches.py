"""What was seen of mini-batches at an inspected step: the batch sharpness, and the edge test."""

from collections.abc import Iterator

import numpy as np

from pages.parts.components.figures import Figure
from pages.parts.views.drawing import axis, band, level, line, log_ticks
from pages.parts.views.numerals import number
from samedge_core.curvature.spectral_density import in_words
from samedge_core.theory.edges import gd_edge
from samedge_core.theory.noisy_curvature import mean_square_eta
from samedge_core.theory.rules import RULES
from samedge_core.training.edge_test import CATAPULT, CHANGES, EdgeTest
from samedge_core.training.inspection import Inspection

BINS = 24
DECADES = 1e-6  # of the limit: what lies lower is left out of the picture
SYMBOLS = {"eta": "η", "batch": "batch size"}


def figures_of(made: Inspection, whose: str) -> list[Figure]:
    """A figure for each of the two that was asked for."""
    found = [_batches(made, whose)] if made.batch_sharpness and made.batch_sharpness.batches else []
    return [*found, _losses(made.edge_test, whose)] if made.edge_test else found


def in_sentences(made: Inspection) -> Iterator[str]:
    """What they come to, a paragraph each."""
    if made.batch_sharpness:
        yield " ".join(_batch_sharpness(made))
    if made.edge_test:
        yield " ".join(_verdict(made.edge_test))


def _batches(made: Inspection, whose: str) -> Figure:
    """How the values of the batches are spread, with their mean and 2/eta."""
    seen, edge = made.batch_sharpness, gd_edge(made.hyper.eta)
    assert seen is not None
    known = seen.values[np.isfinite(seen.values)]
    counts, ends = np.histogram(known, BINS)
    bars = {
        "type": "bar",
        "name": "batches",
        "x": (ends[:-1] + ends[1:]) / 2,
        "y": counts,
        "width": np.diff(ends),
        "marker": {"color": "@batch/0.5"},
        "hovertemplate": "%{y} batches around %{x:.4~g}<extra></extra>",
        "showlegend": False,
    }
    room = 0.04 * (max(known.max(), edge) - min(known.min(), 0))
    error = np.nan_to_num(seen.error)
    top = [0, 1.05 * counts.max()]
    traces = [
        bars,
        line("batch sharpness", [seen.mean] * 2, top, "batch", hoverinfo="skip"),
        line("2/η", [edge] * 2, top, "gd", "dash", hoverinfo="skip"),
    ]
    span = [min(known.min(), 0) - room, max(known.max(), edge) + room]
    layout = {
        "xaxis": axis(f"curvature of a batch along its gradient{whose}", range=span),
        "yaxis": axis("batches", range=top),
        "shapes": [band("x", seen.mean - error, seen.mean + error, "batch/0.3")],
    }
    return Figure(f"Batch sharpness{whose}", traces, layout, columns=3)


def _batch_sharpness(made: Inspection) -> Iterator[str]:
    seen, h = made.batch_sharpness, made.hyper
    assert seen is not None
    if not seen.batches:
        yield "The batch sharpness is not known: no batch has a gradient with a finite curvature."
        return
    edge = gd_edge(h.eta)
    yield (
        f"Batch sharpness, the mean over {seen.batches:,} batches of {seen.batch_size:,}: "
        f"{in_words((np.array(seen.mean), np.array(seen.error)))}, "
        f"{seen.mean / edge:.2f} of 2/η = {number(edge)}. Under SGD it goes to about 1."
    )
    if h.rule == "polyak" and seen.mean > 0:
        most = mean_square_eta(seen.mean, seen.variance, h.beta)
        low, high = (2 * (1 + sign * h.beta) / h.eta for sign in (-1, 1))
        yield (
            f"With momentum β = {number(h.beta)} it goes to 2(1 − β)/η = {number(low)} where the "
            f"noise of the batches rules, to 2(1 + β)/η = {number(high)} where there is little. A "
            "curvature with the mean and variance of these batches, drawn anew each step, would "
            f"bear η up to {number(most)} (our own law); η is {h.eta / most:.2f} of that."
        )
    elif h.rule not in ("gd", "polyak"):
        yield f"For {RULES[h.rule].short} with mini-batches no such law is known."


def _losses(test: EdgeTest, whose: str) -> Figure:
    def steps(losses: np.ndarray) -> np.ndarray:
        return test.step + np.arange(len(losses))

    limit = CATAPULT * float(np.max(test.unforked))
    # what leaves the range of the figure is cut off there: a catapult may rise by 30 powers of 10
    top = 100 * limit
    forked = np.minimum(np.where(np.isfinite(test.forked), test.forked, np.inf), top)
    low = max(DECADES * limit, min(test.unforked.min(), forked.min()))  # a log axis has no 0
    traces = [
        line("the run itself", steps(test.unforked), test.unforked, "loss"),
        line(CHANGES[test.change], steps(forked), forked, "bad"),
    ]
    scale = {"type": "log", "range": np.log10([low / 1.3, top]), **log_ticks(low / 1.3, top)}
    layout = {
        "xaxis": axis(f"step{whose}"),
        "yaxis": axis("loss over all the data", **scale),
        "shapes": [level("y", limit, "gd", "dot")],
    }
    return Figure(f"Edge test{whose}", traces, layout, columns=3)


def _verdict(test: EdgeTest) -> Iterator[str]:
    count = len(test.unforked) - 1
    change = f"{SYMBOLS[test.change]} {number(test.before)} → {number(test.after)}"
    rise = "beyond all numbers" if np.isinf(test.rise) else f"to {test.rise:.3g} times that"
    yield (
        f"Edge test with {CHANGES[test.change]} ({change}): the largest loss of the run itself in "
        f"{count:,} steps is {number(float(np.max(test.unforked)))}; that of the fork rises {rise}."
    )
    if test.catapult:
        yield f"**A catapult**: beyond {CATAPULT:g} times after {test.within:,} steps."
    else:
        yield f"**No catapult**: that would be beyond {CATAPULT:g} times (the dotted line)."
    if test.change == "eta":
        yield "So the edge lies " + (
            "below twice this step size." if test.catapult else "beyond twice this step size."
        )
    else:
        yield "Halving the batch adds noise only; of the two tests it is the weaker one."
