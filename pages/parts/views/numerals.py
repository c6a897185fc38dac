"""Numbers as people read them on the page."""

from samedge_core.analysis.summary import shown

MINUS = str.maketrans("-", "−")
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def number(value: float) -> str:
    """Four significant digits, with a minus sign and no hyphen."""
    return shown(value, digits=4).translate(MINUS)


def subscript(number: int) -> str:
    """A whole number, lowered."""
    return str(number).translate(SUBSCRIPTS)
