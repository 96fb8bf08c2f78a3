from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.parameters import SessionParameters
from ringline.media.rtp.rtcp import (
    Bye,
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReferencePictureSelection,
    SenderReport,
    SourceDescription,
)
from ringline.media.rtp.rtx import unwrap_rtx
from ringline.media.rtp.vp8 import ReferenceMark, Vp8Descriptor, is_key_frame
from ringline.media.send.events import SentPictureChanged, SentPictureState
from ringline.media.send.picture_state import PictureState
from ringline.media.send.pipeline import SendConfig, SendPipeline

AUDIO, VIDEO, RTX = 0xA, 0xB, 0xC


def media(call: Any, ssrc: int, start: float = 0.0) -> list[tuple[float, Any]]:
    """Packets that left on an SSRC, copies and padding of probes left out for pictures."""
    return [(at, packet) for at, packet in call.departed if packet.ssrc == ssrc and at >= start]


def key_frames(call: Any, start: float = 0.0) -> list[float]:
    keys = []
    for at, packet in media(call, VIDEO, start):
        descriptor, length = Vp8Descriptor.parse(packet.payload)
        if descriptor.start and is_key_frame(packet.payload[length:]):
            keys.append(at)
    return keys


def test_nothing_leaves_before_the_path_is_connected(virtual_call: Any) -> None:
    call = virtual_call()
    call.run(1.0)
    assert call.departed == []
    assert call.sender_reports == []
    assert call.pipeline.poll_timeout() is None
    (encoder,) = call.codecs.video  # made already, so that the first picture need not wait for it
    assert encoder.sizes == []
    call.connect()
    assert len(call.departed) <= 3  # 60 ms of sound, not a second
    call.run(1.2)
    assert key_frames(call)


def test_sound_leaves_in_the_moment_it_is_captured(virtual_call: Any) -> None:
    call = virtual_call()
    call.connect()
    call.run(2.0)
    sound = media(call, AUDIO)
    assert len(sound) == 100
    for index, (at, packet) in enumerate(sound):
        assert at == pytest.approx(index * 0.02)
        assert packet.extensions.mid == "0"
        assert packet.extensions.audio_level == (False, 127)
        assert packet.marker == (index == 0)


def test_every_stream_is_numbered_and_stamped_without_a_gap(virtual_call: Any) -> None:
    call = virtual_call()
    call.connect()
    call.run(3.0)
    for ssrc in (AUDIO, VIDEO, RTX):
        numbers = [packet.sequence_number for _, packet in media(call, ssrc)]
        assert [(b - a) & 0xFFFF for a, b in pairwise(numbers)] == [1] * (len(numbers) - 1)
    wide = [packet.extensions.transport_sequence_number for _, packet in call.departed]
    assert wide == [number & 0xFFFF for number in range(len(wide))]
    for at, packet in call.departed:
        assert packet.extensions.absolute_send_time == int(at * (1 << 18)) & 0xFFFFFF
    steps = {
        (b.timestamp - a.timestamp) & 0xFFFFFFFF
        for (_, a), (_, b) in zip(media(call, AUDIO), media(call, AUDIO)[1:], strict=False)
    }
    assert steps == {960}


def test_packets_fit_the_size_with_everything_on(virtual_call: Any) -> None:
    call = virtual_call()
    call.connect()
    call.run(2.0)
    ids = call.session.extension_ids
    sizes = [len(packet.serialize(ids)) for _, packet in call.departed]
    assert 1_100 < max(sizes) <= 1_180


def test_reports_of_sound_and_picture_name_the_same_instant(virtual_call: Any) -> None:
    call = virtual_call()
    call.connect()
    call.run(3.0)
    assert {report.ssrc for report in call.sender_reports} == {AUDIO, VIDEO}
    assert len(call.sender_reports) >= 8
    # A receiver that applies each report gets the capture time of every frame, exactly.
    for ssrc, rate, phase in ((AUDIO, 48_000, 0.0), (VIDEO, 90_000, 0.005)):
        report = next(report for report in call.sender_reports if report.ssrc == ssrc)
        wall = report.ntp_time / (1 << 32) - 2_208_988_800 - 1_700_000_000
        for index, timestamp in enumerate(
            dict.fromkeys(packet.timestamp for _, packet in media(call, ssrc))
        ):
            behind = (timestamp - report.rtp_timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
            interval = 0.02 if ssrc == AUDIO else 1 / 30
            if ssrc == VIDEO and index > 20:
                break  # some may have been skipped
            assert wall + behind / rate == pytest.approx(phase + index * interval, abs=0.001)


def test_a_description_goes_with_each_report(
    virtual_call: Any,
) -> None:
    call = virtual_call()
    call.connect()
    call.pipeline.handle_audio_frame(AudioFrame(np.zeros(960, np.int16), 0.0), 0.0)
    assert call.pipeline.poll_packet(0.0) is not None
    assert call.pipeline.poll_timeout() == 0.0
    call.pipeline.handle_timeout(0.0)
    report, description = call.pipeline.poll_rtcp(0.0), call.pipeline.poll_rtcp(0.0)
    assert isinstance(report, SenderReport)
    assert (report.ssrc, report.packet_count) == (AUDIO, 1)
    assert description == SourceDescription(AUDIO, "desk")
    assert call.pipeline.poll_rtcp(0.0) is None


def test_a_lost_packet_is_sent_again_when_asked_for(virtual_call: Any) -> None:
    call = virtual_call()
    call.connect()
    call.run(2.0)
    _, wanted = media(call, VIDEO)[-1]
    before = len(media(call, RTX))
    call.pipeline.handle_rtcp(Nack(1, VIDEO, [wanted.sequence_number]), call.now)
    call.pipeline.handle_rtcp(Nack(1, VIDEO, [wanted.sequence_number]), call.now)
    call._drain()
    (repeat,) = [packet for _, packet in media(call, RTX)[before:]]
    original = unwrap_rtx(repeat, payload_type=96, ssrc=VIDEO)
    assert (original.sequence_number, original.payload) == (
        wanted.sequence_number,
        wanted.payload,
    )
    assert repeat.extensions.mid == "1"
    video = call.pipeline.stats(call.now).streams[1]
    assert (video.nack_count, video.nacks_refused) == (2, 1)


@pytest.mark.parametrize(
    "request_", [PictureLossIndication(1, VIDEO), FullIntraRequest(1, [VIDEO])]
)
def test_a_request_for_a_key_frame_is_answered_once(virtual_call: Any, request_: Any) -> None:
    call = virtual_call()
    call.connect()
    call.run(2.0)
    for _ in range(5):
        call.pipeline.handle_rtcp(request_, call.now)
    call.run(2.5)
    (at,) = key_frames(call, start=2.0)
    assert at < 2.1
    video = call.pipeline.stats(call.now).streams[1]
    assert video.pli_count + video.fir_count == 5
    assert video.key_frames_encoded == 2


def marks(call: Any, start: float = 0.0) -> list[tuple[float, int | None, ReferenceMark]]:
    """When each frame that is not an everyday one left, its picture number and what it is."""
    found = []
    for at, packet in media(call, VIDEO, start):
        descriptor, _ = Vp8Descriptor.parse(packet.payload)
        if descriptor.start and descriptor.reference:
            found.append((at, descriptor.picture_id, ReferenceMark(descriptor.reference)))
    return found


def test_a_receiver_that_names_a_picture_gets_a_frame_from_it(
    virtual_call: Any, session_parameters: Callable[..., SessionParameters]
) -> None:
    call = virtual_call(session=session_parameters(rpsi=True))
    call.connect()
    call.run(2.0)
    refreshes = marks(call)
    assert [mark for _, _, mark in refreshes] == [
        ReferenceMark.REFRESH_GOLDEN,
        ReferenceMark.REFRESH_ALTERNATE,
        ReferenceMark.REFRESH_GOLDEN,
    ]
    for payload_type in (97, 96, 96):  # another codec's, and twice
        request = ReferencePictureSelection(1, VIDEO, payload_type, refreshes[-1][1] or 0)
        call.pipeline.handle_rtcp(request, call.now)
    call.run(2.4)
    assert [mark for _, _, mark in marks(call, 2.0)] == [
        ReferenceMark.GOLDEN_ONLY,
        ReferenceMark.REFRESH_ALTERNATE,
    ]
    assert key_frames(call, start=1.0) == []
    assert call.pipeline.stats(call.now).streams[1].rpsi_count == 2


def test_for_a_picture_that_is_gone_it_gets_a_key_frame(
    virtual_call: Any, session_parameters: Callable[..., SessionParameters]
) -> None:
    call = virtual_call(session=session_parameters(rpsi=True))
    call.connect()
    call.run(2.0)
    gone = marks(call)[0][1] or 0
    call.pipeline.handle_rtcp(ReferencePictureSelection(1, VIDEO, 96, gone), call.now)
    call.run(2.2)
    assert len(key_frames(call, start=2.0)) == 1


def test_frames_say_nothing_of_themselves_where_that_was_not_negotiated(virtual_call: Any) -> None:
    call = virtual_call()
    call.connect()
    call.run(3.0)
    assert marks(call) == []


def test_rtcp_about_others_is_passed_over(virtual_call: Any) -> None:
    call = virtual_call()
    call.connect()
    call.run(1.0)
    for packet in (
        Nack(1, 99, [1, 2]),
        PictureLossIndication(1, 99),
        ReferencePictureSelection(1, 99, 96, 5),
        FullIntraRequest(1, [98, 99]),
        Bye([99]),
        SourceDescription(1, "lab"),
    ):
        call.pipeline.handle_rtcp(packet, call.now)
    assert call.pipeline.poll_rtcp(call.now) is None
    assert key_frames(call, start=0.5) == []


def test_a_muted_kind_sends_no_media_and_comes_back_with_a_key_frame(virtual_call: Any) -> None:
    call = virtual_call()
    call.connect()
    call.run(2.001)
    call.pipeline.set_muted("video", True, call.now)
    call.run(4.0)
    assert media(call, VIDEO, start=2.002) == []  # nor what waited in the pacer
    assert media(call, AUDIO, start=2.002)
    call.pipeline.set_muted("video", False, call.now)
    call.pipeline.set_muted("audio", True, call.now)
    call.run(5.0)
    assert key_frames(call, start=4.0)[0] < 4.1
    assert media(call, AUDIO, start=4.0) == []


def test_a_lost_path_drops_video_and_a_new_one_starts_with_a_key_frame(
    virtual_call: Any,
) -> None:
    call = virtual_call()
    call.connect()
    call.run(3.0)
    rate = call.pipeline.target_bitrate
    call.pipeline.set_connected(False, call.now)
    call.run(6.0)
    assert [at for at, _ in call.departed if at > 3.0] == []
    call.connect()
    call.run(6.5)
    assert key_frames(call, start=3.0)[0] < 6.1
    assert call.pipeline.target_bitrate >= min(rate / 2, 1e6)


def test_the_picture_pauses_with_a_reason_and_resumes(virtual_call: Any) -> None:
    call = virtual_call(up="rate=45,delay=30;20:rate=500")
    call.connect()
    call.run(20.0)
    states = [event for event in call.events if isinstance(event, SentPictureState)]
    assert states[-1].state is PictureState.PAUSED
    assert states[-1].reason == "bandwidth"
    assert media(call, AUDIO, start=19.0)
    call.run(40.0)
    states = [event for event in call.events if isinstance(event, SentPictureState)]
    assert states[-1].state < PictureState.PAUSED
    assert media(call, VIDEO, start=38.0)


def test_a_new_size_is_announced(virtual_call: Any) -> None:
    call = virtual_call(up="rate=120,delay=30")
    call.connect()
    call.run(20.0)
    sizes = [(e.width, e.height) for e in call.events if isinstance(e, SentPictureChanged)]
    assert sizes[0] == (640, 360)
    assert sizes[-1] in ((480, 270), (320, 180))


def test_stats_add_up(virtual_call: Any) -> None:
    call = virtual_call(up="rate=2000,delay=40,loss=3")
    call.connect()
    call.run(5.0)
    stats = call.pipeline.stats(call.now)
    audio, video = stats.streams
    assert stats.packets_sent == len(call.departed)
    assert audio.packets_sent + video.packets_sent == stats.packets_sent
    assert video.retransmitted_packets_sent == len(media(call, RTX))
    assert video.retransmitted_packets_sent > 0
    total = sum(stream.bytes_sent + stream.header_bytes_sent for stream in stats.streams)
    assert stats.bytes_on_wire == total + 38 * stats.packets_sent
    assert stats.round_trip == pytest.approx(0.02, abs=0.005)  # reports skip the way up here
    assert 0.01 < stats.loss < 0.08
    assert video.frames_encoded + sum(video.frames_skipped.values()) == 150
    assert (video.frame_width, video.frame_height) == (640, 360)


def test_a_stream_to_send_needs_an_ssrc(
    session_parameters: Callable[..., SessionParameters], fake_codecs: Any
) -> None:
    parameters = session_parameters()
    nameless = replace(parameters, send=(replace(parameters.send[0], ssrc=None),))
    with pytest.raises(ValueError, match="SSRC"):
        SendPipeline(
            nameless,
            SendConfig(),
            codecs=fake_codecs,
            rng=random.Random(1),
            wall_clock=lambda: 0.0,
            now=0.0,
        )


def test_the_same_seed_sends_the_same_bytes(virtual_call: Any) -> None:
    first, second = (virtual_call(up="rate=1000,delay=40,loss=5", seed=4) for _ in range(2))
    for call in (first, second):
        call.connect()
        call.run(3.0)
    assert first.departed == second.departed


def test_a_frame_without_a_capture_time_is_of_now(virtual_call: Any) -> None:
    call = virtual_call()
    call.connect()
    planes = np.zeros((540, 640), np.uint8)
    call.pipeline.handle_video_frame(VideoFrame(planes), 0.0)
    assert call.pipeline.poll_job() is not None
