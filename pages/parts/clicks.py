"""Each click is heard once.

Streamlit's page sends a click after what else is due in the browser (a timer of 0 ms, its pull
request 10018). When that is the tick of a fragment, the tick's message carries the click as well,
and its callback runs twice: a Pause is followed by a Resume. The busier the browser, the likelier.
"""

from functools import wraps

from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime.app_session import AppSession

# what Streamlit sends for one run alone: clicks, and the events of components
_EVENTS = ("trigger_value", "json_trigger_value", "string_trigger_value", "chat_input_value")


def hear_once() -> None:
    """From now on, ticks carry no clicks on this server; the clicks' own messages follow them."""
    original = AppSession.request_rerun
    if hasattr(original, "__wrapped__"):  # by an earlier visit to a page
        return

    @wraps(original)
    def request_rerun(self: AppSession, client_state: ClientState | None) -> None:
        if client_state is not None and client_state.is_auto_rerun:
            _drop_events(client_state)
        original(self, client_state)

    AppSession.request_rerun = request_rerun


def _drop_events(client_state: ClientState) -> None:
    """Take clicks, and whatever else holds for one run alone, out of the state of the widgets."""
    widgets = client_state.widget_states.widgets
    lasting = [widget for widget in widgets if widget.WhichOneof("value") not in _EVENTS]
    del widgets[:]
    widgets.extend(lasting)
