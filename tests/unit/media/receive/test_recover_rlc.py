from __future__ import annotations

import random

from ringline.media.receive.recover_rlc import RlcRecovery, RlcRecoveryConfig
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rlc import RlcRepair
from ringline.media.send.protect_rlc import RlcConfig, RlcProtection
from ringline.media.units import PayloadType, Ssrc

CHANCE = random.Random(3)


def media(number: int, size: int = 60) -> RtpPacket:
    return RtpPacket(
        payload_type=96,
        sequence_number=number & 0xFFFF,
        timestamp=3000 * number & 0xFFFFFFFF,
        ssrc=7,
        marker=number % 3 == 0,
        payload=CHANCE.randbytes(size),
    )


class Pair:
    """A sender and a receiver; numbers begin at 1000, the window is as long as ``window``."""

    def __init__(self, window: int = 100, config: RlcRecoveryConfig | None = None) -> None:
        self.sender = RlcProtection(
            RlcConfig(window=window * 0.01, max_age=100.0),
            payload_type=PayloadType(98),
            ssrc=Ssrc(9),
        )
        self.receiver = RlcRecovery(config)
        self.packets: dict[int, RtpPacket] = {}
        self.now = 0.0

    def send(self, *numbers: int, size: int = 60) -> list[tuple[int, RtpPacket]]:
        """Send packets, and lose them."""
        for number in numbers:
            self.now += 0.01
            self.packets[number] = media(number, size + number % 5)
            self.sender.handle_sent(self.packets[number], self.now)
        return []

    def arrive(self, *numbers: int) -> list[int]:
        return self.check(
            [one for n in numbers for one in self.receiver.handle_media(n, self.packets[n])]
        )

    def repair(self) -> RlcRepair:
        packet = self.sender.make_repair(self.now)
        assert packet is not None
        return RlcRepair.parse(packet.payload)

    def take(self, repair: RlcRepair) -> list[int]:
        first = next(n for n in self.packets if n & 0xFFFF == repair.first)
        return self.check(self.receiver.handle_repair(first, repair, self.now))

    def check(self, recovered: list[tuple[int, RtpPacket]]) -> list[int]:
        for number, packet in recovered:
            assert packet == self.packets[number]
        return [number for number, _ in recovered]


def test_what_is_all_here_needs_no_repair() -> None:
    pair = Pair()
    pair.send(1000, 1001)
    assert pair.arrive(1000, 1001) == []
    assert pair.take(pair.repair()) == []
    receiver = pair.receiver
    assert (receiver.received, receiver.discarded, receiver.recovered) == (1, 1, 0)
    assert receiver.received_bytes == 61 + 7


def test_one_lost_packet_comes_back_with_one_repair_packet_also_the_last() -> None:
    for lost in (1000, 1001, 1002):
        pair = Pair()
        pair.send(1000, 1001, 1002)
        pair.arrive(*{1000, 1001, 1002} - {lost})
        assert pair.take(pair.repair()) == [lost]
        assert pair.take(pair.repair()) == []
        assert (pair.receiver.recovered, pair.receiver.discarded) == (1, 1)


def test_as_many_come_back_as_repair_packets_came() -> None:
    pair = Pair()
    pair.send(*range(1000, 1012))
    pair.arrive(1000, 1004, 1005, 1007, 1009, 1010, 1011)
    repairs = [pair.repair() for _ in range(9)]
    assert [pair.take(repair) for repair in repairs[2:7]] == [
        [],
        [],
        [],
        [],
        [1001, 1002, 1003, 1006, 1008],
    ]


def test_a_later_pictures_repairs_bring_back_an_earlier_one() -> None:
    pair = Pair()
    pair.send(1000, 1001, 1002, 1003)
    pair.arrive(1000)
    pair.repair()  # lost in the same burst
    pair.send(1004, 1005)
    pair.arrive(1004, 1005)
    assert pair.take(pair.repair()) == []
    assert pair.take(pair.repair()) == []
    assert pair.take(pair.repair()) == [1001, 1002, 1003]


def test_a_retransmission_lets_the_rest_be_found() -> None:
    pair = Pair()
    pair.send(1000, 1001, 1002, 1003)
    pair.arrive(1003)
    assert pair.take(pair.repair()) == []
    assert pair.take(pair.repair()) == []
    assert pair.arrive(1001) == [1000, 1002]
    assert pair.arrive(1002) == []  # it comes after all


def test_a_repair_packet_may_overtake_what_it_protects() -> None:
    pair = Pair()
    pair.send(1000)
    pair.arrive(1000)
    pair.send(1001, 1002)
    repair = pair.repair()
    assert pair.take(repair) == []
    assert pair.arrive(1002) == [1001]


def test_windows_that_slide_share_what_they_know() -> None:
    pair = Pair(window=4)
    pair.send(1000, 1001, 1002, 1003)
    pair.arrive(1000)
    assert pair.take(pair.repair()) == []
    pair.send(1004)
    assert pair.take(pair.repair()) == []
    pair.send(1005)
    assert pair.take(pair.repair()) == []
    assert pair.arrive(1005) == []
    assert pair.arrive(1004) == [1001, 1002, 1003]


def test_numbers_wrap() -> None:
    pair = Pair()
    pair.send(65534, 65535, 65536, 65537)
    pair.arrive(65534, 65537)
    assert pair.take(pair.repair()) == []
    assert pair.take(pair.repair()) == [65535, 65536]


def test_before_any_media_a_repair_packet_says_nothing() -> None:
    pair = Pair()
    pair.send(1000)
    assert pair.take(pair.repair()) == []
    assert pair.receiver.discarded == 1


def test_a_repair_packet_of_other_packets_gives_nothing_out() -> None:
    pair = Pair()
    pair.send(1000, 1001)
    pair.arrive(1000)
    wrong = pair.repair()
    wrong.symbol = bytes(byte ^ 0x55 for byte in wrong.symbol)
    assert pair.take(wrong) == []
    assert pair.receiver.recovered == 0


def test_a_restarted_stream_owes_nothing_to_the_one_before() -> None:
    pair = Pair()
    pair.send(1000, 1001, 1002)
    pair.arrive(1000)
    pair.take(pair.repair())
    assert pair.receiver.is_active(pair.now)
    pair.receiver.restart()
    assert not pair.receiver.is_active(pair.now)
    pair.arrive(1001)
    assert pair.arrive(1000) == []


def test_repair_packets_are_reckoned_with_for_a_while() -> None:
    pair = Pair()
    pair.send(1000)
    assert not pair.receiver.is_active(pair.now)
    pair.take(pair.repair())
    assert pair.receiver.is_active(pair.now + 0.4)
    assert not pair.receiver.is_active(pair.now + 0.6)


def test_memory_is_bounded_by_packets_and_by_equations() -> None:
    config = RlcRecoveryConfig(max_equations=8)
    pair = Pair(config=config)
    pair.send(*range(1000, 3000))
    for number in range(1000, 3000, 3):  # two thirds are lost
        pair.arrive(number)
    for _ in range(50):
        pair.take(pair.repair())
    assert len(pair.receiver._equations) == 8
    assert len(pair.receiver._known) <= config.max_packets
    pair.send(*range(3000, 4000))
    pair.arrive(*range(3000, 4000))
    assert pair.receiver._equations == {}
