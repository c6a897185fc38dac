"""The files in static/ that the browser draws with, and the module that starts each component."""

import filecmp
import hashlib
import os
import shutil
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from urllib.parse import quote

from streamlit.components.v1 import declare_component

STATIC = Path(__file__).resolve().parents[3] / "static"
_PLOTLY = "plotly.min.js"


@cache
def _plotly_js() -> str:
    """Where the browser finds the installed plotly package's Plotly.js, below the page's address.

    A copy in static/, which browsers keep. Where none can be written, it comes from the package by
    way of Streamlit's component server, whose answers browsers ask for at every visit.
    """
    package = Path(str(resources.files("plotly") / "package_data"))
    try:
        _copy(package / _PLOTLY, STATIC / _PLOTLY)
        address = f"app/static/{_PLOTLY}"
    except OSError:
        address = f"component/{declare_component('plotly', path=package).name}/{_PLOTLY}"
    return f"{address}?v={metadata.version('plotly')}"


def _copy(source: Path, target: Path) -> None:
    """Make target a copy of source, unless it is one."""
    if target.exists() and filecmp.cmp(source, target):
        return
    partial = target.with_suffix(f".{os.getpid()}")
    shutil.copyfile(source, partial)
    partial.replace(target)  # atomic: a browser never gets half a file


def module(file: str, *, tall: int, wide: int) -> str:
    """Return the inline module of a component, which travels in every message: it only imports
    static/`file`, which exports `update(component)` and `release(host)`.

    Until that has drawn, the component keeps a height of `wide` pixels, or `tall` where it is
    narrower than 900, so that nothing below it jumps.
    """
    # The queries change with the content, so that no browser draws with a stale copy.
    ours = [path for path in sorted(STATIC.glob("*.js")) if path.name != _PLOTLY]
    content = b"".join(path.read_bytes() for path in ours)
    version = hashlib.sha256(content).hexdigest()[:12]
    plotly = quote(_plotly_js(), safe="")
    return f"""
const url = new URL("app/static/{file}?v={version}&plotly={plotly}", document.baseURI).href;
const module = import(url);
export default function (component) {{
  const host = component.parentElement;
  if (!host.firstChild) host.style.minHeight = host.clientWidth < 900 ? "{tall}px" : "{wide}px";
  module.then(
    ({{ update }}) => update(component),
    () => {{ host.textContent = "This part could not be loaded. Reload the page."; }},
  );
  return () => module.then(({{ release }}) => release(host), () => {{}});
}}
"""
