"""The page under a server that is too busy to send all of it in time."""

from playwright.sync_api import Page, WebSocketRoute, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg


class Losing:
    """Stands between a page and its server, from the page's next load on.

    After `arm()`, the next run of the whole page arrives without its first fragment: what Streamlit
    sends when that fragment ticks before the run has been sent.
    """

    def __init__(self, page: Page) -> None:
        self.lost = 0  # messages
        self._armed = False
        self._whole = False  # whether the messages are those of a run of the whole page
        self._fragment = ""
        page.route_web_socket("**/_stcore/stream", self._connect)

    def arm(self) -> None:
        self._armed = True

    def _connect(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def relay(message: str | bytes) -> None:
            assert isinstance(message, bytes)
            if not self._loses(ForwardMsg.FromString(message)):
                socket.send(message)

        server.on_message(relay)

    def _loses(self, message: ForwardMsg) -> bool:
        if message.HasField("new_session"):
            self._whole = not message.metadata.run.fragment_ids
            self._armed = self._armed and not self.lost
        if not (self._armed and self._whole and message.delta.fragment_id):
            return False
        self._fragment = self._fragment or message.delta.fragment_id
        lost = message.delta.fragment_id == self._fragment
        self.lost += lost
        return lost


def test_what_follows_a_fragment_stays_when_its_messages_are_lost(open_lab):
    lab = open_lab("?preset=sam-two-weights")
    losing = Losing(lab.page)
    lab.page.reload()
    charts = lab.page.locator('[role=figure][aria-label="Alignment"]')
    charts.wait_for()
    losing.arm()
    lab.press("Reset")  # before a run's first row, the charts and "At this step" both tick
    lab.until(lambda: losing.lost, "a loss")
    lab.page.wait_for_timeout(1500)  # three ticks
    expect(charts).to_be_visible()
    for box in ("At this step", "Share and export", "Numbers"):
        expect(lab.page.get_by_text(box, exact=True)).to_be_visible()
    lab.press("Resume")
    lab.until_step(20)
