"""Forward error correction as browsers speak it, on networks where retransmission comes late."""

from __future__ import annotations

import pytest

from ringline.media.receive.stats import VideoReceiveStats
from ringline.media.send.stats import SendStreamStats
from ringline.media.simulate import CallConfig, Observation, SimulatedCall
from ringline.media.simulate.profile import NetworkProfile


def run(
    network: str, *, ulpfec: bool, seed: int = 1
) -> tuple[Observation, VideoReceiveStats, SendStreamStats]:
    config = CallConfig(ulpfec=ulpfec, rlc=False, answering_video=False)
    call = SimulatedCall(NetworkProfile.parse(network), seed=seed, config=config)
    call.run(until=15.0)
    sender, receiver = call.stats()
    received = receiver.receive.video
    assert received is not None
    (sent,) = (stream for stream in sender.send.streams if stream.kind == "video")
    return call.observe(3.0)[0], received, sent


@pytest.mark.parametrize("loss", [5, 12])
def test_parity_mends_what_is_lost_and_pictures_come_sooner(loss: int) -> None:
    network = f"rate=2000,delay=60,loss={loss}|rate=2000,delay=60"
    plain, protected = run(network, ulpfec=False), run(network, ulpfec=True)
    assert plain[1].repairs.fec == plain[2].fec_packets_sent == 0
    assert protected[1].repairs.fec > 40
    assert protected[1].fec_packets_received > 0.8 * protected[2].fec_packets_sent
    assert protected[1].repairs.retransmission < plain[1].repairs.retransmission
    for seen in (plain[0], protected[0]):
        assert seen.picture_delay_p50 is not None
    assert (protected[0].picture_delay_p50 or 9) < (plain[0].picture_delay_p50 or 0)


def test_without_loss_nothing_is_spent_on_parity() -> None:
    seen, received, sent = run("rate=2000,delay=60", ulpfec=True)
    assert (sent.fec_packets_sent, received.fec_packets_received) == (0, 0)
    assert (seen.freezes, received.frames_skipped) == (0, 0)


def test_a_lost_parity_packet_holds_no_picture_up() -> None:
    _, received, sent = run("rate=2000,delay=100,loss=3|rate=2000,delay=100", ulpfec=True)
    assert sent.fec_packets_sent > received.fec_packets_received > 0
    assert (received.frames_skipped, received.pli_count) == (0, 0)
