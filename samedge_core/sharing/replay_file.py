"""A run as a file for others: its settings and interventions, which is all that a replay needs.

Importable without torch. `from_json` reads what strangers wrote.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from samedge_core.curvature.kernels import Arithmetic
from samedge_core.fields import ConfigError, abridged
from samedge_core.problems.registry import OWN_PROBLEM
from samedge_core.training import codec
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.plan import Replay, as_recorded

KIND, SCHEMA = "replay", 1
MOST_BYTES = 1_000_000
MOST_INTERVENTIONS = 10_000
PATH = "path"  # the option that names a file of one's own
CHOOSE_FILE = "it was trained on a file that is not here: choose that file, then go on"
_NO_FILE = "the option path names a file of one's own, which a replay can't contain"


class ExchangeError(ValueError):
    """No replay can be made of this; the message shows what was received and what is allowed."""


class _Item(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    step: Any = None  # checked against the run's steps, and the item before
    changes: dict[str, Any]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    samedge: str
    schema: int
    config: dict[str, Any]
    interventions: list[_Item]
    about: dict[str, Any] = {}
    arithmetic: Arithmetic = "compiled"


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
    """
    _refuse_own_file(config)
    made = [_Item(step=i.step, changes=dict(i.changes)) for i in as_recorded(config, interventions)]
    _check_count(len(made))
    file = _File(KIND, SCHEMA, config.to_values(), made, dict(about), arithmetic)
    try:
        record = msgspec.to_builtins(file)
        if arithmetic == "compiled":  # as everywhere; earlier versions know of no other
            del record["arithmetic"]
        text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise ExchangeError(f"about must be JSON, got {abridged(about)} ({error})") from None
    _check_size(len(text))
    return text


def has_own_file(config: RunConfig) -> bool:
    """Whether it names a file of one's own (`path`), which neither a replay nor a link can hold."""
    return bool(config.options.get(PATH))


def lacks_file(config: RunConfig) -> bool:
    """Whether it needs a file of one's own and names none, as a run from elsewhere does."""
    return config.options.get(PATH) == ""


def with_file(config: RunConfig, path: str) -> RunConfig:
    """The configuration, which has the option `path`, with this path.

    Raises:
        ConfigError: the name ends with another suffix.
    """
    return config.replace(options={**config.options, PATH: path})


def from_json(text: str | bytes) -> Replay:
    """The inverse of `to_json`; the interventions come `as_recorded`.

    Raises:
        ExchangeError: it is no such JSON, is of a newer schema, names what doesn't exist, has a
            value outside its range, or is too large.
    """
    _check_size(len(text if isinstance(text, bytes) else text.encode(errors="surrogatepass")))
    try:
        record = codec.parse(text)
        if isinstance(record, dict) and record.get("samedge") != KIND:
            got = abridged(record.get("samedge"))
            raise ExchangeError(f'not a replay: "samedge" must be "{KIND}", got {got}')
        codec.check_schema(record, SCHEMA, "a replay")
        file = codec.convert(record, _File, "a replay")
        config = _config(file.config)
        return Replay(config, _interventions(file.interventions, config), file.arithmetic)
    except RecursionError:
        raise ExchangeError("not a replay: it is nested too deeply") from None
    except ConfigError as error:
        raise ExchangeError(str(error)) from None


def _config(values: dict[str, Any]) -> RunConfig:
    try:
        config = RunConfig.from_values(values)
    except ConfigError as error:
        raise ExchangeError(f"config: {error}") from None
    _refuse_own_file(config)
    return config


def _interventions(items: Sequence[_Item], config: RunConfig) -> tuple[Intervention, ...]:
    _check_count(len(items))
    found, last = [], 0
    for number, item in enumerate(items, start=1):
        where = f"intervention {number}"
        last = _step(where, item.step, last, config.steps)
        try:
            found.append(Intervention(last, item.changes))
        except ValueError as error:
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
        f"{abridged(value)}"
    )


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
