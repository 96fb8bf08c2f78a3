"""A plain aiortc peer connection on the other side, both ways round."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiortc
import pytest

from ringline.client.description import Fingerprint
from ringline.client.io_aiortc import (
    RemoteTransportParameters,
    TransportConfig,
    TransportState,
    rtc_sdp,
)
from tests.e2e.transport_ends import End

# On all of this machine's addresses, since aiortc does not gather on loopback.
CONFIG = TransportConfig(watch_interval=None, include_loopback=False)
RTP = bytes.fromhex("80600001 00000000 00000001") + b"payload"


@pytest.fixture
async def peer() -> AsyncIterator[aiortc.RTCPeerConnection]:
    connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    yield connection
    await connection.close()


def description(end: End, kind: str, setup: str) -> aiortc.RTCSessionDescription:
    """Our side as SDP of one data channel section."""
    local = end.transport.local_description
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sctp-port:5000",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        *(f"a=fingerprint:{entry.algorithm} {entry.value}" for entry in local.fingerprints),
        f"a=setup:{setup}",
        *(f"a={candidate}" for candidate in local.candidates),
        "a=end-of-candidates",
        "",
    ]
    return aiortc.RTCSessionDescription(sdp="\r\n".join(lines), type=kind)


def parameters(text: str) -> RemoteTransportParameters:
    media = rtc_sdp.SessionDescription.parse(text).media[0]
    assert media.dtls is not None
    assert media.ice is not None
    assert media.ice.usernameFragment is not None
    assert media.ice.password is not None
    return RemoteTransportParameters(
        ufrag=media.ice.usernameFragment,
        password=media.ice.password,
        fingerprints=tuple(
            Fingerprint(algorithm=entry.algorithm, value=entry.value)
            for entry in media.dtls.fingerprints
        ),
        candidates=tuple(
            f"candidate:{rtc_sdp.candidate_to_sdp(entry)}" for entry in media.ice_candidates
        ),
    )


def dtls_of(peer: aiortc.RTCPeerConnection) -> aiortc.RTCDtlsTransport:
    assert peer.sctp is not None
    return peer.sctp.transport


async def check_media(end: End, peer: aiortc.RTCPeerConnection) -> None:
    """Send RTP each way, past aiortc's own senders and receivers."""
    dtls = dtls_of(peer)
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def handle_rtp_data(data: bytes, arrival_time_ms: int) -> None:
        assert arrival_time_ms
        received.set_result(data)

    dtls._handle_rtp_data = handle_rtp_data  # type: ignore[method-assign]
    end.transport.send(RTP)
    assert await asyncio.wait_for(received, 5.0) == RTP
    await dtls._send_rtp(RTP)
    await end.until(end.has_media)
    assert [data for data, _ in end.media] == [RTP]


async def test_we_call_a_plain_aiortc_peer(peer: aiortc.RTCPeerConnection) -> None:
    end = End(CONFIG, controlling=True)
    channel = end.transport.open_channel("ours")
    answers = end.listen(channel)
    channel.send("hello")

    @peer.on("datachannel")
    def echo(opened: aiortc.RTCDataChannel) -> None:
        opened.on("message", lambda message: opened.send(f"{opened.label}: {message}"))

    end.transport.gather()
    await peer.setRemoteDescription(description(end, "offer", "actpass"))
    await peer.setLocalDescription(await peer.createAnswer())
    end.transport.start(parameters(peer.localDescription.sdp), dtls_role="server")
    await end.until_state(TransportState.CONNECTED)
    await end.until(lambda: answers)
    assert answers == ["ours: hello"]
    await check_media(end, peer)

    await end.transport.close()
    assert end.states[-1] is TransportState.CLOSED


async def test_a_plain_aiortc_peer_calls_us(peer: aiortc.RTCPeerConnection) -> None:
    end = End(CONFIG, controlling=False)
    theirs = peer.createDataChannel("theirs")
    received: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    theirs.on("message", received.set_result)

    await peer.setLocalDescription(await peer.createOffer())
    end.transport.gather()
    end.transport.start(parameters(peer.localDescription.sdp), dtls_role="client")
    await peer.setRemoteDescription(description(end, "answer", "active"))
    await end.until_state(TransportState.CONNECTED)
    await end.until(lambda: end.channels)
    end.channels[0].send("welcome")
    assert await asyncio.wait_for(received, 5.0) == "welcome"
    await check_media(end, peer)

    await peer.close()  # says goodbye
    await end.until_state(TransportState.CLOSED)
    await end.transport.close()
