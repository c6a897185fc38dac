"""Messages over the pipes arrive whole, in order, and the end of the other side is seen."""

import os
import threading
from multiprocessing.connection import Pipe

import numpy as np
import pytest
import torch

from samedge_core.training.config import RunConfig
from samedge_core.training.history import row_dtype
from samedge_core.worker.channel import Channel
from samedge_core.worker.messages import Begin, Rows


@pytest.fixture
def ends():
    ours, theirs = Pipe()
    with ours, theirs:
        yield Channel(ours), Channel(theirs), theirs


def test_messages_come_out_as_they_went_in(ends):
    channel, other, _ = ends
    rows = np.zeros(3, dtype=row_dtype(2))
    rows["step"] = [4, 5, 6]
    sent = [Begin(7, RunConfig(eta=0.5), snapshot=b"\0" * 1000), Rows(7, rows)]
    for message in sent:
        channel.send(message)
    begin, got = other.receive(), other.receive()
    assert begin == sent[0]
    assert got.session == 7
    np.testing.assert_array_equal(got.rows, rows)


def test_a_message_larger_than_the_pipe_arrives_whole(ends):
    channel, other, _ = ends
    body = os.urandom(1_000_000)  # a socket holds some 200 KiB
    sender = threading.Thread(target=channel.send, args=(body,))
    sender.start()
    assert other.receive() == body
    sender.join()


def test_tensors_are_copied(ends):
    """The connection's own `send` would share memory that ends with the worker."""
    channel, other, _ = ends
    sent = torch.arange(5.0)
    channel.send(sent)
    got = other.receive()
    sent.zero_()
    assert not got.is_shared()
    assert got.tolist() == [0, 1, 2, 3, 4]


def test_the_end_of_the_other_side_is_an_eof(ends):
    channel, other, connection = ends
    other.send("whole")
    os.write(connection.fileno(), b"\0\0\0\x05ab")  # announces five bytes, brings two
    connection.close()
    assert channel.receive() == "whole"
    with pytest.raises((EOFError, OSError)):
        channel.receive()
    with pytest.raises(OSError, match="roken pipe"):
        channel.send(b"")
