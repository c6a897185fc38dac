"""A Field declares one setting once: type, range, default, label, help and unit.

RunConfig and every problem are tables of Fields. The controls of the page, the link, the saved file
and the command line are all made from these tables, so that no range or default is written twice.
"""

from __future__ import annotations

import math
import os
import reprlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["float", "int", "choice", "bool", "floats", "path"]
LONGEST_PATH = 4096
LONGEST_SHOWN = 200  # characters of a value in a message
LARGEST_INT = 2**63 - 1  # what databases and arrays hold
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class ConfigError(ValueError):
    """A setting outside its range. `field` names it; the message shows the value received."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Field:
    """One setting.

    Attributes:
        low, high: allowed range, ends included unless `open_low` excludes the lower one.
        choices: allowed values of a "choice"; `titles` are their names on the page.
        log: the natural scale is logarithmic (sliders step in exponents).
        live: may change while a run goes on; any other setting needs a restart.
        suggested: the part of the range that a slider covers; exact entry allows all of it.
        suffix: how the name of a "path" ends; empty while no file is named.
        only: (option, value): without effect where that option of the problem has another value.
    """

    name: str
    kind: Kind
    default: Any
    label: str
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    choices: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    log: bool = False
    live: bool = False
    suggested: tuple[float, float] | None = None
    suffix: str = ""
    only: tuple[str, str] | None = None

    @classmethod
    def choice(
        cls, name: str, default: str, label: str, help: str, titles: Mapping[str, str], **more: Any
    ) -> Field:
        """Return a "choice" between the keys of `titles`."""
        choices, names = tuple(titles), tuple(titles.values())
        return cls(name, "choice", default, label, help, choices=choices, titles=names, **more)

    def allowed(self) -> str:
        """The allowed values in words."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "bool":
            return "true or false"
        if self.kind == "path":
            return f"the path of a {self.suffix} file"
        nouns = {"int": "a whole number", "float": "a number", "floats": "a list of numbers"}
        bounds = []
        shown = ".0f" if self.kind == "int" else "g"
        if self.low is not None:
            bounds.append(f"{'>' if self.open_low else '>='} {self.low:{shown}}")
        if self.high is not None:
            bounds.append(f"<= {self.high:{shown}}")
        return f"{nouns[self.kind]} {' and '.join(bounds)}".rstrip()

    def check(self, value: Any) -> Any:
        """`value` in this field's own type; text is parsed.

        Raises:
            ConfigError: with the value received and what is allowed.
        """
        try:
            return getattr(self, f"_check_{self.kind}")(value)
        except (TypeError, ValueError, OverflowError, OSError, RuntimeError):
            raise ConfigError(
                self.name, f"{self.name} must be {self.allowed()}, got {abridged(value)}"
            ) from None

    def text(self, value: Any) -> str:
        """The value as it stands in a link or a text box; `check(text(v)) == v`."""
        if self.kind == "floats":
            return ", ".join(_number(v) for v in value)
        if self.kind == "float":
            return _number(value)
        return str(value).lower() if self.kind == "bool" else str(value)

    def _check_float(self, value: Any) -> float:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
        if self.low is not None and (number < self.low or (self.open_low and number == self.low)):
            raise ValueError
        if self.high is not None and number > self.high:
            raise ValueError
        return number + 0.0  # -0.0 becomes 0.0, so that equal settings have equal texts

    def _check_int(self, value: Any) -> int:
        number = self._check_float(value)
        if number != int(number):
            raise ValueError
        exact = int(number) if isinstance(value, float) else _exact(value, number)
        if abs(exact) > LARGEST_INT:
            raise ValueError
        return exact

    def _check_choice(self, value: Any) -> str:
        if value not in self.choices:
            raise ValueError
        return value

    def _check_bool(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word not in TRUE + FALSE:
            raise ValueError
        return word in TRUE

    def _check_path(self, value: Any) -> str:
        text = os.fspath(value)
        if not isinstance(text, str) or len(text) > LONGEST_PATH or "\0" in text:
            raise ValueError
        if text and not text.lower().endswith(self.suffix):
            raise ValueError
        text.encode()  # a name that is not UTF-8 could be written into no record
        # the same file from whatever folder a run is gone on with
        return str(Path(text).expanduser().absolute()) if text else text

    def _check_floats(self, value: Any) -> tuple[float, ...]:
        parts = value.replace(",", " ").split() if isinstance(value, str) else list(value)
        if not 1 <= len(parts) <= 200:
            raise ValueError
        return tuple(self._check_float(part) for part in parts)


def _exact(value: Any, number: float) -> int:
    """The whole number in `value`, which is `number` to 53 bits."""
    try:
        return int(value)
    except ValueError:  # a text such as "1e3"
        return int(number)


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


_short = reprlib.Repr()  # unlike repr, neither long nor deep, whatever it is given
_short.maxstring = _short.maxother = _short.maxlong = 60


def abridged(value: object) -> str:
    """`value` as a message shows it: escaped, about 60 characters at most of each text in it, and
    LONGEST_SHOWN in all."""
    if isinstance(value, int) and value.bit_length() > 10_000:  # Python refuses to write its digits
        return f"a whole number of {value.bit_length():,} bits"
    text = _short.repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


_ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, half characters, line ends
_JOINERS = "\u200c\u200d"  # within words of some scripts, and within emoji


def printable(text: str) -> str:
    r"""`text` as it may be shown: what acts on a terminal or turns the direction of what follows is
    written as its escape, line ends too.

    >>> printable("two\nlines \x1b[31mred")
    'two\\nlines \\x1b[31mred'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _ACTING:
        return character
    return character.encode("unicode_escape").decode()


def defaults(fields: Iterable[Field]) -> dict[str, Any]:
    """The default of every field, by name."""
    return {field.name: field.default for field in fields}


def check_all(fields: Iterable[Field], values: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Defaults overlaid with `values`, each checked.

    Raises:
        ConfigError: for an unknown name or a value outside its range.
    """
    table = {field.name: field for field in fields}
    for name in values:
        if name not in table:
            known = ", ".join(table) or "none"
            raise ConfigError(name, f"{owner} has no option {name!r}; it has: {known}")
    return {name: field.check(values.get(name, field.default)) for name, field in table.items()}
