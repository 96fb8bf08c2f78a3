from __future__ import annotations

import pytest

from ringline.media.errors import ParseError
from ringline.media.rtp.rtcp import (
    Bye,
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaxBitrate,
    ReceiverReport,
    ReferencePictureSelection,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    TransportFeedback,
    parse_compound,
    serialize_compound,
)

BLOCK = ReportBlock(7, 0.25, -3, 70_000, 90, 0x01020304, 65_536)


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        (
            SenderReport(1, 0x0102030405060708, 9, 10, 11),
            "80c80006 00000001 0102030405060708 00000009 0000000a 0000000b",
        ),
        (
            ReceiverReport(1, [BLOCK]),
            "81c90007 00000001 00000007 40fffffd 00011170 0000005a 01020304 00010000",
        ),
        (SourceDescription(1, "ab"), "81ca0003 00000001 01026162 00000000"),
        (SourceDescription(1, "abc"), "81ca0003 00000001 01036162 63000000"),
        (Bye([1, 2]), "82cb0002 00000001 00000002"),
        (PictureLossIndication(1, 2), "81ce0002 00000001 00000002"),
        (ReferencePictureSelection(1, 2, 96, 5), "83ce0003 00000001 00000002 08600500"),
        (ReferencePictureSelection(1, 2, 96, 200), "83ce0003 00000001 00000002 00608148"),
        (
            ReferencePictureSelection(1, 2, 96, 0x7FFF),
            "83ce0004 00000001 00000002 186081ff 7f000000",
        ),
        (FullIntraRequest(1, [5]), "84ce0004 00000001 00000000 00000005 00000000"),
        (Nack(1, 2, [10, 11, 26]), "81cd0003 00000001 00000002 000a8001"),
        (Nack(1, 2, [65_535, 0]), "81cd0003 00000001 00000002 ffff0001"),
        (Nack(1, 2, [10, 27]), "81cd0004 00000001 00000002 000a0000 001b0000"),
        (
            ReceiverEstimatedMaxBitrate(1, 500_000, [5]),
            "8fce0005 00000001 00000000 52454d42 0107d090 00000005",
        ),
    ],
)
def test_each_kind_has_its_bytes(packet: RtcpPacket, data: str) -> None:
    wire = bytes.fromhex(data)
    assert serialize_compound([packet]) == wire
    assert parse_compound(wire) == [packet]


def test_a_compound_is_one_behind_the_other() -> None:
    packets: list[RtcpPacket] = [
        ReceiverReport(1),
        SourceDescription(1, "me"),
        TransportFeedback(1, 2, 65_535, 3, [1.0, None, 1.01]),
    ]
    parsed = parse_compound(serialize_compound(packets))
    assert parsed[:2] == packets[:2]
    assert len(parsed) == 3


def test_unknown_kinds_are_passed_over() -> None:
    wire = bytes.fromhex("80cf0001 00000001" + "81ce0002 00000001 00000002" + "85cd0002") + bytes(8)
    assert parse_compound(wire) == [PictureLossIndication(1, 2)]


def test_padding_is_no_content() -> None:
    wire = bytes.fromhex("a1ce0003 00000001 00000002 00000004")
    assert parse_compound(wire) == [PictureLossIndication(1, 2)]


def test_a_source_description_is_searched_for_its_cname() -> None:
    wire = bytes.fromhex("81ca0004 00000001 02017801 02616200 00000000")
    assert parse_compound(wire) == [SourceDescription(1, "ab")]


def test_more_than_31_report_blocks_are_cut_off() -> None:
    packet = ReceiverReport(1, [BLOCK] * 40)
    (parsed,) = parse_compound(serialize_compound([packet]))
    assert isinstance(parsed, ReceiverReport)
    assert parsed.reports == [BLOCK] * 31


@pytest.mark.parametrize(
    "data",
    [
        "80",
        "00c90001 00000001",  # version
        "80c90002 00000001",  # longer than what there is
        "81c90001 00000001",  # a block that is not there
        "80c80001 00000001",
        "80c90000",
        "82cb0001 00000001",
        "81cd0001 00000001",
        "81ce0001 00000001",
        "8fce0004 00000001 00000000 52454d42 02000000",
        "8fce0003 00000001 00000000 52454d42",
        "81cd0002 00000001 00000002 00",
        "83ce0002 00000001 00000002",  # no picture
        "83ce0003 00000001 00000002 10600000",  # all of it unused
        "83ce0003 00000001 00000002 04600500",  # not whole bytes
        "83ce0005 00000001 00000002 00608181 81818181 81818101",  # 10 bytes of number
        "81ca0002 00000001 01ff6162",
        "81ca0000",
        "a1ce0002 00000001 000000ff",
        "a0c90000",
    ],
)
def test_what_says_more_than_it_holds_is_refused(data: str) -> None:
    with pytest.raises(ParseError):
        parse_compound(bytes.fromhex(data))


def test_an_empty_datagram_holds_nothing() -> None:
    assert parse_compound(b"") == []
