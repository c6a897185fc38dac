"""Which runs are a lesson's own."""

import pytest

from samedge_core.experiments.lessons import LESSONS
from samedge_core.training.history import Intervention
from samedge_core.training.plan import Replay

STEPPED = LESSONS["new-step"]


@pytest.mark.parametrize("name", LESSONS)
def test_its_own_runs_are_those_of_the_value_that_they_were_made_at(name):
    lesson = LESSONS[name]
    for value in lesson.knob.values:
        made = lesson.replays(value)
        assert [v for v in lesson.knob.values if lesson.made_at(v, made)] == [value]


def test_runs_on_their_way_and_longer_ones_are_its_own():
    (replay,) = STEPPED.replays(0.2)
    longer = Replay(replay.config.replace(steps=9000), replay.interventions)
    resumed = Replay(replay.config, (*replay.interventions, Intervention(700)))  # in a new worker
    for made in (longer, resumed, Replay(replay.config)):
        assert STEPPED.made_at(0.2, [made])


def test_others_are_not():
    (replay,) = STEPPED.replays(0.2)
    by_hand = Intervention(800, {"eta": 0.3}, {"eta": 0.2})
    for made in (
        [],
        [replay, replay],
        [Replay(replay.config.replace(seed=1), replay.interventions)],
        [Replay(replay.config, (*replay.interventions, by_hand))],
        STEPPED.replays(0.3),
        LESSONS["step-size"].replays(0.42),
    ):
        assert not STEPPED.made_at(0.2, made)
