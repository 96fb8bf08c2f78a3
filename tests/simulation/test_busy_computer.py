"""A computer that is too slow, or busy with something else: sound goes on, and so does the picture.

Codec jobs take virtual time here, as they would of a processor that many want.
"""

from __future__ import annotations

from ringline.media.jobs import Job
from ringline.media.receive.decode import DecodeJob
from ringline.media.send.encode_job import VideoEncodeJob
from ringline.media.send.events import CpuLimitChanged, SentPictureState
from ringline.media.send.picture_state import PictureState
from ringline.media.simulate import NetworkProfile, SimulatedCall

NETWORK = "rate=3000,delay=20"
BUSY_FROM, BUSY_UNTIL = 10.0, 40.0


class Busy:
    """The processor of *a*: at ease, then ``factor`` times slower, then at ease again."""

    def __init__(self, *, encode: float, decode: float) -> None:
        self.encode, self.decode = encode, decode
        self.call = SimulatedCall(NetworkProfile.parse(NETWORK), seed=1)
        self.events: list[tuple[float, bool]] = []
        self.states: list[tuple[float, PictureState, str]] = []
        self.call.a.job_seconds = self.seconds
        self.call.a.on_event = self.note

    def seconds(self, job: Job) -> float:
        is_busy = BUSY_FROM <= self.call.simulation.now < BUSY_UNTIL
        if isinstance(job, VideoEncodeJob):
            haste = {-6: 1.0, -8: 0.7, -12: 0.63}[job.cpu_used or -6]
            whole = 0.004 * haste * job.size[0] * job.size[1] / (640 * 360)
            return whole * (self.encode if is_busy else 1.0)
        if isinstance(job, DecodeJob):
            return 0.001 * (self.decode if is_busy else 1.0)
        return 0.0

    def note(self, event: object, now: float) -> None:
        if isinstance(event, CpuLimitChanged):
            self.events.append((now, event.limited))
        if isinstance(event, SentPictureState):
            self.states.append((now, event.state, event.reason))


def test_a_busy_computer_keeps_sound_and_a_moving_picture() -> None:
    busy = Busy(encode=40.0, decode=1.0)  # 160 ms a picture
    busy.call.run(until=75.0)
    seen = busy.call.a_to_b
    before, during, after = (
        seen.observe(5.0, 10.0),
        seen.observe(15.0, 40.0),
        seen.observe(65.0, 75.0),
    )
    assert before.frames_per_second > 29
    assert during.frames_per_second > 9
    assert during.freezes == 0
    assert during.concealed_ms_per_minute < 50
    assert after.frames_per_second > 29
    stream = busy.call.stats()[0].send.streams[1]
    assert stream.quality_limitation_durations["cpu"] > 25
    assert stream.quality_limitation_reason == "none"
    assert [limited for _, limited in busy.events] == [True, False]
    (begun, _), (ended, _) = busy.events
    assert BUSY_FROM < begun < BUSY_FROM + 4
    assert BUSY_UNTIL < ended < BUSY_UNTIL + 20
    # What the other side sends is not made worse by it.
    assert busy.call.b_to_a.observe(15.0, 40.0).frames_per_second > 29


def test_a_computer_with_no_time_for_any_picture_pauses_it_and_keeps_the_sound() -> None:
    busy = Busy(encode=1_000.0, decode=1.0)  # 160 ms for the least picture
    busy.call.run(until=75.0)
    seen = busy.call.a_to_b
    assert seen.observe(20.0, 24.0).frames_per_second == 0
    assert seen.observe(15.0, 40.0).concealed_ms_per_minute < 50
    assert busy.call.b_to_a.observe(15.0, 40.0).frames_per_second > 29
    # The try in between, after ten seconds, is told to nobody.
    (_, smaller, _), (paused_at, paused, reason), *back = busy.states
    assert (smaller, paused, reason) == (PictureState.SMALLER, PictureState.PAUSED, "cpu")
    assert BUSY_FROM < paused_at < BUSY_FROM + 10
    assert seen.observe(24.0, BUSY_UNTIL).frames_per_second > 0
    assert [state for _, state, _ in back] == [PictureState.SMALLER, PictureState.FULL]
    assert back[0][0] > BUSY_UNTIL
    assert busy.call.stats()[0].send.streams[1].quality_limitation_durations["cpu"] > 25
    assert [limited for _, limited in busy.events] == [True, False]
    assert seen.observe(68.0, 75.0).frames_per_second > 29


def test_a_computer_that_decodes_too_slowly_encodes_less() -> None:
    busy = Busy(encode=1.0, decode=31.0)  # 31 ms of the 33 between two frames
    busy.call.run(until=39.0)
    assert [limited for _, limited in busy.events] == [True]
    assert busy.call.stats()[0].send.streams[1].quality_limitation_reason == "cpu"
    assert busy.call.b_to_a.observe(15.0, 39.0).frames_per_second > 29
    assert busy.call.a_to_b.observe(15.0, 39.0).frames_per_second > 9


def test_a_computer_with_time_to_spare_is_left_alone() -> None:
    busy = Busy(encode=4.0, decode=8.0)
    busy.call.run(until=45.0)
    assert busy.events == []
    assert busy.call.a_to_b.observe(15.0, 40.0).frames_per_second > 29
