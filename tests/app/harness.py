"""Using the pages through Streamlit's own test harness."""

import re
import time

from streamlit.testing.v1 import AppTest

from pages.parts import server
from pages.parts.markdown import WORD_JOINER

PATIENCE = 180.0


def visit(page: str = "", **link: str) -> AppTest:
    """A page as its link opens it: the live lab, or the one in this file."""
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE)
    if page:
        app = app.switch_page(page)
    app.query_params.update(link)
    app.run()
    assert not app.exception
    return app


def button(app: AppTest, key: str):
    return next(item for item in app.button if item.key == key)


def press(app: AppTest, key: str) -> AppTest:
    return button(app, key).click().run()


def wait(app: AppTest, holds) -> None:
    """Until it is true of every run that the live lab shows; fails after PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    for run_id in app.session_state["runs"]:
        while not holds(server.registry().view(run_id)):
            assert time.monotonic() < end, "never came true"
            time.sleep(0.02)


def texts(app: AppTest) -> str:
    boxes = [*app.markdown, *app.info, *app.error, *app.warning, *app.caption, *app.toast]
    # what a person has typed is escaped, so that it can't act as Markdown
    shown = "\n".join(item.value for item in boxes).replace(WORD_JOINER, "")
    return re.sub(r"\\(.)", r"\1", shown)
