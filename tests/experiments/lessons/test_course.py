"""The course: its runs give the answers that are known, by a closed form or the literature."""

import re

import pytest

import samedge_core as se
from samedge_core.experiments.comparisons import COMPARISONS
from samedge_core.experiments.lessons import LESSONS, Lesson, Outcome

# 2/eta of the paper, progressive sharpening (Cohen et al.), the two-weight valley
# (docs/mathematics.md) and the dead network of the preset wrong-dead-network
KNOWN = {
    "step-size": "It grows and grows.",
    "sharpening": "It climbs to 2/η, and hovers there.",
    "new-step": "It goes to the new edge.",
    "sam-orbit": "It stops falling, well above 0.",
    "moving-edge": "At the SAM-edge, wherever that is by then.",
    "flattest": "GD stays, SAM goes on to flatter places.",
    "held-out": "SAM by a little, with the same accuracy.",
    "success": "No: at its edge, but nothing is learnt.",
}
CURVATURE, STEP = 5.0, 0.3  # of the bowl, and eta where SAM runs in it


def observed(lesson: Lesson, value: float, **changes) -> Outcome:
    """What the lesson's runs show; measured less often, they are the same runs."""
    return lesson.observe(
        [
            se.run(replay.config.replace(**changes), interventions=replay.interventions)
            for replay in lesson.replays(value)
        ]
    )


def answer(lesson: Lesson, found: Outcome) -> str:
    assert found.answer is not None, found.words
    return lesson.answers[found.answer]


@pytest.mark.parametrize("name", LESSONS)
def test_entry_is_complete(name):
    lesson = LESSONS[name]
    assert lesson.name == name
    assert re.fullmatch(r"[a-z-]+", name)
    assert len(lesson.answers) == len(set(lesson.answers)) >= 3
    assert lesson.knob.default in lesson.knob.values
    assert sorted(lesson.knob.values) == list(lesson.knob.values)
    for text in (lesson.title, lesson.lead, lesson.question, lesson.why, lesson.knob.asks):
        assert len(text) > 5
        assert text.count("$") % 2 == 0


@pytest.mark.parametrize("name", LESSONS)
def test_runs_of_a_value_start_from_the_same_weights(name):
    for value in LESSONS[name].knob.values:
        configs = [replay.config for replay in LESSONS[name].replays(value)]
        if len(configs) > 1:
            assert configs == COMPARISONS["rule"].configs(configs[-1])


@pytest.mark.parametrize("name", LESSONS)
def test_the_runs_that_the_question_is_about_give_the_known_answer(name):
    lesson = LESSONS[name]
    assert answer(lesson, observed(lesson, lesson.knob.default, measure_every=10)) == KNOWN[name]


@pytest.mark.parametrize("eta", LESSONS["step-size"].knob.values)
def test_gd_on_the_bowl_does_what_one_minus_eta_lambda_says(eta):
    factor = abs(1 - eta * CURVATURE)
    shrinks, grows = factor < 1 - 1e-9, factor > 1 + 1e-9
    expected = 0 if shrinks else 1 if grows else 2
    assert observed(LESSONS["step-size"], eta).answer == expected


@pytest.mark.parametrize("rho", LESSONS["sam-orbit"].knob.values)
def test_sam_on_the_bowl_settles_at_the_orbit(rho):
    found = observed(LESSONS["sam-orbit"], rho)
    assert found.answer == 1
    settled = se.orbit_grad_norm(CURVATURE, STEP, rho)
    assert f"to {settled:.3g}. There the SAM-edge is {CURVATURE:g}" in found.words


@pytest.mark.parametrize(("eta", "expected"), [(0.1, None), (0.3, 1), (0.5, 1), (0.6, 3)])
def test_sharpness_follows_the_step_size_as_far_as_it_can(eta, expected):
    assert observed(LESSONS["new-step"], eta, measure_every=5).answer == expected
