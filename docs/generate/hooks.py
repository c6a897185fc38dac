"""What MkDocs does beyond its extensions: generated parts, and formulas as MathML."""

from __future__ import annotations

import html
import re
from importlib import resources

import api
import command_line
import rooms
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

GENERATED = {
    "<!-- rooms: picture -->": lambda: rooms.picture(rooms.imports()),
    "<!-- rooms: table -->": lambda: rooms.table(rooms.imports()),
    "<!-- command line -->": command_line.reference,
    "<!-- api -->": api.reference,
}
_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)

# bars of norms and magnitudes, which latex2mathml leaves to grow and to keep their distance
_BAR = re.compile(r"<mo>(&#x02016;|&#x0007C;)</mo>")
_AS_TALL_AS_TEXT = r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>'


def on_files(files: Files, config: MkDocsConfig, **_: object) -> None:
    """Add the font of the formulas: without one, no browser stretches parentheses and roots."""
    font = resources.files("ziamath.fonts") / "STIXTwoMath-Regular.ttf"
    files.append(File.generated(config, "math.ttf", abs_src_path=str(font)))


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put what is generated in the place of its comment."""
    for comment, make in GENERATED.items():
        if comment in markdown:
            markdown = markdown.replace(comment, make())
    return markdown


def on_page_content(html: str, **_: object) -> str:
    """Turn each formula into MathML, which browsers draw without a script."""
    return _FORMULA.sub(_mathml, html)


def _mathml(found: re.Match[str]) -> str:
    display = "block" if found["tag"] == "div" else "inline"
    return _BAR.sub(_AS_TALL_AS_TEXT, convert(html.unescape(found["latex"]), display=display))
