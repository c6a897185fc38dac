"""Arguments from outside: each command takes them or refuses them in words, before any work."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samedge_core.cli import Exit, main, train
from samedge_core.fields import printable
from samedge_core.runs import open_runs
from samedge_core.sharing import export
from samedge_core.store import Query
from samedge_core.training.config import FIELDS, RunConfig
from tests.fuzz import FUZZ

ROOT = Path(__file__).parents[2]
SMALL = RunConfig(problem="two-weight", eta=0.1, steps=2)
RUN = ["run", "--quiet", "--set", "problem=two-weight", "--set", "eta=0.1", "--set", "steps=2"]
ACTING = "two\nlines \x1b[31mred\x1b]0;title\x07 \u202eabc"
NUMBERS = ("9" * 5000, "-" + "9" * 5000, "nan", "inf", "-inf", "1e400", "-1", "", " ", "٣" * 5000)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A store with one run, whose title acts on terminals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMEDGE_HOME", str(tmp_path_factory.mktemp("home")))
        with open_runs() as opened:
            opened.run(SMALL).label(title=ACTING, tags=[ACTING], note=ACTING)
            yield opened


@pytest.fixture
def said(capsys, runs):
    """`said(*arguments)`: the exit code and the output of a command, which holds no traceback, and
    nothing that acts on a terminal."""

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        words = "".join(capsys.readouterr())
        for line in words.split("\n"):
            assert printable(line) == line
        assert "Traceback" not in words
        return code, words

    return run


@pytest.fixture
def untrained(monkeypatch):
    """Commands that train do all that comes before, and no more."""

    class Untrained:
        @staticmethod
        def new(*_, **__):
            return None

        resumed = forked = new

    monkeypatch.setattr(train, "_local", lambda: Untrained)
    monkeypatch.setattr(train, "_train", lambda *_: Exit.FINISHED)


# --- what people say of a run ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            ["--title", "x" * 201],
            "argument --title: title must have at most 200 characters, got 201",
        ),
        (["--title", "caf\udce9"], r"argument --title: title must be UTF-8, got 'caf\udce9'"),
        (["--tag", "x" * 65], "argument --tag: a tag must have at most 64 characters, got 65"),
        (["--tag", "ok", "--tag", "caf\udce9"], "argument --tag: a tag must be UTF-8"),
        ([f"--tag={i}" for i in range(31)], "a run has at most 30 tags, got 31"),
    ],
)
def test_a_label_that_cannot_be_kept_is_refused_before_the_first_step(
    said, tmp_path, label, message
):
    code, words = said(*RUN, "--out", str(tmp_path / "out"), *label)
    assert code == 2
    assert message in words
    assert not (tmp_path / "out").exists()


def test_as_a_program_too(tmp_path):
    # bytes that are not UTF-8 reach a program as half characters
    environ = {**os.environ, "SAMEDGE_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "samedge_core", *RUN, b"--title=caf\xe9"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 2
    assert r"title must be UTF-8, got 'caf\udce9'" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments", [["runs"], ["show", "ID"], ["runs", "--text", "\x1b[31m"], ["show", "\x1b[31m"]]
)
def test_nothing_in_a_title_acts_on_the_terminal(said, runs, arguments):
    run = next(iter(runs)).id
    _, words = said(*(run if one == "ID" else one for one in arguments))
    if arguments in (["runs"], ["show", "ID"]):
        assert r"two\nlines \x1b[31mred" in words


def test_the_folder_that_would_take_the_results_is_tried_first(said, runs, tmp_path):
    (tmp_path / "out" / export.RESULTS[0]).mkdir(parents=True)
    (tmp_path / "file").write_text("")
    recorded = len(runs)
    code, words = said(*RUN, "--out", str(tmp_path / "out"))
    assert (code, "report.html is a folder" in words) == (2, True)
    code, words = said(*RUN, "--out", str(tmp_path / "file"))
    assert (code, "File exists" in words) == (1, True)
    code, words = said(*RUN, "--out", "")
    assert (code, "argument --out: must be the path of a file or a folder, got ''" in words) == (
        2,
        True,
    )
    assert len(runs) == recorded


# --- numbers, names and links ----------------------------------------------------------------


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "arguments",
    [
        ["fork", "ID", "--step=N"],
        ["run", "--threads=N"],
        ["replay", "?v=1", "--threads=N"],
        ["runs", "--limit=N"],
        *(
            ["run", "--set", f"{name}=N"]
            for name, f in FIELDS.items()
            if f.kind in ("int", "float")
        ),
        ["run", "--set", "width=N"],
        ["fork", "ID", "--step=1", "--set", "steps=N"],
        ["run", "--resume", "ID", "--set", "eta=N"],
        ["run", "--resume", "N"],
        ["show", "N"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("untrained")
def test_numbers_of_any_size_are_refused_in_words(said, runs, arguments, number):
    run = next(iter(runs)).id
    filled = [one.replace("ID", run).replace("N", number) for one in arguments]
    code, words = said(*filled)
    assert code == 2
    assert len(words) < 3000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fork", "ID", "--step", "9" * 5000], "--step must be a whole number >= 0, got '9999"),
        (["runs", "--limit", "9" * 5000], "--limit must be a whole number >= 1 or all, got '9999"),
        (["runs", "--limit", str(2**63)], f"--limit must be .* or all, got '{2**63}'"),
        (["run", "--threads", "1025"], "it must be a whole number >= 1 and <= 1024, got '1025'"),
        (["replay", "http://[bad?v=1"], r"this is no link \(.*\), got 'http://\[bad\?v=1'"),
        (["replay", "?" + "x" * 5000], "the link names no setting"),
        (["replay", ""], "must be the path of a file or a folder, got ''"),
        (["run", "--preset", "x" * 5000], "no preset is called 'xxx"),
        (["run", "--set", "x" * 5000], "--set needs NAME=VALUE, got 'xxx"),
        (["run", "--set", f"{'x' * 5000}=1"], "is called 'xxx"),
        (["runs", "--sort", "x" * 5000], "no column is called 'xxx"),
        (["runs", "--problem", "digits"], "no problem is called 'digits' .did you mean digits-"),
        (["x" * 5000], "invalid choice: 'xxx"),
        (["run", "x" * 5000], "unrecognized arguments: xxx"),
        (["export", "ID", "x" * 200], "a file must end with one of .*, got 'xxx"),
    ],
)
def test_what_is_refused_is_shown_abridged(said, runs, arguments, message):
    run = next(iter(runs)).id
    code, words = said(*(run if one == "ID" else one for one in arguments))
    assert code == 2
    assert re.search(message, words)
    assert len(words) < 3000


def test_a_search_of_any_length(said):
    for text in ("word " * 1200, "x" * 60_000, "\0", "%_\\", ""):
        code, _ = said("runs", "--text", text)
        assert code == 0
    code, words = said("runs", "--text", "caf\udce9")
    assert (code, r"must be UTF-8, got 'caf\udce9'" in words) == (2, True)
    code, _ = said("runs", *(f"--tag={i}" for i in range(2000)))
    assert code == 0


def test_ids_of_any_kind_find_nothing(runs):
    ids = ["x" * 300, "a\0", "../..", "ä", "", *map(str, range(40_000))]
    assert runs.store.find(Query(ids=ids[:1000])).total == 0
    for run in ids[:5]:
        assert run not in runs.store
        assert run not in runs


# --- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"caf\xe9",
        b"\0" * 100,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 5000,
        b'"' + b"x" * 2_000_000 + b'"',
        b'{"samedge": "replay", "schema": 1, "config": {}, "interventions": [], "about": 1}',
    ],
    ids=lambda content: repr(content)[:12],
)
@pytest.mark.parametrize("command", ["replay", "import"])
def test_files_of_any_content(said, runs, tmp_path, command, content):
    recorded = len(runs)
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    code, words = said(command, str(file))
    assert code in (1, 2)
    assert len(words) < 1000
    assert len(runs) == recorded


@pytest.mark.parametrize("place", ["/dev/null", "/dev/zero", "/", "\0", "x" * 5000])
@pytest.mark.parametrize(
    "command",
    [
        ["replay", "F"],
        ["import", "F"],
        ["run", "--resume", "--out", "F"],
        ["log", "ID", "--tensorboard", "F"],
    ],
    ids=lambda command: command[0],
)
def test_places_that_are_no_files(said, runs, command, place):
    if command[0] == "log" and place == "/":
        pytest.skip("where TensorBoard would write its log")
    run = next(iter(runs)).id
    code, _ = said(*(one.replace("F", place).replace("ID", run) for one in command))
    assert code in (1, 2)


@pytest.mark.parametrize("place", ["/dev/null/rows.csv", "\0.csv", "x" * 300 + ".csv"])
def test_exports_that_cannot_be_written(said, runs, place):
    code, words = said("export", next(iter(runs)).id, place)
    assert code in (1, 2)
    assert words


# --- anything --------------------------------------------------------------------------------

TEXT = st.text(st.characters(), max_size=30) | st.sampled_from(NUMBERS) | st.just("x" * 5000)
NAMES = st.sampled_from([*FIELDS, "width", "path", "n", "eigenvalues"]) | TEXT
SETTINGS = st.tuples(NAMES, TEXT).map("=".join) | TEXT


def option(name: str, values: st.SearchStrategy[str] = TEXT) -> st.SearchStrategy[list[str]]:
    return values.map(lambda value: [f"--{name}={value}"])


TRAINING = [option(name) for name in ("title", "tag", "threads")]
COMMANDS = {
    "run": [option("set", SETTINGS), option("preset"), option("resume"), *TRAINING],
    "fork": [option("set", SETTINGS), option("step"), TEXT.map(lambda id: [id]), *TRAINING],
    "replay": [
        TEXT.map(lambda text: [f"?v=1&{text}"]),
        TEXT.map(lambda text: [f"http://{text}"]),
        *TRAINING,
    ],
    "runs": [option(name) for name in ("text", "tag", "limit", "sort", "problem")],
    "show": [TEXT.map(lambda id: [id])],
    "list": [TEXT.map(lambda what: [what])],
}
ARGUMENTS = st.sampled_from(list(COMMANDS)).flatmap(
    lambda name: st.lists(st.one_of(COMMANDS[name]), max_size=4).map(
        lambda parts: [name, *(text for part in parts for text in part)]
    )
)


@settings(
    max_examples=FUZZ, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ARGUMENTS)
@pytest.mark.usefixtures("untrained")
def test_any_arguments_are_taken_or_refused_in_words(said, arguments):
    code, words = said(*arguments)
    assert code in (0, 2)
    assert words or code == 0
    assert len(words) < 20_000


def test_a_message_begins_with_the_program(said, monkeypatch):
    monkeypatch.setattr("samedge_core.cli.PROGRAM", "samedge")
    assert said("run", "--set", "eta=0")[1].startswith("samedge: eta must be")
