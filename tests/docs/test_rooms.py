"""The picture of the rooms: what it shows are the imports, and the import contracts allow them."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rooms():
    return import_module("rooms")


@pytest.fixture(scope="module")
def imports(rooms):
    return rooms.imports()


def _layers() -> dict[str, list[list[str]]]:
    """By what holds the rooms: the rooms of each layer, from the top, as the contracts say."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return {
        contract["containers"][0]: [layer.split(" | ") for layer in contract["layers"]]
        for contract in contracts
        if contract["type"] == "layers"
    }


@pytest.mark.parametrize("container", ["samedge_core", "pages.parts"])
def test_every_line_points_downward_in_the_contracts(imports, container):
    floor = {
        f"{container.replace('.', '/')}/{room}": -i
        for i, layer in enumerate(_layers()[container])
        for room in layer
    }
    for room, its in imports.items():
        for other in its:
            if room in floor and other in floor:
                assert floor[room] > floor[other], f"{room} imports from {other}"


def test_the_core_is_complete_and_knows_nothing_of_the_pages(imports):
    named = {f"samedge_core/{room}" for layer in _layers()["samedge_core"] for room in layer}
    core = {room for room in imports if room.startswith("samedge_core/")}
    assert core == named
    assert set().union(*(imports[room] for room in core)) <= core


def test_every_room_of_the_tree_is_there(imports):
    for base in ("samedge_core", "pages/parts"):
        for path in (ROOT / base).iterdir():
            named = path.suffix == ".py" and path.stem != "__init__"
            if named or (path.is_dir() and list(path.glob("*.py"))):
                assert f"{base}/{path.stem}" in imports


def test_known_imports_are_there(rooms, imports):
    assert imports["samedge_core/training"] >= {"samedge_core/curvature", "samedge_core/theory"}
    assert "pages/parts/lab" in imports[rooms.APP]
    assert imports["samedge_core/theory"] == set()


def test_left_out_are_the_lines_that_follow_from_others(rooms):
    imports = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set(), "e": {"d"}}
    assert rooms.needed(imports) == {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set(), "e": {"d"}}


def test_what_is_drawn_leads_as_far_as_the_imports(rooms, imports):
    def reached(lines, room):
        return lines[room] | set().union(*(reached(lines, other) for other in lines[room]))

    lines = rooms.needed(imports)
    for room in imports:
        assert reached(lines, room) == reached(imports, room)


def test_the_picture_has_each_room_and_each_line(rooms, imports):
    picture = rooms.picture(imports)
    assert picture.count("<path") == sum(map(len, rooms.needed(imports).values()))
    labels = re.findall(r"<text[^>]*>([^<]*)<", picture)
    assert sorted(labels) == sorted(map(rooms.label, imports))


def test_each_box_stands_above_those_it_imports_from_and_none_covers_another(rooms, imports):
    boxes = {}
    for box in re.findall(r"<rect ([^>]*)/><text[^>]*>([^<]*)<", rooms.picture(imports)):
        boxes[box[1]] = {k: float(v) for k, v in re.findall(r'(\w+)="([\d.]+)"', box[0])}
    for room, its in imports.items():
        for other in its:
            assert boxes[rooms.label(room)]["y"] < boxes[rooms.label(other)]["y"]
    for name, one in boxes.items():
        for other, two in boxes.items():
            apart = one["x"] + one["width"] < two["x"] or two["x"] + two["width"] < one["x"]
            assert name == other or one["y"] != two["y"] or apart, f"{name}, {other}"


def test_the_table_says_what_each_room_of_the_core_holds(rooms, imports):
    rows = rooms.table(imports).splitlines()[2:]
    assert len(rows) == sum(room.startswith("samedge_core/") for room in imports)
    for row in rows:
        assert len(row.split(" | ")[2]) > 20


@pytest.mark.parametrize(
    ("module", "room"),
    [
        ("samedge_core.theory.edges", "samedge_core/theory"),
        ("samedge_core.fields", "samedge_core/fields"),
        ("samedge_core", None),
        ("pages.parts.lab.share", "pages/parts/lab"),
        ("pages.parts.server", "pages/parts/server"),
        ("pages.parts", None),
        ("pages.runs", "app.py, pages/*.py"),
    ],
)
def test_a_module_belongs_to_a_room(rooms, module, room):
    assert rooms.room_of(module) == room
