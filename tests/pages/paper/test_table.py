"""What the table says of a run."""

import math

import pytest

from pages.parts.paper.table import verdict_on
from samedge_core.analysis.summary import summarise
from samedge_core.training import History, Measurement, RunConfig


def history(ratios) -> History:
    """A GD run with these ratios of sharpness and edge, 2."""
    made = History(RunConfig(rule="gd", eta=1.0))
    for step, ratio in enumerate(ratios):
        made.append(Measurement(step, loss=1.0, grad_norm=1.0, lambda_max=2 * ratio))
    return made


@pytest.mark.parametrize(
    ("ratios", "going", "expected"),
    [
        ([0.5, 0.96, 1.02, 1.02], False, "✓ within 0.05"),
        ([0.5, 1.2, 1.1, 1.02], False, "✗ outside 0.05"),
        ([0.5, 1.2, 1.1], True, "✗ outside 0.05 so far"),
        ([0.5, 0.94, math.nan], False, "edge not reached"),
        ([0.5], True, "edge not reached so far"),
        ([], True, "edge not reached so far"),
    ],
)
def test_verdict(ratios, going, expected):
    assert verdict_on(summarise(history(ratios)), 0.05, going=going) == expected
