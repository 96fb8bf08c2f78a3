from __future__ import annotations

import random
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from ringline.media.codecs.registry import CodecRegistry
from ringline.media.congestion.controller import CongestionController
from ringline.media.congestion.feedback import SendLog, SentPacket
from ringline.media.congestion.target_rate import RateConfig
from ringline.media.parameters import SessionParameters, StreamParameters
from ringline.media.rtp.header_extensions import ExtensionIds
from ringline.media.rtp.rtcp import (
    Bye,
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaxBitrate,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    TransportFeedback,
)
from ringline.media.send.pipeline import SendConfig, SendPipeline
from ringline.media.units import PayloadType, Ssrc

WORD = st.integers(0, 0xFFFFFFFF)
NUMBER = st.integers(0, 0xFFFF)
ARRIVALS = st.lists(st.none() | st.floats(0, 2_000_000), max_size=60)
FEEDBACK = st.builds(TransportFeedback, WORD, WORD, NUMBER, st.integers(0, 255), ARRIVALS)
SSRC = st.sampled_from([1, 2, 3]) | WORD
BLOCK = st.builds(
    ReportBlock, SSRC, st.floats(0, 1), st.integers(-100, 100), WORD, WORD, WORD, WORD
)
RTCP: st.SearchStrategy[RtcpPacket] = st.one_of(
    FEEDBACK,
    st.builds(Nack, WORD, SSRC, st.lists(NUMBER, max_size=50)),
    st.builds(PictureLossIndication, WORD, SSRC),
    st.builds(FullIntraRequest, WORD, st.lists(SSRC, max_size=3)),
    st.builds(ReceiverEstimatedMaxBitrate, WORD, st.integers(0, 1 << 63), st.lists(WORD)),
    st.builds(ReceiverReport, WORD, st.lists(BLOCK, max_size=4)),
    st.builds(Bye, st.lists(WORD, max_size=3)),
)


@given(st.integers(0, 200_000), st.lists(st.tuples(st.integers(-70, 70), ARRIVALS), max_size=8))
def test_each_packet_comes_out_of_the_log_at_most_once(
    first: int, reports: list[tuple[int, list[float | None]]]
) -> None:
    log = SendLog()
    for index in range(100):
        log.handle_sent(SentPacket(first + index, index * 0.01, 1_000))
    seen = []
    for count, (offset, arrivals) in enumerate(reports):
        feedback = TransportFeedback(1, 2, (first + 50 + offset) & 0xFFFF, count, arrivals)
        report = log.handle_feedback(feedback, 1.0 + count * 0.1)
        seen += [packet.number for packet in report.arrived]
        seen += [packet.number for packet in report.lost]
        times = [packet.arrived_at for packet in report.arrived]
        assert times == sorted(times)
    assert len(seen) == len(set(seen))
    assert set(seen) <= set(range(first, first + 100))
    assert log.in_flight == 1_000 * (100 - len(seen))


@given(st.lists(FEEDBACK | st.integers(1, 30), max_size=30))
def test_whatever_is_fed_back_the_rate_stays_in_its_bounds(
    script: list[TransportFeedback | int],
) -> None:
    config = RateConfig()
    controller = CongestionController(config, now=0.0)
    controller.set_connected(True, 0.0)
    now, number = 0.0, 0
    for item in script:
        if isinstance(item, int):
            for _ in range(item):
                controller.handle_sent(number, 500, now)
                number += 1
                now += 0.01
        else:
            item.base_sequence = (number - 20) & 0xFFFF
            controller.handle_feedback(item, now)
        controller.handle_timeout(now)
        controller.poll_probe(now)
        assert config.min_bitrate <= controller.target_bitrate <= config.max_bitrate
        assert controller.pacing_bitrate >= controller.target_bitrate


@settings(max_examples=60)
@given(st.lists(RTCP, max_size=25))
def test_no_rtcp_of_the_peer_raises(packets: list[RtcpPacket]) -> None:
    common: dict[str, Any] = {"transport_cc": True, "nack": True, "pli": True}
    pipeline = SendPipeline(
        SessionParameters(
            cname="desk",
            local_ssrc=Ssrc(1),
            extension_ids=ExtensionIds(transport_sequence_number=4),
            send=(
                StreamParameters(
                    kind="audio", mid="0", payload_type=PayloadType(111), ssrc=Ssrc(1), **common
                ),
                StreamParameters(
                    kind="video",
                    mid="1",
                    payload_type=PayloadType(96),
                    ssrc=Ssrc(2),
                    rtx_payload_type=PayloadType(97),
                    rtx_ssrc=Ssrc(3),
                    **common,
                ),
            ),
        ),
        SendConfig(),
        codecs=cast("CodecRegistry", None),  # no frame comes, so no encoder is made
        rng=random.Random(1),
        wall_clock=lambda: 0.0,
        now=0.0,
    )
    pipeline.set_connected(True, 0.0)
    now = 0.0
    for packet in packets:
        pipeline.handle_rtcp(packet, now)
        pipeline.handle_timeout(now)
        while pipeline.poll_event() is not None:
            pass
        while pipeline.poll_rtcp(now) is not None:
            pass
        assert pipeline.poll_packet(now) is None
        pipeline.stats(now)
        now += 0.05
