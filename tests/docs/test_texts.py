"""README, CONTRIBUTING and the pages: the files that they name exist, and their code runs."""

import re
from pathlib import Path

import pytest

import samedge_core as se

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
TOPS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != ".")
ROOMS = sorted(path.name for path in (ROOT / "samedge_core").iterdir() if path.is_dir())
RUNNABLE = ["README.md", "docs/first-steps.md", "docs/library.md"]
STEPS = 20  # where it makes no difference how far a run comes


def _named(text: str) -> list[str]:
    """What stands between backquotes and looks like a file or folder of the project."""
    tops, rooms = "|".join(TOPS), "|".join(ROOMS)
    pattern = rf"`((?:(?:{tops}|{rooms})/[\w./*-]*|[\w-]+\.(?:py|md|toml|yml)|Makefile))`"
    return [name for name in re.findall(pattern, text) if not name.startswith("site/")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    for name in _named(page.read_text(encoding="utf-8")):
        places = (ROOT, ROOT / "samedge_core", *(ROOT / "samedge_core" / room for room in ROOMS))
        assert any(list(place.glob(name.rstrip("/"))) for place in places), name


def test_names_are_found_where_there_are_any():
    assert _named("`samedge_core/theory/rules.py` and `store/`, `x.md` but `se.run`") == [
        "samedge_core/theory/rules.py",
        "store/",
        "x.md",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_maps_every_room():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = text[text.index("    app.py") :]
    for base in ("samedge_core", "pages/parts"):
        for path in (ROOT / base).iterdir():
            if path.name == "__init__.py":
                continue
            if (path.is_dir() and list(path.glob("*.py"))) or path.suffix == ".py":
                name = path.name if path.is_file() else f"{path.name}/"
                assert re.search(rf"(?<!\w){re.escape(name)}", tree), f"{base}/{name}"


@pytest.mark.parametrize("page", RUNNABLE)
@pytest.mark.usefixtures("paper_files")
def test_examples_run_in_their_order(page, monkeypatch, tmp_path):
    train = se.run
    # runs of the tasks take minutes to their end
    monkeypatch.setattr(
        se, "run", lambda config, **given: train(config.replace(steps=STEPS), **given)
    )
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert blocks
    names: dict = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
