from __future__ import annotations

import pytest

from ringline.turn import ParseError
from ringline.turn.stream import MAX_MESSAGE, STRANGER_LIMIT, StreamReader, pad
from ringline.turn.stun import Message, MessageClass, Method

BINDING = Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).serialize()
CHANNEL = b"\x40\x00\x00\x05hello"


def test_messages_come_out_whole_however_they_come_in() -> None:
    stream = BINDING + pad(CHANNEL) + BINDING
    for size in (1, 2, 3, 5, 19, 20, 21, len(stream)):
        reader = StreamReader()
        messages = []
        for start in range(0, len(stream), size):
            messages += reader.feed(stream[start : start + size])
        assert messages == [BINDING, pad(CHANNEL), BINDING]


def test_padding_makes_a_multiple_of_four_and_is_zero() -> None:
    assert pad(b"") == b""
    assert pad(b"abcd") == b"abcd"
    assert pad(CHANNEL) == CHANNEL + bytes(3)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",  # 0x47: ChannelData of 21,536 bytes, if one believes it
        b"\x80\x00\x00\x00",
        b"\xff\xff\xff\xff",
        b"\x00\x01\x00\x03",  # STUN is a multiple of four
        b"\x00\x01\xff\xfc",  # and a stranger's is short
    ],
)
def test_what_begins_no_message_ends_the_connection(data: bytes) -> None:
    with pytest.raises(ParseError):
        StreamReader().feed(data)


def test_a_strangers_messages_are_short_and_a_clients_are_not() -> None:
    size = STRANGER_LIMIT - 20
    header = b"\x00\x01" + size.to_bytes(2, "big")
    assert StreamReader().feed(header + bytes(STRANGER_LIMIT - 4)) != []
    longer = b"\x00\x01" + (size + 4).to_bytes(2, "big")
    with pytest.raises(ParseError):
        StreamReader().feed(longer)
    reader = StreamReader(MAX_MESSAGE)
    assert reader.feed(longer) == []
    whole = b"\x40\x00\xff\xff" + bytes(65_536)
    assert StreamReader(MAX_MESSAGE).feed(whole) == [whole]


def test_what_waits_is_bounded() -> None:
    reader = StreamReader()
    for _ in range(1000):
        reader.feed(BINDING[:-1])
        reader.feed(BINDING[-1:])
    assert len(reader._held) == 0
