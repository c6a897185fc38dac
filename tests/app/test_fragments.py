"""Where the page is drawn by the thread that has just drawn a fragment of it."""

from streamlit.runtime.scriptrunner import RerunData, ScriptRunnerEvent
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.local_script_runner import LocalScriptRunner

from pages.parts.frame import streamlit_patches
from tests.app.harness import PATIENCE

WHOLE = ScriptRunnerEvent.SCRIPT_STOPPED_WITH_SUCCESS
PART = ScriptRunnerEvent.FRAGMENT_STOPPED_WITH_SUCCESS


def blocks() -> list[str]:
    """The page's own blocks, in their order."""
    app = AppTest.from_file("../../app.py", default_timeout=PATIENCE).run()
    assert not app.exception
    return [block.type for block in app.main.children.values()]


def test_the_page_stays_in_its_place_when_a_click_arrives_as_a_fragment_ends(monkeypatch, workers):
    usual = blocks()
    original = LocalScriptRunner._on_script_finished
    drawn = []

    def tick_and_click(self, context, event, *rest):
        original(self, context, event, *rest)
        drawn.append(event)
        if drawn == [WHOLE]:
            fragment = next(iter(self._fragment_storage._fragments))
            self.request_rerun(RerunData(fragment_id=fragment, is_auto_rerun=True))
        elif drawn == [WHOLE, PART]:
            self.request_rerun(RerunData())

    monkeypatch.setattr(LocalScriptRunner, "_on_script_finished", tick_and_click)
    assert blocks() == usual
    assert drawn == [WHOLE, PART, WHOLE]
    monkeypatch.setattr(streamlit_patches, "leave_fragment", lambda: None)
    drawn.clear()
    assert blocks() != usual  # without it, the fault is there
