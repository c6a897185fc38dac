"""Where the runs of a family stand in the tree."""

from types import SimpleNamespace
from typing import Any

from pages.parts.runs.family import abandoned_from, lanes


def member(run: str, parent: str | None = None, step: int | None = None, branch="fork") -> Any:
    return SimpleNamespace(id=run, parent=parent, parent_step=step, branch=parent and branch)


def test_children_follow_their_parents_and_late_branches_come_first():
    family = [
        member("root"),
        member("early", "root", 10),
        member("late", "root", 90),
        member("grandchild", "late", 95),
        member("middle", "root", 50),
    ]
    assert list(lanes(family)) == ["root", "late", "grandchild", "middle", "early"]
    assert list(lanes(family).values()) == [0, 1, 2, 3, 4]


def test_a_run_whose_parent_is_gone_begins_a_tree_of_its_own():
    family = [member("orphan", "deleted", 5), member("child", "orphan", 7)]
    assert list(lanes(family)) == ["orphan", "child"]


def test_a_run_is_abandoned_from_its_first_rewind_on():
    family = [
        member("a"),
        member("b", "a", 30, "rewind"),
        member("c", "a", 20, "rewind"),
        member("d", "b", 5, "fork"),
    ]
    assert abandoned_from(family) == {"a": 20}
