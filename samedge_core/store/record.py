"""RunRecord: everything of a run that is stored, except its rows and states."""

from __future__ import annotations

import json
import math
import os
import platform
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any, Literal

import msgspec

from samedge_core.curvature.kernels import ARITHMETICS, Arithmetic
from samedge_core.fields import LARGEST_INT, ConfigError, abridged
from samedge_core.sharing.replay_file import PATH
from samedge_core.store.texts import LONGEST_ID, is_id
from samedge_core.training import codec
from samedge_core.training.config import FIELDS, RunConfig
from samedge_core.training.history import History, Intervention
from samedge_core.training.stop import Stop

SCHEMA = 1
_MOST_STEPS = int(FIELDS["steps"].high or 0)
MOST_INTERVENTIONS = 10_000
LATEST = 253_402_214_400  # seconds since 1970: no calendar goes beyond the year 9999
LONGEST_TEXT, LONGEST_FACT, MOST_FACTS = 10_000, 1_000, 100  # a stop's; the machine's and versions'
# in a record's `machine`, with all that the last bits of a run depend on
THREADS, ARITHMETIC, PLAIN_BECAUSE = "threads", "arithmetic", "plain_because"
MOST_THREADS = 1024  # torch would try to start any number of them
DATA = "data_sha256"  # of the examples, where they come from a file of the user's

Branch = Literal["fork", "rewind"]


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a run left another one: it shares all rows before `step` with the run `parent`.

    A rewind takes the place of its parent, whose later rows are an abandoned branch; a fork stands
    beside it.
    """

    parent: str
    step: int
    branch: Branch = "fork"

    def __post_init__(self) -> None:
        _check_id(self.parent)
        _check_whole("a fork's step", self.step, 0, _MOST_STEPS)


def versions() -> dict[str, str]:
    """Of what decides a run's numbers: a replay is exact with the same ones only."""
    names = ("torch", "numpy")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def machine() -> dict[str, Any]:
    """The system and processor that compute the run."""
    return {"system": platform.platform(), "processor": platform.machine(), "cpus": os.cpu_count()}


@dataclass(frozen=True)
class RunRecord:
    """Everything of a run that is neither a row nor a state.

    Attributes:
        config: what the run started with, its step cap as last raised.
        stretch: the step cap at first; each Resume at the cap adds as many steps.
        created: seconds since 1970, UTC.
        parameters: P, once the problem was built.
        planned: interventions that are to be made at their steps.

    Raises:
        ValueError: a value outside its range, shown with what is allowed.
    """

    id: str
    config: RunConfig
    stretch: int
    created: float = field(default_factory=time.time)
    origin: Origin | None = None
    parameters: int | None = None
    interventions: tuple[Intervention, ...] = ()
    planned: tuple[Intervention, ...] = ()
    stop: Stop | None = None
    versions: Mapping[str, str] = field(default_factory=versions)
    machine: Mapping[str, Any] = field(default_factory=machine)

    def __post_init__(self) -> None:
        _check_id(self.id)
        if self.origin and self.origin.parent == self.id:
            raise ValueError(f"a run can't come from itself, got the parent {self.id}")
        _check_whole("stretch", self.stretch, 1, _MOST_STEPS)
        if not (math.isfinite(self.created) and 0 <= self.created < LATEST):
            allowed = f"seconds since 1970, below {LATEST:,}"
            raise ValueError(f"created must be {allowed}, got {abridged(self.created)}")
        if self.parameters is not None:
            _check_whole("parameters", self.parameters, 0, LARGEST_INT)
        _check_interventions("interventions", self.interventions)
        _check_interventions("planned", self.planned)
        if self.stop:
            _check_whole("a stop's step", self.stop.step, 0, _MOST_STEPS)
            object.__setattr__(self, "stop", _shortened(self.stop))
        _check_facts("versions", self.versions)
        _check_facts("machine", self.machine)
        if self.arithmetic not in ARITHMETICS:
            allowed = ", ".join(ARITHMETICS)
            raise ValueError(f"arithmetic must be one of {allowed}, got {self.arithmetic!r:.80}")

    @property
    def arithmetic(self) -> Arithmetic:
        """The arithmetic from first step to last; runs of the first versions were compiled."""
        return self.machine.get(ARITHMETIC, "compiled")

    @property
    def data_sha256(self) -> str | None:
        """Of the examples from a file of the user's; runs of the first versions did not note it."""
        found = self.machine.get(DATA)
        return found if isinstance(found, str) else None

    def on(self, **machine: Any) -> RunRecord:
        """The record with these entries of its machine."""
        return replace(self, machine={**self.machine, **machine})

    def empty_history(self) -> History:
        """The run's History, still without its rows."""
        history = History(self.config, self.arithmetic)
        history.parameters = self.parameters
        return history

    def ahead(self, history: History) -> list[Intervention]:
        """The planned interventions that are not recorded yet."""
        made = [item.what for item in history.interventions]
        coming = [item for item in self.planned if item.step > history.last_step]
        return [item for item in coming if item.what not in made]

    def to_json(self) -> str:
        """All of it, with the schema number and a checksum."""
        values = {"schema": SCHEMA, **msgspec.to_builtins(self), "config": self.config.to_values()}
        return json.dumps({**values, "crc32": _checksum(values)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> RunRecord:
        """The inverse of `to_json`.

        Raises:
            ValueError: it is no such record, or of a newer schema.
        """
        values = codec.parse(text)
        checksum = values.pop("crc32", None) if isinstance(values, dict) else None
        codec.check_schema(values, SCHEMA, "a run")
        if checksum not in (None, _checksum(values)):
            raise ValueError("its checksum is that of another content")
        del values["schema"]
        values["config"] = RunConfig.from_values(values.get("config"))
        values.setdefault("planned", [])  # the first runs have none
        return codec.convert(values, cls, "a run")


def _checksum(values: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())


def began_alike(parent: str, config: RunConfig) -> bool:
    """Whether runs began in the same way, as a fork and its parent do: a record from elsewhere may
    name any run as its parent.

    Args:
        parent: the parent's configuration as JSON.
    """
    try:
        return _beginning(RunConfig.from_json(parent)) == _beginning(config)
    except ConfigError:  # of another version
        return False


def _beginning(config: RunConfig) -> dict[str, Any]:
    """Without the step cap, and the path of the data, which differs from machine to machine."""
    return config.to_values() | {"steps": 0, "options": {**config.options, PATH: ""}}


def _check_id(value: str) -> None:
    if not is_id(value):
        allowed = f"up to {LONGEST_ID} letters and digits"
        raise ValueError(f"a run's id must be {allowed}, got {abridged(value)}")


def _check_whole(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        allowed = f"a whole number from {low:,} to {high:,}"
        raise ValueError(f"{name} must be {allowed}, got {abridged(value)}")


def _check_interventions(name: str, items: Sequence[Intervention]) -> None:
    if len(items) > MOST_INTERVENTIONS:
        raise ValueError(f"{name} may be {MOST_INTERVENTIONS:,}, got {len(items):,}")
    for item in items:
        _check_whole(f"a step of {name}", item.step, 0, _MOST_STEPS)


def _check_facts(name: str, facts: Mapping[str, Any]) -> None:
    if len(facts) > MOST_FACTS:
        raise ValueError(f"{name} may have {MOST_FACTS} entries, got {len(facts):,}")
    for key, value in facts.items():
        if not (_is_fact(key) and _is_fact(value)):
            allowed = f"texts of up to {LONGEST_FACT:,} characters and finite numbers"
            got = f"{abridged(key)}: {abridged(value)}"
            raise ValueError(f"{name} must be {allowed}, got {got}")


def _is_fact(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_FACT and is_unicode(value)
    if isinstance(value, int):
        return -LARGEST_INT <= value <= LARGEST_INT
    return value is None or (isinstance(value, float) and math.isfinite(value))


def is_unicode(text: str) -> bool:
    """Whether a page and a database can take the text: JSON can hold halves of characters."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _shortened(stop: Stop) -> Stop:
    """With no more words than a page can show."""
    what = stop.what.encode(errors="replace").decode()
    what = what if len(what) <= LONGEST_TEXT else f"{what[:LONGEST_TEXT]} …"
    return stop if what == stop.what else Stop(stop.reason, stop.step, what)
