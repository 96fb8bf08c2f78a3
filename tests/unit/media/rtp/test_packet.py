from __future__ import annotations

import pytest

from ringline.media.errors import ParseError
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket, is_rtcp

IDS = ExtensionIds(mid=1, transport_sequence_number=3)


def test_a_plain_packet_has_twelve_bytes_of_header() -> None:
    packet = RtpPacket(96, 0x1234, 0x01020304, 0xAABBCCDD, marker=True, payload=b"xyz")
    assert packet.serialize(IDS).hex() == "80e0123401020304aabbccdd78797a"


def test_extensions_stand_behind_the_header_in_whole_words() -> None:
    packet = RtpPacket(111, 1, 2, 3, extensions=HeaderExtensions(transport_sequence_number=0xABCD))
    assert packet.serialize(IDS).hex() == "906f00010000000200000003" + "bede0001" + "31abcd00"


def test_contributing_sources_are_passed_over() -> None:
    data = bytes.fromhex("826f00010000000200000003" + "0000000a0000000b") + b"payload"
    assert RtpPacket.parse(data, IDS).payload == b"payload"


def test_padding_is_no_payload() -> None:
    packet = RtpPacket(96, 1, 2, 3, payload=b"ab", padding=4)
    data = packet.serialize(IDS)
    assert data.endswith(b"ab\x00\x00\x00\x04")
    assert RtpPacket.parse(data, IDS) == packet


@pytest.mark.parametrize(
    "data",
    [
        "",
        "80600001000000020000",  # short
        "40600001000000020000000300",  # version 1
        "81600001000000020000000300",  # one contributing source, no room
        "906000010000000200000003bede",  # half of an extension header
        "906000010000000200000003bede0002aabbccdd",  # two words announced, one there
        "906000010000000200000003bede000131ab",  # likewise
        "a06000010000000200000003ff",  # more padding than packet
        "a0600001000000020000000300",  # no padding although announced
    ],
)
def test_what_does_not_hold_together_is_refused(data: str) -> None:
    with pytest.raises(ParseError):
        RtpPacket.parse(bytes.fromhex(data), IDS)


def test_rtcp_is_told_by_its_packet_type() -> None:
    assert is_rtcp(bytes.fromhex("80c80000"))
    assert not is_rtcp(RtpPacket(96, 1, 2, 3, marker=True).serialize(IDS))
    assert not is_rtcp(b"\x80")
