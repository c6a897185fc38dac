"""What comes from outside is taken and usable, or refused in words: that promise, for any input."""

import os
from collections.abc import Callable
from typing import TypeVar

from samedge_core.fields import printable

T = TypeVar("T")

FUZZ = int(os.environ.get("SAMEDGE_FUZZ") or 200)
"""How many inputs a test makes up; more by the environment variable, for a long search."""

LONGEST = 800  # characters of a message


def taken(act: Callable[[], T], *refusals: type[Exception]) -> T | None:
    """What `act` returns; None where it raises one of the refusals, no subclass of theirs, with a
    message that is short and shows what acts on a terminal as its escape."""
    try:
        return act()
    except refusals as error:
        refused = error
    assert type(refused) in refusals
    words = str(refused)
    assert 10 < len(words) <= LONGEST
    assert printable(words) == words
    return None
