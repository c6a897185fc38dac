from samedge_core.prediction.prediction import Assumption
from samedge_core.sweeps.agreement import DOUBTS, agreement, doubts, repeats
from samedge_core.sweeps.rows import FATES

EDGE, BELOW, ABOVE = FATES[:3]


def test_runs_are_counted_by_what_they_are_and_what_was_said():
    found = agreement(
        [
            *[(EDGE, EDGE, True), (EDGE, EDGE, False), (BELOW, BELOW, False)],
            *[(EDGE, BELOW, True), (EDGE, ABOVE, False), (EDGE, BELOW, False)],
            *[("", EDGE, False), (EDGE, "", False)],
            *[("failed", EDGE, False), (EDGE, "failed", False)],
        ]
    )
    assert (found.right, found.compared, found.doubted) == (3, 6, 1)
    assert found.wrong == (((EDGE, BELOW), 2), ((EDGE, ABOVE), 1))
    assert found.words == (
        "The flow names the fate of 3 of 6 runs; wrong: 2 at its edge (predicted: below its edge), "
        "1 at its edge (predicted: above its edge). In 1 right one it leaps or hops, and "
        "may repeat the run."
    )


def test_without_a_wrong_one_and_without_any():
    assert agreement([(EDGE, EDGE, False)] * 1200).words == (
        "The flow names the fate of all 1,200 runs."
    )
    assert agreement([]).words == "No run is predicted yet."


def test_a_flow_that_leaps_or_hops_may_repeat_the_run():
    for key in DOUBTS:
        said = doubts([Assumption(key, "", ((10, 19),)), Assumption("other", "")])
        assert len(said) == 1
        assert repeats(f"all 9 steps are taken; {said[0]}") == (key in ("domain", "centre"))
