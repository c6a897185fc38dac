"""What an address says is taken, or told in a message that is short; no address ends a page."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from pages.parts.lab import session
from pages.parts.quadratic.settings import FIELDS as PICTURE
from samedge_core.experiments.paper import TASKS
from samedge_core.training.config import FIELDS
from tests.app.harness import PATIENCE, texts
from tests.fuzz import FUZZ

pytestmark = pytest.mark.usefixtures("workers")

TASK = next(iter(TASKS.values()))
PARAMETERS = {
    "app.py": ["run", "preset", "v", "at", "problem", "width", "path", *FIELDS],
    "pages/lessons.py": ["lesson", "guess", "run", "value", "done"],
    "pages/quadratic.py": ["preset", *PICTURE],
    "pages/paper.py": ["runs"],
    "pages/runs.py": ["select"],
    "pages/sweeps.py": ["sweep", "with", "quantity", "part"],
}
VALUES = (
    "x" * 5000,
    "9" * 5000,
    "٣" * 5000,
    "",
    "caf\ufffd\u202e\x1b[31m <b>[x](y)",
    "," * 3000,
    ",".join(map(str, range(3000))),
    "a,a",
    "a\0",
    "../../etc/passwd",
    "[" * 5000,
    f"{TASK.name}:{TASK.reduced[0]}:{'9' * 5000}:a," * 3,
    f"{TASK.name}:{TASK.reduced[0]}:1:{'a' * 300}," * 300,
)
VISITS = 3  # of a page; in each, the parameters have other values
LONGEST = 12_000  # characters of all that a page says


def visit(file: str, query: dict[str, str]) -> AppTest:
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    if file != "app.py":
        app.switch_page(file)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, query
    assert len(texts(app)) < LONGEST, query
    return app


@pytest.mark.parametrize("file", PARAMETERS)
def test_any_parameter_of_any_page(file):
    names = PARAMETERS[file]
    for first in range(VISITS):
        values = [VALUES[(first + VISITS * place) % len(VALUES)] for place in range(len(names))]
        visit(file, dict(zip(names, values, strict=True)))
    visit(file, {names[0]: ",".join(VALUES)})


@settings(
    max_examples=max(5, FUZZ // 20),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(list(PARAMETERS)), st.data())
def test_any_address(file, data):
    text = st.text(max_size=300) | st.sampled_from(VALUES) | st.integers().map(str)
    names = st.sampled_from(PARAMETERS[file]) | st.text(max_size=20)
    visit(file, data.draw(st.dictionaries(names, text, max_size=5)))


@pytest.mark.parametrize(
    ("file", "query", "message"),
    [
        ("app.py", {"run": "a" * 300}, f"The run {'a' * 100} … {'a' * 100} is not on this server"),
        ("app.py", {"preset": "p" * 5000}, f"no preset '{'p' * 100} … {'p' * 100}'; this is"),
        ("pages/lessons.py", {"lesson": "l" * 5000}, f"no lesson '{'l' * 100} … {'l' * 100}';"),
        ("pages/lessons.py", {"run": "a" * 300}, f"{'a' * 100} … {'a' * 100}: not on this server"),
    ],
)
def test_what_a_message_quotes_is_abridged(file, query, message):
    assert message in texts(visit(file, query))


def test_a_link_is_taken_beside_large_texts_and_without_a_version():
    app = visit("app.py", {"problem": "points-mlp", "eta": "0.25", "large": "true"})
    assert app.selectbox(key="set::problem").value == "points-mlp"
    assert not app.toast


def test_a_run_that_is_named_twice_is_shown_once(page):
    page.button(key="primary").click().run()
    (run,) = page.session_state["runs"]
    app = visit("app.py", {"run": f"{run},{run},{run}"})
    assert app.session_state["runs"] == [run]
    assert session.MOST == 6
