import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.parts.quadratic.checks import Check
from pages.parts.quadratic.derivation import checks, figures, lines, runs
from pages.parts.quadratic.remarks import remarks
from pages.parts.quadratic.settings import (
    DEFAULTS,
    FIELDS,
    LOOK,
    PARTS,
    PRESETS,
    SLIDERS,
    from_link,
    preset_of,
    to_link,
)


@given(
    eta=st.floats(1e-6, 1e3),
    w0=st.floats(-1e6, 1e6),
    steps=st.integers(1, 10_000),
    part=st.sampled_from(list(PARTS)),
    usam=st.booleans(),
)
def test_a_link_brings_back_exactly_what_it_was_made_from(**changed):
    values = {**DEFAULTS, **changed}
    assert from_link(to_link(values)) == (values, [])


def test_a_bad_link_says_what_it_held_what_is_allowed_and_what_is_used():
    values, messages = from_link({"eta": "-1", "steps": "many", "rho": "0.1"})
    assert values == {**DEFAULTS, "rho": 0.1}
    assert messages[0].startswith("The link says eta must be a number > 0 and <= 1000, got '-1';")
    assert "0.3 is taken" in messages[0]
    assert "got 'many'" in messages[1]


def test_a_link_without_any_rule_shows_some():
    values, messages = from_link({"gd": "false", "sam": "no"})
    assert (values["gd"], values["sam"]) == (True, True)
    assert messages == ["The link switches every rule off; GD and SAM are shown."]


@pytest.mark.parametrize("twice", [{"map_x": "curvature"}, {"map_x": "eta", "map_y": "eta"}])
def test_a_link_with_one_quantity_on_both_axes_of_the_map_is_not_drawn(twice):
    values, messages = from_link(twice)
    assert values == DEFAULTS
    assert "on both axes of the map; grad_norm and curvature are used instead." in messages[0]


def test_a_link_may_name_a_preset_and_change_it():
    values, messages = from_link({"preset": "gd-below", "w0": "2"})
    assert (values["eta"], values["w0"], messages) == (0.38, 2.0, [])
    _, messages = from_link({"preset": "nonsense"})
    assert "There is no preset 'nonsense'; there are: sam-hops" in messages[0]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_told_apart(name):
    values = {**DEFAULTS, **PRESETS[name].values}
    for key, value in values.items():
        assert FIELDS[key].check(value) == value
    assert preset_of(values) == name
    assert preset_of({**values, "log": True}) == name
    assert preset_of({**values, "w0": 0.123}) is None


def test_every_part_has_sliders_and_says_what_to_look_at():
    assert set(SLIDERS) == set(LOOK) == set(PARTS)
    for names in SLIDERS.values():
        assert all(FIELDS[name].suggested for name in names)


def check(changed: dict) -> list[Check]:
    values = {**DEFAULTS, **changed}
    return checks(values, runs(values))


def test_prediction_and_simulation_agree_to_six_digits():
    found = check({"steps": 200})
    assert [check.what for check in found] == [
        "first factor w₁/w₀",
        "|w*|",
        "‖g*‖",
        "SAM-edge on the orbit, λ",
    ]
    assert all(check.agrees for check in found)
    assert found[1].text(found[1].predicted) == "0.6"


def test_the_lines_of_the_picture_cross_minus_one_at_their_edges():
    (figure,) = figures(DEFAULTS)
    edges = {item["name"]: item["x"][0] for item in figure.traces if item["mode"] == "markers"}
    assert edges["SAM on its orbit"] == pytest.approx(DEFAULTS["curvature"], rel=1e-12)
    for item in figure.traces:
        if item["mode"] == "lines" and item["name"] != "λ":
            edge = edges["2/η" if item["name"] == "GD" else item["name"]]
            np.testing.assert_array_equal(item["y"] < -1, item["x"] > edge)


def test_too_few_steps_are_not_called_agreement():
    assert not check({"steps": 2})[1].agrees


@given(
    eta=st.floats(0.01, 1),
    curvature=st.floats(0.1, 100),
    w0=st.floats(0.01, 3),
    rho=st.sampled_from([0.0, 1e-3, 0.2]),
    at_one=st.booleans(),
)
def test_the_first_factor_agrees_also_where_its_digits_cancel(at_one, eta, **changed):
    eta = 1 / changed["curvature"] if at_one else eta
    (factor, *_) = check({"eta": eta, "steps": 1, **changed})
    assert factor.agrees


def test_a_step_onto_the_minimum_is_not_asked_for_more_steps():
    values = {"eta": 0.1, "w0": 0.2}  # w1 = 0.2 - 0.5 (0.2 + 0.2) = 0
    assert [item.what for item in check(values)] == ["first factor w₁/w₀"]
    values = {**DEFAULTS, **values, "part": "derivation"}
    assert "Step 1 takes SAM exactly to g = 0" in "".join(remarks(values, runs(values)))


@pytest.mark.parametrize(
    "changed",
    [
        {"rho": 0.0},
        {"w0": 0.0},
        {"eta": 0.4},
        {"eta": 1e3},
        {"w0": -2.0},
        {"rho": 1e3},
        {"curvature": 1e-4},
    ],
)
def test_the_derivation_holds_at_the_extremes(changed):
    values = {**DEFAULTS, **changed}
    text = " ".join(line.numbers for line in lines(values))
    assert len(lines(values)) == 5
    assert "nan" not in text
    assert "}^2" not in text  # two exponents on one number: KaTeX draws an error
    for item in check(changed):
        assert "nan" not in item.text(item.predicted) + item.text(item.simulated)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"eta": 0.4, "rho": 0.0}, "every hop stays"),
        ({"eta": 0.41, "rho": 0.0}, "no such hop, SAM diverges"),
        ({"eta": 0.4}, "no such hop, SAM diverges"),
        ({"eta": 0.3, "rho": 0.0}, "SAM is GD and converges"),
    ],
)
def test_the_last_line_of_the_derivation_says_what_the_simulation_does(changed, said):
    values = {**DEFAULTS, **changed, "steps": 2000}
    assert said in lines(values)[-1].numbers
    w = abs(runs(values)["sam"].w[:, 0])
    found = "stays" if w[-1] == w[0] else "diverges" if w[-1] > 100 * w[0] else "converges"
    assert found in said
