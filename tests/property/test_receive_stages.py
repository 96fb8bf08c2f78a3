"""The receiving stages under any order, loss and malice: bounded, ordered, and never stuck."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ringline.media.errors import CodecError
from ringline.media.parameters import SessionParameters, StreamParameters
from ringline.media.receive.assemble import AssembleConfig, AssembledFrame, Assembler
from ringline.media.receive.audio_stream import AudioStream, AudioStreamConfig
from ringline.media.receive.conceal import ConcealConfig
from ringline.media.receive.feedback import FeedbackGenerator
from ringline.media.receive.jitter_buffer import JitterBuffer, JitterBufferConfig, Play
from ringline.media.receive.pipeline import ReceivePipeline
from ringline.media.receive.recover_nack import NackRecovery
from ringline.media.receive.references import KeptPictures
from ringline.media.receive.sequence import SequenceTracker
from ringline.media.rtp.header_extensions import ExtensionIds, HeaderExtensions
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rtcp import SenderReport, serialize_compound
from ringline.media.rtp.vp8 import Vp8Descriptor
from ringline.media.units import PayloadType, Ssrc

IDS = ExtensionIds(mid=1, transport_sequence_number=3)
PARAMETERS = SessionParameters(
    cname="x",
    local_ssrc=Ssrc(9),
    extension_ids=IDS,
    reduced_size_rtcp=True,
    receive=(
        StreamParameters(
            kind="audio",
            mid="0",
            payload_type=PayloadType(111),
            red_payload_type=PayloadType(63),
            nack=True,
            transport_cc=True,
        ),
        StreamParameters(
            kind="video",
            mid="1",
            payload_type=PayloadType(96),
            rtx_payload_type=PayloadType(97),
            nack=True,
            pli=True,
            rpsi=True,
            transport_cc=True,
        ),
    ),
)


class Opus:
    def decode(self, packet: bytes) -> NDArray[np.int16]:
        if packet[0] & 1:
            raise CodecError("damaged")
        return np.zeros(120 * (1 + packet[0] % 48), np.int16)

    def decode_redundancy(self, next_packet: bytes, samples: int = 960) -> NDArray[np.int16] | None:
        return np.zeros(samples, np.int16) if next_packet[0] & 2 else None

    def conceal(self, samples: int = 960) -> NDArray[np.int16]:
        return np.zeros(samples, np.int16)


class NoisyOpus(Opus):
    """As Opus, with sound that is heard: noise, so that each seam is tried and few are found."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(7)

    def decode(self, packet: bytes) -> NDArray[np.int16]:
        sound = super().decode(packet)
        level = 20 if packet[0] & 4 else 5_000
        noise: NDArray[np.int16] = self.rng.normal(0, level, len(sound)).astype(np.int16)
        return noise


class Vp8:
    def decode(self, data: bytes) -> list[NDArray[np.uint8]]:
        if len(data) % 5 == 4:
            raise CodecError("damaged")
        return [np.zeros((3, 2), np.uint8)]


class Decoders:
    def audio_decoder(self, name: str) -> Opus:
        assert name == "opus"
        return Opus()

    def video_decoder(self, name: str) -> Vp8:
        assert name == "VP8"
        return Vp8()


hostile_packets = st.builds(
    RtpPacket,
    payload_type=st.sampled_from([96, 97, 111, 63, 5]),
    sequence_number=st.integers(0, 40) | st.integers(0, 65_535),
    timestamp=st.integers(0, 20).map(lambda n: n * 960) | st.integers(0, 2**32 - 1),
    ssrc=st.sampled_from([1, 2, 3]),
    marker=st.booleans(),
    payload=st.binary(max_size=12),
    extensions=st.builds(
        HeaderExtensions,
        mid=st.sampled_from([None, "0", "1", "2"]),
        transport_sequence_number=st.none() | st.integers(0, 50) | st.integers(0, 65_535),
    ),
    padding=st.sampled_from([0, 0, 3]),
).map(lambda packet: packet.serialize(IDS))
steps = st.sampled_from([0.0, 0.0, 0.001, 0.02, 0.5, 10.0])


def drive(pipeline: ReceivePipeline, until: float) -> tuple[list[float], int]:
    """Run the timers up to ``until`` and drain; return when sound came and how much RTCP."""
    sound: list[float] = []
    reports = turns = 0
    now = until
    while True:
        while (job := pipeline.poll_job()) is not None:
            job.run()
            pipeline.handle_job(job, now)
        while (packet := pipeline.poll_rtcp(now)) is not None:
            serialize_compound([packet])
            reports += 1
        while pipeline.poll_audio() is not None:
            sound.append(now)
        while pipeline.poll_video() is not None or pipeline.poll_event() is not None:
            pass
        due = pipeline.poll_timeout()
        if due is None or due > until:
            return sound, reports
        turns += 1
        assert turns < 5_000, "a timer that does not move"
        pipeline.handle_timeout(until)
        now = until


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(hostile_packets | st.binary(max_size=40), steps), max_size=60))
def test_no_packets_raise_or_hang_and_sound_goes_on(traffic: list[tuple[bytes, float]]) -> None:
    pipeline = ReceivePipeline(PARAMETERS, codecs=Decoders(), now=0.0)
    now = 0.0
    for data, step in traffic:
        now += step
        pipeline.handle_packet(data, now)
        drive(pipeline, now)
    is_playing = pipeline.stats(now).streams[0].bytes_received > 0
    sound = 0
    for tick in range(50):
        sound += len(drive(pipeline, now + 0.2 + tick * 0.02)[0])
    # A RED packet may have bytes and no sound in it.
    may_be_silent = any(len(data) > 1 and data[1] & 0x7F == 63 for data, _ in traffic)
    assert sound >= 49 or not is_playing or (may_be_silent and sound == 0)
    pipeline.handle_sender_report(SenderReport(1, 2**63, 7, 0, 0), now + 2.0)
    pipeline.handle_round_trip(0.1, now + 2.0)
    drive(pipeline, now + 2.0)


@given(st.lists(st.integers(0, 65_535), max_size=100))
def test_continued_numbers_keep_their_low_bits(numbers: Sequence[int]) -> None:
    tracker = SequenceTracker()
    for number in numbers:
        placed = tracker.handle_number(number)
        if placed is not None:
            assert placed[0] & 0xFFFF == number
            assert tracker.highest is not None
            assert placed[0] <= tracker.highest


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_sound_is_played_in_order_and_each_once(order: list[int], lost: set[int]) -> None:
    buffer = JitterBuffer()
    for place, number in enumerate(order):
        if number not in lost:
            buffer.handle_packet(number, number * 960, bytes([number]), place * 0.02)
    played = []
    for tick in range(60):
        decision = buffer.poll(0.24 + tick * 0.02)
        if isinstance(decision, Play):
            buffer.handle_played(decision, 960)
            played.append(decision.payload[0])
    assert played == sorted(set(played))
    came = [number for number in range(12) if number not in lost]
    assert len(played) + buffer.late_packets + buffer.discarded_packets == len(came)


def packets_of(frames: Sequence[int]) -> list[tuple[int, int, bool, bool]]:
    """Return (number, frame, first, last) of each packet of frames of these sizes."""
    out: list[tuple[int, int, bool, bool]] = []
    for frame, size in enumerate(frames):
        for index in range(size):
            out.append((len(out) + 100, frame, index == 0, index == size - 1))
    return out


def assemble(
    packets: Sequence[tuple[int, int, bool, bool]], until: float = 60.0
) -> list[AssembledFrame]:
    assembler = Assembler()
    out: list[AssembledFrame] = []
    now = 0.0
    for number, frame, first, last in packets:
        now += 0.001
        head = Vp8Descriptor(start=first, picture_id=frame)
        payload = head.serialize() + bytes([frame != 0, number & 0xFF])
        assembler.handle_packet(number, frame * 3_000, payload, now, marker=last)
        out += iter(assembler.poll_frame, None)
    while (due := assembler.poll_timeout()) is not None and due <= until:
        assembler.handle_timeout(due)
        out += iter(assembler.poll_frame, None)
    return out


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_reordered_frames_behind_a_first_one_all_come_out_whole(
    sizes: list[int], random: object
) -> None:
    packets = packets_of([1, *sizes])
    rest = packets[1:]
    random.shuffle(rest)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    frames = assemble([packets[0], *rest])
    assert [frame.timestamp // 3_000 for frame in frames] == list(range(len(sizes) + 1))
    assert all(frame.continuous for frame in frames)


@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=10),
    st.sets(st.integers(1, 30)),
)
def test_with_losses_every_whole_frame_comes_out_and_gaps_are_told(
    sizes: list[int], lost: set[int]
) -> None:
    packets = packets_of([1, *sizes])
    kept = [packet for index, packet in enumerate(packets) if index not in lost]
    frames = [frame.timestamp // 3_000 for frame in assemble(kept)]
    whole = [
        frame
        for frame in range(len(sizes) + 1)
        if all(packet in kept for packet in packets if packet[1] == frame)
    ]
    assert frames == whole
    for before, frame in zip(assemble(kept), assemble(kept)[1:], strict=False):
        follows = frame.timestamp - before.timestamp == 3_000
        assert frame.continuous == follows


@given(
    st.lists(
        st.tuples(
            st.integers(0, 400), st.integers(0, 60), st.integers(0, 15), st.binary(max_size=4)
        ),
        max_size=150,
    )
)
def test_whatever_comes_the_assembler_never_goes_back_and_waits_no_longer_than_it_may(
    arrivals: list[tuple[int, int, int, bytes]],
) -> None:
    """With any numbers, marks of references and bytes, and more than may be held."""
    assembler = Assembler(AssembleConfig(max_packets=20), kept=KeptPictures())
    now, reached = 0.0, -1
    for number, frame, mark, data in arrivals:
        now += 0.01
        head = Vp8Descriptor(start=number % 3 != 0, picture_id=frame, reference=mark)
        payload = head.serialize() + data
        assembler.handle_packet(number, frame * 3_000, payload, now, marker=number % 3 != 1)
        assembler.handle_timeout(now)
        due = assembler.poll_timeout()
        assert due is None or now < due <= now + 0.3 + 1e-9
        frames = list(iter(assembler.poll_frame, None))
        assert all(frame.continuous or not frame.mends for frame in frames)
        following = assembler.next_sequence
        assert following is not None
        assert following >= reached
        if frames or assembler.skipped:
            reached = following


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=200))
def test_what_came_is_never_asked_for(arrivals: list[tuple[int, bool]]) -> None:
    nack = NackRecovery()
    nack.set_deadline(0.5)
    came: set[int] = set()
    asked: dict[int, float] = {}
    now = 0.0
    for number, retransmitted in arrivals:
        now += 0.005
        nack.handle_packet(number, now, retransmitted=retransmitted)
        came.add(number)
        for wanted in nack.poll_request(now):
            assert wanted not in came
            assert now - asked.get(wanted, -1.0) >= 0.11 - 1e-9
            asked[wanted] = now


@given(st.lists(st.tuples(st.integers(0, 65_535), st.floats(0.0, 10.0)), max_size=100))
def test_every_feedback_fits_the_format(arrivals: list[tuple[int, float]]) -> None:
    generator = FeedbackGenerator(Ssrc(9))
    now = 0.0
    for number, step in arrivals:
        now += step
        generator.handle_arrival(number, ssrc=1, size=500, now=now)
        while (feedback := generator.poll_feedback(now)) is not None:
            assert len(feedback.serialize()) <= 1_100
    due = generator.poll_timeout()
    assert due is None or due <= now + 0.25


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 300),  # number
            st.sampled_from([0, 0, 0, 1, 480, 5_000_000]),  # off the grid
            st.binary(min_size=1, max_size=4),
            st.sampled_from([0.0, 0.0, 0.005, 0.02, 0.02, 0.06, 0.7]),
            st.booleans(),
        ),
        max_size=80,
    ),
    st.floats(0.0, 0.2),
)
def test_whatever_comes_there_is_one_frame_of_sound_each_20_ms(
    packets: list[tuple[int, int, bytes, float, bool]], lip_sync: float
) -> None:
    stream = AudioStream(NoisyOpus(), JitterBufferConfig(), ConcealConfig(), AudioStreamConfig())
    now, frames, first = 0.0, 0, None
    for number, offset, payload, step, is_copy in packets:
        timestamp = (number * 960 + offset) & 0xFFFFFFFF
        if is_copy:
            stream.handle_copy(number, timestamp, payload, now)
        else:
            stream.handle_packet(number, timestamp, payload, now, retransmitted=False)
        now += step
        stream.set_lip_sync_delay(lip_sync)
        while (due := stream.poll_timeout()) is not None and due <= now:
            first = due if first is None else first
            for frame in stream.handle_timeout(due, lambda _media_time, _played_at: None):
                frames += 1
                assert frame.samples.shape == (960,)
                assert 0 <= frame.concealed <= 960
    if first is not None:
        assert abs(frames - 1 - (now - first) / 0.02) < 1.001
    stats = stream.stats()
    assert stats.total_samples_received == frames * 960
    assert 0 <= stats.silent_concealed_samples <= stats.concealed_samples
    assert len(stream.buffer._packets) <= 200
    assert stream._queued < 2 * 5_760
