"""Get stats: a session's statistics as a browser's ``RTCPeerConnection.getStats`` gives them.

What is written for browsers (dashboards, recorders of calls, people's habits) reads ours too.
Source: W3C *Identifiers for WebRTC's Statistics API* (webrtc-stats).  What the W3C has no name for
stands under ``ringline`` of the object that it belongs to.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from ringline.media.receive.stats import AudioReceiveStats, VideoReceiveStats
from ringline.media.send.stats import SendStats, SendStreamStats
from ringline.media.units import AUDIO_CLOCK_RATE

if TYPE_CHECKING:
    from ringline.media.session import SessionStats

__all__ = ["StatsReport", "to_get_stats"]

StatsReport = dict[str, dict[str, object]]
"""Objects by their ``id``, ready for :func:`json.dumps`."""

_INBOUND: Final = (
    "mid",
    "ssrc",
    "kind",
    "packetsReceived",
    "packetsLost",
    "packetsDiscarded",
    "bytesReceived",
    "headerBytesReceived",
    "jitter",
    "retransmittedPacketsReceived",
    "retransmittedBytesReceived",
    "fecPacketsReceived",
    "fecBytesReceived",
    "fecPacketsDiscarded",
    "nackCount",
    "jitterBufferDelay",
    "jitterBufferTargetDelay",
    "jitterBufferMinimumDelay",
    "jitterBufferEmittedCount",
    "totalProcessingDelay",
)

_INBOUND_AUDIO: Final = (
    "totalSamplesReceived",
    "concealedSamples",
    "silentConcealedSamples",
    "concealmentEvents",
    "insertedSamplesForDeceleration",
    "removedSamplesForAcceleration",
    "totalAudioEnergy",
)

_INBOUND_VIDEO: Final = (
    "pliCount",
    "firCount",
    "framesReceived",
    "framesDecoded",
    "keyFramesDecoded",
    "framesRendered",
    "framesDropped",
    "frameWidth",
    "frameHeight",
    "framesPerSecond",
    "qpSum",
    "totalDecodeTime",
    "totalInterFrameDelay",
    "totalSquaredInterFrameDelay",
    "freezeCount",
    "totalFreezesDuration",
    "pauseCount",
    "totalPausesDuration",
)

_OUTBOUND: Final = (
    "mid",
    "ssrc",
    "kind",
    "targetBitrate",
    "packetsSent",
    "bytesSent",
    "headerBytesSent",
    "retransmittedPacketsSent",
    "retransmittedBytesSent",
    "nackCount",
)

_OUTBOUND_VIDEO: Final = (
    "pliCount",
    "firCount",
    "framesEncoded",
    "keyFramesEncoded",
    "frameWidth",
    "frameHeight",
    "framesPerSecond",
    "qpSum",
    "totalEncodeTime",
    "qualityLimitationReason",
    "qualityLimitationDurations",
    "qualityLimitationResolutionChanges",
)

_REMOTE_INBOUND: Final = (
    "packetsLost",
    "fractionLost",
    "jitter",
    "roundTripTime",
    "totalRoundTripTime",
    "roundTripTimeMeasurements",
)


def to_get_stats(stats: SessionStats, *, timestamp: float) -> StatsReport:
    """Return the statistics under the W3C's names.

    A member that is not known yet is left out, as browsers do.

    Args:
        stats: At this moment.
        timestamp: This moment, in milliseconds since 1970.

    """
    report: StatsReport = {}

    def add(identity: str, kind: str, members: dict[str, object]) -> None:
        report[identity] = {"id": identity, "type": kind, "timestamp": timestamp, **members}

    for stream in stats.receive.streams:
        add(f"IN-{stream.mid}", "inbound-rtp", _inbound(stream))
    for sent in stats.send.streams:
        remote_id = f"REMOTE-{sent.mid}"
        add(f"OUT-{sent.mid}", "outbound-rtp", {**_outbound(sent), "remoteId": remote_id})
        if sent.remote is not None:
            reported = _members(sent.remote, _REMOTE_INBOUND)
            common = {"kind": sent.kind, "ssrc": sent.ssrc, "localId": f"OUT-{sent.mid}"}
            add(remote_id, "remote-inbound-rtp", {**common, **reported})
        else:
            del report[f"OUT-{sent.mid}"]["remoteId"]
    add("PAIR", "candidate-pair", _pair(stats.send))
    return report


def _inbound(stream: AudioReceiveStats | VideoReceiveStats) -> dict[str, object]:
    members = _members(stream, _INBOUND)
    ours: dict[str, object] = {
        "targetDelay": stream.target_delay,
        "repairs": _camel_keys(asdict(stream.repairs)),
    }
    if isinstance(stream, AudioReceiveStats):
        members |= _members(stream, _INBOUND_AUDIO)
        members["totalSamplesDuration"] = stream.total_samples_received / AUDIO_CLOCK_RATE
        ours["packetsFailed"] = stream.packets_failed
    else:
        members |= _members(stream, _INBOUND_VIDEO)
        ours["framesDamaged"] = stream.frames_damaged
        ours["gapsSkipped"] = stream.frames_skipped
    return {**members, "ringline": ours}


def _outbound(stream: SendStreamStats) -> dict[str, object]:
    members = _members(stream, _OUTBOUND)
    members["active"] = not stream.muted
    ours: dict[str, object] = {
        "fecPacketsSent": stream.fec_packets_sent,
        "fecBytesSent": stream.fec_bytes_sent,
        "nacksRefused": stream.nacks_refused,
    }
    if stream.kind == "video":
        members |= _members(stream, _OUTBOUND_VIDEO)
        ours["framesSkipped"] = {
            reason.name.lower(): count for reason, count in stream.frames_skipped.items()
        }
    return {**members, "ringline": ours}


def _pair(send: SendStats) -> dict[str, object]:
    members: dict[str, object] = {
        "nominated": True,
        "packetsSent": send.packets_sent,
        "packetsDiscardedOnSend": send.packets_dropped,
        "availableOutgoingBitrate": send.target_bitrate,
    }
    if send.round_trip is not None:
        members["currentRoundTripTime"] = send.round_trip
    members["ringline"] = {
        "bytesOnWire": send.bytes_on_wire,
        "pacingBitrate": send.pacing_bitrate,
        "lossRate": send.loss,
        "inherentLossRate": send.inherent_loss,
        "queueDelay": send.queue_delay,
    }
    return members


def _members(source: object, names: tuple[str, ...]) -> dict[str, object]:
    """Return what these members of the W3C's are of ours; without those that are not known."""
    values = ((name, getattr(source, _snake(name))) for name in names)
    return {name: value for name, value in values if value is not None}


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def _camel_keys(entry: dict[str, int]) -> dict[str, object]:
    return {
        re.sub("_([a-z])", lambda letter: letter[1].upper(), name): value
        for name, value in entry.items()
    }
