"""Text from outside, as Markdown that shows it as it is."""

import re

from samedge_core.fields import LONGEST_SHOWN, printable

WORD_JOINER = "\u2060"  # takes no room, and no line is broken at it


def plain(text: str) -> str:
    """Text that shows as it is: what a person, a link or a file says must not act as Markdown, nor
    turn the direction of what follows.

    Escaping alone leaves addresses, which become links, and names between colons, which become
    icons: an invisible word joiner keeps those apart.
    """
    line = printable(" ".join(text.split()))
    apart = re.sub(r"[:@](?=\S)|www(?=\.)", rf"\g<0>{WORD_JOINER}", line, flags=re.IGNORECASE)
    return re.sub(r"([!-+/:-@\[-`{-~-])", r"\\\1", apart)  # of ASCII alone: else it would show


def brief(text: str) -> str:
    """`plain` text with its middle left out where it is longer than LONGEST_SHOWN."""
    half = LONGEST_SHOWN // 2
    return plain(text if len(text) <= LONGEST_SHOWN else f"{text[:half]} … {text[-half:]}")
