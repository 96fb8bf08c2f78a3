"""DTLS: what aiortc's DTLS transport runs on, and lost flights (RFC 6347 §4.2.4)."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable
from typing import Final

import aiortc
from aiortc import rtcdtlstransport

__all__ = ["IceSeam", "make_dtls", "process_certificate"]


@functools.cache
def process_certificate() -> aiortc.RTCCertificate:
    """Return this process's certificate, ECDSA on P-256, valid for 30 days."""
    return aiortc.RTCCertificate.generateCertificate()


def make_dtls(seam: IceSeam) -> aiortc.RTCDtlsTransport:
    """Return the DTLS transport over a seam."""
    dtls = aiortc.RTCDtlsTransport(
        seam,  # type: ignore[arg-type] # as much of an ICE transport as it uses
        [process_certificate()],
    )
    # GCM of 128 bits first: a pass less than with SHA-1, and as strong as the handshake.
    preferred = (
        rtcdtlstransport.SRTP_AEAD_AES_128_GCM,
        rtcdtlstransport.SRTP_AES128_CM_SHA1_80,
    )
    dtls._srtp_profiles = [  # noqa: SLF001 - in BORROWED
        profile for profile in preferred if profile in rtcdtlstransport.SRTP_PROFILES
    ]
    return dtls


class IceSeam:
    """What :class:`aiortc.RTCDtlsTransport` takes for its ICE transport.

    Sends the last flight of the handshake again sooner than OpenSSL would, whose timer starts at
    a second: as the very same datagram, which the other side cannot tell from one that the
    network delivered twice.  And answers a repeated flight of the other side with our last one:
    OpenSSL drops it as a replay, though it says that our last one was lost.

    Args:
        transmit: Sends a datagram on the path, if there is one.
        round_trip: Of the path, seconds; 0 before it is known.

    """

    role: Final = "controlling"  # aiortc's DTLS asks only where no role was set

    def __init__(
        self,
        transmit: Callable[[bytes], None],
        round_trip: Callable[[], float],
        dropped: Counter[str],
    ) -> None:
        self._transmit: Final = transmit
        self._round_trip: Final = round_trip
        self._dropped: Final = dropped
        self._loop: Final = asyncio.get_running_loop()
        self._arrived: Final[asyncio.Queue[bytes | None]] = asyncio.Queue(maxsize=64)
        self._flight: bytes | None = None
        self._flight_sent_at = 0.0
        self._retries = 0
        self._timer: asyncio.TimerHandle | None = None
        self._handshaking = True

    def datagram_arrived(self, data: bytes) -> None:
        """Take a DTLS datagram."""
        if not self._handshaking and data[0] in (20, 22) and self._flight is not None:
            if self._loop.time() - self._flight_sent_at > 0.02:
                self._send_flight()
        elif not self._arrived.full():
            self._arrived.put_nowait(data)
        else:
            self._dropped["DTLS queue full"] += 1

    def path_found(self) -> None:
        """Send at once what waited for a path."""
        if self._handshaking and self._flight is not None:
            self._send_flight()
            self._arm()

    def media_arrived_early(self) -> None:
        """Media before the end of the handshake: their last flight, or ours before, was lost."""
        patience = 0.02 + 1.1 * self._round_trip()
        if self._handshaking and self._loop.time() - self._flight_sent_at > patience:
            self._send_flight()

    def handshake_ended(self) -> None:
        """Stop repeating."""
        self._handshaking = False
        if self._timer is not None:
            self._timer.cancel()

    def close(self) -> None:
        """End the reader."""
        self.handshake_ended()
        while not self._arrived.empty():
            self._arrived.get_nowait()
        self._arrived.put_nowait(None)

    async def _recv(self) -> bytes:
        data = await self._arrived.get()
        if data is None:
            raise ConnectionError("closed")
        return data

    async def _send(self, data: bytes) -> None:
        if self._handshaking:
            # A flight of ours always fits one datagram: the certificate is a small one.
            self._flight, self._retries = data, 0
            self._flight_sent_at = self._loop.time()
            self._arm()
        self._transmit(data)

    def _send_flight(self) -> None:
        if self._flight is not None:
            self._flight_sent_at = self._loop.time()
            self._transmit(self._flight)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # The answer's round trip, its arithmetic, and a margin; then slowly slower: a flight is
        # a datagram, so sending one too many costs less than a second of a silent call.
        wait = (0.03 + 1.25 * self._round_trip()) * 1.2**self._retries
        self._timer = self._loop.call_later(min(wait, 1.0), self._repeat)

    def _repeat(self) -> None:
        self._retries += 1
        self._send_flight()
        self._arm()
