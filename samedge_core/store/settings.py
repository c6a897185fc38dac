"""Where the store is, and how much it may hold, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

HOME, DATABASE = "SAMEDGE_HOME", "SAMEDGE_DATABASE_URL"
QUOTA, SNAPSHOTS = "SAMEDGE_QUOTA_MB", "SAMEDGE_SNAPSHOTS_MB"


@dataclass(frozen=True)
class StoreSettings:
    """Attributes:
    home: folder of the runs, and of the embedded catalogue.
    database: SQLAlchemy URL of the catalogue; several servers share one PostgreSQL and one home.
    quota: bytes that all runs may take; the oldest go first, starred and pinned ones never.
    snapshots: bytes that the snapshots of one run may take.
    """

    home: Path
    database: str
    quota: int = 10_000_000_000
    snapshots: int = 64_000_000

    @classmethod
    def at(cls, home: Path) -> StoreSettings:
        """The embedded store in the folder `home`."""
        file = URL.create("sqlite", database=str(home / "catalogue.sqlite"))
        return cls(home, file.render_as_string())

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> StoreSettings:
        """SAMEDGE_HOME (default ~/.samedge), SAMEDGE_DATABASE_URL (default: an SQLite file in it),
        SAMEDGE_QUOTA_MB and SAMEDGE_SNAPSHOTS_MB.

        Raises:
            ValueError: a size that is no number > 0, shown with its value.
        """
        home = Path(environ.get(HOME) or Path.home() / ".samedge").expanduser()
        embedded = cls.at(home)
        return cls(
            home=home,
            database=environ.get(DATABASE) or embedded.database,
            quota=_bytes(environ, QUOTA, embedded.quota),
            snapshots=_bytes(environ, SNAPSHOTS, embedded.snapshots),
        )


def _bytes(environ: Mapping[str, str], name: str, default: int) -> int:
    if name not in environ:
        return default
    try:
        size = float(environ[name])
    except ValueError:
        size = -1.0
    if not 0 < size < 1e9:
        raise ValueError(f"{name} must be a number of megabytes > 0, got {environ[name]!r}")
    return int(size * 1e6)
