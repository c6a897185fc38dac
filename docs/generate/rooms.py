"""The picture of the rooms and the table beside it, from the imports in the code."""

from __future__ import annotations

import ast
import html
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import grimp

ROOT = Path(__file__).parents[2]
APP, PARTS, CORE = "app.py, pages/*.py", "pages/parts/", "samedge_core/"

HEIGHT, PITCH, GAP, MARGIN = 34, 78, 22, 14  # pixels: a box, from floor to floor, between boxes
LETTER, PADDING, LANE = 8, 26, 16  # a letter, around a name, a line that passes a floor
SWEEPS = 12

Imports = dict[str, set[str]]


class Spot(NamedTuple):
    """A box, or the place where a line passes a floor, on the picture."""

    left: float
    width: float
    top: float

    @property
    def middle(self) -> float:
        return self.left + self.width / 2


def imports() -> Imports:
    """The rooms that each room imports from; imports for type checkers alone do not count."""
    graph = grimp.build_graph(
        "samedge_core", "pages", exclude_type_checking_imports=True, cache_dir=None
    )
    rooms: Imports = {}
    for module in sorted(graph.modules):
        if room := room_of(module):
            found = map(room_of, graph.find_modules_directly_imported_by(module))
            rooms.setdefault(room, set()).update(other for other in found if other)
    rooms[APP].update(other for other in map(room_of, _imported_by_app()) if other)
    for room, its in rooms.items():
        its.discard(room)
    return rooms


def room_of(module: str) -> str | None:
    """The room of a module; None for the packages that hold the rooms.

    >>> [room_of(name) for name in ("samedge_core.theory.edges", "pages.parts.lab.share")]
    ['samedge_core/theory', 'pages/parts/lab']
    """
    match module.split("."):
        case ["samedge_core", room, *_]:
            return CORE + room
        case ["pages", "parts", room, *_]:
            return PARTS + room
        case ["pages", name] if name != "parts":
            return APP
    return None


def _imported_by_app() -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse((ROOT / "app.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return [name for name in names if name.startswith(("pages.parts.", "samedge_core."))]


def needed(rooms: Imports) -> Imports:
    """The imports that do not follow from others: without a -> c where a -> b -> c."""
    below: Imports = {}

    def reach(room: str) -> set[str]:
        if room not in below:
            below[room] = set().union(*({other} | reach(other) for other in rooms[room]))
        return below[room]

    return {
        room: {one for one in its if not any(one in reach(other) for other in its)}
        for room, its in rooms.items()
    }


def floors(rooms: Imports) -> dict[str, int]:
    """The floor of each room: 0 where nothing is imported, else one above the highest import.

    The pages stand above the whole core.
    """
    known: dict[str, int] = {}

    def floor(room: str) -> int:
        if room not in known:
            beside = [other for other in rooms[room] if _in_core(other) == _in_core(room)]
            known[room] = max((floor(other) + 1 for other in beside), default=0)
        return known[room]

    core = {room: floor(room) for room in rooms if _in_core(room)}
    ground = max(core.values()) + 1
    return core | {room: ground + floor(room) for room in rooms if room not in core}


def _in_core(room: str) -> bool:
    return room.startswith(CORE)


def picture(rooms: Imports) -> str:
    """The rooms floor by floor as SVG, with a line for each import that does not follow from
    others."""
    lines = needed(rooms)
    level = floors(rooms)
    rows, paths = _rows(lines, level)
    spots, width = _spots(rows)
    height = (len(rows) - 1) * PITCH + HEIGHT + 2 * MARGIN
    drawn = [
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        'aria-label="The rooms and what each imports from" class="rooms">'
    ]
    drawn += [_line([spots[name] for name in path]) for path in paths]
    for room in rooms:
        drawn.append(_box(room, spots[room], f"imports from {', '.join(sorted(rooms[room]))}"))
    return f'<div class="rooms-frame">{"".join(drawn)}</svg></div>'


def _rows(lines: Imports, level: dict[str, int]) -> tuple[list[list[str]], list[list[str]]]:
    """The names on each floor from the top, and the way of each line through them.

    A line over several floors has a place of its own on each, so that it passes beside the rooms.
    """
    top = max(level.values())
    rows: list[list[str]] = [[] for _ in range(top + 1)]
    for room, floor in level.items():
        rows[top - floor].append(room)
    paths: list[list[str]] = []
    for room, its in lines.items():
        for other in sorted(its):
            between = range(level[room] - 1, level[other], -1)
            # lines to one room share their way
            lanes = [f"lane:{other}:{floor}" for floor in between]
            for lane, floor in zip(lanes, between, strict=True):
                if lane not in rows[top - floor]:
                    rows[top - floor].append(lane)
            paths.append([room, *lanes, other])
    return _ordered(rows, paths), paths


def _ordered(rows: list[list[str]], paths: list[list[str]]) -> list[list[str]]:
    """The rows, each sorted by where its neighbours stand, so that few lines cross."""
    neighbours: Imports = {name: set() for row in rows for name in row}
    for path in paths:
        for one, other in pairwise(path):
            neighbours[one].add(other)
            neighbours[other].add(one)
    for sweep in range(SWEEPS):
        order = range(len(rows)) if sweep % 2 else range(len(rows) - 1, -1, -1)
        for i in order:
            place = {name: (j + 1) / (len(row) + 1) for row in rows for j, name in enumerate(row)}
            aside = set(rows[i - 1 if sweep % 2 else (i + 1) % len(rows)])

            def mean(name: str, place=place, aside=aside) -> float:
                its = [place[other] for other in neighbours[name] if other in aside]
                return sum(its) / len(its) if its else place[name]

            rows[i] = sorted(rows[i], key=mean)
    return rows


def _spots(rows: list[list[str]]) -> tuple[dict[str, Spot], float]:
    """Where everything stands, and how wide the picture is."""
    widths = {
        name: LANE if name.startswith("lane:") else len(label(name)) * LETTER + PADDING
        for row in rows
        for name in row
    }
    full = max(sum(widths[name] + GAP for name in row) for row in rows)
    spots: dict[str, Spot] = {}
    for i, row in enumerate(rows):
        room = full - sum(widths[name] for name in row)
        left = MARGIN
        for name in row:
            left += room / len(row) / 2
            spots[name] = Spot(left, widths[name], MARGIN + i * PITCH)
            left += widths[name] + room / len(row) / 2
    return spots, full + 2 * MARGIN


def label(room: str) -> str:
    """What is written in the box."""
    return room.removeprefix(CORE)


def _line(way: list[Spot]) -> str:
    x, y = way[0].middle, way[0].top + HEIGHT
    d = f"M{x:.0f},{y:.0f}"
    for spot in way[1:]:
        last = spot is way[-1]
        half = (spot.top - y) / 2
        d += (
            f"C{x:.0f},{y + half:.0f} {spot.middle:.0f},{spot.top - half:.0f} "
            f"{spot.middle:.0f},{spot.top:.0f}"
        )
        x, y = spot.middle, spot.top + (0 if last else HEIGHT)
        if not last:
            d += f"V{y:.0f}"
    return f'<path d="{d}"/>'


def _box(room: str, spot: Spot, title: str) -> str:
    kind = "core" if _in_core(room) else "page"
    return (
        f'<g class="{kind}"><title>{html.escape(title)}</title>'
        f'<rect x="{spot.left:.0f}" y="{spot.top:.0f}" width="{spot.width:.0f}" '
        f'height="{HEIGHT}" rx="6"/><text x="{spot.middle:.0f}" y="{spot.top + HEIGHT / 2:.0f}">'
        f"{html.escape(label(room))}</text></g>"
    )


def table(rooms: Imports) -> str:
    """A row for each room of the core, from the top: what it is, and the rooms it imports from."""
    level = floors(rooms)
    rows = ["| floor | room | what it holds | imports from |", "|---|---|---|---|"]
    for room in sorted(rooms, key=lambda name: (-level[name], name)):
        if _in_core(room):
            its = ", ".join(f"`{label(name)}`" for name in sorted(rooms[room])) or "nothing"
            rows.append(f"| {level[room]} | `{label(room)}` | {_about(room)} | {its} |")
    return "\n".join(rows)


def _about(room: str) -> str:
    """The first sentence of the room's docstring."""
    path = ROOT / room
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
