"""RunRecord: what a run's folder says about the run, its rows and states apart."""

from __future__ import annotations

import json
import os
import platform
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any, Literal, get_args

from samedge_core.curvature.kernels import ARITHMETICS, Arithmetic
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, Intervention, check_changes
from samedge_core.training.stop import Stop, StopReason

SCHEMA = 1
# in a record's `machine`, with all that the last bits of a run depend on
THREADS, ARITHMETIC, PLAIN_BECAUSE = "threads", "arithmetic", "plain_because"

Branch = Literal["fork", "rewind"]


@dataclass(frozen=True)
class Origin:
    """Where a run left another one: it shares all rows before `step` with the run `parent`.

    A rewind takes the place of its parent, whose later rows are an abandoned branch; a fork stands
    beside it.
    """

    parent: str
    step: int
    branch: Branch = "fork"


def versions() -> dict[str, str]:
    """Of what decides a run's numbers: a replay is exact with the same ones only."""
    names = ("torch", "numpy")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def machine() -> dict[str, Any]:
    """What computes the run."""
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
        if self.arithmetic not in ARITHMETICS:
            allowed = ", ".join(ARITHMETICS)
            raise ValueError(f"arithmetic must be one of {allowed}, got {self.arithmetic!r:.80}")

    @property
    def arithmetic(self) -> Arithmetic:
        """Of the run from its first step to its last; those of the first versions were compiled."""
        return self.machine.get(ARITHMETIC, "compiled")

    def on(self, **machine: Any) -> RunRecord:
        """The record with these entries of its machine."""
        return replace(self, machine={**self.machine, **machine})

    def empty_history(self) -> History:
        """The run's History, still without its rows."""
        history = History(self.config, self.arithmetic)
        history.parameters = self.parameters
        return history

    def ahead(self, history: History) -> list[Intervention]:
        """What is planned and has not been made yet."""
        made = [(item.step, dict(item.changes)) for item in history.interventions]
        return [
            item
            for item in self.planned
            if item.step > history.last_step and (item.step, dict(item.changes)) not in made
        ]

    def to_json(self) -> str:
        """All of it, with the schema version and a checksum."""
        stop, origin = self.stop, self.origin
        values = {
            "schema": SCHEMA,
            "id": self.id,
            "config": json.loads(self.config.to_json()),
            "stretch": self.stretch,
            "created": self.created,
            "origin": origin and vars(origin),
            "parameters": self.parameters,
            "interventions": [_as_json(item) for item in self.interventions],
            "planned": [_as_json(item) for item in self.planned],
            "stop": stop and {"reason": stop.reason.value, "step": stop.step, "what": stop.what},
            "versions": dict(self.versions),
            "machine": dict(self.machine),
        }
        return json.dumps({**values, "crc32": _checksum(values)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> RunRecord:
        """The inverse of `to_json`.

        Raises:
            ValueError, LookupError, TypeError: it is no such record, or of a newer schema.
        """
        values = json.loads(text)
        schema = values.pop("schema")
        if schema != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA}, got {schema!r}: made by a newer version")
        checksum = values.pop("crc32", None)
        if checksum not in (None, _checksum({"schema": schema, **values})):
            raise ValueError("its checksum is that of another content")
        origin, stop = values["origin"], values["stop"]
        return cls(
            id=_name(values["id"]),
            config=RunConfig.from_json(json.dumps(values["config"])),
            stretch=int(values["stretch"]),
            created=float(values["created"]),
            origin=origin and _origin(origin),
            parameters=None if values["parameters"] is None else int(values["parameters"]),
            interventions=tuple(map(_intervention, values["interventions"])),
            planned=tuple(map(_intervention, values.get("planned", ()))),
            stop=stop and Stop(StopReason(stop["reason"]), int(stop["step"]), str(stop["what"])),
            versions={str(k): str(v) for k, v in values["versions"].items()},
            machine=dict(values["machine"]),
        )


def _checksum(values: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())


def _origin(item: Mapping[str, Any]) -> Origin:
    branch = item["branch"]
    if branch not in get_args(Branch):
        raise ValueError(f"branch must be one of {', '.join(get_args(Branch))}, got {branch!r:.80}")
    return Origin(_name(item["parent"]), int(item["step"]), branch)


def _as_json(item: Intervention) -> dict[str, Any]:
    return {"step": item.step, "changes": dict(item.changes), "before": dict(item.before)}


def _intervention(item: Mapping[str, Any]) -> Intervention:
    return Intervention(
        int(item["step"]), check_changes(item["changes"]), check_changes(item["before"])
    )


def _name(value: Any) -> str:
    """An id; it becomes the name of a folder, so nothing that could lead out of one."""
    if not isinstance(value, str) or not value.isascii() or not value.isalnum() or len(value) > 64:
        raise ValueError(f"a run's id must be up to 64 letters and digits, got {value!r:.80}")
    return value
