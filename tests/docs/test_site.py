"""The built site: it needs no network, its formulas are drawn, and nothing public is missing."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import samedge_core as se

LOADED = {  # attributes by which a page loads something, not those by which it links to it
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}
COMMANDS = {"run", "fork", "replay", "list", "runs", "show", "export", "import", "log", "delete"}


class Page(HTMLParser):
    """What a page loads, its ids, and its text outside of code."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.formulas = 0
        self._code = 0
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if loaded := values.get(LOADED.get(tag, "")):
            self.loaded.append(loaded)
        if name := values.get("id"):
            self.ids.append(name)
        self.formulas += tag == "math"
        self._code += tag in ("code", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("code", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.text += data


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    found = {file.relative_to(site).as_posix(): Page(file) for file in site.rglob("*.html")}
    assert len(found) > 15
    return found


def test_no_page_loads_anything_from_elsewhere(pages):
    for name, page in pages.items():
        assert page.loaded
        assert [item for item in page.loaded if re.match(r"(https?:)?//", item)] == [], name


def test_what_a_page_loads_is_there(site, pages):
    for name, page in pages.items():
        base = site if name == "404.html" else (site / name).parent
        for item in page.loaded:
            path = item.split("?")[0].split("#")[0].lstrip("/" if name == "404.html" else "")
            assert (base / path).is_file(), f"{name}: {item}"


def test_no_style_loads_anything_from_elsewhere(site):
    for file in site.rglob("*.css"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", text), file
    assert (site / "math.ttf").stat().st_size > 100_000


def test_every_formula_is_mathml(pages):
    assert pages["mathematics.html"].formulas > 50
    assert pages["index.html"].formulas == 1
    for name, page in pages.items():
        # what was not converted keeps its delimiters, what was not understood its backslashes
        assert not re.search(r"\\[a-zA-Z(\[]|\$", page.text), name


def test_every_public_name_is_described_once(pages):
    ids = [item for item in pages["api.html"].ids if item.startswith("samedge_core.")]
    described = [item.rsplit(".", 1)[-1] for item in ids]
    assert set(se.__all__) <= set(described)
    assert len(ids) == len(set(ids))


def test_every_command_has_its_help(site, pages):
    assert set(pages["command-line.html"].ids) >= COMMANDS
    text = (site / "command-line.html").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert re.search(rf"usage: .*\b{name}\b", text), name
