from __future__ import annotations

import pytest

from ringline.media.congestion.probe import ProbeCluster
from ringline.media.rtp.packet import RtpPacket
from ringline.media.send.pace import Outgoing, PaceConfig, Pacer, Priority


def outgoing(number: int, priority: Priority = Priority.VIDEO, size: int = 1_000) -> Outgoing:
    return Outgoing(RtpPacket(96, number, 0, 5), priority, size)


def pacer(rate: int = 800_000, *, can_pad: bool = True) -> Pacer:
    return Pacer(PaceConfig(), rate=rate, can_pad=can_pad, now=0.0)


def drain(pace: Pacer, now: float = 0.0, until: float = 10.0) -> list[tuple[float, int]]:
    """Run in virtual time; return when which packet left."""
    left = []
    while now <= until:
        while (packet := pace.poll_packet(now)) is not None:
            left.append((round(now, 4), packet.packet.sequence_number))
        timeout = pace.poll_timeout()
        if timeout is None:
            break
        assert timeout > now - 1e-9, "a timeout in the past would spin the driver"
        now = max(timeout, now + 1e-9)
    return left


def test_a_frame_is_spread_at_the_pacing_rate() -> None:
    pace = pacer()
    for number in range(4):
        pace.handle_packet(outgoing(number))
    assert pace.queued_bytes == 4_000
    assert drain(pace) == [(0.0, 0), (0.01, 1), (0.02, 2), (0.03, 3)]
    assert pace.queued_bytes == 0


def test_late_timers_do_not_slow_it_down() -> None:
    pace = pacer()
    for number in range(20):
        pace.handle_packet(outgoing(number))
    left = 0
    for tick in range(20):  # packets are 10 ms apart, and each is looked for up to 7 ms late
        now = tick * 0.01 + (0.007 if tick % 2 else 0.0)
        while pace.poll_packet(now) is not None:
            left += 1
        assert left == 1 + int(now / 0.01)
    assert pace.queued_bytes == 0


def test_a_long_stall_is_made_up_for_in_part_and_idle_time_is_not() -> None:
    pace = pacer()
    for number in range(20):
        pace.handle_packet(outgoing(number))
    assert pace.poll_packet(0.0) is not None
    stalled = [pace.poll_packet(0.1) for _ in range(6)]
    assert [packet is not None for packet in stalled] == [True] * 4 + [False] * 2  # 30 ms' worth
    drain(pace)
    for number in range(3):
        pace.handle_packet(queued(number, Priority.VIDEO, 5.0))
    assert drain(pace, now=5.0) == [(5.0, 0), (5.01, 1), (5.02, 2)]


def test_sound_leaves_at_once_and_makes_the_rest_wait() -> None:
    pace = pacer()
    for number in range(3):
        pace.handle_packet(outgoing(number))
    assert pace.poll_packet(0.0) is not None
    assert pace.poll_packet(0.0) is None
    pace.handle_packet(outgoing(100, Priority.AUDIO, size=100))
    assert pace.poll_timeout() == 0.0
    assert drain(pace) == [(0.0, 100), (0.011, 1), (0.021, 2)]


def test_retransmissions_overtake_video_and_padding_comes_last() -> None:
    pace = pacer()
    pace.handle_packet(outgoing(1, Priority.PADDING))
    pace.handle_packet(outgoing(2, Priority.VIDEO))
    pace.handle_packet(outgoing(3, Priority.RETRANSMISSION))
    assert [number for _, number in drain(pace)] == [3, 2, 1]


def test_one_large_packet_cannot_silence_us() -> None:
    pace = pacer(rate=8_000)
    pace.handle_packet(outgoing(0))  # a second's worth
    pace.handle_packet(outgoing(1))
    assert drain(pace) == [(0.0, 0), (0.25, 1)]


def test_debt_is_capped_when_the_rate_falls() -> None:
    pace = pacer()
    pace.handle_packet(outgoing(0))
    pace.handle_packet(outgoing(1))
    pace.poll_packet(0.0)
    pace.set_rate(8_000, 0.0)
    assert pace.poll_timeout() == pytest.approx(0.25)
    with pytest.raises(ValueError, match="rate"):
        pace.set_rate(0, 0.0)


def test_sound_that_cannot_leave_is_kept_for_60_ms() -> None:
    pace = pacer()
    for number in range(5):
        pace.handle_packet(outgoing(number, Priority.AUDIO))
    assert [number for _, number in drain(pace)] == [2, 3, 4]


def test_video_can_be_dropped() -> None:
    pace = pacer()
    pace.handle_packet(outgoing(0, Priority.AUDIO))
    pace.handle_packet(outgoing(1, Priority.VIDEO))
    pace.handle_packet(outgoing(2, Priority.RETRANSMISSION))
    assert pace.drop_video() == 1
    assert pace.queued_bytes == 0
    assert [number for _, number in drain(pace)] == [0]


def test_more_than_a_second_of_waiting_is_overfull() -> None:
    pace = pacer()
    for number in range(100):
        pace.handle_packet(outgoing(number))
    assert not pace.overfull
    pace.handle_packet(outgoing(100))
    assert pace.overfull


def test_a_probe_leaves_at_its_own_rate_filled_up_with_padding() -> None:
    pace = pacer()
    pace.handle_packet(outgoing(0))
    pace.start_probe(ProbeCluster(number=7, bitrate=2_000_000, size=4_000, packets=4), 0.0)
    left: list[tuple[float, int, int | None]] = []
    now = 0.0
    for _ in range(10):
        packet = pace.poll_packet(now)
        if packet is None and (size := pace.poll_padding(now)) is not None:
            pace.handle_packet(outgoing(50 + len(left), Priority.PADDING, size=size))
            packet = pace.poll_packet(now)
        if packet is not None:
            left.append((round(now, 4), packet.packet.sequence_number, packet.probe))
        timeout = pace.poll_timeout()
        if timeout is None:
            break
        now = timeout
    assert left == [(0.0, 0, 7), (0.004, 51, 7), (0.008, 52, 7), (0.012, 53, 7)]
    assert pace.poll_padding(1.0) is None


def test_sound_is_part_of_a_probe() -> None:
    pace = pacer()
    pace.start_probe(ProbeCluster(number=7, bitrate=2_000_000, size=200, packets=2), 0.0)
    pace.handle_packet(outgoing(0, Priority.AUDIO, size=100))
    first = pace.poll_packet(0.0)
    assert first is not None
    assert first.probe == 7


def test_a_probe_without_padding_waits_for_media_and_ends_by_itself() -> None:
    pace = pacer(can_pad=False)
    pace.start_probe(ProbeCluster(number=7, bitrate=2_000_000, size=4_000, packets=4), 0.0)
    assert pace.poll_timeout() is None
    assert pace.poll_padding(0.0) is None
    pace.handle_packet(outgoing(0))
    inside = pace.poll_packet(0.1)
    assert inside is not None
    assert inside.probe == 7
    pace.handle_packet(outgoing(1))
    after = pace.poll_packet(0.5)
    assert after is not None
    assert after.probe is None


def test_parity_leaves_between_the_picture_it_is_over_and_the_next() -> None:
    pace = pacer()
    for number in range(4):
        pace.handle_packet(outgoing(number))
    for expected in (0, 1):
        packet = pace.poll_packet(expected * 0.01)
        assert packet is not None
        assert packet.packet.sequence_number == expected
    pace.handle_packet(outgoing(100, Priority.PARITY))
    assert [number for _, number in drain(pace, now=0.01)] == [100, 2, 3]
    pace.handle_packet(outgoing(101, Priority.PARITY))


def queued(number: int, priority: Priority, queued_at: float) -> Outgoing:
    return Outgoing(RtpPacket(96, number, 0, 5), priority, 1_000, queued_at=queued_at)


def test_repair_packets_leave_after_the_pictures_that_came_with_them() -> None:
    pace = pacer()
    pace.handle_packet(queued(1, Priority.FEC, 0.0))
    pace.handle_packet(queued(2, Priority.VIDEO, 0.0))
    pace.handle_packet(queued(3, Priority.VIDEO, 0.02))
    pace.handle_packet(queued(4, Priority.PADDING, 0.0))
    assert pace.queued_bytes == 3_000
    assert [number for _, number in drain(pace)] == [2, 3, 1, 4]
    assert pace.queued_bytes == 0


def test_repair_packets_do_not_starve_behind_pictures_that_come_later() -> None:
    pace = pacer()
    pace.handle_packet(queued(1, Priority.FEC, 0.0))
    pace.handle_packet(queued(2, Priority.VIDEO, 0.033))
    pace.handle_packet(queued(3, Priority.RETRANSMISSION, 0.033))
    assert [number for _, number in drain(pace)] == [3, 1, 2]


def test_of_a_long_queue_repair_packets_go_first_and_the_oldest_of_them() -> None:
    pace = pacer(rate=160_000)  # 3 kB in 150 ms
    for number in range(6):
        pace.handle_packet(queued(number, Priority.FEC, 0.0))
    pace.handle_packet(queued(9, Priority.VIDEO, 0.0))
    assert [number for _, number in drain(pace)] == [9, 3, 4, 5]
    pace.handle_packet(queued(1, Priority.FEC, 1.0))
    assert pace.drop_video() == 0
    assert drain(pace, now=1.0) == []
