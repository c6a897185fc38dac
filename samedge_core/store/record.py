"""RunRecord: everything of a run that is stored, except its rows and states."""

from __future__ import annotations

import json
import os
import platform
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any, Literal

import msgspec

from samedge_core.curvature.kernels import ARITHMETICS, Arithmetic
from samedge_core.fields import abridged
from samedge_core.training import codec
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, Intervention
from samedge_core.training.stop import Stop

SCHEMA = 1
# in a record's `machine`, with all that the last bits of a run depend on
THREADS, ARITHMETIC, PLAIN_BECAUSE = "threads", "arithmetic", "plain_because"
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


def _check_id(value: str) -> None:
    """Refuse an id that could name a path outside of a folder, whose name it becomes."""
    if not value.isascii() or not value.isalnum() or len(value) > 64:
        raise ValueError(f"a run's id must be up to 64 letters and digits, got {abridged(value)}")
