from __future__ import annotations

from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rlc import RLC_OVERHEAD, RlcRepair
from ringline.media.send.protect_rlc import RlcConfig, RlcProtection
from ringline.media.units import PayloadType, Ssrc

FRAME = 1 / 30


def protection(config: RlcConfig | None = None) -> RlcProtection:
    return RlcProtection(config or RlcConfig(), payload_type=PayloadType(98), ssrc=Ssrc(9))


def media(number: int, timestamp: int = 0, size: int = 100) -> RtpPacket:
    return RtpPacket(
        payload_type=96,
        sequence_number=number & 0xFFFF,
        timestamp=timestamp,
        ssrc=7,
        payload=bytes(size),
    )


def window(code: RlcProtection, now: float) -> tuple[int, int] | None:
    packet = code.make_repair(now)
    if packet is None:
        return None
    repair = RlcRepair.parse(packet.payload)
    return repair.first, repair.count


def test_nothing_left_is_nothing_to_repair() -> None:
    assert protection().make_repair(0.0) is None


def test_a_repair_packet_is_on_its_own_stream_and_as_long_as_the_longest() -> None:
    code = protection()
    code.handle_sent(media(1, timestamp=5, size=40), 0.0)
    code.handle_sent(media(2, timestamp=6, size=90), 0.0)
    packet = code.make_repair(0.0)
    assert packet is not None
    assert (packet.ssrc, packet.payload_type, packet.timestamp, packet.marker) == (9, 98, 6, False)
    assert len(packet.payload) == 90 + RLC_OVERHEAD
    assert len(code.make_placeholder(90).payload) == 90 + RLC_OVERHEAD


def test_the_window_is_the_last_pictures_across_the_wrap() -> None:
    code = protection()
    for picture in range(10):
        for part in range(3):
            code.handle_sent(media(0xFFF8 + 3 * picture + part, picture), picture * FRAME)
    # Pictures 5 to 9 left within 150 ms.
    assert window(code, 9 * FRAME) == ((0xFFF8 + 15) & 0xFFFF, 15)


def test_slow_pictures_are_covered_two_by_two_but_not_behind_a_pause() -> None:
    code = protection()
    for picture in range(4):
        code.handle_sent(media(picture, picture), picture * 0.3)
    assert window(code, 0.9) == (2, 2)
    code.handle_sent(media(4, 4), 5.0)
    assert window(code, 5.0) == (4, 1)
    assert window(code, 6.0) is None


def test_a_window_holds_no_more_than_its_field_can_say() -> None:
    code = protection()
    for number in range(300):
        code.handle_sent(media(number), 0.0)
    assert window(code, 0.0) == (172, 128)


def test_keys_go_round() -> None:
    code = protection()
    code.handle_sent(media(0), 0.0)
    keys = []
    for _ in range(130):
        packet = code.make_repair(0.0)
        assert packet is not None
        keys.append(RlcRepair.parse(packet.payload).key)
    assert keys == [*range(128), 0, 1]


def test_fractions_of_a_repair_packet_add_up_over_pictures() -> None:
    code = protection()
    assert [code.owed(1, 0.4) for _ in range(5)] == [0, 0, 1, 0, 1]
    assert code.owed(4, 0.5) == 2
    assert code.owed(1, 0.9) == 0
    assert code.owed(1, 0.0) == 0  # and what was owed is forgotten
    assert code.owed(1, 0.9) == 0
