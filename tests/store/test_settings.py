"""Where the store is, from the environment."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from samedge_core.store import open_store
from samedge_core.store.settings import StoreSettings
from samedge_core.worker.settings import Settings
from tests.fuzz import FUZZ, taken


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


@pytest.mark.parametrize("name", ["SAMEDGE_QUOTA_MB", "SAMEDGE_SNAPSHOTS_MB"])
def test_an_empty_size_is_refused_with_the_remedy(name):
    default = {"SAMEDGE_QUOTA_MB": "10000", "SAMEDGE_SNAPSHOTS_MB": "64"}[name]
    with pytest.raises(ValueError, match=rf"got ''; without this variable it is {default}$"):
        StoreSettings.from_env({name: ""})


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "postgres://me:secret@host/runs",
            r"got 'postgres://me:\*\*\*@host/runs': write postgresql",
        ),
        (
            "mysql://me:secret@host/runs",
            r"SAMEDGE_DATABASE_URL must be sqlite:///FILE or postgresql",
        ),
        ("postgresql+psycopg2://me:secret@host/runs", r"needs a driver .*samedge\[postgres\]"),
        ("postgresql+nix://host/runs", r"must be .*, got 'postgresql\+nix://host/runs'"),
        ("me:secret@host", "got 14 characters that are neither"),
        ("postgresql://me:secret@host:port/runs", "got 37 characters that are neither"),
        ("sqlite://", "which names no file"),
        ("sqlite:///:memory:", "which names no file"),
    ],
)
def test_an_address_of_no_database_is_refused_and_hides_the_password(address, message):
    with pytest.raises(ValueError, match=message) as caught:
        StoreSettings.from_env({"SAMEDGE_DATABASE_URL": address})
    assert "secret" not in str(caught.value)


@settings(max_examples=FUZZ, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["HOME", "DATABASE_URL", "QUOTA_MB", "SNAPSHOTS_MB", "SPARES", "END_AFTER"]
        ),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"))
        | st.integers().map(str)
        | st.floats().map(str)
        | st.sampled_from(["sqlite:///x", "postgres://", "://", "9" * 5000]),
    )
)
def test_any_environment_is_taken_or_refused_in_words(values):
    environ = {f"SAMEDGE_{name}": value for name, value in values.items()}
    for kind in (StoreSettings, Settings):
        taken(lambda kind=kind: kind.from_env(environ), ValueError)
