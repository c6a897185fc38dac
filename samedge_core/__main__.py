"""`python -m samedge_core`: see `samedge_core.cli`."""

from __future__ import annotations

import io
import sys

from samedge_core.cli import main

if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal knows η
    sys.exit(main())
