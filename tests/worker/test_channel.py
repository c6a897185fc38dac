"""Messages over the pipes arrive whole, in order, and the end of the other side is seen."""

import os
import threading

import numpy as np
import pytest

from samedge_core.training.config import RunConfig
from samedge_core.training.history import row_dtype
from samedge_core.worker.channel import Channel
from samedge_core.worker.messages import Begin, Rows


@pytest.fixture
def ends():
    read, write = os.pipe()
    with os.fdopen(read, "rb") as incoming, os.fdopen(write, "wb") as outgoing:
        yield Channel(incoming, outgoing), outgoing


def test_messages_come_out_as_they_went_in(ends):
    channel, _ = ends
    rows = np.zeros(3, dtype=row_dtype(2))
    rows["step"] = [4, 5, 6]
    sent = [Begin(7, RunConfig(eta=0.5), snapshot=b"\0" * 1000), Rows(7, rows)]
    for message in sent:
        channel.send(message)
    begin, got = channel.receive(), channel.receive()
    assert begin == sent[0]
    assert got.session == 7
    np.testing.assert_array_equal(got.rows, rows)


def test_a_message_larger_than_the_pipe_arrives_whole(ends):
    channel, _ = ends
    body = os.urandom(1_000_000)  # a pipe holds 64 KiB
    sender = threading.Thread(target=channel.send, args=(body,))
    sender.start()
    assert channel.receive() == body
    sender.join()


def test_the_end_of_the_other_side_is_an_eof(ends):
    channel, outgoing = ends
    outgoing.write(b"\x05\0\0\0\0\0\0\0ab")  # announces five bytes, brings two
    outgoing.close()
    with pytest.raises(EOFError):
        channel.receive()
