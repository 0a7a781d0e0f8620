from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.sse import Decoder, ServerSentEvent

SENT = "﻿: a comment\n\nevent: output\ndata: é\ndata:  two\u2028\n\nretry: 5\n\nid: 7\ndata\n\ndata: not over\n"
READ = [ServerSentEvent("output", "é\n two\u2028"), ServerSentEvent("message", "", "7")]


def decoded(*pieces):
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@given(st.sets(st.integers(1, 90), max_size=8))
def test_a_stream_cut_anywhere_with_any_end_of_line(end, cuts):
    data = SENT.replace("\n", end).encode()
    ends = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    assert decoded(*(data[a:b] for a, b in pairwise(ends))) == READ


def test_an_id_holds_until_the_next_and_one_with_a_zero_is_none():
    events = decoded(b"id: 1\ndata: a\n\ndata: b\n\nid: 2\0\ndata: c\n\nid\ndata: d\n\n")
    assert [(event.data, event.id) for event in events] == [("a", "1"), ("b", "1"), ("c", "1"), ("d", "")]


def test_bytes_that_are_no_text_are_replaced():
    assert decoded(b"data: \xff\n\n") == [ServerSentEvent("message", "\ufffd")]


def test_an_event_of_many_megabytes_in_small_pieces():
    pieces = [b"data: ", *[b"x" * 4096] * 10_000, b"\n", b"\n"]
    (event,) = decoded(*pieces)
    assert len(event.data) == 4096 * 10_000
