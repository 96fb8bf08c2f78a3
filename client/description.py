"""Description: what an SDP offer or answer says, as values (RFC 8829, RFC 8866).

Only what a bundled WebRTC session needs: one transport for all sections.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "Codec",
    "Description",
    "DescriptionType",
    "Direction",
    "Fingerprint",
    "MediaSection",
    "TransportDescription",
]

DescriptionType = Literal["offer", "answer"]
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
SectionKind = Literal["audio", "video", "application"]
Setup = Literal["actpass", "active", "passive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One ``a=rtpmap`` with its ``a=fmtp`` and ``a=rtcp-fb`` lines.

    Attributes:
        name: As in SDP; compare without regard to case.
        parameters: Of ``a=fmtp``; a flag without value has :obj:`None`.
        feedback: For instance ``nack``, ``nack pli``, ``transport-cc``.

    """

    payload_type: int
    name: str
    clock_rate: int
    channels: int | None = None
    parameters: dict[str, int | str | None] = field(default_factory=dict)
    feedback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSection:
    """One m-section.

    Attributes:
        rejected: Port 0: this section carries nothing.
        codecs: In order of preference.
        extensions: URI to number (``a=extmap``).
        ssrc: Of the media that the describing side sends; :obj:`None` if not told.
        rtx_ssrc: Of its retransmissions (``a=ssrc-group:FID``).
        repair_ssrc: Of its repair packets (``a=ssrc-group:FEC-FR``, RFC 5956 §4.3).
        sctp_port: Of data channels (RFC 8841), for ``application``.
        packet_time: Milliseconds of sound that the describing side would have in a packet
            (``a=ptime``, RFC 8866 §6.4); :obj:`None` if it does not care.
        max_packet_time: The most that it takes (``a=maxptime``).

    """

    kind: SectionKind
    mid: str
    direction: Direction = "sendrecv"
    rejected: bool = False
    codecs: tuple[Codec, ...] = ()
    extensions: dict[str, int] = field(default_factory=dict)
    ssrc: int | None = None
    rtx_ssrc: int | None = None
    repair_ssrc: int | None = None
    cname: str | None = None
    sctp_port: int | None = None
    max_message_size: int = 65536
    packet_time: int | None = None
    max_packet_time: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Digest of a DTLS certificate (RFC 8122)."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportDescription:
    """The one ICE and DTLS transport.

    Attributes:
        candidates: Text of each ``candidate`` attribute, without ``a=``.
        candidates_complete: No more will trickle.

    """

    ufrag: str
    password: str = field(repr=False)
    fingerprints: tuple[Fingerprint, ...]
    setup: Setup
    candidates: tuple[str, ...] = field(default=(), repr=False)
    candidates_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A whole offer or answer."""

    type: DescriptionType
    transport: TransportDescription
    sections: tuple[MediaSection, ...]

    def section(self, kind: SectionKind) -> MediaSection | None:
        """Return the first section of a kind that is not rejected."""
        for section in self.sections:
            if section.kind == kind and not section.rejected:
                return section
        return None
