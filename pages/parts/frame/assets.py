"""The files in static/ that the browser draws with, and the module that starts each component."""

import hashlib
import os
import tempfile
from importlib import metadata, resources
from pathlib import Path

STATIC = Path(__file__).resolve().parents[3] / "static"
_PLOTLY = "plotly.min.js"


def ensure_plotly_js() -> None:
    """Copy Plotly.js from the installed plotly package to static/, unless that copy is current."""
    source = Path(str(resources.files("plotly") / "package_data" / _PLOTLY))
    target = STATIC / _PLOTLY
    if target.exists() and _fingerprint(target) == _fingerprint(source):
        return
    STATIC.mkdir(exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=STATIC, suffix=".partial")
    with os.fdopen(handle, "wb") as file:
        file.write(source.read_bytes())
    Path(partial).chmod(0o644)
    Path(partial).replace(target)  # atomic: a browser never gets half a file


def _fingerprint(path: Path) -> tuple[int, bytes]:
    """Size and banner; the banner names the version."""
    with path.open("rb") as file:
        return path.stat().st_size, file.read(100)


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
    plotly = metadata.version("plotly")
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
