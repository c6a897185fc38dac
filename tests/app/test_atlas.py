"""The map of fates through Streamlit's own test harness."""

import json
from functools import partial

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.sweeps import zooming
from pages.parts.sweeps.atlas_settings import DEFAULTS, FIELDS, PLACES, address, plane_of, with_axes
from samedge_core.sharing import links
from samedge_core.sweeps.fate_map import AXES, MAPPED_RULES, Plane
from samedge_core.sweeps.fate_process import FateProcess, shared
from tests.app import harness
from tests.app.harness import press, texts


@pytest.fixture(autouse=True)
def ended(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path))
    yield
    shared().close()


visit = partial(harness.visit, "pages/sweeps.py")


def drawn(app: AppTest) -> dict:
    """What the browser has been sent of the map."""
    for element in app.get("bidi_component"):
        data = element.proto.json or element.proto.mixed.json
        sent = json.loads(data) if data else {}
        if isinstance(sent, dict) and "coarse" in sent:
            return sent
    raise AssertionError("no map")


def choice(app: AppTest, label: str):
    return next(box for box in app.selectbox if box.label == label)


def test_the_map_is_a_part_of_the_page_and_its_link_opens_it():
    app = visit()
    app.segmented_control[0].set_value("map").run()
    assert not app.exception
    assert dict(app.query_params) == {"part": "map"}
    assert "every pixel is a run" in texts(app)
    assert "31 % converge" in texts(app)
    again = visit(part="map", rule="sam", y="rho", view="0.1_0.2_0.3_0.4", at="0.15_0.35")
    assert drawn(again)["view"] == [0.1, 0.2, 0.3, 0.4]
    assert drawn(again)["labels"] == ["step size η", "SAM radius ρ"]
    assert "step size η = 0.15, SAM radius ρ = 0.35** never settles: hops" in texts(again)
    assert "the SAM-edge" in texts(again)


def test_the_map_says_why_nothing_is_predicted_there():
    (switch,) = [one for one in visit(part="map").toggle if one.label == "Predicted fate"]
    assert switch.disabled
    assert "each pixel follows the rule exactly" in switch.help


def test_a_preview_is_sent_first_and_a_fine_picture_fits_into_a_message():
    app = visit(part="map")
    sent = drawn(app)
    assert (sent["count"], sent["coarse"], sent["fine"]) == (128, 128, 512)
    # a map without any order is the worst case; half a megabyte is a second on a slow line
    assert len(sent["picture"]["u1"]) < 30_000


def test_axes_follow_the_problem_and_the_rule():
    app = visit(part="map")
    assert choice(app, "Upward").options == ["start a", "start b"]
    choice(app, "Rule").select("sam").run()
    assert choice(app, "Upward").options == ["SAM radius ρ", "start a", "start b"]
    choice(app, "Upward").select("rho").run()
    choice(app, "Rule").select("polyak").run()  # it has no radius
    assert choice(app, "Upward").value == "b"
    choice(app, "Loss").select("quadratic").run()
    assert choice(app, "Upward").value == "curvature"
    assert not app.exception
    assert drawn(app)["whole"] == [0.0, 2.2, 0.0, 20.0]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.title)
def test_a_place_is_reached_and_its_link_says_it(place):
    app = visit(part="map")
    choice(app, "Places to go").select(place).run()
    assert not app.exception
    assert place.look in texts(app)
    values = with_axes({**DEFAULTS, **place.values})
    plane = plane_of(values)
    again = visit(**dict(app.query_params))
    assert drawn(again)["view"] == list(plane.within(values["view"]))
    assert choice(again, "Places to go").value == place


def test_every_map_has_a_link_that_is_read_as_the_same_map():
    for problem, axes in AXES.items():
        for rule in MAPPED_RULES:
            plane = Plane(problem, rule, axes[0], axes[-1], log=True, eta=0.7, rho=0.3, curvature=3)
            link = address(plane, (0.1, 0.2, 0.3, 0.4))
            values = dict(DEFAULTS)
            for name, text in link.items():
                if name != "part":
                    values[name], complaint = links.nearest(FIELDS[name], text, values[name])
                    assert not complaint
            assert plane_of(values) == plane
            assert values["view"] == (0.1, 0.2, 0.3, 0.4)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("eta", "-1", "eta must be a number > 0"),
        ("rule", "nesterov", "rule must be one of"),
        ("x", "<b>", "x must be one of"),
        ("view", "nan_1_2", "view must be"),
        ("at", "here", "at must be"),
    ],
)
def test_what_a_link_says_wrong_is_said_and_the_map_is_drawn(name, text, said):
    app = visit(part="map", **{name: text})
    assert said in texts(app)
    assert drawn(app)["count"] == 128


@pytest.mark.parametrize(
    "view", ["1e308_-1e308_0_0", "0.5_0.5_1_1", "1_2", "0.3_0.30000000000000004_1_1.1"]
)
def test_a_view_that_is_none_is_mended(view):
    sent = drawn(visit(part="map", view=view))
    assert sent["view"][0] < sent["view"][1]
    assert sent["view"][2] < sent["view"][3]


@pytest.mark.parametrize("at", ["-5_1", "0_1", "1e300_1", "1"])
@pytest.mark.parametrize("log", ["true", "false"])
def test_a_point_beside_the_map_is_none(at, log):
    app = visit(part="map", at=at, log=log)
    assert "Click on the map" in texts(app) or (log == "true" and at in ("-5_1", "0_1"))
    assert not app.error


def test_the_point_that_was_chosen_opens_as_a_run_in_the_live_lab():
    app = visit(part="map", rule="polyak", beta="0.5", at="0.5_1.25")
    press(app, "atlas:open")
    assert not app.exception
    shared_run = links.from_query(app.query_params)
    config = shared_run.config
    assert (config.problem, config.rule) == ("two-weight", "polyak")
    assert (config.eta, config.beta) == (0.5, 0.5)
    assert (config.options["a"], config.options["b"], config.dtype) == (1.25, 0.6, "float64")


def test_a_crash_is_told_and_the_next_view_is_drawn(monkeypatch):
    zooming._picture.cache_clear()
    original = FateProcess.follow_all
    monkeypatch.setattr(FateProcess, "follow_all", lambda self, *_: original(self, "no request"))
    app = visit(part="map")
    assert "No map: the process that computes the map ended with code 1" in texts(app)
    assert choice(app, "Rule").value == "gd"  # all the rest is there
    monkeypatch.setattr(FateProcess, "follow_all", original)
    press(app, "atlas-map:again")
    assert drawn(app)["count"] == 128
    assert not app.error


def test_the_server_itself_loads_no_compiler():
    zooming._picture.cache_clear()
    visit(part="map", y="b")
    pid = shared().pid
    assert pid is not None
    assert "samedge_core.sweeps.fate_program" in psutil.Process(pid).cmdline()
