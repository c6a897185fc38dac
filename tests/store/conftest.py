"""Databases of both kinds, and a History whose bits a conversion would lose."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from samedge_core.store.catalogue import Catalogue
from tests.store import postgres


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """PostgreSQL; without the package the tests fail."""
    with postgres.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    return request.getfixturevalue("server").new_database()


@pytest.fixture
def catalogue(url: str) -> Iterator[Catalogue]:
    catalogue = Catalogue(url)
    yield catalogue
    catalogue.close()
