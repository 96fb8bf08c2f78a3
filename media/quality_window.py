"""Quality window: the counters of the last seconds, and what they say of each kind and direction.

A window is two samples: the newest, and the last one that is as old as the window is long.  What
is counted since the beginning becomes what happened in between.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from ringline.media.frames import AUDIO_FRAME_SAMPLES
from ringline.media.quality_conditions import (
    ReceivedPicture,
    ReceivedSound,
    SentPicture,
    SentSound,
)
from ringline.media.receive.stats import (
    AudioReceiveStats,
    ReceiveStats,
    ReceiveStreamStats,
    VideoReceiveStats,
)
from ringline.media.send.stats import SendStats, SendStreamStats
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["QualityWindow", "Sample"]

_Stats = TypeVar("_Stats")

_FULL_RATE: Final = 30.0
"""Pictures a second where their number says nothing."""

_SOUND_OVERHEAD: Final = 0.045
"""Seconds from mouth to ear beside the network and the jitter buffer: a frame of 20 ms, the
codec's look-ahead of 6.5 ms, and what a microphone and a loudspeaker hold."""

_PICTURE_OVERHEAD: Final = 0.03
"""Likewise from camera to screen: a sensor's and a screen's half interval, the codec."""

_FAR_BUFFER: Final = 0.04
"""Seconds that the other side's jitter buffer is taken to hold, and ..."""

_FAR_JITTER: Final = 2.0
"""... times the jitter that it reports: about what ours would."""


@dataclass(slots=True, kw_only=True)
class Sample:
    """The counters at one moment.

    Attributes:
        now: The moment.
        arrived: Datagrams that have come so far, RTCP too.
        round_trip: Seconds; :obj:`None` while not known.
        loss: Of what we send, as the other side last reported it.
        connected: Datagrams get through, as far as is known.

    """

    now: float
    arrived: int
    round_trip: float | None
    receive_audio: AudioReceiveStats | None
    receive_video: VideoReceiveStats | None
    loss: float
    connected: bool
    send: SendStats
    send_audio: SendStreamStats | None
    send_video: SendStreamStats | None

    @classmethod
    def take(
        cls, send: SendStats, receive: ReceiveStats, *, arrived: int, connected: bool, now: float
    ) -> Sample:
        """Return a sample of statistics that will be changed."""
        streams = {stream.kind: stream for stream in reversed(send.streams)}
        audio = streams.get("audio")
        return cls(
            now=now,
            arrived=arrived,
            round_trip=send.round_trip,
            loss=audio.remote.fraction_lost if audio and audio.remote else send.loss,
            connected=connected,
            send=send,
            receive_audio=copy.copy(receive.audio),
            receive_video=copy.copy(receive.video),
            send_audio=copy.copy(audio),
            send_video=copy.copy(streams.get("video")),
        )


class QualityWindow:
    """Keeps samples.

    Args:
        seconds: Length.

    """

    def __init__(self, seconds: float) -> None:
        self._seconds: Final = seconds
        self._samples: Final[deque[Sample]] = deque()

    def add(self, sample: Sample) -> None:
        """Take the newest."""
        self._samples.append(sample)
        while len(self._samples) > 2 and self._samples[1].now <= sample.now - self._seconds:
            self._samples.popleft()

    def received_sound(self) -> ReceivedSound | None:
        """Return what was heard; :obj:`None` if no sound came to be heard."""
        span = self._span(lambda sample: sample.receive_audio)
        if span is None:
            return None
        _, old, new = span
        played = new.total_samples_received - old.total_samples_received
        arrived = new.packets_received - old.packets_received
        silence = self._silence()
        if played <= 0 or (arrived <= 0 and not silence):
            return None
        concealed = new.concealed_samples - old.concealed_samples
        made_up = min(1.0, max(concealed / played, silence))
        events = new.concealment_events - old.concealment_events
        burst = concealed / AUDIO_FRAME_SAMPLES / events if events else 1.0
        emitted = new.jitter_buffer_emitted_count - old.jitter_buffer_emitted_count
        held = new.jitter_buffer_delay - old.jitter_buffer_delay
        payload = new.bytes_received - old.bytes_received
        return ReceivedSound(
            made_up=made_up,
            burst_ratio=max(1.0, burst * (1.0 - made_up)),
            packet_loss=max(_loss(old, new), silence),
            bitrate=payload * 8 * AUDIO_CLOCK_RATE / emitted if emitted else None,
            mouth_to_ear=self._way() + _SOUND_OVERHEAD + (held / emitted if emitted else 0.0),
        )

    def received_picture(self) -> ReceivedPicture | None:
        """Return what was seen; :obj:`None` if no picture came to be seen."""
        span = self._span(_shown_video)
        if span is None:
            return None
        seconds, old, new = span
        silence = self._silence()
        if new.packets_received <= old.packets_received and not silence:
            return None  # the other side sends none
        frozen = new.total_freezes_duration - old.total_freezes_duration
        frozen = min(seconds, max(0.0, frozen))
        shown = new.frames_rendered - old.frames_rendered
        decoded = new.frames_decoded - old.frames_decoded
        held = new.jitter_buffer_delay - old.jitter_buffer_delay
        return ReceivedPicture(
            frozen=frozen / seconds,
            packet_loss=max(_loss(old, new), silence),
            pixels=new.frame_width * new.frame_height,
            # A picture that never moved is frozen; that it came seldom is the same trouble.
            frame_rate=shown / (seconds - frozen) if frozen < 0.9 * seconds else _FULL_RATE,
            quantizer=(new.qp_sum - old.qp_sum) / decoded if decoded > 0 else None,
            decoding=(new.total_decode_time - old.total_decode_time) / seconds,
            delay=self._way() + _PICTURE_OVERHEAD + (held / shown if shown > 0 else 0.0),
        )

    def sent_sound(self) -> SentSound | None:
        """Return what left to be heard; :obj:`None` if no sound did."""
        span = self._span(lambda sample: sample.send_audio)
        if span is None:
            return None
        _, old, new = span
        if new.muted or new.packets_sent <= old.packets_sent:
            return None
        jitter = 0.0 if new.remote is None else new.remote.jitter
        far_buffer = _FAR_BUFFER + _FAR_JITTER * jitter
        return SentSound(
            loss=self._reported_loss(),
            bitrate=float(new.target_bitrate) if new.target_bitrate else None,
            mouth_to_ear=self._way() + _SOUND_OVERHEAD + far_buffer,
        )

    def sent_picture(self) -> SentPicture | None:
        """Return what left to be seen; :obj:`None` if the user sends no picture."""
        span = self._span(_encoded_video)
        if span is None:
            return None
        seconds, old, new = span
        encoded = new.frames_encoded - old.frames_encoded
        is_paused = encoded <= 0 and new.quality_limitation_reason != "none"
        if new.muted or (encoded <= 0 and not is_paused):
            return None
        quantized = new.qp_sum - old.qp_sum
        return SentPicture(
            seconds=seconds,
            loss=self._reported_loss(),
            is_paused=is_paused,
            key_frame_requests=new.pli_count + new.fir_count - old.pli_count - old.fir_count,
            pixels=new.frame_width * new.frame_height,
            frame_rate=_FULL_RATE if is_paused else encoded / seconds,
            quantizer=quantized / encoded if quantized > 0 else None,
            encoding=(new.total_encode_time - old.total_encode_time) / seconds,
            limitation=new.quality_limitation_reason,
            round_trip=self._samples[-1].round_trip or 0.0,
            delay=self._way() + _PICTURE_OVERHEAD,
        )

    def _span(self, get: Callable[[Sample], _Stats | None]) -> tuple[float, _Stats, _Stats] | None:
        """Return the window's seconds, the oldest and the newest of one stream's counters."""
        newest = self._samples[-1]
        oldest = next((sample for sample in self._samples if get(sample) is not None), newest)
        old, new = get(oldest), get(newest)
        if old is None or new is None or newest.now <= oldest.now:
            return None
        return newest.now - oldest.now, old, new

    def _way(self) -> float:
        """Return the seconds from one side to the other, a half of the way there and back."""
        return (self._samples[-1].round_trip or 0.0) / 2

    def _reported_loss(self) -> float:
        losses = [sample.loss for sample in self._samples]
        return max(sum(losses) / len(losses), self._silence())

    def _silence(self) -> float:
        """Return the share of the time in which nothing at all came although it should have.

        Where we send, reports come back at least; where the path is known to be lost, it is clear.
        """
        silent = total = 0.0
        for old, new in pairwise(self._samples):
            total += new.now - old.now
            is_owed = new.send.packets_sent > old.send.packets_sent or not new.connected
            if new.arrived == old.arrived and old.arrived and is_owed:
                silent += new.now - old.now
        return silent / total if total else 0.0


def _shown_video(sample: Sample) -> VideoReceiveStats | None:
    """Return what came of pictures, from the first one on."""
    video = sample.receive_video
    return video if video is not None and video.frames_rendered else None


def _encoded_video(sample: Sample) -> SendStreamStats | None:
    video = sample.send_video
    return video if video is not None and video.frames_encoded else None


def _loss(old: ReceiveStreamStats, new: ReceiveStreamStats) -> float:
    """Return the share of packets lost in between; both counts may fall with a new source."""
    lost = max(0, new.packets_lost - old.packets_lost)
    arrived = max(0, new.packets_received - old.packets_received)
    return lost / (lost + arrived) if lost else 0.0
