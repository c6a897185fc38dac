"""The quadratic page in every state, through Streamlit's own test harness: no figures."""

import re

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.quadratic.settings import DEFAULTS, LOGGED, PARTS, PRESETS
from tests.app.harness import PATIENCE, texts


@pytest.fixture
def page():
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE).run()
    return app.switch_page("pages/quadratic.py").run()


def values(app: AppTest) -> dict:
    return app.session_state["quadratic:values"]


def test_the_first_visit_shows_sam_hopping(page):
    assert not page.exception
    assert page.selectbox(key="quadratic:preset").value == "sam-hops"
    assert PRESETS["sam-hops"].look in texts(page)
    assert values(page) == DEFAULTS


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_draws_and_stands_in_the_link(page, preset):
    page.selectbox(key="quadratic:preset").set_value(preset).run()
    assert not page.exception
    assert values(page) == {**DEFAULTS, **PRESETS[preset].values}
    assert PRESETS[preset].look in texts(page)
    link = {name: value for name, value in page.query_params.items() if name in DEFAULTS}
    assert set(link) == set(PRESETS[preset].values)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_draws(page, part):
    page.query_params["part"] = part
    page.run()
    assert not page.exception
    assert values(page)["part"] == part
    assert not page.warning
    assert ("quadratic:log" in [item.key for item in page.toggle]) == (part in LOGGED)


def test_the_derivation_has_the_numbers_in_force_and_checks_them(page):
    page.query_params["part"] = "derivation"
    page.query_params["steps"] = "300"
    page.run()
    latex = "\n".join(item.value for item in page.latex)
    assert r"5 \cdot (1.5 + 0.2 \cdot 1) = 8.5" in latex
    assert "= 3," in latex  # ||g*|| = 0.3 * 0.2 * 25 / (2 - 1.5)
    assert texts(page).count(":green[agrees]") == 4
    table = next(item.value for item in page.markdown if "predicted" in item.value)
    assert r"| \|w*\| | 0.6 | 0.6 |" in table  # a bare "|" would start another cell


@pytest.mark.parametrize(("part", "rows"), [("valley", 2), ("catapult", 2)])
def test_predictions_stand_beside_the_simulation(page, part, rows):
    page.query_params["part"] = part
    page.run()
    (table,) = [item.value for item in page.markdown if "| predicted | simulated |" in item.value]
    assert table.count(":green[agrees]") == rows
    assert not [item for item in page.button_group if part == "catapult" and item.key == "rules"]


def test_a_bad_link_is_complained_about_and_the_page_draws(page):
    page.query_params["eta"] = "zero"
    page.query_params["part"] = "sphere"
    page.run()
    assert not page.exception
    warned = "\n".join(item.value for item in page.warning).replace("\\", "")
    assert re.search(r"eta must be a number > 0 and <= 1000, got 'zero'", warned)
    assert "part must be one of line, plane, valley, balanced, catapult, map, derivation" in warned
    assert "got 'sphere'" in warned
    assert values(page)["eta"] == DEFAULTS["eta"]


def test_what_a_link_says_is_quoted_and_does_not_act_as_markdown(page):
    page.query_params["preset"] = page.query_params["eta"] = "[click](https://evil.example)"
    page.run()
    assert len(page.warning) == 2
    for warning in page.warning:
        assert r"\[click\]\(https" in warning.value


def test_going_back_to_a_link_takes_up_its_settings(page):
    page.selectbox(key="quadratic:preset").set_value("gd-below").run()
    assert values(page)["eta"] == 0.38
    for name in list(page.query_params):
        page.query_params.pop(name)
    page.run()
    assert values(page) == DEFAULTS


def test_settings_are_kept_while_another_page_is_shown(page):
    page.selectbox(key="quadratic:preset").set_value("gd-below").run()
    page.switch_page("app.py").run()
    page.query_params.clear()
    page.switch_page("pages/quadratic.py").run()
    assert not page.exception
    assert values(page)["eta"] == 0.38


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ({"eta": "0.5"}, "ηλ = 2.5 is not below 2"),
        ({"eta": "0.4", "rho": "0"}, "every rule hops for ever"),
        ({"part": "map", "rho": "0", "map_x": "rho"}, "The dot is out of sight: SAM radius ρ = 0"),
        ({"part": "map", "map_rule": "gd"}, "GD uses no gradient norm"),
        ({"rho": "0"}, "ρ = 0: SAM and USAM are GD"),
        ({"w0": "0"}, "w₀ = 0 is the minimum"),
        ({"part": "plane", "x0": "0", "y0": "0"}, "The start is the minimum"),
        ({"part": "valley", "a0": "0", "b0": "0"}, "(0, 0) is a saddle point"),
        ({"part": "balanced", "eta_balanced": "1.1"}, "hops between two points for ever"),
        ({"part": "catapult", "k0": "0.01"}, "No weights are there: K must be"),
        ({"part": "valley", "eta": "0.5", "a0": "3", "b0": "0.2"}, "GD diverges"),
    ],
)
def test_extremes_are_said_in_words(page, link, sentence):
    for name, text in link.items():
        page.query_params[name] = text
    page.run()
    assert not page.exception
    assert sentence in texts(page)
