"""Stops say what happened and what to do."""

import pytest

from samedge_core.training.stop import Stop, StopReason


@pytest.mark.parametrize("reason", StopReason)
def test_every_reason_has_a_remedy(reason):
    assert reason.remedy
    assert not reason.remedy.endswith(".")
    # it is read in scripts too, which have no buttons
    assert "press" not in reason.remedy
    assert "Reset" not in reason.remedy


def test_which_runs_can_go_on():
    final = {r for r in StopReason if not r.resumable}
    assert final == {
        StopReason.DIVERGED,
        StopReason.CONVERGED,
        StopReason.FAILED,
        StopReason.ELSEWHERE,
    }


def test_the_message_is_a_sentence_and_a_remedy():
    stop = Stop(StopReason.DIVERGED, 812, "diverged: the loss left the finite range at step 812")
    assert stop.message == (
        "Diverged: the loss left the finite range at step 812. To go on: "
        f"{StopReason.DIVERGED.remedy}."
    )


def test_a_notebook_shows_the_reason_and_the_message_escaped():
    stop = Stop(StopReason.FAILED, 3, "the run failed: ValueError: <script>alert(1)</script>")
    shown = stop._repr_html_()
    assert shown.startswith("<p><b>failed</b>: The run failed: ValueError: &lt;script&gt;")
    assert StopReason.FAILED.remedy in shown
    assert "<script>" not in shown
