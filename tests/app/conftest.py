"""The live lab's page, and an end for the workers that it started."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import server
from tests.app.harness import PATIENCE


@pytest.fixture
def page(workers):
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE).run()
    yield app
    for run_id in app.session_state["runs"]:
        if run_id in server.registry():
            server.registry().stop(run_id)


@pytest.fixture(scope="module")
def workers():
    yield
    server.registry().close()
    server.registry.clear()
