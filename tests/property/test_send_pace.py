from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringline.media.congestion.probe import ProbeCluster
from ringline.media.rtp.packet import RtpPacket
from ringline.media.send.pace import Outgoing, PaceConfig, Pacer, Priority

PRIORITIES = st.sampled_from([Priority.RETRANSMISSION, Priority.VIDEO, Priority.PADDING])
QUEUED = st.lists(st.tuples(PRIORITIES, st.integers(40, 1_250)), max_size=40)


def drain(pacer: Pacer) -> list[tuple[float, Outgoing]]:
    left: list[tuple[float, Outgoing]] = []
    now = 0.0
    for _ in range(10_000):
        while (packet := pacer.poll_packet(now)) is not None:
            left.append((now, packet))
        timeout = pacer.poll_timeout()
        if timeout is None:
            return left
        now = max(timeout, now + 1e-9)
    raise AssertionError("it never gets idle")


@given(QUEUED, st.integers(20_000, 6_000_000), st.booleans())
def test_every_packet_leaves_once_in_the_order_of_its_priority(
    queued: list[tuple[Priority, int]], rate: int, probed: bool
) -> None:
    pacer = Pacer(PaceConfig(), rate=rate, can_pad=False, now=0.0)
    for number, (priority, size) in enumerate(queued):
        pacer.handle_packet(Outgoing(RtpPacket(96, number, 0, 1), priority, size))
    if probed:
        pacer.start_probe(ProbeCluster(number=1, bitrate=rate * 2, size=5_000, packets=6), 0.0)
    left = [(p.priority, p.packet.sequence_number) for _, p in drain(pacer)]
    order = sorted((priority, number) for number, (priority, _) in enumerate(queued))
    assert left == order
    assert pacer.queued_bytes == 0


@given(QUEUED, st.integers(100_000, 6_000_000))
def test_in_any_window_no_more_leaves_than_the_rate_and_one_packet(
    queued: list[tuple[Priority, int]], rate: int
) -> None:
    pacer = Pacer(PaceConfig(), rate=rate, can_pad=True, now=0.0)
    for number, (priority, size) in enumerate(queued):
        pacer.handle_packet(Outgoing(RtpPacket(96, number, 0, 1), priority, size))
    left = drain(pacer)
    sent = 0
    for at, packet in left:
        assert sent * 8 <= rate * at + 100  # bits; a rounding's worth
        sent += packet.size
