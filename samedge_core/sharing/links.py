"""A run as a link: its settings and interventions as readable URL parameters.

    ?v=1&problem=digits-mlp&eta=2&width=50&at=120_eta_0.5_rho_0.1__300_rule_gd

Only what differs from the defaults is named, so that VERSION must go up whenever a default changes.
An option of the problem stands under its own name. `at` holds the interventions.

The separators are "_" within a list and "__" between interventions, for all that every URL encoder
leaves alone are letters, digits, "-", "." and "_", and numbers need the other two: with ":", "=" or
"," a link would turn into %3A, %3D and %2C as soon as a browser or a chat rewrites it.

Importable without torch. `from_query` reads what strangers wrote.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from samedge_core.fields import FALSE, TRUE, ConfigError, Field, abridged
from samedge_core.problems.registry import PROBLEMS
from samedge_core.training.config import FIELDS, LIVE_FIELDS, Changes, RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.plan import as_recorded

VERSION = 1
MOST_CHARACTERS = 8000  # servers and proxies refuse longer lines of a request
MOST_INTERVENTIONS = 200
MOST_COMPLAINTS = 20
MOST_NUMBERS = 200  # as `Field` allows in a list
# of the page, not of a setting
PAGE_PARAMETERS = ("run", "preset", "predict", "large", "embed", "embed_options")
_VERSION, _AT = "v", "at"
_WITHIN, _BETWEEN = "_", "__"
_EXAMPLE = "STEP_NAME_VALUE, as in 120_eta_0.5_rho_0.1"


class LinkError(ValueError):
    """The run doesn't fit into a link; the message says what would hold it."""


@dataclass(frozen=True)
class Shared:
    """What a link holds.

    Attributes:
        config: valid, as near to the link as can be.
        interventions: as a run of `config` records them.
        complaints: each text that was changed or dropped, in words. They quote the link, so that a
            page must escape them.
    """

    config: RunConfig
    interventions: tuple[Intervention, ...] = ()
    complaints: tuple[str, ...] = ()


def is_link(query: Mapping[str, str]) -> bool:
    """Whether a page's parameters hold a configuration at all: a version, or a setting that was
    written by hand."""
    return not query.keys().isdisjoint((_VERSION, *FIELDS))


def to_query(config: RunConfig, interventions: Iterable[Intervention] = ()) -> dict[str, str]:
    """The parameters, in a fixed order; `from_query` gives back equal values, to the last bit.

    The option `path` (a file of one's own) is left out: it means nothing elsewhere.

    Raises:
        LinkError: too many interventions or characters.
        ConfigError: an intervention's value is outside its range.
    """
    values = {**config.options, **{name: getattr(config, name) for name in FIELDS}}
    query = {_VERSION: str(VERSION)} | texts(_fields(config.problem).values(), values)
    made = as_recorded(config, interventions)
    if made:
        query[_AT] = _BETWEEN.join(_intervention_text(item) for item in made)
    _check_limits(len(made), sum(_size(name, text) for name, text in query.items()))
    return query


def to_url(base: str, config: RunConfig, interventions: Iterable[Intervention] = ()) -> str:
    """The whole link: `base` (a page's address) with these parameters instead of its own.

    Raises:
        as `to_query`.

    >>> to_url("http://localhost:8501/", RunConfig(eta=2, options={"width": 50}))
    'http://localhost:8501/?v=1&eta=2&width=50'
    """
    query = urlencode(to_query(config, interventions))
    return urlsplit(base)._replace(query=query, fragment="").geturl()


def from_query(query: Mapping[str, str], *, ignore: Collection[str] = ()) -> Shared:
    """The nearest valid configuration, and a complaint for each text that was changed or dropped.

    Never raises, whatever the texts are. A number out of range becomes the nearest allowed one, a
    choice that doesn't exist the one most like it; where there is no such value, the default
    counts, and in an intervention what was in force. Names that don't exist are dropped. Beyond the
    limits, whole parameters and whole interventions are.

    Args:
        ignore: parameters that belong to the page.
    """
    complaints: list[str] = []
    ours = {name: text for name, text in query.items() if name not in ignore}
    texts = _within_limit(ours, complaints)
    _check_version(texts.pop(_VERSION, str(VERSION)), complaints)
    at = texts.pop(_AT, "")
    config = _config(texts, complaints)
    interventions = _interventions(at, config, complaints) if at else ()
    return Shared(config, interventions, _listed(complaints))


# --- any settings ---------------------------------------------------------------------------


def texts(fields: Iterable[Field], values: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a link for all values that are not defaults, except the paths of files."""
    return {
        field.name: _text(field, values[field.name])
        for field in fields
        if values[field.name] != field.default and field.kind != "path"
    }


def nearest(field: Field, text: str, default: Any) -> tuple[Any, str]:
    """The value that a link's `text` stands for, or the nearest allowed one, or the `default`; and
    a complaint, which quotes the link, empty where the text was taken as it is."""
    spaced = text.replace(_WITHIN, " ") if field.kind == "floats" else text
    try:
        return field.check(spaced), ""
    except ConfigError:
        value = _closest(field, spaced)
    value = default if value is None else value
    named = "" if value is None else _text(field, value)
    named = named if len(named) <= 60 else f"{named[:57]}..."
    taken = f"{named} is taken" if value is not None else "it stays as it is"
    return value, f"{field.name} must be {field.allowed()}, got {abridged(text)}; {taken}"


# --- writing --------------------------------------------------------------------------------


def _fields(problem: str) -> dict[str, Field]:
    """Settings and options by name; no option is called as a setting is."""
    return {field.name: field for field in (*FIELDS.values(), *PROBLEMS[problem].options)}


def _text(field: Field, value: Any) -> str:
    text = field.text(value)
    return text.replace(", ", _WITHIN) if field.kind == "floats" else text


def _intervention_text(item: Intervention) -> str:
    pairs = ((name, _text(FIELDS[name], value)) for name, value in item.changes.items())
    return _WITHIN.join([str(item.step), *(part for pair in pairs for part in pair)])


def _size(name: str, text: str) -> int:
    return len(name) + len(text) + 2  # "=" and "&"


def _check_limits(interventions: int, characters: int) -> None:
    instead = "save a replay file instead"
    if interventions > MOST_INTERVENTIONS:
        raise LinkError(
            f"a link holds at most {MOST_INTERVENTIONS} interventions, got {interventions:,}: "
            f"{instead}"
        )
    if characters > MOST_CHARACTERS:
        raise LinkError(
            f"a link has at most {MOST_CHARACTERS:,} characters, got {characters:,}: {instead}"
        )


# --- reading --------------------------------------------------------------------------------


def _listed(complaints: list[str]) -> tuple[str, ...]:
    """At most MOST_COMPLAINTS of them: a link must not flood the page."""
    more = len(complaints) - MOST_COMPLAINTS
    return (*complaints[:MOST_COMPLAINTS], *([f"and {more:,} more"] if more > 0 else []))


def _within_limit(query: Mapping[str, str], complaints: list[str]) -> dict[str, str]:
    """The parameters that fit into the limit; half of a number would be another number."""
    taken, used = {}, 0
    for name, text in query.items():
        size = _size(name, text)
        if used + size <= MOST_CHARACTERS:
            taken[name] = text
            used += size
        else:
            shown = len(complaints) < MOST_COMPLAINTS  # beyond, they are only counted
            allowed = f"a link has at most {MOST_CHARACTERS:,} characters"
            what = f"{allowed}; {abridged(name)}, of {size:,}, is left out" if shown else ""
            complaints.append(what)
    return taken


def _check_version(text: str, complaints: list[str]) -> None:
    if text == str(VERSION):
        return
    newer = text.isdecimal() and int(text[:100]) > VERSION
    hint = "a newer version of this program made the link" if newer else "it is read as that"
    complaints.append(f"{_VERSION} must be {VERSION}, got {abridged(text)}: {hint}")


def _config(texts: dict[str, str], complaints: list[str]) -> RunConfig:
    problem = FIELDS["problem"].default
    if "problem" in texts:
        problem = _nearest(FIELDS["problem"], texts["problem"], complaints, default=problem)
    fields = _fields(problem)
    values = {"problem": problem}
    for name, text in texts.items():
        if name in _PATHS:
            complaints.append(
                f"{name} is never taken from a link, got {abridged(text)}: choose the file"
            )
        elif name not in fields:
            known = [n for n in fields if n not in _PATHS]
            complaints.append(_unknown(f"no setting or option of {problem}", name, known))
        elif name != "problem":
            field = fields[name]
            values[name] = _nearest(field, text, complaints, default=field.default)
    settings = {name: value for name, value in values.items() if name in FIELDS}
    options = {name: value for name, value in values.items() if name not in FIELDS}
    every = settings.pop("batch_sharpness_every", 0)
    config = _config_with_room({**settings, "batch_size": 0}, options, complaints)
    config = config.replace(batch_size=_batch_size(values, config, complaints))
    try:
        return config.replace(batch_sharpness_every=every)
    except ConfigError as error:  # the full batch
        complaints.append(f"{error} 0 is taken")
        return config


_PATHS = {f.name for spec in PROBLEMS.values() for f in spec.options if f.kind == "path"}


def _config_with_room(
    settings: dict[str, Any], options: dict[str, Any], complaints: list[str]
) -> RunConfig:
    """With as much held out as is not trained on, at most; each value is allowed by itself."""
    try:
        return RunConfig(**settings, options=options)
    except ConfigError as error:
        if error.field != "n_test":
            raise
        config = RunConfig(**settings, options={**options, "n_test": 0})
        left = config.spec.left(config.options["n"])
        complaints.append(f"{error}; {left} is taken")
        return config.replace(options={**config.options, "n_test": left})


def _batch_size(values: Mapping[str, Any], config: RunConfig, complaints: list[str]) -> int:
    wanted, size = values.get("batch_size", 0), config.spec.data_size
    most = config.options[size] if size else 0
    if wanted > most:
        complaints.append(
            f"batch_size must be at most the data size, {most:,}, got {wanted:,}; {most} is taken"
            if size
            else f"batch_size must be 0, since {config.problem} has no data, got {wanted:,}"
        )
    return min(wanted, most)


def _interventions(text: str, config: RunConfig, complaints: list[str]) -> tuple[Intervention, ...]:
    items = text.split(_BETWEEN)
    if len(items) > MOST_INTERVENTIONS:
        complaints.append(
            f"{_AT} holds at most {MOST_INTERVENTIONS} interventions, got {len(items):,}; the "
            "others are left out"
        )
    found = [_intervention(item, config, complaints) for item in items[:MOST_INTERVENTIONS]]
    return as_recorded(config, [item for item in found if item])


def _intervention(text: str, config: RunConfig, complaints: list[str]) -> Intervention | None:
    step, *parts = text.split(_WITHIN)
    if len(parts) < 2 or len(parts) % 2:
        complaints.append(
            f"an intervention in {_AT} is {_EXAMPLE}, got {abridged(text)}; it is left out"
        )
        return None
    at = _step(step, config, complaints)
    changes = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        if name not in LIVE_FIELDS:
            complaints.append(_unknown("nothing that changes mid-run", name, LIVE_FIELDS))
            continue
        change = _nearest(FIELDS[name], value, complaints, default=None)
        if change is not None:
            changes[name] = change
    return None if at is None else Intervention(at, Changes(changes))


def _step(text: str, config: RunConfig, complaints: list[str]) -> int | None:
    """None for a step that the run doesn't reach: its intervention would be in force too early."""
    last = config.steps - 1
    field = Field("step", "int", 0, "", "", low=0, high=last)
    number = _number(text)
    if number is not None and number <= last:
        return _nearest(field, text, complaints, default=0)
    complaints.append(
        f"a step in {_AT} must be a whole number from 0 to {last:,}, got {abridged(text)}; what it "
        "changes is left out"
    )
    return None


def _unknown(kind: str, name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name[:60], known, n=1)
    guess = f" (did you mean {close[0]}?)" if close else ""
    return f"{kind} is called {abridged(name)}{guess}; there are: {', '.join(known)}"


def _nearest(field: Field, text: str, complaints: list[str], *, default: Any) -> Any:
    value, complaint = nearest(field, text, default)
    if complaint:
        complaints.append(complaint)
    return value


def _closest(field: Field, text: str) -> Any:
    """The allowed value nearest to `text`, of which `field` is known not to allow it; or None."""
    if field.kind == "choice":
        return _most_alike(text, field.choices)
    if field.kind == "bool":
        word = _most_alike(text, (*TRUE, *FALSE))
        return None if word is None else field.check(word)
    if field.kind == "floats":
        numbers = [_clamped(field, part) for part in text.replace(",", " ").split()]
        numbers = numbers[:MOST_NUMBERS]
        return tuple(numbers) if numbers and None not in numbers else None
    return _clamped(field, text)


def _most_alike(text: str, words: Collection[str]) -> str | None:
    close = difflib.get_close_matches(text.strip().lower()[:60], words, n=1)
    return close[0] if close else None


def _clamped(field: Field, text: str) -> float | int | None:
    """None where there is no nearest one: not a number, or an open end."""
    number = _number(text)
    if number is None or (field.open_low and field.low is not None and number <= field.low):
        return None
    low = -math.inf if field.low is None else field.low
    high = math.inf if field.high is None else field.high
    number = min(max(number, low), high)
    return round(number) if field.kind == "int" else number + 0.0  # as `Field.check` has them


def _number(text: str) -> float | None:
    """inf included, NaN not."""
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number
