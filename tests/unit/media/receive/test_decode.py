from __future__ import annotations

import numpy as np
import pytest

from ringline.media.codecs.video_codec import Planes
from ringline.media.errors import CodecError
from ringline.media.frames import EncodedPicture
from ringline.media.receive.assemble import AssembledFrame
from ringline.media.receive.decode import DecodeConfig, DecodeState, VideoDecodeStage
from ringline.media.receive.references import KeptPictures
from ringline.media.rtp.vp8 import Vp8Descriptor


class Decoder:
    def decode(self, data: bytes) -> list[Planes]:
        if data == b"bad":
            raise CodecError("damaged")
        return [] if data == b"hidden" else [np.full((3, 2), data[0], np.uint8)]


def make(*, can_request: bool = True, config: DecodeConfig | None = None) -> VideoDecodeStage:
    return VideoDecodeStage("decode:1", Decoder(), can_request=can_request, config=config)


def frame(data: bytes = b"x", *, key: bool = False, continuous: bool = True) -> AssembledFrame:
    return AssembledFrame(EncodedPicture(data, key), 0, continuous or key, 0.0, 0.0)


def decode(stage: VideoDecodeStage, now: float) -> list[int]:
    shown = []
    while (job := stage.poll_job()) is not None:
        assert job.lane == "decode:1"
        job.run()
        shown += [int(planes[0, 0]) for planes in stage.handle_job(job, now)]
    return shown


def requests(stage: VideoDecodeStage, until: float, *, is_arriving: bool = False) -> list[float]:
    times = []
    while (due := stage.poll_timeout()) is not None and due <= until:
        if stage.poll_request(due, is_arriving=is_arriving) is not None:
            times.append(round(due, 3))
    return times


def test_frames_are_decoded_in_order_one_at_a_time() -> None:
    stage = make()
    for number, data in enumerate((b"\x01", b"\x02", b"\x03")):
        stage.handle_frame(frame(data, key=number == 0), 0.0)
    first = stage.poll_job()
    assert first is not None
    assert stage.poll_job() is None
    first.run()
    assert [int(planes[0, 0]) for planes in stage.handle_job(first, 0.0)] == [1]
    assert decode(stage, 0.0) == [2, 3]
    assert (stage.decoded, stage.key_frames_decoded, stage.dropped) == (3, 1, 0)
    assert stage.poll_timeout() is None


def test_a_loss_that_a_key_frame_ends_is_counted() -> None:
    stage = make()
    stage.handle_frame(frame(b"\x01", key=True), 0.0)
    stage.handle_frame(frame(b"\x02", key=True), 0.1)  # nothing was lost
    decode(stage, 0.1)
    assert stage.key_recoveries == 0
    stage.handle_frame(frame(b"\x03", continuous=False), 0.2)
    stage.handle_frame(frame(b"\x04", key=True), 0.3)
    assert stage.key_recoveries == 1


def test_without_a_first_key_frame_one_is_asked_for_until_it_comes() -> None:
    stage = make()
    stage.handle_frame(frame(), 1.0)
    assert stage.poll_job() is None
    assert requests(stage, 1.0) == [1.0]
    times = []
    for step in range(1, 60):
        now = 1.0 + step / 30
        stage.handle_packet(now)
        times += requests(stage, now)
    assert times == pytest.approx([1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8])
    stage.handle_frame(frame(key=True), 3.0)
    assert stage.state is DecodeState.WHOLE
    assert requests(stage, 9.0) == []
    assert stage.dropped == 1


def test_a_stream_that_begins_is_given_time_for_its_key_frame() -> None:
    stage = make()
    stage.handle_packet(1.0)
    assert stage.poll_timeout() == pytest.approx(1.2)
    stage.handle_packet(1.1)
    assert stage.poll_timeout() == pytest.approx(1.2)


def test_nobody_is_asked_while_a_key_frame_is_arriving() -> None:
    stage = make()
    stage.handle_packet(0.0)
    assert requests(stage, 5.0, is_arriving=True) == []
    assert stage.requests == 0


def test_while_nothing_comes_requests_are_rare_and_the_first_packet_hastens_them() -> None:
    stage = make()
    stage.handle_frame(frame(), 0.0)
    assert requests(stage, 3.5) == [0.0, 1.0, 2.0, 3.0]
    stage.handle_packet(3.6)
    assert stage.poll_timeout() == pytest.approx(3.6)


def test_requests_are_a_round_trip_apart_where_that_is_longer() -> None:
    stage = make()
    stage.handle_round_trip(0.5)
    stage.handle_frame(frame(), 0.0)
    assert requests(stage, 0.0) == [0.0]
    stage.handle_packet(0.1)
    assert stage.poll_timeout() == pytest.approx(0.5)


def test_after_a_loss_it_decodes_on_for_a_while_and_then_waits() -> None:
    stage = make()
    stage.handle_frame(frame(b"\x01", key=True), 0.0)
    stage.handle_frame(frame(b"\x02", continuous=False), 1.0)
    assert requests(stage, 1.0) == [1.0]
    stage.handle_frame(frame(b"\x03"), 1.4)
    assert decode(stage, 1.4) == [1, 2, 3]
    stage.handle_frame(frame(b"\x04"), 1.41)
    assert stage.state is DecodeState.WAITING
    assert decode(stage, 1.41) == []
    stage.handle_frame(frame(b"\x05", key=True), 1.5)
    stage.handle_frame(frame(b"\x06"), 1.6)
    assert decode(stage, 1.6) == [5, 6]
    assert (stage.damaged, stage.dropped) == (1, 1)


def test_a_gap_asks_before_the_next_frame_comes() -> None:
    stage = make()
    stage.handle_gap(0.0)
    assert stage.poll_timeout() is None  # nothing was whole yet
    stage.handle_frame(frame(key=True), 0.0)
    stage.handle_gap(1.0)
    assert requests(stage, 1.0) == [1.0]


def test_where_nobody_can_be_asked_damage_is_shown_for_good() -> None:
    stage = make(can_request=False)
    stage.handle_frame(frame(b"\x01", key=True), 0.0)
    stage.handle_frame(frame(b"\x02", continuous=False), 1.0)
    stage.handle_frame(frame(b"\x03"), 60.0)
    assert decode(stage, 60.0) == [1, 2, 3]
    assert stage.poll_timeout() is None
    assert not stage.poll_request(60.0, is_arriving=False)


def test_a_frame_that_the_decoder_refuses_asks_for_a_key_frame() -> None:
    stage = make()
    stage.handle_frame(frame(b"bad", key=True), 0.0)
    stage.handle_frame(frame(b"\x02"), 0.0)
    assert decode(stage, 0.1) == []
    assert stage.state is DecodeState.WAITING
    assert requests(stage, 0.1) == [0.1]
    assert stage.dropped == 2


def test_after_a_refusal_a_key_frame_that_waits_is_gone_on_with() -> None:
    stage = make()
    stage.handle_frame(frame(b"bad", key=True), 0.0)
    stage.handle_frame(frame(b"\x02"), 0.0)
    stage.handle_frame(frame(b"\x03", key=True), 0.0)
    assert decode(stage, 0.1) == [3]
    assert stage.state is DecodeState.WHOLE
    assert stage.poll_timeout() is None


def test_a_frame_that_is_not_to_be_shown_is_no_failure() -> None:
    stage = make()
    stage.handle_frame(frame(b"hidden", key=True), 0.0)
    assert decode(stage, 0.0) == []
    assert stage.state is DecodeState.WHOLE


def test_a_decoder_that_falls_behind_goes_on_at_the_last_key_frame() -> None:
    stage = make(config=DecodeConfig(max_queue=4))
    for number in range(5):
        stage.handle_frame(frame(bytes([number]), key=number in (0, 3)), 0.0)
    assert decode(stage, 0.0) == [3, 4]
    assert stage.dropped == 3


def test_without_one_all_are_dropped_and_one_is_asked_for() -> None:
    stage = make(config=DecodeConfig(max_queue=4))
    for number in range(5):
        stage.handle_frame(frame(bytes([number]), key=number == 0), 0.0)
    assert decode(stage, 0.0) == []
    assert requests(stage, 0.0) == [0.0]


def test_what_an_old_source_left_is_not_shown() -> None:
    stage = make()
    stage.handle_frame(frame(b"\x01", key=True), 0.0)
    job = stage.poll_job()
    assert job is not None
    stage.restart(1.0)
    job.run()
    assert stage.handle_job(job, 1.0) == []
    stage.handle_frame(frame(b"\x02", key=True), 1.1)
    assert decode(stage, 1.1) == [2]


class Selecting:
    """A stage whose decoder keeps pictures, some of them whole."""

    def __init__(self, newest: int | None = 7) -> None:
        self.kept = KeptPictures()
        self.stage = VideoDecodeStage("decode:1", Decoder(), can_request=True, kept=self.kept)
        self.stage.handle_frame(frame(key=True), 0.0)
        decode(self.stage, 0.0)
        if newest is not None:
            for number, now in ((newest - 1, 0.4), (newest, 0.9)):
                self.kept.handle_frame(Vp8Descriptor(picture_id=number), key=True, continuous=True)
                self.stage.handle_frame(frame(), now)
                decode(self.stage, now)

    def asked(self, until: float) -> list[tuple[float, int | None]]:
        asked = []
        while (due := self.stage.poll_timeout()) is not None and due <= until:
            request = self.stage.poll_request(due, is_arriving=False)
            if request is not None:
                asked.append((round(due, 3), request.picture_id))
            self.stage.handle_packet(due)
        return asked


def test_after_a_loss_a_frame_from_a_whole_picture_is_asked_for_and_then_a_key_frame() -> None:
    call = Selecting()
    call.stage.handle_gap(1.0)
    assert call.asked(1.9) == [(1.0, 7), (1.2, 7), (1.4, 7), (1.6, None), (1.8, None)]
    assert (call.stage.selections, call.stage.requests) == (3, 2)


def test_such_a_frame_ends_the_loss_as_a_key_frame_does() -> None:
    call = Selecting()
    call.stage.handle_gap(1.0)
    mending = AssembledFrame(EncodedPicture(b"x", key=False), 0, True, 1.1, 1.1, mends=True)
    call.stage.handle_frame(mending, 1.1)
    assert call.stage.state is DecodeState.WHOLE
    assert call.stage.poll_timeout() is None
    assert call.stage.kept_recoveries == 1
    assert len(decode(call.stage, 1.1)) == 1


def test_without_a_whole_picture_a_key_frame_is_asked_for() -> None:
    call = Selecting(newest=None)
    call.stage.handle_gap(1.0)
    assert call.asked(1.1) == [(1.0, None)]


def test_a_decoder_that_failed_keeps_nothing() -> None:
    call = Selecting()
    call.stage.handle_frame(frame(b"bad"), 1.0)
    decode(call.stage, 1.0)
    assert call.asked(1.1) == [(1.0, None)]


def test_in_doubt_about_a_gap_only_a_cheap_frame_is_asked_for_once_an_interval() -> None:
    call = Selecting()
    for now, asked in ((1.0, [(1.0, 7)]), (1.125, []), (1.25, [(1.25, 7)]), (1.375, [])):
        call.stage.handle_doubt(now)
        assert call.asked(now) == asked
    assert call.stage.state is DecodeState.WHOLE
    poor = Selecting(newest=None)
    poor.stage.handle_doubt(1.0)
    assert poor.asked(1.1) == []


def test_doubt_asks_for_nothing_that_the_sender_keeps_no_more() -> None:
    call = Selecting()  # pictures are kept each half second, the last one at 0.9
    call.stage.handle_round_trip(0.3)
    call.stage.handle_doubt(1.65)
    assert call.asked(2.0) == []
    call.stage.handle_doubt(1.55)
    assert call.asked(2.0) == [(1.55, 7)]


def test_doubt_ends_when_the_gap_is_filled() -> None:
    call = Selecting()
    call.stage.handle_doubt(1.0)
    call.stage.handle_frame(frame(), 1.0)
    assert call.stage.poll_timeout() is None


class MovingDecoder:
    """Each picture is brighter than the last by as much."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._level = 0

    def decode(self, data: bytes) -> list[Planes]:
        del data
        self._level = (self._level + self._step) % 256
        return [np.full((96, 64), self._level, np.uint8)]


@pytest.mark.parametrize(("step", "missing", "shown_for"), [(1, 1, 0.4), (1, 60, 0.15)])
def test_damage_is_shown_for_the_longer_the_less_is_missing(
    step: int, missing: int, shown_for: float
) -> None:
    stage = VideoDecodeStage("decode:1", MovingDecoder(step), can_request=True)
    shown = []
    for number in range(100):
        if 10 <= number < 10 + missing:
            continue
        now = number / 32
        first = number == 10 + missing
        picture = EncodedPicture(b"x", key=number == 0)
        sent = AssembledFrame(picture, number * 2_812, not first, now, now)
        stage.handle_frame(sent, now)
        if decode(stage, now) and number >= 10 + missing:
            shown.append(now)
    assert shown[-1] - shown[0] == pytest.approx(shown_for, abs=0.035)
    assert stage.state is DecodeState.WAITING
