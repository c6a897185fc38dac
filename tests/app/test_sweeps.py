"""The page of phase diagrams through Streamlit's own test harness, on stored sweeps with rows."""

import json
import math
from dataclasses import replace
from functools import partial

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.frame import navigation
from pages.parts.sweeps import atlas, example, form, picture, reading
from pages.parts.sweeps.board import Board
from samedge_core.experiments.presets import PRESETS
from samedge_core.sharing import links
from samedge_core.sweeps import launching
from samedge_core.sweeps.rows import FATES, QUANTITIES, Row
from samedge_core.sweeps.store import PREDICTED, Sweeps
from samedge_core.sweeps.sweep import Axis, Sweep
from samedge_core.theory.edges import sam_edge
from tests.app import harness
from tests.app.harness import button, press, texts

BASE = PRESETS["sam-quadratic"].config
START = Row(0, "dead", 200, seconds=0.5, start_sharpness=6.0, start_grad_norm=0.5)


@pytest.fixture
def sweeps(tmp_path, monkeypatch):
    """An empty home, in which drivers are only asked for: `sweeps.launched` has their sweeps."""
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path))
    server.registry.clear()
    form._seconds_a_step.clear()
    launched = []
    monkeypatch.setattr(launching, "launch", lambda home, id: launched.append((home, id)))
    found = Sweeps(tmp_path)
    found.__dict__["launched"] = launched
    yield found
    server.registry().close()
    server.registry.clear()


def grid(rule: str = "sam", seeds: tuple[int, ...] = (0,), etas=(0.1, 0.2, 0.4)) -> Sweep:
    axes = (Axis("eta", etas, True), Axis("rho", (0.1, 0.3)))
    return Sweep(BASE.replace(rule=rule), axes, seeds)


def fill(sweeps: Sweeps, sweep: Sweep, cells: int | None = None, ratio: float = 1.0):
    recorded = sweeps.create(sweep)
    fates = ["at its edge", "below its edge", "diverged"]
    recorded.append(
        replace(START, cell=one.index, fate=fates[one.ix], ratio=ratio + one.ix)
        for one in sweep.cells[:cells]
    )
    return recorded


visit = partial(harness.visit, "pages/sweeps.py")


def data(app: AppTest, key: str = "sweeps-diagram") -> dict:
    """What a component on the page was sent."""
    found = [item.proto for item in app.get("bidi_component") if item.proto.id.endswith(f"-{key}")]
    if not found:
        return {}
    # a browser takes no NaN, as Python does
    return json.loads(found[0].json, parse_constant=lambda name: pytest.fail(f"JSON with {name}"))


def entry(app: AppTest, *of, kind: str = "text_input"):
    return getattr(app, kind)(key=form._key(*of))


def test_without_a_sweep_one_press_starts_a_first_one(sweeps):
    app = visit()
    assert "A phase diagram runs a whole grid" in texts(app)
    assert "256 runs of 2,000 steps, for the first time with this model" in texts(app)
    assert data(app, "sweeps-example")["total"] == 256
    press(app, "sweeps:start")
    assert not app.exception
    assert not data(app, "sweeps-example")  # its own is shown now
    (recorded,) = sweeps.find()
    assert sweeps.__dict__["launched"] == [(sweeps.folder.parent, recorded.id)]
    assert app.query_params["sweep"] == recorded.id
    sweep = recorded.sweep
    assert sweep.base.replace(seed=1) == PRESETS["sam-chebyshev"].config
    assert [(a.name, a.values[0], a.values[-1], len(a.values), a.log) for a in sweep.axes] == [
        ("eta", 0.05, 0.8, 16, True),
        ("rho", 0.002, 0.2, 16, True),
    ]
    assert data(app)["total"] == 256
    assert sweep == example.sweep()  # the picture that was shown beforehand is of these settings


def test_the_page_explains_every_mark_and_line(sweeps):
    fill(sweeps, grid())
    said = texts(visit())
    assert tuple(reading.FATES) == FATES
    for words in (*FATES, "within 10 % of 1", "at least 80 %", "the sharpness is λ₀"):
        assert words in said


@pytest.mark.parametrize(
    ("of", "value", "said"),
    [
        ((0, "low"), "abc", "eta must be a number > 0 and <= 1e+06, got 'abc'"),
        ((0, "low"), "0.8", "eta must go from low to high, got 0.8 to 0.8"),
        ((1, "low"), "0", "rho must be > 0 on a logarithmic axis, got 0"),
        ((1, "high"), "nan", "rho must be a number >= 0 and <= 1000, got 'nan'"),
        ((0, "count"), 1, "eta's count must be a whole number >= 2 and <= 10000, got 1"),
        ((0, "count"), 900, "at most 10,000 cells, seeds counted, got 900 x 16 x 1 seeds = 14,400"),
        (("seeds",), 0, "seeds must be from 1 to 10,000, got 0"),
        (("samples",), 2, "samples must be a whole number >= 4 and <= 1000, got 2"),
        (("steps",), 0, "steps must be a whole number >= 1 and <= 10000000, got 0"),
    ],
)
def test_what_can_not_be_used_is_said_with_its_value_and_starts_nothing(sweeps, of, value, said):
    app = visit()
    entry(app, *of, kind="text_input" if isinstance(value, str) else "number_input").set_value(
        value
    )
    app.run()
    assert said in texts(app)
    assert button(app, "sweeps:start").disabled
    assert not sweeps.find()


def test_another_setting_and_other_settings_bring_ranges_of_their_own(sweeps):
    app = visit()
    entry(app, 1, "name", kind="selectbox").set_value("n").run()
    assert (entry(app, 1, "low").value, entry(app, 1, "high").value) == ("5", "80")
    entry(app, "base", kind="selectbox").set_value("gd-chebyshev").run()
    assert entry(app, 0, "low").value == "0.05"
    assert entry(app, 1, "name", kind="selectbox").value == form.NONE  # GD has no radius
    assert "16 runs of 2,000 steps" in texts(app)
    press(app, "sweeps:start")
    assert sweeps.find()[0].sweep.shape == (16, 1)


def test_the_settings_of_the_live_lab_can_be_varied(sweeps):
    app = visit()
    entry(app, "base", kind="selectbox").set_value(form.LAB).run()
    assert not app.exception
    press(app, "sweeps:start")
    assert sweeps.find()[0].sweep.base.problem == "digits-mlp"


def test_the_expected_time_is_that_of_the_cells_computed_before(sweeps):
    fill(sweeps, grid())
    app = visit()
    press(app, "sweeps:add")
    entry(app, "base", kind="selectbox").set_value("sam-quadratic").run()
    # 256 runs of 200 steps at .5 s each, by as many workers as this server has
    seconds = 256 * 0.5 / launching.local_workers()
    assert f"about {form.in_words(seconds)} on this machine" in texts(app)


def test_a_wrong_number_of_workers_is_said_beside_the_button(sweeps, monkeypatch):
    fill(sweeps, grid())
    monkeypatch.setenv(launching.WORKERS, "some")
    app = visit()
    press(app, "sweeps:add")
    entry(app, "base", kind="selectbox").set_value("sam-quadratic").run()
    assert "SAMEDGE_SWEEP_WORKERS must be a whole number > 0, got 'some'" in texts(app)


def test_a_diagram_is_sent_its_rows_and_what_theory_expects(sweeps):
    recorded = fill(sweeps, grid(), cells=4)
    app = visit()  # the newest, without a link
    assert app.query_params["sweep"] == recorded.id
    sent = data(app)
    assert sent["diagram"]["x"] == {"label": "Step size η", "values": [0.1, 0.2, 0.4], "log": True}
    assert sent["cells"] == {"from": 0.0, "by": 1.0, "rows": 4}
    assert sent["view"]["quantity"]["name"] == "ratio"
    assert sent["view"]["fates"] == list(FATES)
    assert [line["name"] for line in sent["view"]["lines"]] == [
        "η λ₀ = 2 at the start",
        "λ₀ = SAM-edge at the start",
    ]
    assert "Stopped after 4 of 6 runs" in texts(app)
    press(app, "sweeps:play_arrow")
    assert sweeps.__dict__["launched"] == [(sweeps.folder.parent, recorded.id)]


def test_on_the_line_from_theory_the_start_is_at_its_edge(sweeps):
    board = Board(fill(sweeps, grid()))
    board.read()
    plain, own = picture.lines(board.recorded.sweep, *board.start())
    assert plain.x == pytest.approx(2 / 6.0)
    edges = sam_edge(own.x, own.y, START.start_grad_norm)
    assert edges == pytest.approx(START.start_sharpness)


def test_another_quantity_stands_in_the_link(sweeps):
    fill(sweeps, grid())
    app = visit(quantity="steps")
    assert data(app)["view"]["quantity"]["label"] == "Steps taken"
    app.selectbox(key="sweeps:quantity").set_value("seconds").run()
    assert app.query_params["quantity"] == "seconds"
    assert data(app)["view"]["quantity"]["log"]
    assert app.selectbox(key="sweeps:quantity").options == [
        picture.label_of(name, "sam") for name in ("ratio", "steps", "seconds")
    ]
    assert set(data(app)["columns"]) == set(QUANTITIES)


def test_a_chosen_cell_is_drawn_along_both_axes_and_opens_as_a_run(sweeps):
    sweep = grid(seeds=(0, 1))
    fill(sweeps, sweep)
    app = visit()
    app.session_state[picture.CHOSEN] = {sweep.key: (1, 1)}
    app.run()
    assert "Step size η 0.2, SAM radius ρ 0.3: below its edge" in texts(app).replace("*", "")
    slices = data(app, "sweeps-slices")["figures"]
    assert [one["name"] for one in slices] == [
        "Along Step size η at SAM radius ρ 0.3",
        "Along SAM radius ρ at Step size η 0.2",
    ]
    button(app, "sweeps:run").click().run()
    shared = links.from_query({name: app.query_params[name] for name in app.query_params})
    assert shared.config == BASE.replace(eta=0.2, rho=0.3)


def test_the_run_of_a_cell_ends_as_the_cell_is_marked(sweeps):
    """Of three seeds the first is at its edge, the others diverge: the second is opened."""
    sweep = grid(seeds=(4, 5, 6))
    fates = ("at its edge", "diverged", "diverged")
    sweeps.create(sweep).append(replace(START, cell=k, fate=fate) for k, fate in enumerate(fates))
    app = visit()
    app.session_state[picture.CHOSEN] = {sweep.key: (0, 0)}
    app.run()
    assert button(app, "sweeps:run").label == "Open as a run (seed 5)"
    button(app, "sweeps:run").click().run()
    shared = links.from_query({name: app.query_params[name] for name in app.query_params})
    assert shared.config.seed == 5


@pytest.mark.parametrize(
    ("etas", "crossing"),
    # GD's edge is at 2/6 = 0.33; SAM's from 0.15 to 0.07 for a radius from 0.1 to 0.3
    [((0.01, 0.02), 0), ((0.1, 0.15), 1), ((0.3, 0.36), 1), ((0.1, 0.2, 0.4), 2)],
)
def test_a_line_beside_all_cells_is_not_drawn(etas, crossing):
    assert len(picture.lines(grid(etas=etas), START.start_sharpness, 0.5)) == crossing


def test_a_cell_without_numbers_can_be_chosen(sweeps):
    """Diverged, or not computed yet: the lines are drawn, without its point."""
    sweep = grid()
    fill(sweeps, sweep, cells=5)
    app = visit()
    for at, said in (((2, 0), "diverged"), ((2, 1), "not computed yet")):
        app.session_state[picture.CHOSEN] = {sweep.key: at}
        app.run()
        assert said in texts(app)
        along, _ = data(app, "sweeps-slices")["figures"]
        assert along["traces"][-1]["y"] == [None]


def test_a_marked_part_fills_in_a_finer_sweep(sweeps):
    sweep = grid()
    fill(sweeps, sweep)
    app = visit()
    app.session_state[picture.MARKED] = {sweep.key: ([1, 2], [0, 1])}
    app.run()
    assert "Step size η 0.2 to 0.4, SAM radius ρ 0.1 to 0.3" in texts(app)
    press(app, "sweeps:finer:Compute this part finer")
    ends = [entry(app, k, end).value for k in (0, 1) for end in ("low", "high")]
    assert ends == ["0.2", "0.4", "0.1", "0.3"]
    press(app, "sweeps:start")
    (finer,) = [one for one in sweeps.find() if one.id != sweep.key]
    assert finer.sweep.base == sweep.base
    assert finer.sweep.axes[0].values == pytest.approx((0.2, math.sqrt(0.08), 0.4))


def test_a_part_of_one_cell_becomes_the_range_to_its_neighbours(sweeps):
    sweep = grid()
    fill(sweeps, sweep)
    app = visit()
    app.session_state[picture.MARKED] = {sweep.key: ([0, 0], [1, 1])}
    app.run()
    press(app, "sweeps:finer:Compute this part finer")
    ends = [entry(app, k, end).value for k in (0, 1) for end in ("low", "high")]
    assert ends == ["0.1", "0.2", "0.1", "0.3"]


def test_two_sweeps_and_their_difference(sweeps):
    one, other = fill(sweeps, grid()), fill(sweeps, grid("usam"), ratio=0.75)
    app = visit(sweep=one.id, **{"with": other.id})
    assert {data(app, f"sweeps-{which}")["total"] for which in ("one", "other")} == {6}
    sent = data(app, "sweeps-difference")
    # the diverged cells, the last column, have none
    assert sent["cells"]["rows"] == 6
    assert sent["view"]["quantity"]["scale"] == "difference"
    app.selectbox(key="sweeps:with").set_value(None).run()
    assert "with" not in app.query_params


def test_sweeps_of_other_cells_have_no_difference(sweeps):
    one, other = fill(sweeps, grid()), fill(sweeps, grid(etas=(0.1, 0.2, 0.5)))
    app = visit(sweep=one.id, **{"with": other.id})
    assert not data(app, "sweeps-difference")
    assert "No difference is drawn" in texts(app)


def test_a_narrow_part_keeps_the_digits_that_tell_its_ends_apart(sweeps):
    sweep = grid(etas=(0.123456, 0.123457, 0.123459))
    fill(sweeps, sweep)
    app = visit()
    app.session_state[picture.MARKED] = {sweep.key: ([0, 1], [0, 1])}
    app.run()
    press(app, "sweeps:finer:Compute this part finer")
    assert [entry(app, 0, end).value for end in ("low", "high")] == ["0.123456", "0.123457"]


def test_an_axis_of_one_value_becomes_a_range_around_it(sweeps):
    sweep = grid(etas=(0.4,))
    fill(sweeps, sweep)
    app = visit()
    app.session_state[picture.CHOSEN] = {sweep.key: (0, 1)}
    app.run()
    press(app, "sweeps:finer:Compute around it finer")
    assert [entry(app, 0, end).value for end in ("low", "high")] == ["0.1", "1.6"]


def test_a_cell_without_a_number_is_chosen_and_the_lines_through_it_are_drawn(sweeps):
    sweep = grid()
    fill(sweeps, sweep)
    app = visit()
    app.session_state[picture.CHOSEN] = {sweep.key: (2, 0)}  # diverged
    app.run()
    assert "diverged" in texts(app)
    chosen = data(app, "sweeps-slices")["figures"][0]["traces"][-1]
    assert chosen["y"] == [None]  # NaN is no JSON for a browser, unlike for Python


def test_a_click_that_comes_when_another_sweep_is_shown_chooses_no_cell(sweeps):
    sweep = grid()
    fill(sweeps, sweep)
    app = visit()
    app.session_state[picture.CHOSEN] = {sweep.key: (7, 0)}
    app.run()
    assert "Choose a cell" in texts(app)


def test_a_sweep_with_a_damaged_row_is_left_for_another_or_deleted(sweeps):
    good, bad = fill(sweeps, grid()), fill(sweeps, grid("usam"))
    with (bad.folder / "rows.jsonl").open("a") as file:
        file.write("nonsense\n")
    app = visit(sweep=bad.id)
    assert "rows.jsonl is damaged" in texts(app)
    app.selectbox(key="sweeps:sweep").set_value(good.id).run()
    assert data(app)["total"] == 6
    app = visit(sweep=bad.id)
    press(app, "sweeps:delete")
    assert [one.id for one in sweeps.find()] == [good.id]


def test_a_sweep_that_can_not_be_read_is_named(sweeps):
    good, bad = fill(sweeps, grid()), fill(sweeps, grid("usam"))
    (bad.folder / "sweep.json").write_text("")
    app = visit()
    assert f"The sweep {bad.id} is not listed" in texts(app)
    assert app.query_params["sweep"] == good.id


def test_a_title_for_what_another_page_has_deleted_is_refused_in_words(sweeps):
    recorded = fill(sweeps, grid())
    app = visit()
    sweeps.delete(recorded.id)
    app.text_input(key=f"sweeps:title:{recorded.id}").set_value("Mine").run()
    assert not app.exception
    assert "has been deleted meanwhile" in texts(app)


def test_a_title_deleting_and_the_way_back(sweeps):
    recorded = fill(sweeps, grid())
    app = visit()
    app.text_input(key=f"sweeps:title:{recorded.id}").set_value("Mine").run()
    assert sweeps[recorded.id].title == "Mine"
    app.text_input(key=f"sweeps:title:{recorded.id}").set_value("x" * 1000).run()
    assert "got 1,000" in texts(app)
    assert sweeps[recorded.id].title == "Mine"
    press(app, "sweeps:delete")
    assert "Mine is deleted" in texts(app)
    assert not sweeps.find()
    press(app, "sweeps:undo")
    assert sweeps[recorded.id].title == "Mine"
    assert app.query_params["sweep"] == recorded.id


def test_a_sweep_at_work_is_stopped_and_not_deleted(sweeps):
    recorded = fill(sweeps, grid(), cells=2)
    app = visit()
    with recorded.driving():
        recorded.set_running([2, 3], workers=2)
        app.run()
        assert data(app)["running"] == [2, 3]
        assert not [one for one in app.button if one.key == "sweeps:delete"]
        press(app, "sweeps:stop_circle")
        assert recorded.is_asked_to_stop()
        assert "of 6 runs, stopping." in str(app.get("progress")[0].proto)


def test_a_link_to_no_sweep_says_so_and_shows_the_form(sweeps):
    app = visit(sweep="0123456789abcdef")
    assert "no sweep begins with '0123456789abcdef'" in texts(app)
    assert button(app, "sweeps:start")
    there = fill(sweeps, grid())
    app = visit(sweep="0123456789abcdef")
    app.selectbox(key="sweeps:sweep").set_value(there.id).run()
    assert app.query_params["sweep"] == there.id
    assert data(app)["total"] == 6


def test_a_frame_of_another_site_shows_the_diagram_and_no_button(sweeps, monkeypatch):
    fill(sweeps, grid())
    monkeypatch.setattr(navigation, "embedded", lambda: True)
    app = visit()
    assert data(app)["total"] == 6
    assert not [one for one in app.button if (one.key or "").startswith("sweeps:")]


def test_the_part_of_the_page_stands_in_its_link(sweeps, monkeypatch):
    drawn = []
    monkeypatch.setattr(atlas, "draw", lambda: drawn.append("map"))
    app = visit(part="map")
    assert drawn == ["map"]
    app.segmented_control(key="sweeps:part").set_value("sweeps").run()
    assert button(app, "sweeps:start")
    assert "part" not in app.query_params
    app.segmented_control(key="sweeps:part").set_value("map").run()
    assert drawn == ["map", "map"]


# --- what a flow says of the cells


def predict(recorded, fates=("at its edge", "diverged", "diverged"), what: str = "all steps"):
    recorded.want_predictions()
    recorded.append(
        (
            replace(START, cell=one.index, fate=fates[one.ix], ratio=0.75, what=what)
            for one in recorded.sweep.cells
        ),
        PREDICTED,
    )
    return recorded


def test_the_switch_lays_what_was_predicted_over_the_picture_and_stands_in_the_link(sweeps):
    sweep = grid()
    predict(fill(sweeps, sweep), what="all steps; its centre hops at steps 1 to 2, as a run does")
    app = visit()
    assert not data(app)["view"]["predicted"]
    assert "names the fate" not in texts(app)
    app.toggle(key="sweeps:predicted").set_value(True).run()
    assert app.query_params["predicted"] == "true"
    sent = data(app)["view"]
    assert sent["predicted"]
    assert [one["label"] for one in sent["quantities"]][:2] == [
        "Sharpness / edge, median",
        "The same, predicted",
    ]
    said = (
        "names the fate of 4 of 6 runs; wrong: 2 below its edge (predicted: diverged). In 4 right"
    )
    assert said in texts(app)
    app.session_state[picture.CHOSEN] = {sweep.key: (1, 1)}
    app.run()
    panel = texts(app).replace("*", "").replace("\\", "")
    assert "SAM radius ρ 0.3: below its edge, predicted: diverged. Sharpness / edge" in panel
    assert "median: 2, predicted: 0.75. Of the flow: its centre hops at steps 1 to 2" in panel
    app.toggle(key="sweeps:predicted").set_value(False).run()
    assert "predicted" not in app.query_params


def test_predictions_can_be_added_to_a_sweep_that_has_none(sweeps):
    recorded = fill(sweeps, grid())
    app = visit(predicted="true")
    assert "6 predictions, which take about as long as the runs one by one" in texts(app)
    press(app, "sweeps:predict")
    assert sweeps.__dict__["launched"] == [(sweeps.folder.parent, recorded.id)]
    assert recorded.unpredicted == 6
    app.run()
    assert "No run is predicted yet." in texts(app)
    assert "Stopped after 0 of 6 predictions" in texts(app)
    assert button(app, "sweeps:play_arrow").help == "Computes the 6 predictions that are missing."
    predict(recorded)
    app.run()
    assert "names the fate of 4 of 6 runs" in texts(app)


def test_a_new_sweep_can_be_predicted_too(sweeps):
    app = visit()
    entry(app, "predict", kind="toggle").set_value(True).run()
    assert "; their predictions, which take about as long" in texts(app)
    press(app, "sweeps:start")
    (recorded,) = sweeps.find()
    assert recorded.predicts
    assert app.query_params["predicted"] == "true"


def test_a_rule_that_no_flow_describes_is_named_where_the_switch_is(sweeps):
    base = PRESETS["gd-chebyshev"].config.replace(rule="polyak")
    fill(sweeps, Sweep(base, {"eta": (0.1, 0.2, 0.4)}))
    app = visit(predicted="true")
    switch = app.toggle(key="sweeps:predicted")
    assert switch.disabled
    assert "got Polyak (polyak), which keeps moments" in switch.help.replace("\\", "")
    assert not data(app)["view"]["predicted"]
    assert not [one for one in app.button if one.key == "sweeps:predict"]


def test_of_two_sweeps_each_is_told_how_often_the_flow_is_right(sweeps):
    one, other = predict(fill(sweeps, grid())), fill(sweeps, grid(etas=(0.1, 0.2, 0.5)))
    said = texts(visit(sweep=one.id, predicted="true", **{"with": other.id}))
    assert "names the fate of 4 of 6 runs" in said
    assert "Nothing is predicted yet." in said


def test_catapults_are_named_where_gradient_descent_is_predicted(sweeps):
    base = PRESETS["gd-chebyshev"].config
    predict(fill(sweeps, Sweep(base, {"eta": (0.1, 0.2, 0.4)})))
    assert "Under GD the hop dies out below the edge" in texts(visit(predicted="true"))
    predict(fill(sweeps, grid()))
    assert "dies out" not in texts(visit(predicted="true"))
