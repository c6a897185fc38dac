"""JSON of runs: one strict way from text to checked values, for all files that hold any.

Refused in words, with the value that was received and what is allowed: a name that is unknown,
missing or stands twice, a value of another type, a number that is not finite, another schema.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from samedge_core.fields import ConfigError, abridged

T = TypeVar("T")

_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    NoneType: "null",
    list: "a list",
    tuple: "a list",
}


def parse(text: str | bytes) -> Any:
    """The values in JSON text.

    Raises:
        ConfigError: not JSON, not UTF-8, a number that is not finite, half of a character, a name
            twice, or nested too deeply.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        # msgspec's own parser takes a name that stands twice
        values = json.loads(
            text.removeprefix("\ufeff"),  # Windows editors put it there
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_duplicates,
        )
        if "\\ud" in text.lower():  # in a pair, a character; alone, nothing that UTF-8 can hold
            json.dumps(values, ensure_ascii=False).encode()
        return values
    except ConfigError:
        raise
    except RecursionError:
        raise ConfigError("json", f"nested too deeply; got {abridged(text)}") from None
    except ValueError as error:
        raise ConfigError("json", f"not a JSON file: {error}; got {abridged(text)}") from None


def check_schema(values: Any, schema: int, what: str) -> None:
    """Check that `values` are a JSON object of this schema, before anything else of it is read.

    Raises:
        ConfigError: no object, or another schema.
    """
    if not isinstance(values, dict):
        raise ConfigError("json", f"{what} must be a JSON object, got {abridged(values)}")
    got = values.get("schema")
    if got != schema or isinstance(got, bool):
        newer = isinstance(got, int) and got > schema
        hint = ": a newer version of this program wrote it" if newer else ""
        raise ConfigError("schema", f"schema must be {schema}, got {abridged(got)}{hint}")


def convert(values: dict[str, Any], kind: type[T], what: str) -> T:
    """Return the dataclass or msgspec.Struct `kind` with these values, one for each of its fields.

    Raises:
        ConfigError: an unknown or missing name, or a value of another type; the message calls the
            object `what`.
    """
    if dataclasses.is_dataclass(kind):  # msgspec would pass over an unknown name, and fill up
        names = [field.name for field in dataclasses.fields(kind)]
        check_names(what, values, names)
        for name in names:
            if name not in values:
                raise ConfigError(name, f"{what} needs {name}")
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(what, _in_words(str(error), values, kind, what)) from None


def check_names(what: str, values: Iterable[str], allowed: Iterable[str]) -> None:
    """Check that all names in `values` are allowed.

    Raises:
        ConfigError: names the first that is not.
    """
    allowed = tuple(allowed)
    for name in values:
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            prefix = f"{what}: " if what else ""
            message = f"{prefix}nothing is called {abridged(name)}; there are: {known}"
            raise ConfigError(name, message)


def _refuse_constant(name: str) -> NoReturn:
    raise ConfigError("json", f"numbers must be finite, got {name}")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in values if names.count(name) > 1)
        message = f"a name may stand once in an object, got {abridged(twice)} twice"
        raise ConfigError("json", message)
    return values


def _in_words(error: str, value: Any, kind: Any, what: str) -> str:
    """msgspec's message with the place, the value there and what is allowed."""
    text, _, path = error.partition(" - at `$")
    try:
        places, value, kind = _followed(path, value, kind)
    except (LookupError, TypeError):  # that was no path, but part of a name that nobody knows
        return f"{what}: {abridged(error)}"
    where = f"{what}'s {': '.join(places)}" if places else what
    if field := re.search(r"unknown field `(.*)`", text, re.DOTALL):
        known = ", ".join(kind.__struct_fields__)
        return f"{where}: nothing is called {abridged(field[1])}; there are: {known}"
    if field := re.search(r"missing required field `(\w+)`", text):
        if not places:
            return f"{what} needs {field[1]}"
        where, kind, value = f"{where}: {field[1]}", get_type_hints(kind)[field[1]], None
    elif not text.startswith(("Expected", "Invalid enum")):
        return f"{where}: {text}"  # what a __post_init__ has found
    return f"{where} must be {' or '.join(map(_allowed, _kinds(kind)))}, got {abridged(value)}"


def _followed(path: str, value: Any, kind: Any) -> tuple[list[str], Any, Any]:
    """The names along msgspec's `path`, and the value and the type at its end."""
    places: list[str] = []
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        if name:
            places.append(name)
            kind, value = get_type_hints(kind)[name], value[name]
        else:
            places[-1] = f"{places[-1].removesuffix('s')} {int(index) + 1}"
            kind, value = get_args(kind)[0], value[int(index)]
        kind = next((one for one in _kinds(kind) if hasattr(one, "__struct_fields__")), kind)
    return places, value, kind


def _kinds(kind: Any) -> tuple[Any, ...]:
    """The members of a union; any other type alone."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _allowed(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(str(member.value) for member in kind)}"
    return _WORDS.get(get_origin(kind) or kind, "a JSON object")
