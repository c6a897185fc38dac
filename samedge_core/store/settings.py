"""Where the store is, and how much it may hold, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from samedge_core.fields import abridged

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
            ValueError: a size that is no number > 0 or an address of no database, shown with its
                value; or there is no home.
        """
        try:
            home = Path(environ.get(HOME) or "~/.samedge").expanduser()
        except RuntimeError:  # a user whom the system does not know, in a container
            raise ValueError(f"this user has no home: set {HOME} to a folder for runs") from None
        embedded = cls.at(home)
        return cls(
            home=home,
            database=_database(environ.get(DATABASE) or embedded.database),
            quota=_bytes(environ, QUOTA, embedded.quota),
            snapshots=_bytes(environ, SNAPSHOTS, embedded.snapshots),
        )


def number(
    environ: Mapping[str, str],
    name: str,
    default: float,
    *,
    what: str = "a number",
    zero: bool = False,
    below: float | None = None,
) -> float:
    """The number in the variable `name`, of the default's type; the default where it is not set.

    Raises:
        ValueError: it is no number > 0 (>= 0 where `zero` may be) or too large, shown with its
            value and the remedy.
    """
    if name not in environ:
        return default
    try:
        value = type(default)(environ[name])
    except ValueError:
        value = -1
    if not (value > 0 or (zero and value == 0)) or (below is not None and value >= below):
        sign = ">=" if zero else ">"
        limit = "" if below is None else f", which is not below {below:g}" * (value > 0)
        raise ValueError(
            f"{name} must be {what} {sign} 0, got {abridged(environ[name])}{limit}; without this "
            f"variable it is {default:g}"
        )
    return value


def _database(address: str) -> str:
    """The address, where it is one of SQLite or PostgreSQL, whose driver is installed."""
    allowed = f"{DATABASE} must be sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):  # not shown: it may hold a password
        raise ValueError(f"{allowed}, got {len(address):,} characters that are neither") from None
    shown = abridged(url.render_as_string())
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError(f"{allowed}, got {shown}, which names no file")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        remedy = ": write postgresql for postgres" if url.drivername == "postgres" else ""
        raise ValueError(f"{allowed}, got {shown}{remedy}")
    try:
        url.get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise ValueError(f"{allowed}, got {shown}") from None
    except ImportError as error:
        remedy = "pip install 'samedge[postgres]', and write postgresql+psycopg"
        raise ValueError(f"{shown} needs a driver ({error}): {remedy}") from None
    return address


def _bytes(environ: Mapping[str, str], name: str, default: int) -> int:
    megabytes = number(environ, name, default / 1e6, what="a number of megabytes", below=1e9)
    return int(1e6 * megabytes)
