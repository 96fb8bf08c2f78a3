"""SDP: the text of an offer or answer, to and from :class:`~.description.Description`.

aiortc's parser and writer do the work; here its objects become ours, every way in which it fails
on malformed text becomes one error, and what no peer needs is bounded before it is parsed.
"""

from __future__ import annotations

import re
from typing import Final, cast

from ringline.client.description import (
    Codec,
    Description,
    DescriptionType,
    Direction,
    Fingerprint,
    MediaSection,
    SectionKind,
    Setup,
    TransportDescription,
)
from ringline.client.errors import NegotiationError
from ringline.client.io_aiortc import rtc_parameters as rtc
from ringline.client.io_aiortc import rtc_sdp

__all__ = ["MAX_SDP_SIZE", "format_sdp", "parse_sdp"]

MAX_SDP_SIZE: Final = 48 * 1024
"""Characters.  A browser's offer with every codec it has is 3 to 8 KiB; a message of
``ringline.v1`` holds 64 KiB."""

_MAX_SECTIONS: Final = 16
_MAX_LINES: Final = 2000

_ROLE_OF_SETUP: Final[dict[Setup, str]] = {
    "actpass": "auto",
    "active": "client",
    "passive": "server",
}
_SETUP_OF_ROLE: Final[dict[str, Setup]] = {role: setup for setup, role in _ROLE_OF_SETUP.items()}
_KINDS: Final = ("audio", "video", "application")
_DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")


def parse_sdp(text: str, description_type: DescriptionType) -> Description:
    """Read SDP text.

    The transport is the one of the first section that is not rejected: all sections share it
    (BUNDLE, RFC 9143); a peer that cannot bundle is not served.

    Raises:
        NegotiationError: If the text is malformed, too long, or describes no DTLS transport.

    """
    if len(text) > MAX_SDP_SIZE or text.count("\n") > _MAX_LINES:
        raise NegotiationError(f"SDP of {len(text)} characters is over the limit")
    try:
        session = rtc_sdp.SessionDescription.parse(text)
        texts = text.split("\nm=")[1:]
        sections = tuple(
            _section(index, media, text)
            for index, (media, text) in enumerate(zip(session.media, texts, strict=True))
        )
        transport = _transport(session)
    except NegotiationError:
        raise
    except Exception as error:
        # The parser answers malformed text with whatever its code runs into: AssertionError,
        # IndexError, KeyError, StopIteration, AttributeError...
        raise NegotiationError(f"malformed SDP: {type(error).__name__} {error}".rstrip()) from error
    if len(sections) > _MAX_SECTIONS:
        raise NegotiationError(
            f"SDP with {len(sections)} m-sections; {_MAX_SECTIONS} are the limit"
        )
    return Description(type=description_type, transport=transport, sections=sections)


def format_sdp(description: Description) -> str:
    """Return the text of a description."""
    session = rtc_sdp.SessionDescription()
    session.origin = "- 1 1 IN IP4 0.0.0.0"
    session.type = description.type
    bundled = [section.mid for section in description.sections if not section.rejected]
    session.group.append(rtc_sdp.GroupDescription(semantic="BUNDLE", items=list(bundled)))
    session.msid_semantic.append(rtc_sdp.GroupDescription(semantic="WMS", items=["*"]))
    session.media = [_media(section, description.transport) for section in description.sections]
    return str(session)


def _section(index: int, media: rtc_sdp.MediaDescription, text: str) -> MediaSection:
    if media.kind not in _KINDS:
        # Kept, so that the answer has as many sections as the offer.
        return MediaSection(kind="application", mid=media.rtp.muxId or str(index), rejected=True)
    cname = next((entry.cname for entry in media.ssrc if entry.cname), None)
    ssrc: int | None = media.ssrc[0].ssrc if media.ssrc else None
    first, rtx_ssrc = _pair(media, "FID")
    ssrc = ssrc if first is None else first
    protected, repair_ssrc = _pair(media, "FEC-FR")
    if protected != ssrc:
        repair_ssrc = None
    return MediaSection(
        kind=cast("SectionKind", media.kind),
        mid=media.rtp.muxId or str(index),
        direction=cast("Direction", media.direction or "sendrecv"),
        rejected=media.port == 0,
        codecs=tuple(
            Codec(
                payload_type=int(codec.payloadType or 0),
                name=codec.name,
                clock_rate=codec.clockRate,
                channels=codec.channels,
                parameters=dict(codec.parameters),
                feedback=tuple(
                    f"{entry.type} {entry.parameter}" if entry.parameter else entry.type
                    for entry in codec.rtcpFeedback
                ),
            )
            for codec in media.rtp.codecs
        ),
        extensions={
            extension.uri: extension.id
            for extension in media.rtp.headerExtensions
            if 1 <= extension.id <= 14  # what the one-byte form can say (RFC 8285 §4.2)
        },
        ssrc=ssrc,
        rtx_ssrc=rtx_ssrc,
        repair_ssrc=repair_ssrc,
        cname=cname,
        sctp_port=media.sctp_port,
        max_message_size=(
            media.sctpCapabilities.maxMessageSize if media.sctpCapabilities else 65536
        ),
        packet_time=_milliseconds(text, "ptime"),
        max_packet_time=_milliseconds(text, "maxptime"),
    )


def _milliseconds(text: str, name: str) -> int | None:
    """Return an attribute that the parser does not know; one that makes no sense is not there."""
    found = re.search(rf"^a={name}:(\d{{1,4}})\r?$", text, re.MULTILINE | re.ASCII)
    return int(found[1]) if found is not None and int(found[1]) > 0 else None


def _pair(media: rtc_sdp.MediaDescription, semantic: str) -> tuple[int | None, int | None]:
    """Return the two streams that the first group of a kind joins (RFC 5576 §4.2)."""
    for group in media.ssrc_group:
        if group.semantic == semantic and len(group.items) == 2:
            return int(group.items[0]), int(group.items[1])
    return None, None


def _transport(session: rtc_sdp.SessionDescription) -> TransportDescription:
    described = [media for media in session.media if media.ice and media.ice.password]
    media = next((m for m in described if m.port != 0), None)
    if (
        media is None
        or media.ice is None
        or not (media.ice.usernameFragment and media.ice.password)
    ):
        raise NegotiationError("SDP without ICE credentials (a=ice-ufrag, a=ice-pwd)")
    if media.dtls is None or not media.dtls.fingerprints:
        raise NegotiationError("SDP without a DTLS fingerprint (a=fingerprint, a=setup)")
    return TransportDescription(
        ufrag=media.ice.usernameFragment,
        password=media.ice.password,
        fingerprints=tuple(
            Fingerprint(algorithm=entry.algorithm, value=entry.value)
            for entry in media.dtls.fingerprints
        ),
        setup=_SETUP_OF_ROLE[media.dtls.role],
        candidates=tuple(
            "candidate:" + rtc_sdp.candidate_to_sdp(entry) for entry in media.ice_candidates
        ),
        candidates_complete=media.ice_candidates_complete,
    )


def _media(section: MediaSection, transport: TransportDescription) -> rtc_sdp.MediaDescription:
    data = section.kind == "application"
    formats: list[int] | list[str] = (
        ["webrtc-datachannel"] if data else [codec.payload_type for codec in section.codecs] or [0]
    )
    media = rtc_sdp.MediaDescription(
        kind=section.kind,
        port=0 if section.rejected else 9,
        profile="UDP/DTLS/SCTP" if data else "UDP/TLS/RTP/SAVPF",
        fmt=formats,
    )
    media.host = "0.0.0.0"  # noqa: S104 - what JSEP writes while candidates trickle
    media.rtp.muxId = section.mid
    media.ice = rtc.RTCIceParameters()
    if section.rejected:
        media.direction = None if data else "inactive"
        return media
    media.ice.usernameFragment = transport.ufrag
    media.ice.password = transport.password
    media.ice_options = "trickle"
    media.ice_candidates = [
        rtc_sdp.candidate_from_sdp(text.removeprefix("candidate:")) for text in transport.candidates
    ]
    media.ice_candidates_complete = transport.candidates_complete
    media.dtls = rtc.RTCDtlsParameters(
        fingerprints=[
            rtc.RTCDtlsFingerprint(algorithm=entry.algorithm, value=entry.value)
            for entry in transport.fingerprints
        ],
        role=_ROLE_OF_SETUP[transport.setup],
    )
    if data:
        media.sctp_port = section.sctp_port
        media.sctpCapabilities = rtc.RTCSctpCapabilities(maxMessageSize=section.max_message_size)
        return media
    _describe_rtp(media, section)
    return media


def _describe_rtp(media: rtc_sdp.MediaDescription, section: MediaSection) -> None:
    media.direction = section.direction
    media.rtcp_port, media.rtcp_host, media.rtcp_mux = 9, "0.0.0.0", True  # noqa: S104
    media.rtp.headerExtensions = [
        rtc.RTCRtpHeaderExtensionParameters(id=number, uri=uri)
        for uri, number in section.extensions.items()
    ]
    media.rtp.codecs = [
        rtc.RTCRtpCodecParameters(
            mimeType=f"{section.kind}/{codec.name}",
            clockRate=codec.clock_rate,
            channels=codec.channels,
            payloadType=codec.payload_type,
            parameters=dict(codec.parameters),
            rtcpFeedback=[
                rtc.RTCRtcpFeedback(type=kind, parameter=parameter or None)
                for kind, _, parameter in (entry.partition(" ") for entry in codec.feedback)
            ],
        )
        for codec in section.codecs
    ]
    if section.ssrc is None:
        return
    # One media stream for sound and picture, so that a browser plays them in step.
    media.msid = f"{section.cname} {section.cname}-{section.kind}"
    ssrcs = [
        ssrc for ssrc in (section.ssrc, section.rtx_ssrc, section.repair_ssrc) if ssrc is not None
    ]
    media.ssrc = [
        rtc_sdp.SsrcDescription(ssrc=ssrc, cname=section.cname, msid=media.msid) for ssrc in ssrcs
    ]
    for semantic, other in (("FID", section.rtx_ssrc), ("FEC-FR", section.repair_ssrc)):
        if other is not None:
            group = rtc_sdp.GroupDescription(semantic=semantic, items=[section.ssrc, other])
            media.ssrc_group.append(group)
