from __future__ import annotations

import pytest

from ringline.media.congestion.arrival_groups import ArrivalGroups, GroupDelta
from ringline.media.congestion.feedback import ArrivedPacket


def deltas(times: list[tuple[float, float]]) -> list[GroupDelta]:
    groups = ArrivalGroups()
    out = []
    for number, (sent_at, arrived_at) in enumerate(times):
        delta = groups.handle_arrival(ArrivedPacket(number, sent_at, 100, arrived_at))
        if delta is not None:
            out.append(delta)
    return out


def test_packets_sent_within_5_ms_are_one_group() -> None:
    (delta,) = deltas([(0.0, 1.0), (0.004, 1.02), (0.03, 1.05), (0.06, 1.08)])
    assert delta.sent == pytest.approx(0.026)
    assert delta.arrived == pytest.approx(0.03)
    assert delta.variation == pytest.approx(0.004)
    assert delta.arrived_at == pytest.approx(1.05)


def test_packets_held_up_together_are_one_group() -> None:
    # Sent 20 ms apart, released by a radio's scheduler at once.
    times = [(0.0, 1.0), (0.02, 1.06), (0.04, 1.061), (0.06, 1.062), (0.12, 1.12), (0.2, 1.2)]
    assert [round(delta.sent, 3) for delta in deltas(times)] == [0.06, 0.06]


def test_a_reordered_packet_is_passed_over() -> None:
    times = [(0.0, 1.0), (0.02, 1.02), (0.01, 1.03), (0.04, 1.04)]
    assert [round(delta.sent, 3) for delta in deltas(times)] == [0.02]


def test_a_jump_of_the_receivers_clock_starts_over() -> None:
    times = [(0.0, 1.0), (0.02, 1.02), (0.04, 9.0), (0.06, 9.02), (0.08, 9.04), (0.1, 9.06)]
    assert [round(delta.variation, 3) for delta in deltas(times)] == [0.0, 0.0]
