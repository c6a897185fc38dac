"""Formulas as LaTeX: one template gives them in symbols and with numbers. NumPy is not needed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

SYMBOLS = {"eta": r"\eta", "rho": r"\rho", "beta": r"\beta", "grad_norm": r"\|g\|"}
SYMBOLS |= {"curvature": r"\lambda", "weight_decay": r"\text{wd}"}


def number(value: float) -> str:
    r"""Return four significant digits as LaTeX.

    >>> number(0.25), number(1.5e-7), number(-math.inf), number(19000)
    ('0.25', '1.500 \\cdot 10^{-7}', '-\\infty', '1.900 \\cdot 10^{4}')
    """
    if math.isnan(value):
        return r"\text{undefined}"
    if math.isinf(value):
        return r"\infty" if value > 0 else r"-\infty"
    if value != 0 and not 1e-3 <= abs(value) < 9999.5:
        mantissa, exponent = f"{value:.3e}".split("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
    return f"{value:.4g}"


def in_symbols(template: str) -> str:
    r"""Return a template with a symbol for each <name>; `*`, a product, is not written.

    >>> in_symbols(r"\frac{2+2*<beta>}{<eta>}")
    '\\frac{2+2\\beta}{\\eta}'
    """
    return _filled(template.replace("*", ""), SYMBOLS)


def with_numbers(template: str, values: Mapping[str, float]) -> str:
    r"""Return a template with the number in `values` for each <name>, a negative one in
    parentheses; `*` is a centred dot.

    >>> with_numbers(r"\frac{2+2*<beta>}{<eta>}", {"eta": 0.1, "beta": -0.9})
    '\\frac{2+2 \\cdot (-0.9)}{0.1}'
    """
    texts = {name: f"({number(v)})" if v < 0 else number(v) for name, v in values.items()}
    return _filled(template.replace("*", r" \cdot "), texts)


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"<(\w+)>", lambda found: values[found[1]], template)
