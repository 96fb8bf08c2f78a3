"""Protection: how much of the rate for pictures is worth spending on forward error correction?

A picture whose losses the repair packets around it cannot mend stops everything behind it until
it is retransmitted.  A model says how often that happens and for how long; the share is taken at
which what the stops cost and what the spent rate costs are least together::

    stopped pictures by share of protection  +  rate_price * halvings of the encoder's rate

A halving costs the more the coarser pictures are already, so on a narrow link more is left to
retransmission than on a wide one with the same losses.

*The path* is Gilbert's: each packet is lost or not by a chain of two states, given by the share
lost and the mean length of a run (:mod:`ringline.media.congestion.loss_bursts`).  Of any number
of packets in a row the chain tells how likely more than so many are lost.

*The code*: of ``k`` packets of a picture and ``r`` repair packets behind it any ``r`` may be lost.
Repair packets of the pictures that follow cover this one as well, so after ``t`` more pictures
those of all of them count: a picture is still missing if more are lost than there are repairs.

*Retransmission* mends what is left a round trip later, unless it is lost as well.  So the same
loss asks for little protection at 20 ms and for much at 300 ms.

Invariants:

1. Without loss there is no protection.
2. The share never exceeds ``max_share``, that of key frames never ``max_key_share``.
3. Protection grows at once; it shrinks when less has been right for ``patience`` seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["Protection", "ProtectionConfig", "ProtectionPolicy", "VideoPath"]

_PICTURES: Final = 4
"""Pictures whose repair packets may still mend one: what :class:`RlcConfig` has for a window."""

_STEPS: Final = 20
"""Pictures for which a stop is looked at: two thirds of a second at 30 a second."""

_MAX_PACKETS: Final = 160
"""Longest row of packets that the chain is asked about."""

_KEY_FRAME: Final = 5.0
"""Key frames over other pictures, by size: with libvpx at 450 % at most (``codecs/vp8.py``)."""

_SPLITS: Final = (1, 2, 3)

_SHARES: Final = tuple(step / 40 for step in range(25))
"""Candidates: up to 60 %, by steps of 2.5 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionConfig:
    """What is worth what."""

    rate_price: float = 0.12
    """Pictures stopped, of all, that half of the encoder's rate is worth (it costs a picture some
    3 dB) where its quantizer is ``rate_price_at``: a stop of a picture in eight is what a person
    would rather have than that."""

    rate_price_at: float = 55.0
    rate_price_doubles: float = 20.0
    """Steps of the quantizer, of 127, by which that doubles: 3 dB of a picture that is fine anyway
    nobody sees, of a coarse one they are what is left of a face."""

    max_share: float = 0.5
    """Of the video's rate: at 20 % loss in twos and threes more would still pay, but what is
    left for the picture is then no picture."""

    max_key_share: float = 0.5
    """Of a key frame and its repair: it is many packets, of which loss takes a steadier share."""

    key_importance: float = 4.0
    """What a stop by a key frame weighs against another: nothing can be shown at all."""

    min_loss: float = 0.003
    """Below, losses come so far apart that each is an event of its own, for retransmission."""

    margin: float = 0.1
    """Share of the whole price by which another share must be better for a change."""

    patience: float = 3.0
    """Seconds for which less must have been enough: five or ten bursts, if they go on."""

    decide_every: float = 0.5
    """Seconds between decisions: each takes 1 to 3 ms."""

    retransmission_margin: float = 0.03
    """Seconds over the round trip from a loss to its retransmission: to notice it, to wait for
    repair packets first, and in the pacer."""

    smallest_packet: int = 200
    """Bytes below which packets are not cut smaller for the code's sake: a quarter of them is
    headers by then."""

    most_packets: int = 9
    """Packets of a picture, its repair included, from which they are not cut smaller: each costs
    both sides some 50 us, and the code is fine enough by then."""

    header: int = 66
    """Bytes around a packet's payload, on the wire."""


@dataclass(slots=True, kw_only=True)
class VideoPath:
    """What protection is chosen by.

    Attributes:
        loss: Share of packets lost on their first way, 0.0 to 1.0.
        burst: Packets lost in a row, mean; 1.0 or more.
        round_trip: Seconds.
        bitrate: Bits per second on the wire for pictures and their protection.
        frame_rate: Pictures a second.
        packet_size: Largest packet in bytes on the wire.
        retransmission: Whether lost packets can be asked for.
        quantizer: How coarse pictures are, 0 to 127; :obj:`None` while that is not known.

    """

    loss: float
    burst: float
    round_trip: float
    bitrate: float
    frame_rate: float
    packet_size: int
    retransmission: bool
    quantizer: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What to do.

    Attributes:
        share: Of the rate for pictures, for repair packets: 0.0 is none.
        key_share: Of a key frame and its repair packets together.
        split: How many times smaller packets are made than they could be.
        residual: Share of the lost packets that will be asked for all the same.

    """

    share: float = 0.0
    key_share: float = 0.0
    split: int = 1
    residual: float = 1.0

    @property
    def ratio(self) -> float:
        """Repair packets for each packet of an ordinary picture."""
        return self.share / (1.0 - self.share)

    @property
    def key_ratio(self) -> float:
        """Repair packets for each packet of a key frame."""
        return self.key_share / (1.0 - self.key_share)


class ProtectionPolicy:
    """Decides for one stream.

    Args:
        config: What is worth what.

    Attributes:
        protection: The decision in force.

    """

    def __init__(self, config: ProtectionConfig | None = None) -> None:
        self._config: Final = config or ProtectionConfig()
        self.protection = Protection()
        self._decided_at: float | None = None
        self._less_since: float | None = None

    def update(self, path: VideoPath, now: float) -> Protection:
        """Take the state of the path; return the decision, which may be the one before."""
        if self._decided_at is not None and now - self._decided_at < self._config.decide_every:
            return self.protection
        self._decided_at = now
        wanted, price, present_price = self._decide(path)
        present = self.protection
        if wanted.share >= present.share:
            self._less_since = None
            if present.share == 0.0 or price < present_price * (1.0 - self._config.margin):
                self.protection = wanted
        elif self._less_since is None:
            self._less_since = now
        elif now - self._less_since >= self._config.patience:
            self.protection = wanted
            self._less_since = None
        return self.protection

    def _decide(self, path: VideoPath) -> tuple[Protection, float, float]:
        """Return the best decision, its price and that of the one in force."""
        config = self._config
        if path.loss < config.min_loss or path.bitrate <= 0.0 or path.frame_rate <= 0.0:
            return Protection(), 0.0, math.inf
        chain = _LossChain(path.loss, path.burst)
        whole = path.bitrate / (8 * path.frame_rate * path.packet_size)  # packets a picture
        model = _Model(config, path, chain)
        best, best_price = Protection(), math.inf
        present_price = math.inf
        present = self.protection
        for split in _SPLITS:
            if split > 1 and (
                whole * split > config.most_packets
                or min(whole, 1.0) * path.packet_size < split * config.smallest_packet
            ):
                break
            for share in _SHARES:
                if share > config.max_share:
                    break
                price, residual = model.price(share, max(whole * (1.0 - share), 1.0) * split, split)
                if price < best_price:
                    best_price = price
                    best = Protection(share=share, split=split, residual=residual)
                if (share, split) == (present.share, present.split):
                    present_price = price
        if best.share == 0.0:
            return Protection(residual=best.residual), best_price, present_price
        packets = max(whole * (1.0 - best.share), 1.0) * best.split * _KEY_FRAME
        key_share = self._key_share(model, best, packets)
        decision = Protection(
            share=best.share, key_share=key_share, split=best.split, residual=best.residual
        )
        return decision, best_price, present_price

    def _key_share(self, model: _Model, ordinary: Protection, packets: float) -> float:
        """Return the share for a key frame of so many packets: twice the ordinary, or more."""
        config = self._config
        ratio = 2.0 * ordinary.ratio
        least = min(ratio / (1.0 + ratio), config.max_key_share)
        candidates = [share for share in _SHARES if least <= share <= config.max_key_share]
        return min(
            candidates or [least],
            key=lambda share: model.price(share, packets, 1, importance=config.key_importance)[0],
        )


class _Model:
    """Prices shares of protection on one path."""

    def __init__(self, config: ProtectionConfig, path: VideoPath, chain: _LossChain) -> None:
        self._config = config
        self._path = path
        self._chain = chain
        self._interval = 1.0 / path.frame_rate
        coarser = 0.0 if path.quantizer is None else path.quantizer - config.rate_price_at
        self._rate_price = config.rate_price * 2.0 ** (coarser / config.rate_price_doubles)

    def price(
        self, share: float, packets: float, split: int, *, importance: float = 1.0
    ) -> tuple[float, float]:
        """Return the price, and the share of lost packets left to retransmission.

        Args:
            share: For repair.
            packets: Of a picture.
            split: Times that packets are smaller than they could be: more headers.
            importance: Of a stop.

        """
        config, path = self._config, self._path
        repairs = packets * share / (1.0 - share)
        hit = self._chain.exceeds(packets, 0.0)
        missing, stopped = hit, 0.0
        asked_at = path.round_trip + config.retransmission_margin
        answered = 0
        held = hit
        for step in range(_STEPS):
            if step < _PICTURES:
                seen = (packets + repairs) * (step + 1)
                missing = min(missing, self._chain.exceeds(seen, repairs * (step + 1)))
                if step == 0 or step * self._interval <= config.retransmission_margin:
                    held = missing
            late = missing
            if path.retransmission:
                answered = int(max(0.0, (step + 1) * self._interval / asked_at))
                late *= min(1.0, 2.0 * path.loss) ** answered
            stopped += late
            if late < 1e-5:
                break
        headers = (packets + repairs) * (1.0 - 1.0 / split) * config.header
        spent = share + headers * 8 * path.frame_rate / path.bitrate
        if spent >= 0.95:
            return math.inf, 1.0
        halvings = -math.log2(1.0 - spent)
        residual = held / hit if hit > 0.0 else 1.0
        return importance * stopped + self._rate_price * halvings, residual


class _LossChain:
    """How many of some packets in a row are lost, by Gilbert's chain.

    Args:
        loss: Share lost.
        burst: Mean length of a run.

    """

    def __init__(self, loss: float, burst: float) -> None:
        loss = min(loss, 0.9)
        # A chain without memory loses 1 / (1 - loss) in a row.
        burst = max(burst, 1.0 / (1.0 - loss))
        self._loss = loss
        self._leave = 1.0 / burst
        self._enter = min(loss * self._leave / (1.0 - loss), 1.0)
        self._tails: list[list[float]] = []  # [packets][lost]: more than so many
        self._good = [1.0 - loss]  # by number lost: and the last packet got through
        self._bad = [0.0]
        self._good_start, self._bad_start = 1.0 - loss, loss

    def exceeds(self, packets: float, most: float) -> float:
        """Return the probability that more than ``most`` of ``packets`` are lost.

        Between whole numbers it is interpolated: repair packets that come every other picture
        are half a packet each.
        """
        packets = min(packets, float(_MAX_PACKETS))
        low = int(packets)
        part = packets - low
        value = self._interpolated(low, most)
        if part > 1e-9:
            value += part * (self._interpolated(low + 1, most) - value)
        return value

    def _interpolated(self, packets: int, most: float) -> float:
        low = int(most)
        part = most - low
        value = self._tail(packets, low)
        return value if part <= 1e-9 else value + part * (self._tail(packets, low + 1) - value)

    def _tail(self, packets: int, most: int) -> float:
        if packets <= most:
            return 0.0
        while len(self._tails) <= packets:
            self._extend()
        return self._tails[packets][most]

    def _extend(self) -> None:
        """Add the distribution over one packet more."""
        count = len(self._tails)
        if count == 0:
            self._tails.append([0.0])
            return
        if count == 1:
            good, bad = [self._good_start, 0.0], [0.0, self._bad_start]
        else:
            enter, leave = self._enter, self._leave
            before = [*zip(self._good, self._bad, strict=True), (0.0, 0.0)]
            good = [g * (1.0 - enter) + b * leave for g, b in before]
            bad = [0.0, *(g * enter + b * (1.0 - leave) for g, b in before[:-1])]
        self._good, self._bad = good, bad
        tails, total = [0.0] * (count + 1), 0.0
        for lost in range(count, 0, -1):
            total += good[lost] + bad[lost]
            tails[lost - 1] = total
        self._tails.append(tails)
