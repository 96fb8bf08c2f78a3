from __future__ import annotations

import json

from ringline.media.get_stats import to_get_stats
from ringline.media.receive.stats import (
    AudioReceiveStats,
    ReceiveStats,
    RepairStats,
    VideoReceiveStats,
)
from ringline.media.send.encode import SkipReason
from ringline.media.send.stats import RemoteInboundStats, SendStats, SendStreamStats
from ringline.media.session import SessionStats


def session_stats(
    send: SendStats | None = None, receive: ReceiveStats | None = None
) -> SessionStats:
    return SessionStats(send or SendStats(), receive or ReceiveStats(), None, 0)


def test_each_stream_is_an_object_by_its_identity() -> None:
    report = to_get_stats(
        session_stats(
            SendStats(streams=[SendStreamStats("audio", "0", 1), SendStreamStats("video", "1", 2)]),
            ReceiveStats(streams=[AudioReceiveStats(mid="0"), VideoReceiveStats(mid="1")]),
        ),
        timestamp=1234.5,
    )
    assert {identity: entry["type"] for identity, entry in report.items()} == {
        "IN-0": "inbound-rtp",
        "IN-1": "inbound-rtp",
        "OUT-0": "outbound-rtp",
        "OUT-1": "outbound-rtp",
        "PAIR": "candidate-pair",
    }
    assert all(entry["id"] == identity for identity, entry in report.items())
    assert all(entry["timestamp"] == 1234.5 for entry in report.values())
    assert json.loads(json.dumps(report)) == report


def test_sound_that_arrives_has_the_names_of_the_w3c() -> None:
    stream = AudioReceiveStats(
        mid="0",
        ssrc=7,
        packets_received=500,
        concealed_samples=960,
        total_samples_received=480_000,
        jitter_buffer_target_delay=2.5,
        repairs=RepairStats(in_band_fec=3),
    )
    entry = to_get_stats(session_stats(receive=ReceiveStats(streams=[stream])), timestamp=0)["IN-0"]
    assert (entry["kind"], entry["ssrc"], entry["packetsReceived"]) == ("audio", 7, 500)
    assert (entry["concealedSamples"], entry["totalSamplesDuration"]) == (960, 10.0)
    assert entry["jitterBufferTargetDelay"] == 2.5
    assert "freezeCount" not in entry
    ours = entry["ringline"]
    assert isinstance(ours, dict)
    assert ours["repairs"]["inBandFec"] == 3


def test_a_picture_that_arrives_has_its_own() -> None:
    stream = VideoReceiveStats(
        mid="1", freeze_count=2, total_freezes_duration=0.5, pause_count=1, qp_sum=900, fir_count=0
    )
    entry = to_get_stats(session_stats(receive=ReceiveStats(streams=[stream])), timestamp=0)["IN-1"]
    assert (entry["freezeCount"], entry["totalFreezesDuration"]) == (2, 0.5)
    assert (entry["pauseCount"], entry["qpSum"], entry["firCount"]) == (1, 900, 0)
    assert "concealedSamples" not in entry


def test_what_is_sent_names_its_limits_and_what_the_other_side_says_of_it() -> None:
    stream = SendStreamStats("video", "1", 9, muted=True, total_encode_time=1.5)
    stream.quality_limitation_reason = "cpu"
    stream.quality_limitation_durations = {"none": 1.0, "cpu": 2.0}
    stream.frames_skipped = {SkipReason.BUSY: 4}
    stream.remote = RemoteInboundStats(packets_lost=3, fraction_lost=0.1)
    report = to_get_stats(
        session_stats(SendStats(target_bitrate=300_000, round_trip=0.05, streams=[stream])),
        timestamp=0,
    )
    entry, remote, pair = report["OUT-1"], report["REMOTE-1"], report["PAIR"]
    assert (entry["active"], entry["totalEncodeTime"]) == (False, 1.5)
    assert entry["qualityLimitationReason"] == "cpu"
    assert entry["qualityLimitationDurations"] == {"none": 1.0, "cpu": 2.0}
    assert entry["remoteId"] == "REMOTE-1"
    assert (remote["localId"], remote["packetsLost"]) == ("OUT-1", 3)
    assert remote["fractionLost"] == 0.1
    assert "roundTripTime" not in remote  # not measured yet
    assert (pair["availableOutgoingBitrate"], pair["currentRoundTripTime"]) == (300_000, 0.05)
    ours = entry["ringline"]
    assert isinstance(ours, dict)
    assert ours["framesSkipped"] == {"busy": 4}
