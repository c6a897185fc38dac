"""The live lab: Streamlit with app.py, for this machine alone unless --network is given."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from samedge_core.cli.common import PROGRAM, UsageError, note
from samedge_core.store.settings import StoreSettings
from samedge_core.worker.settings import Settings

ABOUT = """\
Without a command, opens the live lab, on this machine only. Options go on to Streamlit, such as
--server.port 8600; see `streamlit run --help`. --network lets others in: whoever can reach this
machine then sees all runs and can start new ones."""
LOCAL = "127.0.0.1"
_PRIVATE = (LOCAL, "localhost", "::1")
_EVERYWHERE = "0.0.0.0"


def is_asked_for(arguments: Sequence[str]) -> bool:
    """Whether these arguments of the program have no command, but options of the lab at most."""
    ours = ("-h", "--help", "--version")
    return not arguments or (arguments[0].startswith("-") and arguments[0] not in ours)


def open_lab(options: Sequence[str]) -> int:
    """Serve the pages until the server is stopped; where the system can, in place of this program.

    Raises:
        SystemExit: as argparse does, for an address without a value, or two of them.
        FileNotFoundError: app.py is not where it belongs.
        UsageError: a setting in the environment can't be used.
    """
    try:
        StoreSettings.from_env()
        Settings.from_env()
    except ValueError as error:
        raise UsageError(str(error)) from None
    parser = argparse.ArgumentParser(prog=PROGRAM, add_help=False, allow_abbrev=False)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--network", action="store_true")
    where.add_argument("--server.address", dest="address", metavar="ADDRESS")
    own, others = parser.parse_known_args(options)
    given = own.address or os.environ.get("STREAMLIT_SERVER_ADDRESS")  # as a container sets it
    address = _EVERYWHERE if own.network else given or LOCAL
    if address not in _PRIVATE:
        note("The lab is open to the network: whoever reaches the address below can use it.")
    if own.network:  # is what Streamlit prints; it would ask a server on the internet for another
        others = ["--browser.serverAddress", _own_address(), *others]
    # -P: a file of the folder that this is called from is no module of the server's
    run = [sys.executable, "-P", "-m", "streamlit", "run", str(app_file())]
    return _replace_by([*run, "--server.address", address, *others])


def _replace_by(command: list[str]) -> int:
    """Run another program instead of this one, so that who stops this stops that."""
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)


def app_file() -> Path:
    """The live lab's script: in an installation in a folder of its own, else in the checkout."""
    root = Path(__file__).resolve().parents[2]
    places = (root / "samedge_app" / "app.py", root / "app.py")
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f"{places[0]} is missing: install samedge again")


def _own_address() -> str:
    """This machine's in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address that is kept for documentation
        except OSError:  # there is no network
            return socket.gethostname()
        return probe.getsockname()[0]
