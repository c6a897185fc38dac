"""The course: its runs give the answers that are known, by a closed form or the literature."""

import math
import re

import pytest

import samedge_core as se
from samedge_core.experiments.lessons import LEARNT, LESSONS, Lesson, Outcome, lesson_of

# 2/eta and the SAM-edge of the paper, progressive sharpening (Cohen et al.), the conserved
# a^2 - b^2 and the valley of two weights, SAM's orbit that attracts (docs/mathematics.md), the
# Hessian of half the loss, the dead network of the preset wrong-dead-network, the map of fates, and
# self-stabilisation (Damian et al.)
KNOWN = {
    "step-size": "It grows and grows.",
    "way-down": "It rises, up to the minimum.",
    "layers": "It rises.",
    "room": "It climbs to 2/η, and hovers there.",
    "new-step": "It goes to the new edge.",
    "look-uphill": "It stops falling, well above 0.",
    "disturbed": "SAM's alone.",
    "sam-on-digits": "At the SAM-edge, wherever that is by then.",
    "half-the-loss": "Half the sharpness, and a SAM-edge between half and the same.",
    "valley": "GD stays, SAM goes on to flatter places.",
    "held-out": "SAM by a little, with the same accuracy.",
    "ratio-of-one": "No: at its edge, but nothing is learnt.",
    "what-can-happen": "One is thrown out, and at a larger η the run stays again.",
    "adam": "Beyond 2/η, and then it stays.",
    "sam-on-adam": "Far smaller: less than a fifth of the threshold.",
    "draw-first": "It passes its edge, and is pushed back.",
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
    said = [lesson.knob.said(value) for value in lesson.knob.values]
    assert len(set(said)) == len(said)  # a verdict names the runs that it is about
    for text in (lesson.title, lesson.lead, lesson.question, lesson.why, lesson.knob.asks):
        assert len(text) > 5
        assert text.count("$") % 2 == 0


@pytest.mark.parametrize("name", LESSONS)
def test_runs_of_a_value_start_from_the_same_weights(name):
    for value in LESSONS[name].knob.values:
        configs = [replay.config for replay in LESSONS[name].replays(value)]
        starts = {(c.problem, c.seed, *{**c.options, "loss": ""}.items()) for c in configs}
        assert len(starts) == 1


def test_a_lesson_is_found_by_its_name_its_number_and_its_name_of_before():
    names = list(LESSONS)
    assert [lesson_of(name) for name in names] == [*LESSONS.values()]
    assert [lesson_of(str(k)) for k in range(1, len(names) + 1)] == [*LESSONS.values()]
    before = ("step-size", "sharpening", "new-step", "sam-orbit")
    before += ("moving-edge", "flattest", "held-out", "success")
    found = [lesson_of(name) for name in before]
    assert [names.index(one.name) + 1 for one in found if one] == [1, 4, 5, 6, 8, 10, 11, 12]
    for wrong in ("", "0", str(len(names) + 1), "٣", "1 ", "summary"):
        assert lesson_of(wrong) is None


@pytest.mark.parametrize("name", LESSONS)
def test_neither_title_nor_name_gives_the_answer(name):
    told = {"sharpen", "rises", "climbs", "attract", "orbit", "never", "moving", "flattest", "dead"}
    shown = f"{name} {LESSONS[name].title}".lower()
    assert not [word for word in told if word in shown]


def test_thirteen_sentences_say_what_every_lesson_has_shown():
    assert len(LEARNT) == 13
    assert list(dict.fromkeys(name for _, names in LEARNT for name in names)) == list(LESSONS)


@pytest.mark.parametrize("name", LESSONS)
def test_the_runs_that_the_question_is_about_give_the_known_answer(name):
    lesson = LESSONS[name]
    assert answer(lesson, observed(lesson, lesson.knob.default, measure_every=10)) == KNOWN[name]


@pytest.mark.parametrize("rho", [0.01, 0.02, 0.05])
def test_sam_of_the_lesson_with_a_curve_stays_by_its_own_edge(rho):
    found = observed(LESSONS["draw-first"], rho)
    assert found.answer == 1
    assert int(re.findall(r"edge at step (\d+)", found.words)[0]) < 10


def test_a_chart_to_draw_on_begins_where_its_runs_begin_and_has_room_for_them():
    drawn = [lesson for lesson in LESSONS.values() if lesson.canvas]
    assert [lesson.name for lesson in drawn] == ["draw-first"]
    for lesson in drawn:
        assert lesson.canvas
        for value in lesson.knob.values:
            (replay,) = lesson.replays(value)
            columns = se.run(replay.config).columns()
            # written in three digits
            assert columns["sharpness"][0] == pytest.approx(lesson.canvas.start, rel=1e-3)
            assert columns["sharpness"].max() < 0.7 * lesson.canvas.top
            assert replay.config.steps / lesson.canvas.pace <= 20  # seconds


@pytest.mark.parametrize("eta", LESSONS["step-size"].knob.values)
def test_gd_on_the_bowl_does_what_one_minus_eta_lambda_says(eta):
    factor = abs(1 - eta * CURVATURE)
    shrinks, grows = factor < 1 - 1e-9, factor > 1 + 1e-9
    expected = 0 if shrinks else 1 if grows else 2
    assert observed(LESSONS["step-size"], eta).answer == expected


@pytest.mark.parametrize("rho", LESSONS["look-uphill"].knob.values)
def test_sam_on_the_bowl_settles_at_the_orbit(rho):
    found = observed(LESSONS["look-uphill"], rho)
    if rho == 0:  # SAM is GD, and its edge 2/eta
        assert found.answer == 0
        assert "There the SAM-edge is 6.667," in found.words
        return
    assert found.answer == 1
    settled = se.orbit_grad_norm(CURVATURE, STEP, rho)
    assert f"to {settled:.3g}. There the SAM-edge is {CURVATURE:g}" in found.words


@pytest.mark.parametrize(("eta", "expected"), [(0.1, None), (0.3, 1), (0.5, 1), (0.6, 3)])
def test_sharpness_follows_the_step_size_as_far_as_it_can(eta, expected):
    assert observed(LESSONS["new-step"], eta, measure_every=5).answer == expected


@pytest.mark.parametrize("a", LESSONS["way-down"].knob.values)
def test_tiny_steps_keep_c_and_end_at_its_sharpness(a):
    found = observed(LESSONS["way-down"], a, measure_every=20)
    assert found.answer == 2
    told = re.findall(r"4\) = ([\d.]+), and the sharpness is ([\d.]+)\.", found.words)
    predicted, reached = map(float, told[0])
    assert predicted == pytest.approx(math.sqrt(a**4 + 4), abs=1e-3)  # b = 0; told in four digits
    # c' = c (1 - eta^2 r^2) loses up to 3 % of c, and most of c where it matters least
    assert reached == pytest.approx(predicted, rel=4e-3)


@pytest.mark.parametrize("steps", LESSONS["disturbed"].knob.values)
def test_sams_hop_comes_back_and_gds_keeps_the_size_that_it_has(steps):
    found = observed(LESSONS["disturbed"], steps)
    assert found.answer == 1
    halved = se.orbit_grad_norm(CURVATURE, STEP, 0.1) / 2**steps
    told = re.findall(r"after the disturbance (\S+) \(edge (\S+)\)", found.words)[1]
    # told in three digits; after 20 halvings the flatter directions still have 0.3 % of the norm
    expected = pytest.approx([halved, se.sam_edge(STEP, 0.1, halved)], rel=7e-3)
    assert [*map(float, told)] == expected


def test_twice_the_step_for_half_the_loss_is_the_same_run_to_the_last_bit():
    lesson = LESSONS["half-the-loss"]
    found = observed(lesson, 2.0, measure_every=10)
    assert found.answer == 0
    assert found.words.endswith("half at every step, to the last bit.")


def test_the_more_layers_the_more_the_sharpness_rises():
    lesson = LESSONS["layers"]
    words = [observed(lesson, depth, measure_every=20).words for depth in lesson.knob.values]
    times = [float(re.findall(r"([\d.]+) times", text)[0]) for text in words]
    assert times == sorted(times)
    assert times[0] > 1.1


@pytest.mark.parametrize(
    ("distance", "answer"), [(0.1, 1), (0.02, 1), (0.01, 2), (0.003, 2), (0.001, 2)]
)
def test_one_border_from_afar_is_none_from_near(distance, answer):
    found = observed(LESSONS["what-can-happen"], distance, measure_every=100)
    assert found.answer == answer
    assert "η = 1.238: thrown out at step 22" in found.words
