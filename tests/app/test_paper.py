"""The page of the paper's tasks through Streamlit's own test harness, with real workers."""

import time
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.paper import runs
from pages.parts.paper.downloading import downloads
from samedge_core.experiments.paper import PAPER_PRESETS, TASKS
from samedge_core.problems.downloads import SOURCES
from samedge_core.worker.view import Phase
from tests.app.harness import PATIENCE, press, texts
from tests.worker.harness import sooner_or_later


@pytest.fixture(scope="module", autouse=True)
def _workers(paper_files):
    # workers started now find the small files
    server.registry.clear()
    yield
    server.registry().close()
    server.registry.clear()


def visit() -> AppTest:
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    return app.switch_page("pages/paper.py")


@pytest.fixture
def page():
    app = visit().run()
    yield app
    for entry in app.session_state[runs.KEY]:
        if entry.run_id in server.registry():
            server.registry().stop(entry.run_id)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMEDGE_DATA", str(tmp_path))
    sources = [replace(s, url="http://127.0.0.1:1/gone") for s in SOURCES["mnist"]]
    monkeypatch.setitem(SOURCES, "mnist", tuple(sources))
    yield tmp_path
    downloads().forget()


def wait(app: AppTest, holds) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "never came true"
        time.sleep(0.05)
    app.run()


def view(app: AppTest, which: int = 0):
    return server.registry().view(app.session_state[runs.KEY][which].run_id)


def test_every_task_has_its_card_and_its_runs(page):
    assert not page.exception
    for task in TASKS.values():
        for part in (task.title, task.paper, task.here):
            assert part in texts(page)
        assert {f"paper:run:{name}" for name in (task.name, *task.full)} <= {
            item.key for item in page.button
        }
    assert page.session_state[runs.KEY] == []


def test_minutes_are_of_this_machine(page):
    wait(page, lambda: server.registry().gradient_seconds is not None)
    assert texts(page).count("min on this machine") == 3


def test_run_starts_the_presets_and_fills_the_table(page):
    press(page, "paper:run:mnist")
    assert not page.exception
    started = page.session_state[runs.KEY]
    assert tuple(entry.preset for entry in started) == TASKS["mnist"].reduced
    for which, name in enumerate(TASKS["mnist"].reduced):
        assert view(page, which).config == PAPER_PRESETS[name].config
    wait(page, lambda: all(view(page, which).latest for which in range(3)))
    (table,) = page.table
    assert list(table.value.index) == ["MNIST: GD", "MNIST: SAM ρ 0.03", "MNIST: SAM ρ 0.05"]
    assert set(table.value["parameters"]) == {"239,410"}
    assert list(table.value["ρ"]) == ["–", "0.03", "0.05"]
    assert page.query_params["runs"].count("mnist:paper-mnist-small") == 3

    press(page, "paper:pause:mnist")
    wait(page, lambda: all(view(page, which).phase is Phase.PAUSED for which in range(3)))
    press(page, "paper:resume:mnist")
    assert view(page).phase is Phase.RUNNING

    # another seed is another set of runs
    page.number_input(key=runs.SEED).set_value(1).run()
    press(page, "paper:run:mnist")
    assert [entry.name for entry in page.session_state[runs.KEY]][3:] == [
        "GD, seed 1",
        "SAM ρ 0.03, seed 1",
        "SAM ρ 0.05, seed 1",
    ]
    assert view(page, 5).config.seed == 1

    # once more replaces them
    before = {entry.run_id for entry in page.session_state[runs.KEY]}
    press(page, "paper:run:mnist")
    assert len(page.session_state[runs.KEY]) == 6
    replaced = before - {entry.run_id for entry in page.session_state[runs.KEY]}
    assert len(replaced) == 3


def test_runs_that_are_deleted_meanwhile_are_not_resumed(page):
    press(page, "paper:run:mnist")
    for entry in page.session_state[runs.KEY]:
        server.registry().stop(entry.run_id)
    wait(page, lambda: all(view(page, which).stop for which in range(3)))
    ids = [entry.run_id for entry in page.session_state[runs.KEY]]
    sooner_or_later(lambda: server.registry().delete(ids[:1]))
    press(page, "paper:resume:mnist")
    assert not page.exception
    assert all(server.registry().view(run_id).stop is None for run_id in ids[1:])


def test_a_link_takes_up_its_runs_and_tells_of_those_that_are_gone(page):
    press(page, "paper:run:paper-cifar")
    (entry,) = page.session_state[runs.KEY]
    other = visit()
    other.query_params["runs"] = page.query_params["runs"] + ",mnist:paper-mnist:0:gone"
    other.run()
    assert not other.exception
    assert other.session_state[runs.KEY] == [entry]
    assert "1 of the runs that the link names" in texts(other)


def test_without_network_the_page_says_so_and_offers_the_digits(page, no_network):
    press(page, "paper:run:mnist")
    assert page.session_state[runs.KEY] == []
    wait(page, lambda: downloads().failure("mnist"))
    assert "train-images-idx3-ubyte.gz (9.9 MB) is not in" in texts(page)
    assert str(no_network) in texts(page)
    for source in SOURCES["mnist"]:
        assert source.sha256 in texts(page)
    press(page, "paper:offline:mnist")
    assert not page.error
    assert not page.exception
    started = page.session_state[runs.KEY]
    assert [entry.label for entry in started] == ["MNIST: GD, digits", "MNIST: SAM ρ 0.05, digits"]
    assert not runs.waiting(TASKS["mnist"])


def test_runs_start_by_themselves_when_their_data_has_come(page, no_network, paper_files):
    press(page, "paper:run:mnist")
    wait(page, lambda: downloads().failure("mnist"))
    assert page.session_state[runs.KEY] == []
    # as if put there by hand, as the message says
    for file in paper_files.glob("*ubyte"):
        (no_network / file.name).write_bytes(file.read_bytes())
    page.run()
    assert len(page.session_state[runs.KEY]) == 3


def test_data_that_a_worker_refuses_ends_the_run_with_the_reason():
    # workers of tests before this one may know another folder
    server.registry().close()
    server.registry.clear()
    page = visit().run()
    # the small text has another hash than the published one
    press(page, "paper:run:paper-shakespeare")
    wait(page, lambda: view(page).stop is not None)
    assert not page.exception
    assert "is not the published file: its sha256 must be" in texts(page)


def test_the_live_lab_offers_the_download(no_network):
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    app.query_params["preset"] = "paper-mnist-small"
    app.run()
    assert not app.exception
    press(app, "download:mnist")
    wait(app, lambda: downloads().failure("mnist"))
    assert "mnist could not be downloaded" in app.error[0].value
    assert SOURCES["mnist"][0].sha256 in texts(app)
    # the button stays, to try again
    assert any(item.key == "download:mnist" for item in app.button)
