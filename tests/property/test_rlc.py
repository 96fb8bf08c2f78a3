"""Whatever is lost, repair packets bring back as much as they can, and nothing wrong."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ringline.media.errors import ParseError
from ringline.media.receive.recover_rlc import RlcRecovery, RlcRecoveryConfig
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rlc import RlcRepair, read_symbol
from ringline.media.send.protect_rlc import RlcConfig, RlcProtection
from ringline.media.units import PayloadType, Ssrc

FIRST = 65_500  # so that numbers wrap


def media(number: int, payload: bytes) -> RtpPacket:
    return RtpPacket(
        payload_type=96,
        sequence_number=number & 0xFFFF,
        timestamp=number,
        ssrc=7,
        marker=number % 2 == 0,
        payload=payload,
    )


def sender(window: float = 1e6) -> RlcProtection:
    config = RlcConfig(window=window, max_age=1e6)
    return RlcProtection(config, payload_type=PayloadType(98), ssrc=Ssrc(9))


def repair(code: RlcProtection, now: float) -> RlcRepair:
    packet = code.make_repair(now)
    assert packet is not None
    return RlcRepair.parse(packet.payload)


@given(st.data())
def test_any_losses_of_a_window_are_repaired_by_as_many_repair_packets(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 100))
    lost = data.draw(st.sets(st.integers(0, count - 1), max_size=min(count, 24)))
    spared = data.draw(st.integers(0, 100))  # repair packets that were lost before
    chance = random.Random(data.draw(st.integers(0, 1000)))
    code, receiver = sender(), RlcRecovery()
    packets = {
        FIRST + n: media(FIRST + n, chance.randbytes(chance.randrange(50))) for n in range(count)
    }
    for number, packet in packets.items():
        code.handle_sent(packet, 0.0)
        if number - FIRST not in lost:
            assert receiver.handle_media(number, packet) == []
    if len(lost) == count:
        return  # nothing of the stream is known
    for _ in range(spared):
        repair(code, 0.0)
    found: dict[int, RtpPacket] = {}
    for _ in lost:
        found.update(receiver.handle_repair(FIRST, repair(code, 0.0), 0.0))
    assert found == {FIRST + n: packets[FIRST + n] for n in lost}
    assert receiver.recovered == len(lost)


@given(
    st.integers(0, 10_000),
    st.floats(0.0, 0.6),
    st.integers(1, 6),
    st.integers(0, 5),
    st.integers(1, 5),
)
def test_sliding_windows_give_out_only_what_was_sent_and_each_packet_once(
    seed: int, loss: float, packets: int, repairs: int, pictures: int
) -> None:
    chance = random.Random(seed)
    code, receiver = sender(window=pictures - 0.5), RlcRecovery()
    sent: dict[int, RtpPacket] = {}
    here: set[int] = set()
    equations = 0

    def take(found: list[tuple[int, RtpPacket]]) -> None:
        for number, packet in found:
            assert packet == sent[number]
            assert number not in here
            here.add(number)

    for picture in range(30):
        for part in range(packets):
            number = FIRST + picture * packets + part
            sent[number] = media(number, chance.randbytes(chance.randrange(40)))
            code.handle_sent(sent[number], float(picture))
            if not here or chance.random() >= loss:
                here.add(number)
                take(receiver.handle_media(number, sent[number]))
        for _ in range(repairs):
            one = repair(code, float(picture))
            if chance.random() >= loss:
                first = FIRST + (one.first - FIRST & 0xFFFF)
                missing = sum(n not in here for n in range(first, first + one.count))
                equations += missing > 0
                take(receiver.handle_repair(first, one, float(picture)))
    assert receiver.recovered <= equations


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 600), st.binary(max_size=20)),
            st.tuples(
                st.integers(-300, 900),
                st.builds(
                    RlcRepair,
                    first=st.integers(0, 0xFFFF),
                    count=st.integers(1, 128),
                    key=st.integers(0, 127),
                    symbol=st.binary(min_size=7, max_size=40),
                ),
            ),
        ),
        max_size=120,
    )
)
def test_no_repair_packet_raises_or_grows_memory(
    events: list[tuple[int, bytes | RlcRepair]],
) -> None:
    config = RlcRecoveryConfig(max_equations=6, max_packets=128)
    receiver = RlcRecovery(config)
    for number, what in events:
        if isinstance(what, bytes):
            receiver.handle_media(number, media(number, what))
        else:
            receiver.handle_repair(number, what, 0.0)
        assert len(receiver._equations) <= config.max_equations
        assert len(receiver._known) <= config.max_packets + config.max_equations


@given(st.binary(max_size=64))
def test_reading_raises_nothing_but_the_parse_error(data: bytes) -> None:
    try:
        read = RlcRepair.parse(data)
    except ParseError:
        pass
    else:
        assert read.serialize() == data
    try:
        packet = read_symbol(data, sequence_number=1, ssrc=2)
    except ParseError:
        pass
    else:
        assert len(packet.payload) <= len(data)
