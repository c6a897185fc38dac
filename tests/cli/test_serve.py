"""`samedge` without a command: what it hands on to Streamlit."""

import socket
import sys

import psutil
import pytest

from samedge_core.cli import main, serve

APP = serve.Path(serve.__file__).parents[2] / "app.py"


@pytest.fixture(autouse=True)
def streamlit(monkeypatch) -> list[list[str]]:
    """Command lines that would have replaced this program."""
    commands = []

    def run(command: list[str]) -> int:
        commands.append(command)
        return 7

    monkeypatch.setattr(serve, "_replace_by", run)
    return commands


@pytest.mark.parametrize(
    ("arguments", "handed_on"),
    [
        ([], ["--server.address", "127.0.0.1"]),
        (
            ["--server.port", "8600", "--server.headless=true"],
            ["--server.address", "127.0.0.1", "--server.port", "8600", "--server.headless=true"],
        ),
        (["--server.address=localhost"], ["--server.address", "localhost"]),
    ],
)
def test_the_lab_is_for_this_machine(streamlit, capsys, arguments, handed_on):
    assert main(arguments) == 7
    run = [sys.executable, "-P", "-m", "streamlit", "run", str(APP)]
    assert streamlit == [[*run, *handed_on]]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [["--network"], ["--server.address", "0.0.0.0"]])
def test_a_network_is_asked_for_and_told(streamlit, capsys, arguments):
    main([*arguments, "--server.port", "8600"])
    ((*run, port),) = streamlit
    assert port == "8600"
    assert run[run.index("--server.address") + 1] == "0.0.0.0"
    assert "open to the network" in capsys.readouterr().err


def test_the_address_that_is_told_is_this_machines(streamlit, monkeypatch):
    main(["--network"])
    told = streamlit[0][streamlit[0].index("--browser.serverAddress") + 1]
    own = (one.address for ones in psutil.net_if_addrs().values() for one in ones)
    assert told in {socket.gethostname(), *own}

    def connect(self, address):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", connect)
    main(["--network"])
    assert socket.gethostname() in streamlit[1]


@pytest.mark.parametrize(
    "arguments", [["--network", "--server.address", "::"], ["--server.address"]]
)
def test_addresses_that_contradict_each_other_are_refused(streamlit, capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "error: argument --server.address" in capsys.readouterr().err
    assert streamlit == []


def test_without_its_script_the_lab_does_not_open(streamlit, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(serve, "__file__", str(tmp_path / "samedge_core" / "cli" / "serve.py"))
    assert main([]) == 1
    assert "app.py is missing: install samedge again" in capsys.readouterr().err
    assert streamlit == []


def test_the_environment_of_a_container_may_set_the_address(streamlit, monkeypatch):
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "0.0.0.0")
    main([])
    main(["--server.address=localhost"])
    addresses = [run[run.index("--server.address") + 1] for run in streamlit]
    assert addresses == ["0.0.0.0", "localhost"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAMEDGE_SPARES", ""),
        ("SAMEDGE_QUOTA_MB", "lots"),
        ("SAMEDGE_DATABASE_URL", "postgres://x/y"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_before_the_start(
    streamlit, monkeypatch, capsys, name, value
):
    monkeypatch.setenv(name, value)
    assert main([]) == 2
    assert f"{name} must be " in capsys.readouterr().err
    assert streamlit == []
