"""Transport-wide feedback: which packets of a transport arrived, and when.

draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.  Status chunks are sent as run lengths
where they pay and as two-bit vectors elsewhere; all three forms are read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ringline.media.errors import ParseError

__all__ = ["TransportFeedback"]

_HEADER: Final = struct.Struct("!IIHH")
_TICK: Final = 0.000_25
"""Seconds of one arrival delta."""
_REFERENCE_TICK: Final = 0.064
"""Seconds of one unit of the reference time."""
_LOST, _SMALL, _LARGE = 0, 1, 2


@dataclass(slots=True)
class TransportFeedback:
    """Arrivals of consecutive packets.

    Attributes:
        base_sequence: Transport-wide number of the first packet, 16 bits.
        feedback_count: 8 bits, one up a feedback.
        arrivals: For each packet from the base on its arrival in seconds on the receiver's
            clock, or :obj:`None` if it has not come.  Serialized in steps of 250 us, modulo
            2**24 * 64 ms; only differences mean anything.

    """

    sender_ssrc: int
    media_ssrc: int
    base_sequence: int
    feedback_count: int
    arrivals: list[float | None]

    def serialize(self) -> bytes:
        """Return the body of the packet, without the RTCP header, padded to words.

        Raises:
            ValueError: If two arrivals that follow each other are over 8 s apart; the caller
                splits there.

        """
        first = next((a for a in self.arrivals if a is not None), 0.0)
        reference = int(first // _REFERENCE_TICK)
        clock = reference * 256  # in ticks of 250 us
        symbols = []
        deltas = bytearray()
        for arrival in self.arrivals:
            if arrival is None:
                symbols.append(_LOST)
                continue
            delta = round(arrival / _TICK) - clock
            clock += delta
            if 0 <= delta <= 255:
                symbols.append(_SMALL)
                deltas.append(delta)
            elif -32768 <= delta <= 32767:
                symbols.append(_LARGE)
                deltas += delta.to_bytes(2, "big", signed=True)
            else:
                raise ValueError(f"arrivals {delta * _TICK:.1f} s apart do not fit one feedback")
        head = _HEADER.pack(
            self.sender_ssrc, self.media_ssrc, self.base_sequence & 0xFFFF, len(symbols)
        )
        times = ((reference & 0xFFFFFF) << 8 | self.feedback_count & 0xFF).to_bytes(4, "big")
        body = head + times + _pack_chunks(symbols) + bytes(deltas)
        return body + bytes(-len(body) % 4)

    @classmethod
    def parse(cls, body: bytes) -> TransportFeedback:
        """Read the body of the packet.

        Raises:
            ParseError: If chunks or deltas are missing.

        """
        if len(body) < 16:
            raise ParseError(f"transport-cc: {len(body)} bytes, expected at least 16")
        sender_ssrc, media_ssrc, base, count = _HEADER.unpack_from(body)
        word = int.from_bytes(body[12:16], "big")
        symbols, position = _unpack_chunks(body, 16, count)
        clock = (word >> 8) * 256
        arrivals: list[float | None] = []
        for symbol in symbols:
            if symbol == _LOST:
                arrivals.append(None)
                continue
            size = 1 if symbol == _SMALL else 2
            if position + size > len(body):
                raise ParseError("transport-cc: fewer deltas than packets that arrived")
            clock += int.from_bytes(body[position : position + size], "big", signed=size == 2)
            position += size
            arrivals.append(clock * _TICK)
        return cls(sender_ssrc, media_ssrc, base, word & 0xFF, arrivals)


def _pack_chunks(symbols: list[int]) -> bytes:
    out = bytearray()
    position = 0
    while position < len(symbols):
        symbol = symbols[position]
        run = 1
        while run < 0x1FFF and symbols[position + run : position + run + 1] == [symbol]:
            run += 1
        if run >= 7:
            out += (symbol << 13 | run).to_bytes(2, "big")
            position += run
        else:
            chunk = 0xC000  # a vector of seven two-bit symbols
            for index, value in enumerate(symbols[position : position + 7]):
                chunk |= value << (12 - 2 * index)
            out += chunk.to_bytes(2, "big")
            position += 7
    return bytes(out)


def _unpack_chunks(body: bytes, position: int, count: int) -> tuple[list[int], int]:
    symbols: list[int] = []
    while len(symbols) < count:
        if position + 2 > len(body):
            raise ParseError("transport-cc: fewer status chunks than packets")
        chunk = int.from_bytes(body[position : position + 2], "big")
        position += 2
        if not chunk & 0x8000:
            run = min(chunk & 0x1FFF, count - len(symbols))
            if run == 0:
                raise ParseError("transport-cc: a run of no packets")
            symbols += [chunk >> 13 & 3] * run
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> bit & 1 for bit in range(13, -1, -1)]
    del symbols[count:]
    if 3 in symbols:
        raise ParseError("transport-cc: reserved packet status")
    return symbols, position
