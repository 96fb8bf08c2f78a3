from __future__ import annotations

import pytest

from ringline.media.errors import ParseError
from ringline.media.rtp.header_extensions import HeaderExtensions
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rtx import unwrap_rtx, wrap_rtx


def test_a_retransmission_carries_the_original_number_first() -> None:
    original = RtpPacket(96, 0xABCD, 5, 1, marker=True, payload=b"x")
    again = wrap_rtx(original, payload_type=97, sequence_number=3, ssrc=2)
    assert again == RtpPacket(97, 3, 5, 2, marker=True, payload=b"\xab\xcdx")
    assert unwrap_rtx(again, payload_type=96, ssrc=1) == original


def test_stamping_a_retransmission_leaves_the_original_alone() -> None:
    original = RtpPacket(96, 1, 5, 1, extensions=HeaderExtensions(transport_sequence_number=7))
    again = wrap_rtx(original, payload_type=97, sequence_number=3, ssrc=2)
    again.extensions.transport_sequence_number = 8
    assert original.extensions.transport_sequence_number == 7


def test_padding_is_no_retransmission() -> None:
    with pytest.raises(ParseError):
        unwrap_rtx(RtpPacket(97, 3, 5, 2, payload=b"\x00"), payload_type=96, ssrc=1)
