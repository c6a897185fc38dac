"""The program `samedge`, which is `python -m samedge_core` too: see `samedge_core.cli`."""

from __future__ import annotations

import io
import sys

from samedge_core import cli


def main() -> int:
    """Run the command line; its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal knows η
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
