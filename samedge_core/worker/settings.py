"""Limits of a registry, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from samedge_core.store.settings import number
from samedge_core.worker.memory import room, share

MOST = 1e9  # runs, records or seconds
_WORKERS, _SPARES = room()


@dataclass(frozen=True)
class Settings:
    """Limits of a registry; `from_env` reads SAMEDGE_MAX_WORKERS, SAMEDGE_SPARES and so on.

    Attributes:
        max_workers: runs that may hold a worker at once; further ones wait. One where memory is
            scarce.
        worker_mb: megabytes that a run may take; half of what there is, or four fifths where runs
            go one at a time.
        spares: idle workers kept warm, so that a start need not wait for torch to load. None
            where memory is scarce.
        max_unattended: runs that go on or wait without a page, at most.
        pause_after: seconds without a poll after which a run pauses.
        end_after: seconds without a poll after which a run gives its worker back.
        forget_after: seconds without a poll after which its record is dropped.
        max_records: records kept at most; the longest unseen ended ones go first.
    """

    max_workers: int = _WORKERS
    worker_mb: float = share(_WORKERS) / 1e6
    spares: int = _SPARES
    max_unattended: int = 40
    pause_after: float = 10.0
    end_after: float = 120.0
    forget_after: float = 3600.0
    max_records: int = 200

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """The defaults, with SAMEDGE_<NAME> from the environment over them.

        Raises:
            ValueError: a variable that is not a number > 0 (spares: >= 0), shown with its value.
        """
        values: dict[str, Any] = {}
        for item in fields(cls):
            name, zero = f"SAMEDGE_{item.name.upper()}", item.name == "spares"
            default = getattr(cls, item.name)
            values[item.name] = number(environ, name, default, zero=zero, below=MOST)
        return cls(**values)
