"""ULPFEC from sender to receiver: whatever is lost, what comes out is what was sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringline.media.parameters import StreamParameters
from ringline.media.receive.arrive import Arrival
from ringline.media.receive.recover_ulpfec import UlpFecRecovery
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket
from ringline.media.send.protect_ulpfec import UlpFecProtection
from ringline.media.units import PayloadType, Ssrc

IDS = ExtensionIds(mid=1, absolute_send_time=2)
RED, ULPFEC = PayloadType(116), PayloadType(117)
STREAM = StreamParameters(
    kind="video",
    mid="v",
    payload_type=PayloadType(96),
    ssrc=Ssrc(5),
    red_payload_type=RED,
    ulpfec_payload_type=ULPFEC,
)
pictures = st.lists(
    st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=9), max_size=8
)


def send(pictures: list[list[bytes]], protection: float, first: int) -> list[tuple[int, bytes]]:
    """Return what leaves, with its continued number, in order."""
    fec = UlpFecProtection(STREAM, (RED, ULPFEC), IDS)
    fec.set_protection(protection, 1.0)
    left: list[tuple[int, bytes]] = []

    def leave(packet: RtpPacket, number: int) -> bytes:
        packet.sequence_number = number & 0xFFFF
        packet.extensions = HeaderExtensions(mid="v", absolute_send_time=number)
        data = packet.serialize(IDS)
        left.append((number, data))
        return data

    for index, payloads in enumerate(pictures):
        parity: list[RtpPacket] = []
        for payload in payloads:
            packet = RtpPacket(96, (first + len(left)) & 0xFFFF, index * 3000, 5, payload=payload)
            packet.marker = payload is payloads[-1]
            data = leave(fec.wrap(packet), first + len(left))
            parity = fec.handle_sent(packet, data, 0.0)
        for each in parity:
            leave(each, first + len(left))
    return left


@given(pictures, st.floats(0.1, 1.0), st.integers(0, 0xFFFF), st.data())
def test_what_comes_out_is_what_was_sent_each_once(
    pictures: list[list[bytes]], protection: float, first: int, data: st.DataObject
) -> None:
    sent = send(pictures, protection, first)
    media = {
        number: packet.payload[1:]
        for number, datagram in sent
        if (packet := RtpPacket.parse(datagram, IDS)).payload[0] == 96
    }
    order = data.draw(st.permutations(sent))
    arriving = [each for each in order if data.draw(st.integers(0, 3))]
    receiver = UlpFecRecovery(STREAM, IDS)
    out: dict[int, bytes] = {}
    for number, datagram in arriving:
        arrival = Arrival(STREAM, RtpPacket.parse(datagram, IDS), number)
        for each in receiver.handle_arrival(arrival, datagram, 0.0):
            if each.recovered:
                assert each.sequence not in out
            if each.packet.payload:
                out[each.sequence] = each.packet.payload
    assert out.items() <= media.items()
    assert out.keys() >= {number for number, _ in arriving} & media.keys()


@given(st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=60), st.booleans())))
def test_no_parity_raises_or_grows_without_bound(
    packets: list[tuple[int, bytes, bool]],
) -> None:
    receiver = UlpFecRecovery(STREAM, IDS)
    for number, payload, is_parity in packets:
        block = bytes([ULPFEC if is_parity else 96])
        packet = RtpPacket(RED, number, 0, 5, payload=block + payload)
        datagram = packet.serialize(IDS)
        arrivals = receiver.handle_arrival(Arrival(STREAM, packet, number), datagram, 0.0)
        assert arrivals[-1].sequence == number
        assert len(arrivals) <= 49
