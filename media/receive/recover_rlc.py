"""Recover by the sliding-window code: lost video packets from repair packets (RFC 8681's kind).

Stage between arrival and everything that looks at numbers: media passes by and is remembered,
each repair packet is an equation about some of it (:mod:`ringline.media.rtp.rlc`).  What is known
is taken off at once; what is left is about lost packets.  The equations are kept solved as far as
they can be (Gauss and Jordan): each has a *pivot*, a lost packet that no other equation names.  An
equation that names but its pivot is that packet.

No loss costs nothing: an equation without an unknown is dropped before any byte is touched.

Invariants:

1. At most ``max_equations`` and ``max_packets`` are held, whatever comes.
2. A pivot is named by its own equation alone.
3. A packet comes out at most once, and none that came by itself before.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from ringline.media.errors import ParseError
from ringline.media.rtp.gf256 import accumulate, inverse, multiply, scale
from ringline.media.rtp.packet import RtpPacket
from ringline.media.rtp.rlc import (
    MAX_WINDOW,
    RlcRepair,
    make_symbol,
    read_symbol,
    rlc_coefficient,
)

__all__ = ["RlcRecovery", "RlcRecoveryConfig"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RlcRecoveryConfig:
    """How a :class:`RlcRecovery` behaves."""

    max_equations: int = 64
    """Held unsolved.  A window whose loss needs more has lost half of its packets and more."""

    max_packets: int = 384
    """Numbers back from the newest that media is remembered and equations are kept for: the
    widest window and what may overtake it."""

    lifetime: float = 0.5
    """Seconds after the last repair packet for which more of them are reckoned with."""


@dataclass(slots=True)
class _Equation:
    """``symbol`` is the sum of ``factor * symbol of number`` over ``factors``."""

    factors: dict[int, int]
    symbol: bytearray


class RlcRecovery:
    """Recovers the lost packets of one stream.

    Args:
        config: Tuning.

    Attributes:
        received: Repair packets.
        received_bytes: Their payload.
        discarded: Of those, ones that brought nothing new.
        recovered: Media packets that came out.

    """

    def __init__(self, config: RlcRecoveryConfig | None = None) -> None:
        self._config: Final = config or RlcRecoveryConfig()
        self.received = 0
        self.received_bytes = 0
        self.discarded = 0
        self.recovered = 0
        self.restart()

    def restart(self) -> None:
        """Forget the stream: another one begins."""
        self._known: dict[int, RtpPacket] = {}  # by continued number
        self._equations: dict[int, _Equation] = {}  # by pivot, the oldest first
        self._highest: int | None = None
        self._ssrc = 0
        self._payload_type = 0
        self._repaired_at: float | None = None

    def is_active(self, now: float) -> bool:
        """Tell whether repair packets are to be reckoned with."""
        return self._repaired_at is not None and now - self._repaired_at < self._config.lifetime

    def handle_media(self, sequence: int, packet: RtpPacket) -> list[tuple[int, RtpPacket]]:
        """Take a media packet that came, by whatever way; return those that it gives away.

        Args:
            sequence: Its continued number.
            packet: As it was sent first.

        """
        if sequence in self._known:
            return []
        self._ssrc, self._payload_type = packet.ssrc, packet.payload_type
        self._remember(sequence, packet)
        return self._substitute(sequence, packet) if self._equations else []

    def handle_repair(
        self, first: int, repair: RlcRepair, now: float
    ) -> list[tuple[int, RtpPacket]]:
        """Take a repair packet; return the media packets that it gives away.

        Args:
            first: The continued number of the first packet that it covers.
            repair: Its payload.
            now: The present.

        """
        self.received += 1
        self.received_bytes += len(repair.symbol)
        self._repaired_at = now
        numbers = range(first, first + repair.count)
        unknown = [number for number in numbers if number not in self._known]
        if not self._is_of_use(numbers, unknown):
            self.discarded += 1
            return []
        symbol = bytearray(repair.symbol)
        for number in numbers:
            packet = self._known.get(number)
            if packet is not None:
                accumulate(symbol, make_symbol(packet), rlc_coefficient(repair.key, number))
        factors = {number: rlc_coefficient(repair.key, number) for number in unknown}
        if not self._add(_Equation(factors, symbol)):
            self.discarded += 1
            return []
        return self._take_solved()

    # Private

    def _is_of_use(self, numbers: range, unknown: list[int]) -> bool:
        highest = self._highest
        if not unknown or highest is None:
            return False
        # What is far ahead or behind is no repair of this stream.
        return highest - self._config.max_packets < numbers[0] <= highest + MAX_WINDOW

    def _remember(self, sequence: int, packet: RtpPacket) -> None:
        self._known[sequence] = packet
        if self._highest is None or sequence > self._highest:
            self._highest = sequence
        if len(self._known) <= self._config.max_packets:
            return
        floor = self._highest - self._config.max_packets // 2
        self._known = {n: p for n, p in self._known.items() if n > floor}
        stale = [pivot for pivot, e in self._equations.items() if min(e.factors) <= floor]
        for pivot in stale:
            del self._equations[pivot]

    def _substitute(self, sequence: int, packet: RtpPacket) -> list[tuple[int, RtpPacket]]:
        """Take a packet that has become known out of all equations."""
        symbol = make_symbol(packet)
        own = self._equations.pop(sequence, None)
        for equation in self._equations.values():
            factor = equation.factors.pop(sequence, 0)
            if factor:
                accumulate(equation.symbol, symbol, factor)
        if own is not None:
            accumulate(own.symbol, symbol, own.factors.pop(sequence))
            self._add(own)
        return self._take_solved()

    def _add(self, equation: _Equation) -> bool:
        """Take an equation in; return whether it says anything new."""
        for number in list(equation.factors):
            known = self._equations.get(number)
            if known is not None:
                _subtract(equation, known, equation.factors[number])
        if not equation.factors:
            return False
        pivot, factor = next(iter(equation.factors.items()))
        _divide(equation, factor)
        for other in self._equations.values():
            if pivot in other.factors:
                _subtract(other, equation, other.factors[pivot])
        if len(self._equations) >= self._config.max_equations:
            del self._equations[next(iter(self._equations))]
        self._equations[pivot] = equation
        return True

    def _take_solved(self) -> list[tuple[int, RtpPacket]]:
        solved = [pivot for pivot, e in self._equations.items() if len(e.factors) == 1]
        packets = []
        for pivot in solved:
            equation = self._equations.pop(pivot, None)
            if equation is None:
                continue  # it was found too old meanwhile
            symbol = bytes(equation.symbol)
            try:
                packet = read_symbol(symbol, sequence_number=pivot, ssrc=self._ssrc)
            except ParseError as error:
                logger.debug("nothing recovered: %s", error)
                continue
            if packet.payload_type != self._payload_type:
                logger.debug("nothing recovered: payload type %d", packet.payload_type)
                continue
            self.recovered += 1
            self._remember(pivot, packet)
            packets.append((pivot, packet))
        packets.sort(key=_number)
        return packets


def _number(pair: tuple[int, RtpPacket]) -> int:
    return pair[0]


def _subtract(equation: _Equation, other: _Equation, factor: int) -> None:
    """Take ``factor`` times another equation away, which is the same as adding it."""
    factors = equation.factors
    for number, value in other.factors.items():
        result = factors.get(number, 0) ^ multiply(value, factor)
        if result:
            factors[number] = result
        else:
            del factors[number]
    accumulate(equation.symbol, other.symbol, factor)


def _divide(equation: _Equation, factor: int) -> None:
    """Make the factor of the pivot 1."""
    by = inverse(factor)
    for number, value in equation.factors.items():
        equation.factors[number] = multiply(value, by)
    equation.symbol = bytearray(scale(equation.symbol, by))
