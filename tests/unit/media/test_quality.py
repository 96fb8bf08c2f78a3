from __future__ import annotations

import copy
from dataclasses import dataclass, field

import pytest

from ringline.media.quality import (
    CallQuality,
    Cause,
    DirectionQuality,
    QualityChanged,
    QualityMeter,
    Side,
)
from ringline.media.quality_window import Sample
from ringline.media.receive.stats import AudioReceiveStats, ReceiveStats, VideoReceiveStats
from ringline.media.send.stats import RemoteInboundStats, SendStats, SendStreamStats


@dataclass
class Talk:
    """A call of whose counters each second is told what a test says."""

    meter: QualityMeter = field(default_factory=QualityMeter)
    now: float = 0.0
    arrived: int = 0
    connected: bool = True
    audio: AudioReceiveStats = field(default_factory=AudioReceiveStats)
    video: VideoReceiveStats = field(
        default_factory=lambda: VideoReceiveStats(frame_width=640, frame_height=360)
    )
    sent_audio: SendStreamStats = field(
        default_factory=lambda: SendStreamStats("audio", "0", 1, target_bitrate=32_000)
    )
    sent_video: SendStreamStats = field(
        default_factory=lambda: SendStreamStats("video", "1", 2, frame_width=640, frame_height=360)
    )
    round_trip: float = 0.04

    def second(
        self,
        *,
        sound: int = 50,
        pictures: int = 30,
        quantizer: int = 30,
        lost: int = 0,
        concealed: int = 0,
        frozen: float = 0.0,
        decoding: float = 0.1,
        sent_sound: int = 50,
        encoded: int = 30,
        reported_loss: float | None = None,
    ) -> CallQuality:
        """Let a second pass."""
        self.now += 1.0
        self.arrived += sound + pictures + (1 if sound or pictures else 0)
        audio, video = self.audio, self.video
        audio.packets_received += sound
        audio.packets_lost += lost
        audio.bytes_received += 80 * sound
        audio.total_samples_received += 48_000
        audio.concealed_samples += concealed * 960
        audio.concealment_events += concealed
        audio.jitter_buffer_emitted_count += sound * 960
        audio.jitter_buffer_delay += 0.02 * sound * 960
        video.packets_received += pictures * 3
        video.packets_lost += lost
        video.frames_rendered += pictures
        video.frames_decoded += pictures
        video.qp_sum += pictures * quantizer
        video.total_decode_time += decoding
        video.total_freezes_duration += frozen
        self.sent_audio.packets_sent += sent_sound
        self.sent_video.frames_encoded += encoded
        self.sent_video.qp_sum += encoded * quantizer
        if reported_loss is not None:
            self.sent_audio.remote = RemoteInboundStats(fraction_lost=reported_loss)
        send = SendStats(
            round_trip=self.round_trip,
            packets_sent=self.sent_audio.packets_sent + self.sent_video.frames_encoded,
            streams=[self.sent_audio, self.sent_video],
        )
        sample = Sample.take(
            send,
            ReceiveStats(streams=[audio, video]),
            arrived=self.arrived,
            connected=self.connected,
            now=self.now,
        )
        self.meter.handle_sample(sample, self.now)
        return copy.copy(self.meter.quality)

    def seconds(self, count: int, **what: float) -> CallQuality:
        """Let some pass alike."""
        quality = CallQuality()
        for _ in range(count):
            quality = self.second(**what)  # type: ignore[arg-type] # the keywords of second
        return quality


def received(quality: CallQuality) -> DirectionQuality:
    assert quality.receiving is not None
    return quality.receiving


def sent(quality: CallQuality) -> DirectionQuality:
    assert quality.sending is not None
    return quality.sending


def test_nothing_is_judged_before_something_came() -> None:
    talk = Talk()
    assert talk.meter.poll_timeout() is None
    talk.meter.start(5.0)
    assert talk.meter.poll_timeout() == 6.0
    assert talk.seconds(3, sound=0, pictures=0, sent_sound=0, encoded=0) == CallQuality()


def test_a_call_with_nothing_wrong_needs_no_cause() -> None:
    quality = Talk().seconds(8)
    for direction in (received(quality), sent(quality)):
        assert direction.score == pytest.approx(5.0, abs=0.05)
        assert (direction.cause, direction.side) == (Cause.NONE, None)
    assert received(quality).mouth_to_ear == pytest.approx(0.02 + 0.045 + 0.02)


def test_lost_packets_are_their_uploads_fault() -> None:
    quality = received(Talk().seconds(8, lost=5, concealed=5, frozen=0.05))
    assert quality.sound is not None
    assert quality.sound < 2.5
    assert (quality.cause, quality.side) == (Cause.LOSS, Side.THEIR_UPLOAD)


def test_sound_that_is_late_and_not_lost_is_delay() -> None:
    quality = received(Talk().seconds(8, concealed=5))
    assert (quality.cause, quality.side) == (Cause.DELAY, Side.THEIR_UPLOAD)


def test_a_long_way_is_delay_on_both_sides() -> None:
    talk = Talk(round_trip=0.9)
    quality = talk.seconds(8)
    assert (received(quality).cause, received(quality).side) == (Cause.DELAY, Side.THEIR_UPLOAD)
    assert (sent(quality).cause, sent(quality).side) == (Cause.DELAY, Side.OUR_UPLOAD)


def test_a_coarse_slow_picture_is_want_of_bandwidth() -> None:
    quality = received(Talk().seconds(8, pictures=8, quantizer=110))
    assert (quality.cause, quality.side) == (Cause.BANDWIDTH, Side.THEIR_UPLOAD)


def test_a_fine_slow_picture_is_a_slow_device() -> None:
    quality = received(Talk().seconds(8, pictures=5, quantizer=20))
    assert (quality.cause, quality.side) == (Cause.CPU, Side.THEIR_DEVICE)
    quality = received(Talk().seconds(8, pictures=5, quantizer=20, decoding=0.9))
    assert (quality.cause, quality.side) == (Cause.CPU, Side.OUR_DEVICE)


def test_what_the_other_side_reports_lost_is_our_uploads_fault() -> None:
    quality = sent(Talk().seconds(8, reported_loss=0.2))
    assert quality.score < 3.5
    assert (quality.cause, quality.side) == (Cause.LOSS, Side.OUR_UPLOAD)


def test_a_picture_that_we_limit_names_the_limit() -> None:
    talk = Talk()
    talk.sent_video.quality_limitation_reason = "cpu"
    quality = sent(talk.seconds(8, encoded=5))
    assert (quality.cause, quality.side) == (Cause.CPU, Side.OUR_DEVICE)
    talk = Talk()
    talk.seconds(3)
    talk.sent_video.quality_limitation_reason = "bandwidth"
    quality = sent(talk.seconds(8, encoded=0))  # paused
    assert quality.picture == pytest.approx(1.0, abs=0.1)
    assert (quality.cause, quality.side) == (Cause.BANDWIDTH, Side.OUR_UPLOAD)


def test_silence_where_reports_are_due_is_loss_of_everything() -> None:
    talk = Talk()
    talk.seconds(8)
    quality = received(talk.seconds(4, sound=0, pictures=0, frozen=1.0))
    assert quality.score < 1.5
    assert (quality.cause, quality.side) == (Cause.LOSS, Side.THEIR_UPLOAD)


def test_a_side_that_mutes_itself_is_not_bad() -> None:
    talk = Talk()
    talk.seconds(8)
    quality = talk.seconds(8, pictures=0)
    assert received(quality).picture is None
    assert received(quality).score == pytest.approx(5.0, abs=0.05)
    quality = talk.seconds(8, sound=0, pictures=0, sent_sound=0, encoded=0)
    assert quality == CallQuality()


def test_a_bad_time_is_forgotten_after_the_window() -> None:
    talk = Talk()
    assert received(talk.seconds(3, lost=10, concealed=10)).score < 3.0
    assert received(talk.seconds(7)).score > 4.9


def test_a_notable_change_is_told_once_it_has_lasted() -> None:
    talk = Talk()
    talk.seconds(5)
    talk.second(lost=10, concealed=10)
    assert talk.meter.poll_event() is None  # one judgement
    talk.second(lost=10, concealed=10)
    event = talk.meter.poll_event()
    assert isinstance(event, QualityChanged)
    assert (event.direction, event.quality.cause) == ("receiving", Cause.LOSS)
    told = []
    for _ in range(20):
        talk.second()
        told.append(talk.meter.poll_event())
    better = [event for event in told if event is not None]
    assert better[-1].quality.score > 4.5
    assert len(better) <= 2
