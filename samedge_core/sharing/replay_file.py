"""A run as a file for others: its settings and interventions, which is all that a replay needs.

Importable without torch. `from_json` reads what strangers wrote.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from samedge_core.curvature.kernels import ARITHMETICS, Arithmetic
from samedge_core.fields import ConfigError, Field
from samedge_core.problems.registry import OWN_PROBLEM, PROBLEMS
from samedge_core.training.config import FIELDS, LIVE_FIELDS, RunConfig
from samedge_core.training.config import SCHEMA as CONFIG_SCHEMA
from samedge_core.training.history import Intervention, check_changes
from samedge_core.training.plan import Replay, as_recorded

KIND, SCHEMA = "replay", 1
MOST_BYTES = 1_000_000
MOST_INTERVENTIONS = 10_000
_KEYS = ("samedge", "schema", "config", "interventions", "arithmetic", "about")
_NO_FILE = "the option path names a file of one's own, which a replay can't contain"

_short = reprlib.Repr()  # unlike repr, neither long nor deep, whatever it is given
_short.maxstring = _short.maxother = _short.maxlong = 60


class ExchangeError(ValueError):
    """No replay can be made of this; the message shows what was received and what is allowed."""


def to_json(
    config: RunConfig,
    interventions: Iterable[Intervention] = (),
    *,
    arithmetic: Arithmetic = "compiled",
    about: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """What it takes to replay a run, as JSON that `from_json` accepts.

    Args:
        about: for people only, such as a title and versions; `from_json` doesn't look at it.

    Raises:
        ExchangeError: the run has a file of one's own (`path`), which JSON can't hold, or a problem
            of one's own; there is too much of it; or `about` is not JSON.
        ConfigError: an intervention's value is outside its range.
    """
    _refuse_own_file(config)
    made = as_recorded(config, interventions)
    _check_count(len(made))
    record = {
        "samedge": KIND,
        "schema": SCHEMA,
        "config": json.loads(config.to_json()),
        "interventions": [{"step": item.step, "changes": dict(item.changes)} for item in made],
        **({} if arithmetic == "compiled" else {"arithmetic": arithmetic}),
        "about": dict(about),
    }
    try:
        text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise ExchangeError(f"about must be JSON, got {shown(about)} ({error})") from None
    _check_size(len(text))
    return text


def has_own_file(config: RunConfig) -> bool:
    """Whether it names a file of one's own (`path`), which neither a replay nor a link can hold."""
    return any(_names_file(field, config) for field in config.spec.options)


def from_json(text: str | bytes) -> Replay:
    """The inverse of `to_json`; the interventions come `as_recorded`.

    Raises:
        ExchangeError: it is no such JSON, is of a newer schema, names what doesn't exist, has a
            value outside its range, or is too large.
    """
    try:
        record = _record(_parsed(text))
        config = _config(record["config"])
        interventions = _interventions(record["interventions"], config)
    except RecursionError:
        raise ExchangeError("not a replay: it is nested too deeply") from None
    except ConfigError as error:
        raise ExchangeError(f"config: {error}") from None
    return Replay(config, interventions, record.get("arithmetic", "compiled"))


def shown(value: object) -> str:
    """`value` as a message shows it: about 60 characters at most of each text in it."""
    return _short.repr(value)


def _parsed(text: str | bytes) -> Any:
    _check_size(len(text if isinstance(text, bytes) else text.encode(errors="surrogatepass")))
    try:
        if isinstance(text, bytes):
            text = text.decode()
        return json.loads(
            text.removeprefix("\ufeff"),  # Windows editors put it there
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_duplicates,
        )
    except ExchangeError:
        raise
    except ValueError as error:  # no JSON, no UTF-8, or an integer of thousands of digits
        raise ExchangeError(f"not a JSON file: {error}; got {shown(text)}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ExchangeError(f"numbers must be finite, got {name}")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in values if names.count(name) > 1)
        raise ExchangeError(f"a name may stand once in an object, got {shown(twice)} twice")
    return values


def _record(value: Any) -> dict[str, Any]:
    """The outermost object, every key of it there and known."""
    record = _object("a replay", value)
    if record.get("samedge") != KIND:
        got = shown(record.get("samedge"))
        raise ExchangeError(f'not a replay: "samedge" must be "{KIND}", got {got}')
    _check_schema("", record.get("schema"), SCHEMA)
    _check_names("replay", record, _KEYS)
    for name in ("config", "interventions"):
        if name not in record:
            raise ExchangeError(f"a replay needs {name}, got only: {', '.join(record)}")
    if record.get("arithmetic", "compiled") not in ARITHMETICS:
        allowed, got = ", ".join(ARITHMETICS), shown(record["arithmetic"])
        raise ExchangeError(f"arithmetic must be one of {allowed}, got {got}")
    _object("about", record.get("about", {}))
    return record


def _config(value: Any) -> RunConfig:
    settings = dict(_object("config", value))
    _check_schema("config: ", settings.pop("schema", None), CONFIG_SCHEMA)
    _check_names("config", settings, (*FIELDS, "options"))
    options = _object("config: options", settings.get("options", {}))
    problem = FIELDS["problem"].check(settings.get("problem", FIELDS["problem"].default))
    _check_names(f"options of {problem}", options, [f.name for f in PROBLEMS[problem].options])
    config = RunConfig(**settings)
    _refuse_own_file(config)
    return config


def _interventions(value: Any, config: RunConfig) -> tuple[Intervention, ...]:
    if not isinstance(value, list):
        raise ExchangeError(f"interventions must be a list, got {shown(value)}")
    _check_count(len(value))
    found, last = [], 0
    for number, item in enumerate(value, start=1):
        where = f"intervention {number}"
        _check_names(where, _object(where, item), ("step", "changes"))
        changes = _object(f"{where}: changes", item.get("changes"))
        _check_names(f"{where}: changes", changes, LIVE_FIELDS)
        last = _step(where, item.get("step"), last, config.steps)
        try:
            found.append(Intervention(last, check_changes(changes)))
        except ConfigError as error:
            raise ExchangeError(f"{where}: {error}") from None
    return as_recorded(config, found)


def _step(where: str, value: Any, last: int, steps: int) -> int:
    """A step from that of the intervention before to the run's last."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and last <= value < steps:
        return value
    order = f" (they must be in order; the one before is at {last})" if last else ""
    raise ExchangeError(
        f"{where}: step must be a whole number from {last} to {steps - 1}{order}, got "
        f"{shown(value)}"
    )


def _object(what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ExchangeError(f"{what} must be a JSON object, got {shown(value)}")
    return value


def _check_names(what: str, values: Iterable[str], allowed: Iterable[str]) -> None:
    allowed = tuple(allowed)
    for name in values:
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            raise ExchangeError(f"{what}: nothing is called {shown(name)}; there are: {known}")


def _check_schema(where: str, got: Any, ours: int) -> None:
    if got == ours and not isinstance(got, bool):
        return
    newer = isinstance(got, int) and got > ours
    hint = ": a newer version of this program wrote it" if newer else ""
    raise ExchangeError(f"{where}schema must be {ours}, got {shown(got)}{hint}")


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise ExchangeError(f"a replay has at most {MOST_BYTES:,} bytes, got {size:,}")


def _check_count(count: int) -> None:
    if count > MOST_INTERVENTIONS:
        raise ExchangeError(f"there may be {MOST_INTERVENTIONS:,} interventions, got {count:,}")


def _refuse_own_file(config: RunConfig) -> None:
    refuse_own_problem(config, "a replay")
    if has_own_file(config):
        raise ExchangeError(f"{_NO_FILE}, got problem {config.problem} with a path")


def refuse_own_problem(config: RunConfig, what: str) -> None:
    """Raises an ExchangeError where no name leads back to what was trained."""
    if config.problem == OWN_PROBLEM:
        raise ExchangeError(
            f"{what} can't contain a problem of one's own, which only the program that made it "
            f"has, got problem {config.problem}"
        )


def _names_file(field: Field, config: RunConfig) -> bool:
    return field.kind == "path" and bool(config.options[field.name])
