"""The receiving road as a whole, in virtual time.

``FakeDecoders`` stand in for Opus and VP8 as inputs to the pipeline: a packet of sound is its own
number, a picture its own, and both say what they were given.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from ringline.media.codecs import CodecRegistry, OpusConfig, Vp8Config
from ringline.media.errors import CodecError
from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.parameters import SessionParameters, StreamParameters
from ringline.media.receive.pipeline import ReceivePipeline, StreamStarted
from ringline.media.receive.stats import AudioReceiveStats, VideoReceiveStats
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rtcp import (
    Nack,
    PictureLossIndication,
    ReceiverReport,
    RtcpPacket,
    SenderReport,
    TransportFeedback,
)
from ringline.media.rtp.rtx import wrap_rtx
from ringline.media.rtp.vp8 import Vp8Descriptor
from ringline.media.units import PayloadType, Ssrc

AUDIO_SSRC, VIDEO_SSRC, RTX_SSRC = 11, 22, 33
IDS = ExtensionIds(mid=1, absolute_send_time=2, transport_sequence_number=3)
PARAMETERS = SessionParameters(
    cname="test",
    local_ssrc=Ssrc(99),
    extension_ids=IDS,
    receive=(
        StreamParameters(
            kind="audio",
            mid="0",
            payload_type=PayloadType(111),
            ssrc=Ssrc(AUDIO_SSRC),
            transport_cc=True,
            in_band_fec=True,
        ),
        StreamParameters(
            kind="video",
            mid="1",
            payload_type=PayloadType(96),
            ssrc=Ssrc(VIDEO_SSRC),
            rtx_payload_type=PayloadType(97),
            rtx_ssrc=Ssrc(RTX_SSRC),
            nack=True,
            pli=True,
            transport_cc=True,
        ),
    ),
)


class FakeOpus:
    """A packet is one byte that says CELT, then a number; its sound is that number throughout."""

    def decode(self, packet: bytes) -> NDArray[np.int16]:
        return np.full(960, int.from_bytes(packet[1:3], "big"), np.int16)

    def decode_redundancy(self, next_packet: bytes, samples: int = 960) -> NDArray[np.int16] | None:
        del next_packet, samples
        return None

    def conceal(self, samples: int = 960) -> NDArray[np.int16]:
        return np.full(samples, -1, np.int16)


class FakeVp8:
    """A frame is a key bit, then its number; its picture has that number for luma."""

    def __init__(self) -> None:
        self.has_key = False

    def decode(self, data: bytes) -> list[NDArray[np.uint8]]:
        self.has_key |= not data[0] & 1
        if not self.has_key:
            raise CodecError("no key frame yet")
        return [np.full((24, 16), data[1], np.uint8)]


class FakeDecoders:
    def audio_decoder(self, name: str) -> FakeOpus:
        assert name == "opus"
        return FakeOpus()

    def video_decoder(self, name: str) -> FakeVp8:
        assert name == "VP8"
        return FakeVp8()


@dataclass
class Sender:
    """Makes the packets of one voice and one camera; answers NACK and PLI."""

    picture: Callable[[bool], bytes] | None = None
    voice: Callable[[], bytes] | None = None
    packets_per_frame: int = 3
    history: dict[int, RtpPacket] = field(default_factory=dict)
    transport: int = 65_500
    audio_sequence: int = 65_530
    video_sequence: int = 65_000
    rtx_sequence: int = 7
    frames: int = 0
    voices: int = 0
    wants_key: bool = True
    key_frames: int = 0
    has_rtx: bool = True

    def stamp(self, packet: RtpPacket) -> bytes:
        """Number a packet as it leaves."""
        self.transport += 1
        packet.extensions = HeaderExtensions(transport_sequence_number=self.transport & 0xFFFF)
        return packet.serialize(IDS)

    def audio(self) -> RtpPacket:
        payload = self.voice() if self.voice else b"\xf8" + (1000 + self.voices).to_bytes(2, "big")
        packet = RtpPacket(
            111, self.audio_sequence & 0xFFFF, self.voices * 960, AUDIO_SSRC, payload=payload
        )
        self.audio_sequence += 1
        self.voices += 1
        return packet

    def video(self) -> list[RtpPacket]:
        key, self.wants_key = self.wants_key, False
        self.key_frames += key
        if self.picture:
            data = self.picture(key)
        else:
            data = bytes([0 if key else 1, self.frames & 0xFF]) + bytes(20)
        count = max(self.packets_per_frame, -(-len(data) // 1100))
        size = -(-len(data) // count)
        out = []
        for index in range(count):
            head = Vp8Descriptor(start=index == 0, picture_id=self.frames & 0x7FFF)
            packet = RtpPacket(
                96,
                self.video_sequence & 0xFFFF,
                self.frames * 3000,
                VIDEO_SSRC,
                marker=index == count - 1,
                payload=head.serialize() + data[index * size : (index + 1) * size],
            )
            self.history[self.video_sequence & 0xFFFF] = packet
            self.video_sequence += 1
            out.append(packet)
        self.frames += 1
        return out

    def handle_rtcp(self, packet: RtcpPacket) -> list[RtpPacket]:
        if isinstance(packet, PictureLossIndication):
            self.wants_key = True
        out = []
        if isinstance(packet, Nack) and self.has_rtx:
            for number in packet.sequence_numbers:
                original = self.history.get(number)
                if original is not None:
                    self.rtx_sequence += 1
                    again = wrap_rtx(
                        original,
                        payload_type=97,
                        sequence_number=self.rtx_sequence,
                        ssrc=RTX_SSRC,
                    )
                    out.append(again)
        return out


class Call:
    """One sender, one path, one pipeline, one clock."""

    def __init__(
        self,
        pipeline: ReceivePipeline,
        sender: Sender,
        *,
        one_way: float = 0.02,
        lost: Callable[[bytes, float], bool] = lambda _data, _now: False,
        jitter: Callable[[], float] = lambda: 0.0,
        keeps_order: bool = False,
        has_video: bool = True,
    ) -> None:
        self.pipeline = pipeline
        self.sender = sender
        self.one_way = one_way
        self.lost = lost
        self.jitter = jitter
        self.keeps_order = keeps_order
        self.is_deaf = False
        self.last_arrival = 0.0
        self.now = 0.0
        self.order = 0
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.sound: list[tuple[float, AudioFrame]] = []
        self.pictures: list[tuple[float, VideoFrame]] = []
        self.rtcp: list[tuple[float, RtcpPacket]] = []
        self.at(0.0, self.speak)
        if has_video:
            self.at(0.003, self.film)

    def at(self, when: float, what: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.queue, (when, self.order, what))

    def transmit(self, packet: RtpPacket) -> None:
        data = self.sender.stamp(packet)
        if not self.lost(data, self.now):
            when = self.now + self.one_way + self.jitter()
            if self.keeps_order:
                when = self.last_arrival = max(when, self.last_arrival)
            self.at(when, lambda: self.pipeline.handle_packet(data, self.now))

    def speak(self) -> None:
        self.at(self.now + 0.02, self.speak)
        self.transmit(self.sender.audio())

    def film(self) -> None:
        self.at(self.now + 1 / 30, self.film)
        for index, packet in enumerate(self.sender.video()):

            def leave(packet: RtpPacket = packet) -> None:
                self.transmit(packet)

            self.at(self.now + index * 0.001, leave)  # paced

    def answer(self, packet: RtcpPacket) -> None:
        if self.is_deaf:
            return
        for again in self.sender.handle_rtcp(packet):
            self.transmit(again)

    def drain(self) -> None:
        pipeline = self.pipeline
        while (job := pipeline.poll_job()) is not None:
            job.run()
            pipeline.handle_job(job, self.now)
        while (packet := pipeline.poll_rtcp(self.now)) is not None:
            self.rtcp.append((self.now, packet))

            def deliver(packet: RtcpPacket = packet) -> None:
                self.answer(packet)

            self.at(self.now + self.one_way, deliver)
        while (sound := pipeline.poll_audio()) is not None:
            self.sound.append((self.now, sound))
        while (picture := pipeline.poll_video()) is not None:
            self.pictures.append((self.now, picture))

    def run(self, until: float) -> None:
        while True:
            timer = self.pipeline.poll_timeout()
            when = self.queue[0][0] if self.queue else until
            if timer is not None and timer <= when:
                if timer > until:
                    break
                assert timer > self.now - 1.0
                self.now = max(self.now, timer)
                self.pipeline.handle_timeout(self.now)
            elif when <= until and self.queue:
                self.now = max(self.now, when)
                heapq.heappop(self.queue)[2]()
            else:
                break
            self.drain()
        self.now = until

    def asked(self, kind: type) -> list[float]:
        return [when for when, packet in self.rtcp if isinstance(packet, kind)]

    @property
    def audio_stats(self) -> AudioReceiveStats:
        stats = self.pipeline.stats(self.now).audio
        assert stats is not None
        return stats

    @property
    def video_stats(self) -> VideoReceiveStats:
        stats = self.pipeline.stats(self.now).video
        assert stats is not None
        return stats


def make_pipeline() -> ReceivePipeline:
    return ReceivePipeline(PARAMETERS, codecs=FakeDecoders(), now=0.0)


def ssrc_of(data: bytes) -> int:
    return int.from_bytes(data[8:12], "big")


def intervals(times: list[float]) -> Iterator[float]:
    return (later - earlier for earlier, later in itertools.pairwise(times))


def lose(ssrc: int, *indices: int) -> Callable[[bytes, float], bool]:
    """Lose the packets of one source that have these places in its order of sending."""
    seen = 0

    def lost(data: bytes, _now: float) -> bool:
        nonlocal seen
        if ssrc_of(data) != ssrc:
            return False
        seen += 1
        return seen - 1 in indices

    return lost


def test_nothing_is_played_before_the_first_packet() -> None:
    pipeline = make_pipeline()
    pipeline.handle_timeout(5.0)
    assert pipeline.poll_audio() is None
    assert pipeline.poll_video() is None
    assert pipeline.poll_rtcp(5.0) is None
    assert pipeline.poll_timeout() is None


def test_a_clean_link_gives_every_frame_of_sound_each_20_ms_within_40_ms() -> None:
    call = Call(make_pipeline(), Sender())
    call.run(5.0)
    times = [when for when, _ in call.sound]
    assert all(abs(gap - 0.02) < 1e-6 for gap in intervals(times))
    heard = [int(frame.samples[-1]) for _, frame in call.sound]
    assert heard[:3] == [1000, 1001, 1002]
    # On a clean link the delay may shrink by a frame, once; nothing is made up.
    assert len([1 for a, b in itertools.pairwise(heard) if b != a + 1]) <= 1
    assert call.audio_stats.concealed_samples == 0
    last_at, last = call.sound[-1]
    waited = last_at - ((int(last.samples[-1]) - 1000) * 0.02 + call.one_way)
    assert waited <= 0.0401


def test_a_clean_link_shows_each_picture_at_once() -> None:
    call = Call(make_pipeline(), Sender())
    call.run(3.0)
    shown = [int(frame.planes[0, 0]) for _, frame in call.pictures]
    assert shown == list(range(len(shown)))
    assert len(shown) >= 89
    for number, (when, _) in enumerate(call.pictures):
        sent = 0.003 + number / 30 + 0.002  # the last of three packets
        assert when - sent == pytest.approx(call.one_way, abs=1e-6)
    assert call.asked(PictureLossIndication) == []
    assert call.asked(Nack) == []
    stats = call.video_stats
    assert (stats.frames_decoded, stats.key_frames_decoded, stats.freeze_count) == (90, 1, 0)
    assert stats.frames_per_second == 30
    assert (stats.frame_width, stats.frame_height) == (16, 16)


def test_one_lost_packet_of_sound_is_concealed_without_silence() -> None:
    call = Call(make_pipeline(), Sender(), lost=lose(AUDIO_SSRC, 50))
    call.run(3.0)
    made_up = [frame for _, frame in call.sound if frame.concealed]
    assert len(made_up) == 1
    assert made_up[0].concealed == 960
    assert made_up[0].samples.any()
    assert call.audio_stats.concealed_samples == 960
    assert call.audio_stats.packets_lost == 1
    times = [when for when, _ in call.sound]
    assert all(abs(gap - 0.02) < 1e-6 for gap in intervals(times))


def test_a_lost_packet_of_a_picture_is_repaired_within_a_round_trip() -> None:
    call = Call(make_pipeline(), Sender(), lost=lose(VIDEO_SSRC, 61))
    call.pipeline.handle_round_trip(0.04, 0.0)
    call.run(3.0)
    shown = [int(frame.planes[0, 0]) for _, frame in call.pictures]
    assert shown == list(range(90))
    assert len(call.asked(Nack)) == 1
    assert call.asked(PictureLossIndication) == []
    assert max(intervals([when for when, _ in call.pictures])) < 0.1
    stats = call.video_stats
    assert stats.retransmitted_packets_received == stats.repairs.retransmission == 1
    assert stats.retransmitted_bytes_received > 0
    assert stats.nack_count == 1


def test_a_lost_tail_is_noticed_by_sound_that_passes_it() -> None:
    lost = lose(VIDEO_SSRC, 62)  # the last packet of a frame: nothing of the frame follows
    call = Call(make_pipeline(), Sender(), lost=lost)
    call.pipeline.handle_round_trip(0.04, 0.0)
    call.run(2.0)
    (asked_at,) = call.asked(Nack)[:1]
    sent_at = 0.003 + 20 / 30 + 0.002
    assert asked_at - (sent_at + call.one_way) < 0.02  # not 33 ms, when the next picture comes


def test_a_picture_moves_again_when_request_and_repair_are_lost() -> None:
    sender = Sender(has_rtx=False)  # no request is ever answered
    call = Call(make_pipeline(), sender, lost=lose(VIDEO_SSRC, 61))
    call.pipeline.handle_round_trip(0.04, 0.0)
    call.run(3.0)
    gap = max(intervals([when for when, _ in call.pictures]))
    assert gap < 0.3 + 0.04 + 0.04  # the deadline, a round trip, a frame
    assert len(call.asked(PictureLossIndication)) >= 1
    assert sender.key_frames == 2
    assert call.video_stats.freeze_count == 1
    assert call.pictures[-1][0] > 2.95


def test_requests_for_a_key_frame_go_on_until_one_comes() -> None:
    def lost(data: bytes, now: float) -> bool:
        return ssrc_of(data) == VIDEO_SSRC and now < 0.01  # the first frame, which is key

    sender = Sender(has_rtx=False)
    call = Call(make_pipeline(), sender, lost=lost)
    call.is_deaf = True  # the way back is dead
    call.pipeline.handle_round_trip(0.04, 0.0)
    call.run(2.0)
    asked = call.asked(PictureLossIndication)
    assert len(asked) >= 8
    assert all(0.199 <= gap < 0.25 for gap in intervals(asked))
    assert call.pictures == []
    sender.wants_key = True
    call.run(3.0)
    assert call.pictures[0][0] < 2.1
    assert call.pictures[-1][0] > 2.95


def test_after_an_outage_the_picture_moves_within_300_ms() -> None:
    def lost(_data: bytes, now: float) -> bool:
        return 2.0 <= now < 5.0

    call = Call(make_pipeline(), Sender(), lost=lost)
    call.pipeline.handle_round_trip(0.04, 0.0)
    call.run(8.0)
    moving = [when for when, _ in call.pictures if when > 5.0]
    assert moving[0] < 5.3
    assert max(intervals(moving)) < 0.2
    times = [when for when, _ in call.sound]
    assert all(abs(gap - 0.02) < 1e-6 for gap in intervals(times))
    silent = [frame for when, frame in call.sound if 2.3 < when < 5.0]
    assert not any(frame.samples.any() for frame in silent)
    heard_at = next(when for when, frame in call.sound if when > 5.0 and not frame.concealed)
    assert heard_at < 5.1
    late = call.sound[-1]
    assert late[0] - ((int(late[1].samples[-1]) - 1000) * 0.02 + call.one_way) <= 0.0601


def test_jitter_is_absorbed_after_a_second_and_few_frames_are_made_up() -> None:
    rng = random.Random(5)
    call = Call(make_pipeline(), Sender(), jitter=lambda: rng.uniform(0.0, 0.06))
    call.run(20.0)
    stats = call.audio_stats
    assert 0.04 <= stats.target_delay <= 0.08
    assert stats.concealed_samples < 0.03 * stats.total_samples_received
    waited = stats.jitter_buffer_delay / stats.jitter_buffer_emitted_count
    assert waited < 0.07


def test_a_stall_ends_without_lasting_delay() -> None:
    """Packets queue up for 400 ms and then come at once."""
    call = Call(make_pipeline(), Sender(), has_video=False)
    held: list[RtpPacket] = []
    transmit = call.transmit

    def stall(packet: RtpPacket) -> None:
        if 2.0 <= call.now < 2.4:
            held.append(packet)
            return
        while held:
            transmit(held.pop(0))
        transmit(packet)

    call.transmit = stall  # type: ignore[method-assign]
    call.run(3.0)
    when, frame = call.sound[-1]
    assert when - ((int(frame.samples[-1]) - 1000) * 0.02 + call.one_way) < 0.15
    call.run(25.0)
    when, frame = call.sound[-1]
    assert when - ((int(frame.samples[-1]) - 1000) * 0.02 + call.one_way) <= 0.0801


def test_a_late_timer_gives_what_was_missed_but_no_more_than_100_ms() -> None:
    pipeline = make_pipeline()
    sender = Sender()
    pipeline.handle_packet(sender.stamp(sender.audio()), 0.0)
    timer = pipeline.poll_timeout()
    assert timer == pytest.approx(0.04)
    pipeline.handle_timeout(0.04 + 0.061)
    frames = list(iter(pipeline.poll_audio, None))
    assert len(frames) == 4
    pipeline.handle_timeout(3.0)
    frames = list(iter(pipeline.poll_audio, None))
    assert len(frames) == 5
    pipeline.handle_timeout(3.0201)
    assert pipeline.poll_audio() is not None
    assert pipeline.poll_audio() is None


def test_feedback_tells_each_packet_and_reports_go_each_second() -> None:
    call = Call(make_pipeline(), Sender(), lost=lose(AUDIO_SSRC, 50))
    call.run(5.0)
    feedback = [packet for _, packet in call.rtcp if isinstance(packet, TransportFeedback)]
    count = sum(len(packet.arrivals) for packet in feedback)
    assert count >= call.sender.transport - 65_500 - 40
    assert sum(packet.arrivals.count(None) for packet in feedback) == 1
    assert 15 <= len(feedback) <= 101
    reports = [packet for _, packet in call.rtcp if isinstance(packet, ReceiverReport)]
    assert len(reports) == 5
    assert [block.ssrc for block in reports[-1].reports] == [AUDIO_SSRC, VIDEO_SSRC]
    assert reports[1].reports[0].packets_lost == 1


def test_a_disconnected_path_is_asked_nothing_and_arms_no_timer_for_it() -> None:
    call = Call(make_pipeline(), Sender(), lost=lose(VIDEO_SSRC, 0))
    call.pipeline.set_connected(False, 0.0)
    call.run(1.0)
    assert call.rtcp == []
    assert len(call.sound) >= 47
    call.pipeline.set_connected(True, 1.0)
    call.run(2.0)
    assert call.asked(PictureLossIndication)
    assert call.pictures[-1][0] > 1.95


def test_sender_reports_give_the_time_of_capture_on_our_clock() -> None:
    call = Call(make_pipeline(), Sender())
    call.run(1.0)
    assert call.sound[-1][1].captured_at is None
    ahead = 3_900_000_000.0  # the sender's wall clock minus ours
    for ssrc, rate, start in ((AUDIO_SSRC, 48_000, 0.0), (VIDEO_SSRC, 90_000, 0.003)):
        sent = 1.0
        report = SenderReport(
            ssrc, int((sent + ahead) * 2**32), int((sent - start) * rate) & 0xFFFFFFFF, 1, 1
        )
        call.pipeline.handle_sender_report(report, sent + call.one_way)
    call.pipeline.handle_round_trip(2 * call.one_way, 1.0)
    call.run(2.0)
    when, frame = call.sound[-1]
    assert frame.captured_at == pytest.approx((int(frame.samples[-1]) - 1000) * 0.02, abs=1e-3)
    when, picture = call.pictures[-1]
    assert picture.captured_at == pytest.approx(0.003 + (picture.planes[0, 0]) / 30, abs=1e-3)
    assert picture.captured_at is not None
    assert when - picture.captured_at < 0.03
    offset = call.pipeline.stats(2.0).audio_video_offset
    assert offset is not None
    assert -0.06 < offset < 0.0


def test_a_new_source_takes_a_silent_stream_over() -> None:
    pipeline = make_pipeline()
    sender = Sender()
    pipeline.handle_packet(sender.stamp(sender.audio()), 0.0)
    assert pipeline.poll_event() == StreamStarted("0", "audio", AUDIO_SSRC)
    extensions = HeaderExtensions(mid="0")
    other = RtpPacket(111, 5, 123, 777, payload=b"\x00\x01", extensions=extensions)
    pipeline.handle_packet(other.serialize(IDS), 0.1)
    assert pipeline.poll_event() is None
    pipeline.handle_packet(other.serialize(IDS), 1.0)
    assert pipeline.poll_event() == StreamStarted("0", "audio", 777)
    assert pipeline.poll_event() is None
    assert pipeline.stats(1.0).unplaced_packets == 1


def test_what_is_no_packet_is_counted_and_changes_nothing() -> None:
    pipeline = make_pipeline()
    for data in (b"", b"\x80", bytes(40), b"\x90" + bytes(11) + b"\xbe\xde\xff\xff"):
        pipeline.handle_packet(data, 0.0)
    assert pipeline.stats(0.0).malformed_packets == 4
    assert pipeline.poll_timeout() is None


@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_real_codecs_survive_random_loss(loss: float) -> None:
    """Ten seconds of Opus and VP8: sound each 20 ms, concealment counted, no freeze for good."""
    rng = random.Random(1)
    codecs = CodecRegistry()
    video = codecs.video_encoder("VP8", Vp8Config(width=320, height=240, bitrate=300_000))
    audio = codecs.audio_encoder("opus", OpusConfig(packet_loss=loss, bitrate=32_000))
    noise = np.random.default_rng(1).integers(0, 200, (360, 400), np.uint8)
    count = 0

    def picture(key: bool) -> bytes:
        nonlocal count
        count += 1
        planes = np.ascontiguousarray(noise[:, count % 80 : count % 80 + 320])
        frame = video.encode(planes, media_time=count * 3000, duration=3000, force_key=key)
        assert frame is not None
        return frame.data

    phase = 0

    def voice() -> bytes:
        nonlocal phase
        time = np.arange(phase, phase + 960) / 48_000
        phase += 960
        swell = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)
        return audio.encode((8000 * swell * np.sin(2 * np.pi * 220 * time)).astype(np.int16))

    call = Call(
        ReceivePipeline(PARAMETERS, codecs=codecs, now=0.0),
        Sender(picture=picture, voice=voice, packets_per_frame=1),
        lost=lambda _data, _now: rng.random() < loss,
    )
    call.pipeline.handle_round_trip(0.04, 0.0)
    call.run(10.0)
    times = [when for when, _ in call.sound]
    assert all(abs(gap - 0.02) < 1e-6 for gap in intervals(times))
    assert len(times) >= 490
    heard = call.audio_stats
    assert heard.repairs.in_band_fec > 0
    assert 0 < heard.concealed_samples < 1.2 * loss * heard.total_samples_received
    seen = call.video_stats
    assert seen.frames_rendered > 270
    assert call.pictures[-1][0] > 9.9
    assert max(intervals([when for when, _ in call.pictures])) < 0.5
    assert seen.packets_lost > 0
