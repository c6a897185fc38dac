"""Where the store is, from the environment."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from samedge_core.store import open_store
from samedge_core.store.settings import StoreSettings


def test_the_defaults():
    assert StoreSettings.from_env({}) == StoreSettings.at(Path.home() / ".samedge")
    assert StoreSettings.from_env({"SAMEDGE_HOME": "", "SAMEDGE_DATABASE_URL": ""}) == (
        StoreSettings.from_env({})
    )


def test_everything_can_be_set():
    settings = StoreSettings.from_env(
        {
            "SAMEDGE_HOME": "~/runs",
            "SAMEDGE_DATABASE_URL": "postgresql+psycopg://db/runs",
            "SAMEDGE_QUOTA_MB": "1.5",
            "SAMEDGE_SNAPSHOTS_MB": "2e3",
        }
    )
    assert settings == StoreSettings(
        Path.home() / "runs", "postgresql+psycopg://db/runs", 1_500_000, 2_000_000_000
    )


@pytest.mark.parametrize("value", ["0", "-1", "much", "nan", "inf", "1e9", ""])
@pytest.mark.parametrize("name", ["SAMEDGE_QUOTA_MB", "SAMEDGE_SNAPSHOTS_MB"])
def test_a_size_that_is_none_is_refused(name, value):
    message = f"{name} must be a number of megabytes > 0, got {value!r}"
    with pytest.raises(ValueError, match=message):
        StoreSettings.from_env({name: value})


@pytest.mark.parametrize("name", ["plain", "with space", "a?b=c", "a%20b", "a#b", "Ärger"])
def test_the_embedded_catalogue_lies_in_the_home_whatever_its_name(tmp_path, name):
    home = tmp_path / name
    assert sa.make_url(StoreSettings.at(home).database).database == str(home / "catalogue.sqlite")
    open_store(home).close()
    assert {file.name for file in home.iterdir() if file.is_dir()} == {"runs", "servers"}
    assert (home / "catalogue.sqlite").exists()
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def unknown(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", unknown)
    with pytest.raises(ValueError, match="no home: set SAMEDGE_HOME"):
        StoreSettings.from_env({})
