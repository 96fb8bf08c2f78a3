"""SDP: aiortc's grammar and the values that it reads and writes, for :mod:`ringline.client.sdp`."""

from __future__ import annotations

import aiortc
from aiortc import rtcrtpparameters
from aiortc import sdp as rtc_sdp

__all__ = ["rtc_parameters", "rtc_sdp"]


class rtc_parameters:  # noqa: N801 - stands for a module
    """The values that :data:`rtc_sdp` is made of."""

    RTCDtlsFingerprint = aiortc.RTCDtlsFingerprint
    RTCDtlsParameters = aiortc.RTCDtlsParameters
    RTCIceParameters = aiortc.RTCIceParameters
    RTCRtcpFeedback = rtcrtpparameters.RTCRtcpFeedback
    RTCRtpCodecParameters = aiortc.RTCRtpCodecParameters
    RTCRtpHeaderExtensionParameters = aiortc.RTCRtpHeaderExtensionParameters
    RTCSctpCapabilities = aiortc.RTCSctpCapabilities
