"""What is installed: versions, files, and the program from any folder; and the container."""

import json
import re
import subprocess
import sys
import tomllib
import urllib.request
from importlib import metadata
from pathlib import Path

import psutil
import pytest
from packaging.requirements import Requirement
from streamlit import config as streamlit_config

import samedge_core as se
from tests.packaged import ROOT, Installed, free_port, install

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = sorted(ROOT.glob("requirements*.txt"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    return install(tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere"))


# --- versions -------------------------------------------------------------------------------


def pinned(file: Path) -> list[Requirement]:
    """What one file of requirements names itself, not by way of another."""
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-r")]


def asked_for(file: Path) -> dict[str, Requirement]:
    """The ranges that pyproject.toml has for what is pinned in a file: those that everybody needs,
    or those of an extra by the file's name, with the extras that it includes."""
    name = file.stem.removeprefix("requirements").removeprefix("-")
    extras = PROJECT["optional-dependencies"]
    lines, ranges = list(extras[name] if name else PROJECT["dependencies"]), {}
    while lines:
        needed = Requirement(lines.pop())
        if needed.name == PROJECT["name"]:
            lines += [line for extra in needed.extras for line in extras[extra]]
        else:
            ranges[needed.name] = needed
    return ranges


@pytest.mark.parametrize("file", PINS, ids=lambda file: file.name)
def test_what_is_pinned_lies_in_the_range_that_is_asked_for(file):
    ranges = asked_for(file)
    for pin in pinned(file):
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert ranges[pin.name].specifier.contains(specifier.version, prereleases=True), pin
        assert ranges[pin.name].extras == pin.extras


def test_all_that_the_program_needs_is_pinned():
    assert {pin.name for pin in pinned(ROOT / "requirements.txt")} == {
        Requirement(line).name for line in PROJECT["dependencies"]
    }


def test_there_is_one_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [se.__version__]


# --- the wheel ------------------------------------------------------------------------------


def test_the_wheel_has_all_files_and_no_common_names(installed):
    folders = ("samedge_core", "pages", "static", ".streamlit", "app.py")
    ours = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    there = {
        str(path.relative_to(installed.folder)): path
        for path in installed.folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for file in ours:
        place = file if file.startswith("samedge_core/") else f"samedge_app/{file}"
        assert there.pop(place).read_bytes() == (ROOT / file).read_bytes()
    about = f"samedge-{se.__version__}.dist-info"
    assert {Path(file).parts[0] for file in there} == {about, "bin"}


def test_what_is_installed_says_what_it_is(installed):
    (found,) = metadata.distributions(name="samedge", path=[str(installed.folder)])
    assert found.version == se.__version__
    assert found.metadata["License-Expression"] == "MIT"
    assert set(found.metadata.get_all("Provides-Extra") or ()) == {
        "tensorboard",
        "postgres",
        "bench",
        "docs",
        "dev",
    }


def test_commands_run_from_any_folder(installed):
    version = installed.run("--version")
    assert version.stdout == f"samedge {se.__version__}\n"
    presets = installed.run("list", "presets")
    assert presets.returncode == 0
    assert "paper-mnist-small" in presets.stdout
    assert re.search("^usage: samedge", installed.run("run", "--help").stdout)
    code = "import samedge_core; print(samedge_core.__file__)"
    assert (
        str(installed.folder)
        in subprocess.run(
            [sys.executable, "-c", code],
            cwd=installed.elsewhere,
            env={"PYTHONPATH": str(installed.folder)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )


def test_the_lab_opens_on_this_machine_only(installed, tmp_path):
    port, log = free_port(), tmp_path / "log"
    options = ["--server.port", str(port), "--server.headless", "true"]
    with installed.serving(options, port, log) as url:
        with urllib.request.urlopen(f"{url}/app/static/live.js") as answer:
            assert answer.read() == (ROOT / "static" / "live.js").read_bytes()
        assert listening(port) == {"127.0.0.1"}
    said = log.read_text()
    assert f"URL: {url}" in said
    assert "Network URL" not in said
    assert "open to the network" not in said


@pytest.mark.parametrize(
    ("option", "message"),
    [("--server.prot", "No such option"), ("--server.port=many", "not a valid integer")],
)
def test_wrong_options_of_the_lab_are_told_in_words(installed, option, message):
    done = installed.run(option)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_configuration_leaves_addresses_to_who_starts_the_server():
    server = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["server"]
    assert not {"address", "port", "headless", "baseUrlPath"} & set(server)


def listening(port: int) -> set[str]:
    """The addresses at which this machine answers at a port."""
    found = psutil.net_connections("inet")
    places = (one.laddr for one in found if one.status == psutil.CONN_LISTEN)
    return {place.ip for place in places if place and place.port == port}


# --- the container --------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile's last stage, in order."""
    text = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2].partition("\n")[2]
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_container_serves_what_is_installed(installed, tmp_path):
    steps = dict(instructions())
    assert json.loads(steps["ENTRYPOINT"]) == list(PROJECT["scripts"])
    options = json.loads(steps["CMD"])
    known = streamlit_config.get_config_options()
    assert all(option.removeprefix("--") in known for option in options[::2])
    assert options[1] == "0.0.0.0"
    exposed, port = steps["EXPOSE"], free_port()
    assert options[options.index("--server.port") + 1] == exposed
    options = [str(port) if option == exposed else option for option in options]
    check = json.loads(steps["HEALTHCHECK"].partition(" CMD ")[2])
    check[0], check[2] = sys.executable, check[2].replace(f":{exposed}/", f":{port}/")
    assert subprocess.run(check, capture_output=True, check=False).returncode == 1
    with installed.serving(options, port, tmp_path / "log"):
        assert subprocess.run(check, check=False).returncode == 0
        assert listening(port) == {"0.0.0.0"}
    said = (tmp_path / "log").read_text()
    assert "open to the network" in said
    assert f"URL: http://localhost:{port}" in said


def test_the_container_is_not_roots_and_keeps_its_runs():
    steps = instructions()
    last, runs = dict(steps), [rest for word, rest in steps if word == "RUN"]
    assert last["USER"] == "samedge"
    assert f"SAMEDGE_HOME={last['VOLUME']}" in last["ENV"].split()
    assert any(f"--owner {last['USER']} {last['VOLUME']}" in rest for rest in runs)
    torch = next(pin for pin in pinned(ROOT / "requirements.txt") if pin.name == "torch")
    assert runs[0].endswith(f"/cpu {torch}")


def test_the_container_gets_the_files_that_the_wheel_is_built_from():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    needed = {
        *wheel["targets"]["wheel"]["only-include"],
        *wheel["targets"]["wheel"]["force-include"],
    }
    needed |= {"pyproject.toml", "requirements.txt", PROJECT["readme"], *PROJECT["license-files"]}
    assert sent == needed
    assert all((ROOT / name).exists() for name in sent)
