"""Numbers as people read them on the page."""

MINUS = str.maketrans("-", "−")
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def number(value: float) -> str:
    """Four significant digits, with a minus sign and no hyphen."""
    return f"{value:.4g}".translate(MINUS)


def subscript(number: int) -> str:
    """A whole number, lowered."""
    return str(number).translate(SUBSCRIPTS)
