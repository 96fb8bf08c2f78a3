from __future__ import annotations

from dataclasses import replace

import pytest

from ringline.client.call import CallStats
from ringline.client.call_rows import ReceivedRow, RowMaker, SentRow, path_word
from ringline.client.call_state import CallState
from ringline.client.transport import Path
from ringline.client.witness import Latencies
from ringline.media.quality import CallQuality, Cause, DirectionQuality, Side
from ringline.media.receive.stats import (
    AudioReceiveStats,
    ReceiveStats,
    RepairStats,
    VideoReceiveStats,
)
from ringline.media.send.stats import SendStats, SendStreamStats
from ringline.media.session import SessionStats

NO_REPAIRS = ("retransmission", "fec", "red", "in_band_fec", "reference_frame", "key_frame")

PATH = Path(
    kind="srflx",
    local_type="host",
    remote_type="srflx",
    protocol="udp",
    round_trip=0.1,
    least_round_trip=0.1,
    remote_address=("192.0.2.1", 9),
)


def call_stats(
    *,
    shown: int = 0,
    received: tuple[int, int] = (0, 0),
    lost: int = 0,
    payload: int = 0,
    freezes: int = 0,
    frozen: float = 0.0,
    concealed: int = 0,
    encoded: int = 0,
    sent: int = 0,
    path: Path | None = PATH,
    round_trip: float | None = 0.05,
    repairs: tuple[RepairStats, RepairStats] | None = None,
    quality: CallQuality | None = None,
) -> CallStats:
    audio = AudioReceiveStats(packets_received=received[0], concealed_samples=concealed)
    video = VideoReceiveStats(
        packets_received=received[1],
        packets_lost=lost,
        bytes_received=payload,
        frames_rendered=shown,
        freeze_count=freezes,
        total_freezes_duration=frozen,
        frame_width=640,
        frame_height=360,
    )
    if repairs is not None:
        audio.repairs, video.repairs = repairs
    voice = SendStreamStats("audio", "0", 1, frames_encoded=5000)
    picture = SendStreamStats(
        "video", "1", 2, frames_encoded=encoded, frame_width=320, frame_height=180
    )
    send = SendStats(target_bitrate=500_000, bytes_on_wire=sent, streams=[voice, picture])
    session = SessionStats(
        send=send,
        receive=ReceiveStats(streams=[audio, video]),
        round_trip=round_trip,
        malformed_datagrams=0,
        quality=quality or CallQuality(),
    )
    return CallStats(state=CallState.CONNECTED, path=path, session=session, restarts=0)


def test_a_row_is_the_difference_between_two_seconds() -> None:
    rows = RowMaker(100.0)
    rows.make_row(
        call_stats(shown=25, received=(40, 60), payload=50_000, encoded=30, sent=70_000),
        Latencies(),
        101.0,
    )
    row = rows.make_row(
        call_stats(
            shown=55,
            received=(90, 105),
            lost=5,
            payload=112_500,
            freezes=1,
            frozen=0.25,
            concealed=960,
            encoded=58,
            sent=170_000,
        ),
        Latencies(picture=0.08, sound=0.07),
        102.0,
    )
    assert row.second == pytest.approx(2.0)
    assert row.path == "direct"
    assert row.received == ReceivedRow(
        width=640,
        height=360,
        frames_per_second=30.0,
        bitrate=500_000.0,
        loss=0.05,
        latency=0.08,
        freezes=1,
        frozen_seconds=0.25,
        concealed_ms=20.0,
        sound_latency=0.07,
        repairs=dict.fromkeys(NO_REPAIRS, 0),
    )
    assert row.sent == SentRow(
        width=320,
        height=180,
        frames_per_second=28.0,
        bitrate=800_000.0,
        target_bitrate=500_000,
        round_trip=0.05,
    )


def test_the_first_row_counts_from_the_accept() -> None:
    row = RowMaker(10.0).make_row(call_stats(shown=15), Latencies(), 10.5)
    assert row.received.frames_per_second == pytest.approx(30.0)


def test_a_late_packet_that_takes_back_a_loss_is_no_negative_loss() -> None:
    rows = RowMaker(0.0)
    rows.make_row(call_stats(received=(50, 50), lost=3), Latencies(), 1.0)
    row = rows.make_row(call_stats(received=(100, 101), lost=2), Latencies(), 2.0)
    assert row.received.loss == 0.0


def test_latency_is_not_told_before_the_round_trip_is_known() -> None:
    rows = RowMaker(0.0)
    assert (
        rows.make_row(call_stats(round_trip=None), Latencies(picture=0.01), 1.0).received.latency
        is None
    )
    assert rows.make_row(call_stats(), Latencies(picture=0.06), 2.0).received.latency == 0.06


def test_before_negotiation_there_is_a_row_of_nothing() -> None:
    stats = CallStats(state=CallState.CONNECTING, path=None, session=None, restarts=0)
    row = RowMaker(0.0).make_row(stats, Latencies(), 1.0)
    assert (row.path, row.received, row.sent) == ("", ReceivedRow(), SentRow())


def test_paths_through_nats_are_direct_too() -> None:
    assert [path_word(kind) for kind in ("host", "srflx", "relay")] == ["direct", "direct", "relay"]


def test_repairs_are_those_of_this_second_over_both_streams() -> None:
    rows = RowMaker(0.0)
    before = (RepairStats(in_band_fec=2), RepairStats(retransmission=5))
    rows.make_row(call_stats(repairs=before), Latencies(), 1.0)
    after = (RepairStats(in_band_fec=3), RepairStats(retransmission=9, key_frame=1))
    row = rows.make_row(call_stats(repairs=after), Latencies(), 2.0)
    repairs = {name: count for name, count in row.received.repairs.items() if count}
    assert repairs == {"in_band_fec": 1, "retransmission": 4, "key_frame": 1}


def test_a_row_has_the_judgement_of_both_directions() -> None:
    bad = DirectionQuality(
        score=2.5,
        sound=3.0,
        picture=2.0,
        cause=Cause.LOSS,
        side=Side.THEIR_UPLOAD,
        mouth_to_ear=0.1,
    )
    good = replace(bad, score=4.5, cause=Cause.NONE, side=None)
    quality = CallQuality(receiving=bad, sending=good)
    row = RowMaker(0.0).make_row(call_stats(quality=quality), Latencies(), 1.0)
    assert (row.received.score, row.received.sound_score, row.received.picture_score) == (2.5, 3, 2)
    assert (row.received.cause, row.received.side) == ("loss", "their upload")
    assert row.sent.score == 4.5
