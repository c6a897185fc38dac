"""A griffe extension: doctests in docstrings become blocks of code."""

from __future__ import annotations

import re

import griffe

# from a prompt to the next empty line
_DOCTEST = re.compile(r"^(?P<indent> *)>>> .*(?:\n(?! *$).*)*", re.MULTILINE)


class FencedDoctests(griffe.Extension):
    """Outside of sections called Examples, griffe leaves doctests to Markdown, which takes >>> for
    three quotations."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Fence the doctests of a docstring as it is read."""
        if obj.docstring:
            obj.docstring.value = _DOCTEST.sub(_fenced, obj.docstring.value)


def _fenced(found: re.Match[str]) -> str:
    indent = found["indent"]
    return f"{indent}```pycon\n{found[0]}\n{indent}```"
