"""Call rows: a call second by second, made of the counters that it keeps.

One row has what arrived here and what left from here; the other side's row has the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ringline.client.call import CallStats
from ringline.client.witness import Latencies
from ringline.media.session import SessionStats

__all__ = ["CallRow", "ReceivedRow", "RowMaker", "SentRow", "path_word"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRow:
    """What arrived in one second.

    Attributes:
        width: Of the newest picture, pixels; 0 before the first.
        height: Likewise.
        frames_per_second: Pictures that were shown.
        bitrate: Payload, bits per second.
        loss: Share of packets lost on the way, before repair, 0 to 1.
        latency: Capture to display, median, seconds; :obj:`None` where not known.
        freezes: That began in this second (W3C definition).
        frozen_seconds: How much of it the picture was frozen.
        concealed_ms: Sound that concealment made up.
        sound_latency: Microphone to loudspeaker, median, seconds; :obj:`None` where not known.
        repairs: What came back to life, by mechanism: the fields of
            :class:`~ringline.media.receive.stats.RepairStats`.
        score: 1 to 5, over the last seconds; :obj:`None` before there is one.
        sound_score: Of the sound; :obj:`None` if none is sent.
        picture_score: Of the picture; likewise.
        cause: What costs the most: ``none``, ``loss``, ``delay``, ``bandwidth`` or ``cpu``.
        side: Whose fault that is; empty if there is none.

    """

    width: int = 0
    height: int = 0
    frames_per_second: float = 0.0
    bitrate: float = 0.0
    loss: float = 0.0
    latency: float | None = None
    freezes: int = 0
    frozen_seconds: float = 0.0
    concealed_ms: float = 0.0
    sound_latency: float | None = None
    repairs: Mapping[str, int] = field(default_factory=dict)
    score: float | None = None
    sound_score: float | None = None
    picture_score: float | None = None
    cause: str = "none"
    side: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRow:
    """What left in one second.

    Attributes:
        width: Of the pictures sent, pixels; 0 before the first.
        height: Likewise.
        frames_per_second: Pictures encoded.
        bitrate: All that left, media, repair and headers, bits per second.
        target_bitrate: What congestion control allows, bits per second.
        round_trip: Seconds; :obj:`None` while not measured.
        score: What the other side probably has of it, 1 to 5; :obj:`None` before there is one.

    """

    width: int = 0
    height: int = 0
    frames_per_second: float = 0.0
    bitrate: float = 0.0
    target_bitrate: float = 0.0
    round_trip: float | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """One second of a call, from one side.

    Attributes:
        second: The end of it, since the call was accepted.
        path: ``direct``, ``relay``, or empty while there is none.

    """

    second: float
    path: str
    received: ReceivedRow
    sent: SentRow


@dataclass(slots=True)
class _Counters:
    """The counters that rows are the differences of."""

    frames_rendered: int = 0
    bytes_received: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    freeze_count: int = 0
    freezes_duration: float = 0.0
    concealed_samples: int = 0
    frames_encoded: int = 0
    bytes_sent: int = 0
    repairs: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class RowMaker:
    """Makes the rows of one call.

    Attributes:
        started_at: When it was accepted, on the clock of ``now``.

    """

    started_at: float
    _last: _Counters = field(default_factory=_Counters, init=False)
    _made_at: float | None = field(default=None, init=False)

    def make_row(self, stats: CallStats, latencies: Latencies, now: float) -> CallRow:
        """Return the row of the time since the last one.

        Args:
            stats: The call now.
            latencies: What :meth:`.witness.Witness.take_latencies` gives.
            now: The present.

        """
        before = self.started_at if self._made_at is None else self._made_at
        seconds = max(1e-3, now - before)
        self._made_at = now
        received, sent = ReceivedRow(), SentRow()
        if stats.session is not None:
            if stats.session.round_trip is None:
                latencies = Latencies()  # the clocks are compared by it; before, it is a guess
            counters = _count(stats.session)
            received = _received(stats.session, counters, self._last, seconds, latencies)
            sent = _sent(stats.session, counters, self._last, seconds)
            self._last = counters
        return CallRow(
            second=now - self.started_at,
            path="" if stats.path is None else path_word(stats.path.kind),
            received=received,
            sent=sent,
        )


def path_word(kind: str) -> str:
    """Return the word for people, ``direct`` or ``relay``, for the kind of a path.

    One through NATs (``srflx``) is direct too: nobody stands between the two.
    """
    return "relay" if kind == "relay" else "direct"


def _count(stats: SessionStats) -> _Counters:
    receive, send = stats.receive, stats.send
    counters = _Counters(bytes_sent=send.bytes_on_wire)
    for stream in receive.streams:
        counters.bytes_received += stream.bytes_received
        counters.packets_received += stream.packets_received
        counters.packets_lost += stream.packets_lost
        for mechanism, count in asdict(stream.repairs).items():
            counters.repairs[mechanism] = counters.repairs.get(mechanism, 0) + count
    if receive.video is not None:
        counters.frames_rendered = receive.video.frames_rendered
        counters.freeze_count = receive.video.freeze_count
        counters.freezes_duration = receive.video.total_freezes_duration
    if receive.audio is not None:
        counters.concealed_samples = receive.audio.concealed_samples
    counters.frames_encoded = sum(
        stream.frames_encoded for stream in send.streams if stream.kind == "video"
    )
    return counters


def _received(
    stats: SessionStats, now: _Counters, last: _Counters, seconds: float, latencies: Latencies
) -> ReceivedRow:
    video = stats.receive.video
    quality = stats.quality.receiving
    # Both may fall: a late packet takes back a loss, a new stream begins anew.
    lost = max(0, now.packets_lost - last.packets_lost)
    arrived = max(0, now.packets_received - last.packets_received)
    return ReceivedRow(
        width=0 if video is None else video.frame_width,
        height=0 if video is None else video.frame_height,
        frames_per_second=max(0, now.frames_rendered - last.frames_rendered) / seconds,
        bitrate=max(0, now.bytes_received - last.bytes_received) * 8 / seconds,
        loss=lost / (lost + arrived) if lost else 0.0,
        latency=latencies.picture,
        freezes=max(0, now.freeze_count - last.freeze_count),
        frozen_seconds=min(1.0, max(0.0, now.freezes_duration - last.freezes_duration)),
        concealed_ms=max(0, now.concealed_samples - last.concealed_samples) / 48,
        sound_latency=latencies.sound,
        repairs={
            mechanism: max(0, count - last.repairs.get(mechanism, 0))
            for mechanism, count in now.repairs.items()
        },
        score=None if quality is None else quality.score,
        sound_score=None if quality is None else quality.sound,
        picture_score=None if quality is None else quality.picture,
        cause="none" if quality is None else quality.cause.value,
        side="" if quality is None or quality.side is None else quality.side.value,
    )


def _sent(stats: SessionStats, now: _Counters, last: _Counters, seconds: float) -> SentRow:
    send, quality = stats.send, stats.quality.sending
    video = next((stream for stream in send.streams if stream.kind == "video"), None)
    return SentRow(
        width=0 if video is None else video.frame_width,
        height=0 if video is None else video.frame_height,
        frames_per_second=max(0, now.frames_encoded - last.frames_encoded) / seconds,
        bitrate=max(0, now.bytes_sent - last.bytes_sent) * 8 / seconds,
        target_bitrate=send.target_bitrate,
        round_trip=stats.round_trip,
        score=None if quality is None else quality.score,
    )
