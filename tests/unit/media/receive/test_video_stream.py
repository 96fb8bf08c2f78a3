from __future__ import annotations

import numpy as np
import pytest

from ringline.media.codecs.video_codec import Planes
from ringline.media.receive.assemble import AssembleConfig
from ringline.media.receive.decode import DecodeConfig
from ringline.media.receive.render import RenderConfig
from ringline.media.receive.video_stream import VideoStream
from ringline.media.rtp.vp8 import Vp8Descriptor


class Decoder:
    def decode(self, data: bytes) -> list[Planes]:
        return [np.full((6, 4), data[1], np.uint8)]


def make() -> VideoStream:
    return VideoStream(
        "1",
        Decoder(),
        can_request=True,
        assemble=AssembleConfig(),
        decode=DecodeConfig(),
        render=RenderConfig(),
        deadline=0.3,
    )


def feed(stream: VideoStream, sequence: int, number: int, now: float, *, key: bool = False) -> None:
    head = Vp8Descriptor(start=True, picture_id=number)
    payload = head.serialize() + bytes([not key, number])
    stream.handle_packet(sequence, number * 3_000, payload, now, marker=True, retransmitted=False)


def show(stream: VideoStream, now: float) -> int | None:
    while (job := stream.poll_job()) is not None:
        job.run()
        stream.handle_job(job, now)
    rendered = stream.poll_frame(now, lambda media_time: media_time / 90_000)
    if rendered is None:
        return None
    assert rendered.frame.captured_at == pytest.approx(rendered.media_time / 90_000)
    return int(rendered.frame.planes[0, 0])


def test_a_packet_becomes_a_picture_with_its_time_of_capture() -> None:
    stream = make()
    feed(stream, 1, 0, 0.02, key=True)
    assert show(stream, 0.02) == 0
    assert show(stream, 0.03) is None
    stats = stream.stats(0.03)
    assert (stats.frames_received, stats.frames_decoded, stats.frames_rendered) == (1, 1, 1)
    assert (stats.frame_width, stats.frame_height) == (4, 4)


def test_a_gap_is_waited_for_and_then_a_key_frame_is_asked_for() -> None:
    stream = make()
    feed(stream, 1, 0, 0.0, key=True)
    show(stream, 0.0)
    feed(stream, 3, 2, 0.066)
    assert not stream.poll_repair_request(0.066)
    due = stream.poll_timeout(can_ask=True)
    assert due == pytest.approx(0.366)
    stream.handle_timeout(0.366)
    assert stream.poll_repair_request(0.366)
    assert show(stream, 0.366) == 2
    stats = stream.stats(0.4)
    assert (stats.frames_skipped, stats.frames_damaged, stats.pli_count) == (1, 1, 1)


def test_while_nobody_can_be_asked_no_timer_runs_for_it() -> None:
    stream = make()
    feed(stream, 1, 0, 0.0)
    assert stream.poll_timeout(can_ask=True) is not None
    assert stream.poll_timeout(can_ask=False) is None


def test_the_rate_is_that_of_the_last_second() -> None:
    stream = make()
    for number in range(60):
        now = number / 30
        feed(stream, number, number, now, key=number == 0)
        assert show(stream, now) == number
    assert stream.stats(59 / 30).frames_per_second == pytest.approx(30, abs=1)
    assert stream.stats(10.0).frames_per_second == 0
    assert stream.stats(10.0).freeze_count == 1


def test_another_source_begins_with_its_own_key_frame() -> None:
    stream = make()
    feed(stream, 1, 100, 0.0, key=True)
    show(stream, 0.0)
    stream.restart(1.0)
    feed(stream, 50_000, 3, 1.0)
    assert show(stream, 1.0) is None
    feed(stream, 50_001, 4, 1.03, key=True)
    assert show(stream, 1.03) == 4
