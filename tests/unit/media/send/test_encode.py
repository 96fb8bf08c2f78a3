from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ringline.media.frames import VideoFrame
from ringline.media.send.encode import EncodeConfig, PauseReason, SkipReason, VideoEncode
from ringline.media.send.encode_job import VideoEncodeJob


def frame(now: float, *, width: int = 640, height: int = 360) -> VideoFrame:
    return VideoFrame(np.zeros((height * 3 // 2, width), np.uint8), now)


class Camera:
    """Feeds a stage 30 pictures a second; runs its jobs in place."""

    def __init__(self, codecs: Any, *, bitrate: int = 1_000_000) -> None:
        self.stage = VideoEncode(EncodeConfig(), codecs=codecs, mid="1", now=0.0)
        self.stage.set_bitrate(bitrate, bitrate, 0.0)
        self.now = 0.0
        self.keys: list[float] = []
        self.frames = 0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 30)):
            job = self.stage.handle_frame(frame(self.now), self.now, queue_seconds=0.0)
            if job is not None:
                job.run()
                picture = self.stage.handle_job(job, self.now)
                if picture is not None:
                    self.frames += 1
                    if picture.key:
                        self.keys.append(round(self.now, 3))
            self.now += 1 / 30


def skipped(stage: VideoEncode) -> dict[SkipReason, int]:
    return {reason: count for reason, count in stage.skipped.items() if count}


def test_the_first_picture_is_a_key_frame_and_no_other(fake_codecs: Any) -> None:
    camera = Camera(fake_codecs)
    camera.run(5)
    assert camera.keys == [0.0]
    assert camera.frames == 150
    assert skipped(camera.stage) == {}


def test_a_requested_key_frame_comes_with_the_next_picture(fake_codecs: Any) -> None:
    camera = Camera(fake_codecs)
    camera.run(1)
    assert camera.stage.handle_key_frame_request(0.05, camera.now)
    camera.run(1)
    assert camera.keys == [0.0, 1.0]


@pytest.mark.parametrize(("round_trip", "interval"), [(0.05, 0.2), (0.5, 0.5)])
def test_requests_within_a_round_trip_of_a_key_frame_are_old(
    fake_codecs: Any, round_trip: float, interval: float
) -> None:
    camera = Camera(fake_codecs)
    camera.run(1 / 30)
    assert not camera.stage.handle_key_frame_request(round_trip, interval - 0.01)
    camera.run(interval)
    assert camera.keys == [0.0]
    assert camera.stage.handle_key_frame_request(round_trip, interval + 0.01)
    assert not camera.stage.handle_key_frame_request(round_trip, interval + 0.01)  # is coming


def test_a_new_path_gets_its_key_frame_whatever_came_before(fake_codecs: Any) -> None:
    camera = Camera(fake_codecs)
    camera.run(1 / 30)
    camera.stage.request_key_frame()
    camera.run(1 / 30)
    assert camera.keys == [0.0, 0.033]


def test_one_picture_at_a_time_is_with_the_encoder(fake_codecs: Any) -> None:
    camera = Camera(fake_codecs)
    job = camera.stage.handle_frame(frame(0.0), 0.0, queue_seconds=0.0)
    assert job is not None
    assert job.lane == "encode 1"
    assert camera.stage.handle_frame(frame(0.033), 0.033, queue_seconds=0.0) is None
    assert skipped(camera.stage) == {SkipReason.BUSY: 1}
    job.run()
    assert camera.stage.handle_job(job, 0.04) is not None
    assert camera.stage.handle_job(job, 0.04) is None  # twice the same


def test_a_picture_is_skipped_while_packets_wait(fake_codecs: Any) -> None:
    camera = Camera(fake_codecs)
    assert camera.stage.handle_frame(frame(0.0), 0.0, queue_seconds=0.11) is None
    assert skipped(camera.stage) == {SkipReason.QUEUE: 1}


def test_pictures_are_skipped_while_the_encoder_is_ahead_of_its_rate(fake_codecs: Any) -> None:
    camera = Camera(fake_codecs)
    camera.run(1)
    camera.stage.set_bitrate(100_000, 200_000, camera.now)
    fake_codecs.video[0].set_bitrate = lambda _: None  # does not follow
    before = camera.frames
    camera.run(3)
    assert camera.stage.skipped[SkipReason.AHEAD] > 60
    assert camera.frames > before  # but never all of them


def test_a_fresh_start_is_a_key_frame_of_the_size_to_come(fake_codecs: Any) -> None:
    """While a queue is emptied there is hardly any rate; what will be counts."""
    camera = Camera(fake_codecs, bitrate=300_000)
    camera.run(2)
    camera.stage.set_bitrate(0, 100_000, camera.now, settled=90_000)
    camera.stage.restart()
    camera.run(1 / 30)
    assert camera.keys == [0.0, 2.0]
    assert camera.stage.size == (480, 270)
    assert fake_codecs.video[0].bitrate == 45_000


def test_a_failed_encoder_is_asked_for_a_key_frame_next(fake_codecs: Any) -> None:
    camera = Camera(fake_codecs)
    camera.run(1 / 30)
    fake_codecs.video[0].fails = True
    camera.run(1 / 30)
    fake_codecs.video[0].fails = False
    camera.run(1 / 30)
    assert camera.keys == [0.0, 0.067]
    assert skipped(camera.stage) == {SkipReason.FAILED: 1}


def test_a_rate_too_low_for_the_size_scales_the_picture_down(fake_codecs: Any) -> None:
    camera = Camera(fake_codecs)
    camera.run(1)
    camera.stage.set_bitrate(40_000, 100_000, camera.now)
    camera.run(16)
    assert camera.stage.size == (320, 180)
    assert fake_codecs.video[0].sizes[0] == (640, 360)
    assert fake_codecs.video[0].sizes[-1] == (320, 180)
    assert camera.stage.limitation == "bandwidth"
    assert camera.stage.frame_rate == 10.0
    assert len(fake_codecs.video) == 1


def test_too_little_for_any_picture_pauses_and_enough_resumes(fake_codecs: Any) -> None:
    stage = Camera(fake_codecs).stage
    stage.set_bitrate(5_000, 49_000, 0.0)
    stage.set_bitrate(5_000, 49_000, 0.9)
    assert stage.paused is None
    stage.set_bitrate(5_000, 49_000, 1.0)
    assert stage.paused is PauseReason.BANDWIDTH
    assert stage.handle_frame(frame(1.0), 1.0, queue_seconds=0.0) is None
    for now, target in ((2.0, 69_000), (3.0, 71_000), (5.9, 71_000)):
        stage.set_bitrate(20_000, target, now)
        assert stage.paused is PauseReason.BANDWIDTH
    stage.set_bitrate(20_000, 71_000, 6.0)
    assert stage.paused is None
    job = stage.handle_frame(frame(6.0), 6.0, queue_seconds=0.0)
    assert job is not None
    assert job.force_key


def told_durations(fake_codecs: Any, offered: list[float], taken: set[int]) -> list[int]:
    """Offer pictures at given times, let only some through, return what the encoder is told."""
    stage = Camera(fake_codecs).stage
    told: list[int] = []
    for index, now in enumerate(offered):
        job = stage.handle_frame(frame(now), now, queue_seconds=0.0 if index in taken else 9.0)
        if isinstance(job, VideoEncodeJob):
            told.append(job.duration)
            job.run()
            stage.handle_job(job, now)
    return told


def test_skipped_pictures_do_not_make_the_encoder_splurge(fake_codecs: Any) -> None:
    offered = [index / 30 for index in range(31)]
    told = told_durations(fake_codecs, offered, {0, 10, 20, 30})
    assert told == [3_000, 3_000, 3_000, 3_000]  # not a third of a second each


def test_the_encoder_follows_a_slow_camera(fake_codecs: Any) -> None:
    offered = [index / 10 for index in range(10)]
    told = told_durations(fake_codecs, offered, set(range(10)))
    assert told[0] == 3_000  # nothing known yet
    assert told[1:] == [9_000] * 9


def test_a_pause_is_no_slow_camera(fake_codecs: Any) -> None:
    told = told_durations(fake_codecs, [0.0, 1 / 30, 5.0, 5.0 + 1 / 30], {0, 1, 2, 3})
    assert told == [3_000] * 4


class Lane:
    """A camera of 30 pictures a second, and an encoder that takes its time for each."""

    def __init__(self, codecs: Any, seconds: Callable[[VideoEncodeJob], float]) -> None:
        self.stage = VideoEncode(EncodeConfig(), codecs=codecs, mid="1", now=0.0)
        self.stage.set_bitrate(2_000_000, 2_000_000, 0.0)
        self.seconds = seconds
        self.now = 0.0
        self.encoded: list[tuple[int, int]] = []
        self.speeds: list[int | None] = []
        self.keys: list[bool] = []
        self._out: tuple[float, VideoEncodeJob] | None = None

    def run(self, seconds: float) -> int:
        before = len(self.encoded)
        for _ in range(round(seconds * 30)):
            if self._out is not None and self._out[0] <= self.now:
                ends_at, job = self._out
                self._out = None
                job.run()
                self.stage.handle_job(job, ends_at)
                self.encoded.append(job.size)
                self.speeds.append(job.cpu_used)
                self.keys.append(job.force_key)
            job_or_none = self.stage.handle_frame(frame(self.now), self.now, queue_seconds=0.0)
            if job_or_none is not None:
                self._out = self.now + self.seconds(job_or_none), job_or_none
            self.now += 1 / 30
        return len(self.encoded) - before


def limitation(lane: Lane) -> str:
    return lane.stage.limitation


def test_an_encoder_that_is_fast_enough_keeps_the_whole_picture(fake_codecs: Any) -> None:
    lane = Lane(fake_codecs, lambda _: 0.02)
    assert lane.run(20.0) >= 598
    assert set(lane.encoded) == {(640, 360)}
    assert set(lane.speeds) == {-6}
    assert limitation(lane) == "none"


def test_a_slow_encoder_hurries_then_makes_fewer_then_smaller_pictures(fake_codecs: Any) -> None:
    faster = {-6: 1.0, -8: 0.7, -12: 0.63}

    def lasting(whole: float) -> Callable[[VideoEncodeJob], float]:
        def seconds(job: VideoEncodeJob) -> float:
            assert job.cpu_used is not None
            return whole * faster[job.cpu_used] * (job.size[0] / 640) ** 2

        return seconds

    lane = Lane(fake_codecs, lasting(0.030))  # 0.9 of the time between two pictures
    lane.run(5.0)
    assert lane.stage.cpu.limits.cpu_used == -8
    assert lane.run(5.0) >= 149  # all of them
    assert limitation(lane) == "none"
    lane.seconds = lasting(0.07)
    lane.run(5.0)
    assert lane.encoded[-1] == (640, 360)
    assert 70 <= lane.run(5.0) <= 105
    assert limitation(lane) == "cpu"
    lane.seconds = lasting(0.4)
    lane.run(5.0)
    assert lane.encoded[-1][0] <= 320
    assert lane.run(5.0) >= 49  # still a moving picture
    lane.seconds = lasting(0.005)
    lane.run(30.0)
    assert lane.encoded[-1] == (640, 360)
    assert lane.run(5.0) >= 149
    assert limitation(lane) == "none"
    assert lane.stage.cpu.limits.cpu_used == -6


def test_an_encoder_too_slow_for_any_picture_is_left_alone_for_a_while(fake_codecs: Any) -> None:
    lane = Lane(fake_codecs, lambda _: 0.2)
    lane.run(12.0)
    assert lane.stage.paused is PauseReason.CPU
    assert limitation(lane) == "cpu"
    seen = len(lane.encoded)
    lane.seconds = lambda _: 0.004
    assert lane.run(1.0) == 0
    assert skipped(lane.stage).keys() >= {SkipReason.PAUSED}
    lane.run(40.0)
    assert lane.stage.paused is None
    assert lane.keys[seen]  # the first one after the pause
    assert lane.encoded[-1] == (640, 360)
    assert limitation(lane) == "none"


def test_bandwidth_is_named_where_it_is_narrower_than_the_computer(fake_codecs: Any) -> None:
    lane = Lane(fake_codecs, lambda _: 0.06)
    lane.run(5.0)
    assert limitation(lane) == "cpu"
    lane.stage.set_bitrate(60_000, 100_000, lane.now)
    lane.run(10.0)
    assert lane.encoded[-1][0] < 640
    assert limitation(lane) == "bandwidth"


@pytest.mark.parametrize(
    ("width", "height", "told"),
    [(640, 360, 1_728_000), (320, 240, 576_000), (160, 90, 300_000)],
)
def test_no_more_is_spent_on_a_picture_than_anybody_sees(
    fake_codecs: Any, width: int, height: int, told: int
) -> None:
    stage = VideoEncode(EncodeConfig(), codecs=fake_codecs, mid="1", now=0.0)
    stage.set_bitrate(2_400_000, 2_500_000, 0.0)
    rates = []
    for index in range(30):
        now = index / 30
        job = stage.handle_frame(frame(now, width=width, height=height), now, queue_seconds=0.0)
        assert job is not None
        job.run()
        stage.handle_job(job, now)
        rates.append(job.bitrate)
    assert rates[-1] == pytest.approx(told, rel=0.001)


def test_padding_is_made_up_for_by_pictures_but_not_by_two_in_a_row(fake_codecs: Any) -> None:
    camera = Camera(fake_codecs)
    camera.run(1)
    camera.stage.handle_padding(4 * 1_000_000 // 30)  # four pictures' worth
    assert camera.frames == 30
    camera.run(8 / 30)
    assert camera.stage.skipped[SkipReason.OWED] == 4
    assert camera.frames == 34
    camera.run(1)
    assert camera.stage.skipped[SkipReason.OWED] == 4
    camera.stage.handle_padding(10**9)
    camera.run(2)
    assert camera.stage.skipped[SkipReason.OWED] == 4 + 9  # 0.3 s at its rate and no more


def test_where_pictures_are_few_none_is_given_up(fake_codecs: Any) -> None:
    camera = Camera(fake_codecs, bitrate=60_000)
    camera.run(1)
    assert camera.stage.frame_rate < 20
    camera.stage.handle_padding(100_000)
    camera.run(1)
    assert camera.stage.skipped[SkipReason.OWED] == 0
