"""Negotiate: offer and answer (RFC 8829, RFC 3264) between us and any WebRTC peer.

Every offer has the same three sections in the same order: sound, picture, data.  A kind that is
not sent yet is negotiated all the same, so that video joins an audio call by consent of the
people and without another offer.  The caller is the only offerer, so offers never collide; an
ICE restart is an offer with the same sections and new credentials.

What we speak, in order of preference:

| section | codec | parameters | feedback |
|---|---|---|---|
| audio | RED of Opus (RFC 2198) | ``111/111`` | |
| audio | Opus 48 kHz | ``minptime=10;useinbandfec=1`` | transport-cc |
| video | VP8, RTX | ``apt`` | transport-cc, goog-remb, nack, nack pli, nack rpsi, ccm fir |
| video | RED of VP8 and ULPFEC (RFC 5109), RTX of RED | ``apt`` | |
| video | sliding-window code, of our own (:mod:`ringline.media.rtp.rlc`) | ``apt`` | |
| application | data channels over SCTP | | |

RED stands before Opus because that is how a browser is told to send it; a peer that does not know
it passes over it and takes Opus.  Whether a packet has copies in it is the sender's to decide,
packet by packet.

The RED of pictures matters only together with ULPFEC: with both, a sender puts all it sends into
RED, parity beside the pictures; without, nothing changes.  The sliding-window code stands last, on
an SSRC of its own (RFC 5956 §4.3): none but our own peers answer it, and then it is used instead.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ringline.client.description import (
    Codec,
    Description,
    Direction,
    MediaSection,
    TransportDescription,
)
from ringline.client.errors import NegotiationError
from ringline.media.frames import Kind
from ringline.media.parameters import SessionParameters, StreamParameters
from ringline.media.rtp.header_extensions import URIS, ExtensionIds
from ringline.media.units import PayloadType, Ssrc

__all__ = ["LocalMedia", "accept_answer", "make_answer", "make_offer"]

_OPUS: Final = Codec(
    payload_type=111,
    name="opus",
    clock_rate=48_000,
    channels=2,  # always 2 in SDP, whatever is sent (RFC 7587 §7)
    parameters={"minptime": 10, "useinbandfec": 1},
    feedback=("transport-cc",),
)
_RED: Final = Codec(
    payload_type=63,
    name="red",
    clock_rate=48_000,
    channels=2,
    parameters={"111/111": None},  # what may be in it: the sound, and copies of it
)
_VP8: Final = Codec(
    payload_type=96,
    name="VP8",
    clock_rate=90_000,
    # RPSI (RFC 4585 §4.2) none but our own peers take; with the others a loss costs a key frame.
    feedback=("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli", "nack rpsi"),
)
_RTX: Final = Codec(payload_type=97, name="rtx", clock_rate=90_000, parameters={"apt": 96})
_PICTURE_RED: Final = Codec(payload_type=118, name="red", clock_rate=90_000)
_RED_RTX: Final = Codec(payload_type=119, name="rtx", clock_rate=90_000, parameters={"apt": 118})
_ULPFEC: Final = Codec(payload_type=120, name="ulpfec", clock_rate=90_000)

_RLC: Final = Codec(
    payload_type=107, name="ringline-rlc", clock_rate=90_000, parameters={"apt": 96}
)

_EXTENSIONS: Final[dict[str, dict[str, int]]] = {
    "audio": {
        URIS["audio_level"]: 1,
        URIS["absolute_send_time"]: 2,
        URIS["transport_sequence_number"]: 3,
        URIS["mid"]: 4,
    },
    "video": {
        URIS["absolute_send_time"]: 2,
        URIS["transport_sequence_number"]: 3,
        URIS["mid"]: 4,
        URIS["playout_delay"]: 5,
    },
}

_SCTP_PORT: Final = 5000  # the value that every WebRTC stack uses (RFC 8841 §5)

_PACKET_TIMES: Final = (20, 40, 60)  # milliseconds of sound that we may put into a packet

_REVERSED: Final[dict[Direction, Direction]] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalMedia:
    """The streams that we send: their numbers for the life of one call."""

    cname: str
    audio_ssrc: Ssrc
    video_ssrc: Ssrc
    video_rtx_ssrc: Ssrc
    video_repair_ssrc: Ssrc

    @classmethod
    def generate(cls, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> LocalMedia:
        """Choose a fresh CNAME (RFC 7022) and four different SSRCs."""
        ssrcs: list[Ssrc] = []
        while len(ssrcs) < 4:
            ssrc = Ssrc(int.from_bytes(random_bytes(4), "big"))
            if ssrc != 0 and ssrc not in ssrcs:
                ssrcs.append(ssrc)
        return cls(
            cname=random_bytes(12).hex(),
            audio_ssrc=ssrcs[0],
            video_ssrc=ssrcs[1],
            video_rtx_ssrc=ssrcs[2],
            video_repair_ssrc=ssrcs[3],
        )


def make_offer(local: LocalMedia, transport: TransportDescription) -> Description:
    """Return our offer; each restart makes the same with another transport description."""
    return Description(
        type="offer",
        transport=replace(transport, setup="actpass"),
        sections=(
            MediaSection(
                kind="audio",
                mid="0",
                codecs=(_RED, _OPUS),
                extensions=_EXTENSIONS["audio"],
                ssrc=local.audio_ssrc,
                cname=local.cname,
            ),
            MediaSection(
                kind="video",
                mid="1",
                codecs=(_VP8, _RTX, _PICTURE_RED, _RED_RTX, _ULPFEC, _RLC),
                extensions=_EXTENSIONS["video"],
                ssrc=local.video_ssrc,
                rtx_ssrc=local.video_rtx_ssrc,
                repair_ssrc=local.video_repair_ssrc,
                cname=local.cname,
            ),
            MediaSection(kind="application", mid="2", sctp_port=_SCTP_PORT),
        ),
    )


def make_answer(
    offer: Description, local: LocalMedia, transport: TransportDescription
) -> tuple[Description, SessionParameters]:
    """Answer an offer; return the answer and what was settled.

    The numbers of codecs and extensions are the offerer's (RFC 3264 §6.1).  Sections that we
    cannot speak, and second ones of a kind, are rejected.

    Raises:
        NegotiationError: If not one section of sound or picture could be answered.

    """
    seen: set[str] = set()
    sections = []
    for offered in offer.sections:
        section = None if offered.kind in seen else _answer_section(offered, local)
        if section is None:
            section = MediaSection(
                kind=offered.kind, mid=offered.mid, direction="inactive", rejected=True
            )
        else:
            seen.add(offered.kind)
        sections.append(section)
    if not seen & {"audio", "video"}:
        raise NegotiationError(
            f"the offer has no codec that we speak (Opus, VP8); it has {_codec_names(offer)}"
        )
    answer = Description(
        type="answer",
        # "active": the answerer's handshake can start with its first working pair.
        transport=replace(
            transport, setup="passive" if offer.transport.setup == "active" else "active"
        ),
        sections=tuple(sections),
    )
    return answer, _settle(ours=answer, theirs=offer, local=local)


def accept_answer(offer: Description, answer: Description, local: LocalMedia) -> SessionParameters:
    """Return what an answer to our own offer settled.

    Raises:
        NegotiationError: If the answer does not fit the offer (RFC 8829 §5.11).

    """
    if [s.kind for s in offer.sections] != [s.kind for s in answer.sections]:
        raise NegotiationError(
            "the answer has other sections than the offer: "
            f"{[s.kind for s in answer.sections]} for {[s.kind for s in offer.sections]}"
        )
    if answer.transport.setup == "actpass":
        raise NegotiationError("the answer left the DTLS role open (a=setup:actpass)")
    parameters = _settle(ours=offer, theirs=answer, local=local)
    if not parameters.send and not parameters.receive:
        raise NegotiationError(
            f"the answer accepts neither Opus nor VP8; it has {_codec_names(answer)}"
        )
    return parameters


def _answer_section(offered: MediaSection, local: LocalMedia) -> MediaSection | None:
    if offered.rejected:
        return None
    if offered.kind == "application":
        if offered.sctp_port is None:
            return None
        return MediaSection(kind="application", mid=offered.mid, sctp_port=_SCTP_PORT)
    ours = (_OPUS,) if offered.kind == "audio" else (_VP8,)
    codecs = [
        replace(
            known,
            payload_type=codec.payload_type,
            feedback=tuple(f for f in known.feedback if f in codec.feedback),
        )
        for known in ours
        for codec in offered.codecs
        if codec.name.lower() == known.name.lower() and codec.clock_rate == known.clock_rate
    ][:1]
    if not codecs:
        return None
    rtx = _companion(offered, _RTX.name, codecs[0].payload_type)
    rlc = _companion(offered, _RLC.name, codecs[0].payload_type)
    codecs += [codec for codec in (rtx, rlc) if codec is not None]
    audio = offered.kind == "audio"
    red = _sound_red_for(offered, codecs[0].payload_type) if audio else None
    if red is not None:
        codecs.insert(0, red)
    if not audio:
        codecs += _ulpfec_for(offered)
    return MediaSection(
        kind=offered.kind,
        mid=offered.mid,
        direction=_REVERSED[offered.direction],
        codecs=tuple(codecs),
        extensions={
            uri: number
            for uri, number in offered.extensions.items()
            if uri in _EXTENSIONS[offered.kind]
            # Our own peers judge for themselves how long to hold pictures.
            and (rlc is None or uri != URIS["playout_delay"])
        },
        ssrc=local.audio_ssrc if audio else local.video_ssrc,
        rtx_ssrc=local.video_rtx_ssrc if rtx is not None else None,
        repair_ssrc=local.video_repair_ssrc if rlc is not None else None,
        cname=local.cname,
    )


def _settle(*, ours: Description, theirs: Description, local: LocalMedia) -> SessionParameters:
    """Return the streams of both directions; the answer's word on codecs counts."""
    answer = ours if ours.type == "answer" else theirs
    send, receive = [], []
    ids: dict[str, int] = {}
    for our_section, their_section in zip(ours.sections, theirs.sections, strict=True):
        if our_section.rejected or their_section.rejected or our_section.kind == "application":
            continue
        settled = answer.sections[ours.sections.index(our_section)]
        direction = settled.direction if answer is ours else _REVERSED[settled.direction]
        stream = _stream(settled)
        if stream is None:
            continue
        if direction in ("sendrecv", "sendonly"):
            send.append(_as_wanted(_with_ssrcs(stream, our_section), their_section))
        if direction in ("sendrecv", "recvonly"):
            receive.append(_with_ssrcs(stream, their_section))
        ids.update(settled.extensions)
    return SessionParameters(
        cname=local.cname,
        local_ssrc=local.audio_ssrc,
        send=tuple(send),
        receive=tuple(receive),
        extension_ids=ExtensionIds(**{name: ids.get(uri) for name, uri in URIS.items()}),
    )


def _stream(section: MediaSection) -> StreamParameters | None:
    kind: Kind = "audio" if section.kind == "audio" else "video"
    wanted = "opus" if kind == "audio" else "vp8"
    codec = next((c for c in section.codecs if c.name.lower() == wanted), None)
    if codec is None:
        return None
    rtx = _companion(section, _RTX.name, codec.payload_type)
    rlc = _companion(section, _RLC.name, codec.payload_type)
    red = _sound_red_for(section, codec.payload_type) if kind == "audio" else None
    red_rtx = ulpfec = None
    if kind == "video" and (protection := _ulpfec_for(section)):
        red, ulpfec = protection[0], protection[-1]
        red_rtx = _companion(section, _RTX.name, red.payload_type)
    return StreamParameters(
        kind=kind,
        mid=section.mid,
        payload_type=PayloadType(codec.payload_type),
        rtx_payload_type=None if rtx is None else PayloadType(rtx.payload_type),
        repair_payload_type=None if rlc is None else PayloadType(rlc.payload_type),
        red_payload_type=None if red is None else PayloadType(red.payload_type),
        red_rtx_payload_type=None if red_rtx is None else PayloadType(red_rtx.payload_type),
        ulpfec_payload_type=None if ulpfec is None else PayloadType(ulpfec.payload_type),
        nack="nack" in codec.feedback,
        pli="nack pli" in codec.feedback,
        rpsi="nack rpsi" in codec.feedback,
        transport_cc="transport-cc" in codec.feedback,
        remb="goog-remb" in codec.feedback,
        in_band_fec=str(codec.parameters.get("useinbandfec", 0)) == "1",
    )


def _with_ssrcs(stream: StreamParameters, section: MediaSection) -> StreamParameters:
    repair = section.repair_ssrc if stream.repair_payload_type is not None else None
    return replace(
        stream,
        ssrc=None if section.ssrc is None else Ssrc(section.ssrc),
        rtx_ssrc=None if section.rtx_ssrc is None else Ssrc(section.rtx_ssrc),
        repair_ssrc=None if repair is None else Ssrc(repair),
    )


def _as_wanted(stream: StreamParameters, section: MediaSection) -> StreamParameters:
    """Send sound as its receiver asks, who describes what it takes, not what it sends."""
    if stream.kind != "audio":
        return stream
    opus = next((codec for codec in section.codecs if codec.name.lower() == "opus"), None)
    most = section.max_packet_time or max(_PACKET_TIMES)
    times = tuple(time for time in _PACKET_TIMES if time <= most)
    if section.packet_time in times:
        times = (section.packet_time,)
    return replace(
        stream,
        dtx=opus is not None and str(opus.parameters.get("usedtx", 0)) == "1",
        packet_times=times or _PACKET_TIMES[:1],
    )


def _companion(section: MediaSection, name: str, payload_type: int) -> Codec | None:
    """Return the format of a name that goes with a codec (RFC 4588 §8.6: ``apt``)."""
    for codec in section.codecs:
        if codec.name.lower() == name and str(codec.parameters.get("apt")) == str(payload_type):
            return codec
    return None


def _sound_red_for(section: MediaSection, payload_type: int) -> Codec | None:
    """Return the RED that holds nothing but this codec (RFC 2198 §5: ``a=fmtp:63 111/111``)."""
    for codec in section.codecs:
        held = next(iter(codec.parameters), "").split("/")
        if codec.name.lower() == "red" and set(held) == {str(payload_type)}:
            return codec
    return None


def _ulpfec_for(section: MediaSection) -> list[Codec]:
    """Return RED of pictures, its RTX if there is one, and ULPFEC; nothing if one is missing."""
    found = {codec.name.lower(): codec for codec in section.codecs if codec.clock_rate == 90_000}
    red, ulpfec = found.get("red"), found.get("ulpfec")
    if red is None or ulpfec is None:
        return []
    rtx = _companion(section, _RTX.name, red.payload_type)
    return [red, ulpfec] if rtx is None else [red, rtx, ulpfec]


def _codec_names(description: Description) -> str:
    names = sorted({codec.name for section in description.sections for codec in section.codecs})
    return ", ".join(names) or "none"
