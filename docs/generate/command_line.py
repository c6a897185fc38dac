"""The command line's reference, from the help of its own parser."""

from __future__ import annotations

import io
import os
import re
from contextlib import redirect_stdout, suppress
from unittest.mock import patch

from samedge_core.cli import main

_COMMAND = re.compile(r"^    ([a-z]+)\s", re.MULTILINE)


def reference() -> str:
    """The help of the program and of each of its commands, as Markdown."""
    top = _help()
    parts = ["## The program", _block(top)]
    for name in _COMMAND.findall(top):
        parts += [f"## {name}", _block(_help(name))]
    return "\n\n".join(parts)


def _help(*command: str) -> str:
    written = io.StringIO()
    # argparse wraps at the terminal's width
    wide = patch.dict(os.environ, COLUMNS="80", NO_COLOR="1")
    with wide, redirect_stdout(written), suppress(SystemExit):
        main([*command, "--help"])
    return written.getvalue().rstrip()


def _block(text: str) -> str:
    return f"```text\n{text}\n```"
