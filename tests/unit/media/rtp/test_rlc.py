from __future__ import annotations

import pytest

from ringline.media.errors import ParseError
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rlc import (
    MAX_WINDOW,
    RLC_OVERHEAD,
    RlcRepair,
    make_symbol,
    read_symbol,
    rlc_coefficient,
)

PACKET = RtpPacket(
    payload_type=96,
    sequence_number=513,
    timestamp=0xFEDCBA98,
    ssrc=7,
    marker=True,
    payload=b"picture",
)


def test_a_symbol_brings_back_all_that_the_packet_was() -> None:
    symbol = make_symbol(PACKET)
    assert symbol == b"\x00\x07\xe0\xfe\xdc\xba\x98picture"
    assert read_symbol(symbol + bytes(20), sequence_number=513, ssrc=7) == PACKET


@pytest.mark.parametrize(
    "symbol",
    [b"", b"\x00\x07\xe0\xfe\xdc\xba", b"\x00\x08\xe0\xfe\xdc\xba\x98picture", b"\x00" * 7 + b"x"],
)
def test_what_is_no_symbol_is_refused(symbol: bytes) -> None:
    with pytest.raises(ParseError):
        read_symbol(symbol, sequence_number=0, ssrc=7)


def test_a_repair_packet_reads_as_it_was_written() -> None:
    repair = RlcRepair(first=0xFFF0, count=128, key=127, symbol=b"sum of it all")
    assert repair.serialize() == b"\xff\xf0\x7f\x7fsum of it all"
    assert RlcRepair.parse(repair.serialize()) == repair


@pytest.mark.parametrize(
    "payload",
    [b"", bytes(RLC_OVERHEAD - 1), b"\x00\x00\x80\x00" + bytes(7), b"\x00\x00\x00\x80" + bytes(7)],
)
def test_what_is_no_repair_packet_is_refused(payload: bytes) -> None:
    with pytest.raises(ParseError):
        RlcRepair.parse(payload)


def test_coefficients_go_on_where_numbers_wrap_and_none_is_zero() -> None:
    for key in range(MAX_WINDOW):
        window = [rlc_coefficient(key, number) for number in range(0xFFC0, 0xFFC0 + MAX_WINDOW)]
        assert window == [
            rlc_coefficient(key, number & 0xFFFF) for number in range(0xFFC0, 0xFFC0 + MAX_WINDOW)
        ]
        assert len(set(window)) == MAX_WINDOW
        assert 0 not in window
