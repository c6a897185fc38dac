"""The page of limits: each number is the code's, and no limit of the code is missing."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \| ([\d,]+) \| `([\w.]+):(.+?)` \| (.+) \|$", PAGE, re.MULTILINE)
NAMES = r"^((?:MOST|LONGEST|LARGEST)\w*(?:, \w+)*) = "


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[2]}:{row[3]}")
def test_each_limit_is_the_codes(row):
    _, number, module, expression, why = row
    found = eval(expression, vars(import_module(module)))
    assert found == int(number.replace(",", ""))
    assert len(why) > 5


def test_each_row_is_read():
    lines = [line for line in PAGE.splitlines() if line.startswith("|") and "`" in line]
    assert len(lines) == len(ROWS) > 30


def test_each_limit_of_the_code_is_listed():
    listed = {(module, expression) for _, _, module, expression, _ in ROWS}
    for file in [*ROOT.glob("samedge_core/**/*.py"), *ROOT.glob("pages/**/*.py")]:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for names in re.findall(NAMES, file.read_text(encoding="utf-8"), re.MULTILINE):
            for name in names.split(", "):
                assert (module, name) in listed, f"{module}:{name} is not in docs/limits.md"
