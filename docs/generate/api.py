"""The public names by topic, for mkdocstrings to describe."""

from __future__ import annotations

from functools import cache

import griffe

import samedge_core

TOPICS = {  # of the rooms that define them, in the order of the page
    "training": "A run: configuration, training, record",
    "experiments": "Presets",
    "analysis": "What a run comes to",
    "prediction": "The curve before the run",
    "runs": "Recorded runs",
    "sweeps": "Sweeps: grids of runs",
    "problems": "Problems",
    "curvature": "Curvature",
    "theory": "Edges, rules and small landscapes",
    "fields": "Settings",
}
SAME = {"store": "runs", "sharing": "runs"}


def reference() -> str:
    """A heading for each topic and, below it, the names that belong there, as Markdown."""
    parts = []
    for room, topic in TOPICS.items():
        paths = sorted(path for path in public().values() if _topic(path) == room)
        if paths:
            parts += [f"## {topic}", *(f"::: {path}" for path in paths)]
    return "\n\n".join(parts)


@cache
def public() -> dict[str, str]:
    """Where each public name is defined, by name."""
    package = griffe.load("samedge_core", resolve_aliases=True)
    members = {name: package.members[name] for name in samedge_core.__all__}
    return {
        name: member.final_target.path if isinstance(member, griffe.Alias) else member.path
        for name, member in members.items()
    }


def _topic(path: str) -> str:
    room = path.split(".")[1]
    return SAME.get(room, room)
