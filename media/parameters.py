"""Parameters: what negotiation settles about each stream, in the words of RFC 8829 and RFC 4566.

A session has any number of streams each way; nothing here assumes two peers or one camera.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ringline.media.frames import Kind
from ringline.media.rtp.header_extensions import ExtensionIds
from ringline.media.units import PayloadType, Ssrc

__all__ = ["SessionParameters", "StreamParameters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamParameters:
    """One RTP stream, sent or received.

    Attributes:
        mid: The m-section that it belongs to (RFC 5888).
        payload_type: Of the media: VP8 or Opus.
        ssrc: Ours when sending; when receiving :obj:`None` if the other side did not announce
            it, and then the first packet with this mid or payload type tells.
        rtx_payload_type: Of retransmissions (RFC 4588), or :obj:`None` if not negotiated.
        rtx_ssrc: Their stream, by the same rule as ``ssrc``.
        red_payload_type: Of packets with several blocks (RFC 2198): sound with copies of what
            went before, pictures with forward error correction; :obj:`None` if not negotiated.
        ulpfec_payload_type: Of forward error correction (RFC 5109), inside RED.
        red_rtx_payload_type: Of retransmissions of RED packets, on ``rtx_ssrc`` too.
        repair_payload_type: Of the repair packets of our own code (:mod:`ringline.media.rtp.rlc`),
            on a stream of their own; :obj:`None` but between two of our own peers.
        repair_ssrc: Their stream, by the same rule as ``ssrc``.
        nack: The receiver may ask for lost packets (RFC 4585).
        pli: The receiver may ask for a key frame.
        rpsi: It may ask for a frame predicted from a picture that it has (``nack rpsi``), and
            frames say what they are predicted from (:mod:`ringline.media.rtp.vp8`).
        transport_cc: Packets carry transport-wide numbers and feedback is given on them.
        remb: The receiver's bandwidth estimate is understood (a fallback for older peers).
        in_band_fec: Opus may carry a coarse copy of the frame before (``useinbandfec``).
        dtx: The receiver of sound would rather have nothing than silence (``usedtx``).
        packet_times: Milliseconds of sound that a packet may hold; 20 goes if none of ours does.

    """

    kind: Kind
    mid: str
    payload_type: PayloadType
    ssrc: Ssrc | None = None
    rtx_payload_type: PayloadType | None = None
    rtx_ssrc: Ssrc | None = None
    red_payload_type: PayloadType | None = None
    ulpfec_payload_type: PayloadType | None = None
    red_rtx_payload_type: PayloadType | None = None
    repair_payload_type: PayloadType | None = None
    repair_ssrc: Ssrc | None = None
    nack: bool = False
    pli: bool = False
    rpsi: bool = False
    transport_cc: bool = False
    remb: bool = False
    in_band_fec: bool = False
    dtx: bool = False
    packet_times: tuple[int, ...] = (20, 40, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParameters:
    """Everything negotiated about the media of one transport.

    Attributes:
        cname: Names our streams as belonging together (RFC 3550 §6.5.1).
        local_ssrc: Whom our reports come from while we send nothing.
        reduced_size_rtcp: Feedback may go without a report before it (RFC 5506).

    """

    cname: str
    local_ssrc: Ssrc
    send: tuple[StreamParameters, ...] = ()
    receive: tuple[StreamParameters, ...] = ()
    extension_ids: ExtensionIds = field(default_factory=ExtensionIds)
    reduced_size_rtcp: bool = False
