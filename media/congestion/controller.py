"""Controller: the stages of congestion control wired in their order, for one transport.

Serves three kinds of peers: those with transport-wide feedback (the full road), those that send
REMB, and those that send receiver reports only.  The last two are served by :mod:`.reports` until
the first transport-wide feedback comes.

Invariants:

1. The target stays within its bounds, and is never 0.
2. Silence reduces the target step by step and not below 100 kbit/s: a dead stop would mean that
   the path's return goes unnoticed.
3. After an outage the rate goes on from half of what it was, the rest comes by probing.
"""

from __future__ import annotations

import math
from typing import Final

from ringline.media.congestion.acknowledged import AcknowledgedRate
from ringline.media.congestion.arrival_groups import ArrivalGroups
from ringline.media.congestion.bottleneck import Bottleneck
from ringline.media.congestion.delay_trend import DelayTrend, Usage
from ringline.media.congestion.feedback import FeedbackReport, SendLog, SentPacket
from ringline.media.congestion.loss import LossModel
from ringline.media.congestion.loss_bursts import LossBursts
from ringline.media.congestion.probe import ProbeCluster, ProbePlanner
from ringline.media.congestion.queue_delay import QueueDelay
from ringline.media.congestion.reports import ReportRate
from ringline.media.congestion.target_rate import PathState, RateConfig, TargetRate
from ringline.media.rtp.transport_cc import TransportFeedback

__all__ = ["CongestionController"]

_PACING_FACTOR: Final = 2.5
"""Pacing rate over the target where no bottleneck is known: libwebrtc's."""

_START_PACING_FACTOR: Final = 8.0
"""Before the first feedback: the first picture is what a person waits for, and the window of some
ten packets (RFC 6928's) bounds what a slow path gets to hold.  It also shows what the path takes
one round trip earlier than probing does."""
_CONSTRAINED_PACING_FACTOR: Final = 1.2
"""The least of it where one is known.  Faster than the bottleneck, a video frame would only wait
there instead of here, with sound behind it; here sound overtakes it."""

_DRAIN_PACING_FACTOR: Final = 1.1
_DRAIN_PACING_SHARE: Final = 0.6
"""While the bottleneck's queue is being emptied what waits here must not fill it up again; but the
picture that starts afresh after a collapse should not wait for long either."""

_DEFAULT_ROUND_TRIP: Final = 0.2
"""Seconds, until one is measured; libwebrtc's."""

_UNMEASURED_BYTES: Final = 10_000.0
_UNMEASURED_SECONDS: Final = 1.5
"""What may be under way before anything tells what the path takes: a key frame and a little more.
On a usual path feedback comes before that much has left, and again and again; on a slow one the
start rate would otherwise fill the queue for seconds, with the sound behind it.  Not for longer
than this time: a path with room to spare shows no bound."""

_BLIND_BITS: Final = 50_000.0
"""What a start may send in a round trip, before the first answer can be there: a sixth of a second
of the usual start rate.  All of it may have to wait in one queue, and sound waits behind it; paths
that are long are often narrow as well."""

_SLOW_START: Final = 0.5
"""Seconds of answers after which such a start is over if they tell of no bottleneck."""

_UNMEASURED_PAUSE: Final = 0.12
"""Seconds between pictures that may leave all the same, where a start is slow: longer is a stop."""

_SILENCE: Final = 0.5
"""Seconds without feedback, and two round trips, that are silence: five report intervals."""

_SILENCE_STEP: Final = 0.5
_SILENCE_CUT: Final = 0.7
_SILENCE_FLOOR: Final = 100_000.0
"""Each half second of it takes 30 %: after 3 s a fifth is left.  Down to 100 kbit/s, which is
sound and a small picture, unless the rate was below that already."""

_OUTAGE: Final = 1.0
"""Seconds of silence that are an outage: what was lost in it does not count as loss of the path,
and the rate comes back at once."""

_OUTAGE_QUEUE: Final = 0.1
"""Seconds of queue after a silence from which it was none: reports were stuck behind a full queue
in one direction or the other, and the reduced rate is the right one."""

_RETURN_SHARE: Final = 0.5
"""Of the rate before the silence, to go on with; but the start rate where that was reached."""

_KNOWN_SHARE: Final = 0.7
_KNOWN_FLOOR: Final = 80_000
"""Of what the network took the last time, to start with, and the least: sound and a small picture.
Whatever is known, a start is never above the configured one, so that a memory of a better day
costs nothing; more than that the first probe finds within a round trip."""

_REACHED_SECONDS: Final = 10.0
_REACHED_AFTER: Final = 3.0
"""Time constant of the mean rate that is worth remembering, and the seconds of feedback before it
means anything."""

_LIMITED_SHARE: Final = 0.65
"""Sending less than this share of the target is application-limited; libwebrtc's."""

_SENT_WINDOW: Final = 0.5
_CALM_QUEUE: Final = 0.03
"""Seconds of queue up to which a probe does no harm; jitter is added to it."""

_CLEAR_JITTER: Final = 0.012
"""Seconds of jitter up to which a measured capacity is sure.  Near it a probe makes a queue that
has just begun a long one, so none is borne; with more jitter what looks like one may be none."""

_FALL: Final = 0.03
"""Seconds by which the empty path becomes shorter from which somebody else's queue is gone; jitter
is added to it."""

_QUICK_ROUND_TRIP: Final = 0.12
"""Seconds up to which a retransmission is there before a stop is seen: 150 ms more than usual are
one to webrtc-stats, and some 30 are over until the loss is noticed and asked for."""

_FULL_QUEUE: Final = 0.08
"""Seconds of queue from which losses are its overflow, and are not to be protected from: what
protection adds to a full queue is lost as well."""


class CongestionController:
    """Turns what receivers report into a target rate.

    Feed it every departure and every report; drain :meth:`poll_probe`.

    Args:
        config: Bounds of the rate.
        now: The present.

    """

    def __init__(self, config: RateConfig, *, now: float) -> None:
        self._config: Final = config
        self._log: Final = SendLog()
        self._target: Final = TargetRate(config, now=now)
        self._reports: Final = ReportRate(config, now=now)
        self._probes: Final = ProbePlanner()
        self._loss: Final = LossModel()
        self._bursts: Final = LossBursts()
        self._queue = QueueDelay()
        self._groups = ArrivalGroups()
        self._trend = DelayTrend()
        self._acknowledged: Final = AcknowledgedRate()
        self._bottleneck = Bottleneck()
        self._round_trip: float | None = None
        self._least_round_trip = math.inf
        self._reported_loss = 0.0
        self._connected = False
        self._fed_back = False  # a transport-wide feedback has come, ever
        self._heard_at = now  # last feedback
        self._connected_at = now
        self._unheard_since: float | None = None  # first departure after it
        self._next_silence_step: float | None = None
        self._before_silence: float | None = None  # target when the silence began
        self._sent_rate = 0.0
        self._sent_at = now
        self._returned = False
        self._collapsed = False
        self._void_before = -math.inf  # what left before this and was lost, an outage took
        self._starts_slowly = self._widens = False
        self._answered_at: float | None = None
        self._let_through_at = -math.inf
        self._unmeasured_bytes = _UNMEASURED_BYTES
        self._reached: float | None = None
        self._reached_since = self._reached_at = now

    # Outputs

    @property
    def target_bitrate(self) -> int:
        """Bits per second on the wire for everything that is sent."""
        rate = self._target.bitrate if self._fed_back else self._reports.bitrate
        return int(rate)

    @property
    def settled_bitrate(self) -> int:
        """The same once the queue that we made is empty: to choose by what is to last."""
        rate = self._target.settled_bitrate if self._fed_back else self._reports.bitrate
        return int(rate)

    @property
    def reached_bitrate(self) -> int | None:
        """The same over the last ten seconds or so, or :obj:`None` before there is enough to say.

        What a later call on this network may expect.
        """
        if self._reached is None or self._reached_at - self._reached_since < _REACHED_AFTER:
            return None
        return int(self._reached)

    @property
    def is_bottleneck_sure(self) -> bool:
        """Whether the rate is near what the path takes, and jitter does not make that doubtful."""
        return self._target.capacity is not None and self._trend.jitter < _CLEAR_JITTER

    @property
    def pacing_bitrate(self) -> int:
        """Bits per second at which queued packets may leave."""
        target = self.target_bitrate
        capacity = self._target.capacity
        if self._target.draining:
            least = (capacity or 0.0) * _DRAIN_PACING_SHARE
            return int(max(target * _DRAIN_PACING_FACTOR, least))
        if not self._fed_back:
            return int(target * _START_PACING_FACTOR)
        if capacity is None:
            return int(target * _PACING_FACTOR)
        most = min(capacity, target * _PACING_FACTOR)
        return int(max(target * _CONSTRAINED_PACING_FACTOR, most))

    @property
    def loss(self) -> float:
        """Share of packets lost of late, 0.0 to 1.0."""
        return self._loss.fraction if self._fed_back else self._reported_loss

    @property
    def loss_to_protect_from(self) -> float:
        """Share of packets lost over more seconds, and sooner more where it rises.

        At first a guess where a retransmission is a stop.
        """
        if not self._fed_back:
            return self._reported_loss
        is_stop = self._least_round_trip > _QUICK_ROUND_TRIP
        return self._bursts.cautious_loss if is_stop else self._bursts.loss

    @property
    def loss_burst(self) -> float:
        """Packets lost in a row, mean; 1.0 where nothing is known."""
        return self._bursts.burst

    @property
    def inherent_loss(self) -> float:
        """Share of packets that the path loses whatever we do."""
        return self._loss.inherent

    @property
    def queue_delay(self) -> float:
        """Seconds that packets wait in the bottleneck's queue."""
        return self._queue.seconds

    @property
    def feedback_lost(self) -> int:
        """Feedback packets that never came."""
        return self._log.reports_lost

    @property
    def feedback_round_trip(self) -> float | None:
        """Round trip by feedback, an upper bound; :obj:`None` before the first."""
        return self._round_trip

    def is_probe_due(self, now: float) -> bool:
        """Tell whether :meth:`poll_probe` has anything to decide; if not, it need not be asked."""
        ceiling = self._config.max_bitrate
        return self._probes.is_due(now, target=self.target_bitrate, ceiling=ceiling)

    def poll_probe(self, now: float) -> ProbeCluster | None:
        """Return a cluster that the pacer should send now, or :obj:`None`."""
        gives_feedback = self._fed_back or self._unheard_since is not None
        if not self._connected or not gives_feedback or self._before_silence is not None:
            return None
        jitter = self._trend.jitter
        least = 0.0 if self.is_bottleneck_sure else _CALM_QUEUE
        return self._probes.poll_cluster(
            now,
            target=self.target_bitrate,
            ceiling=self._config.max_bitrate,
            calm=self._trend.usage is Usage.NORMAL
            and not self._target.draining
            and self._queue.seconds < least + jitter,
            jitter=jitter,
        )

    def is_window_full(self, now: float) -> bool:
        """Tell whether pictures should wait for feedback on what is under way; ask for each.

        Where a start is slow, one is let through now and then all the same.
        """
        if self._target.is_measured or now - self._connected_at > _UNMEASURED_SECONDS:
            return False
        under_way = self._log.in_flight
        if under_way > self._unmeasured_bytes and now - self._let_through_at < _UNMEASURED_PAUSE:
            return True
        self._let_through_at = now
        return under_way > _UNMEASURED_BYTES

    def poll_collapse(self) -> bool:
        """Tell, once, that the path takes far less than what is under way to it.

        Most of that is lost or will be late: better to start afresh than to mend it.  The same
        holds where a call starts from a guess and the first measurement is far below.
        """
        collapsed, self._collapsed = self._collapsed, False
        return collapsed

    def poll_widening(self) -> bool:
        """Tell, once, that a start that was slow for the path's length is at the usual rate."""
        widens, self._widens = self._widens, False
        return widens

    def poll_return(self) -> bool:
        """Tell, once, that packets get through again after a silence."""
        returned, self._returned = self._returned, False
        return returned

    # Inputs

    def expect_bitrate(self, bitrate: int, now: float) -> None:
        """Start from what the last call on this network reached; later it is of no interest.

        Args:
            bitrate: What :attr:`reached_bitrate` was then, bits per second.
            now: The present.

        """
        if self._fed_back or self._unheard_since is not None:
            return
        config = self._config
        start = max(bitrate * _KNOWN_SHARE, _KNOWN_FLOOR, config.min_bitrate)
        if start < self._target.bitrate:
            self._starts_slowly = False  # it is known how slow to be
            self._target.set_bitrate(start)
        self._reports.start_from(min(start, self._target.bitrate), now)
        self._probes.expect(bitrate)

    def expect_round_trip(self, round_trip: float, now: float) -> None:
        """Start slowly where the first answer takes long; later it is of no interest.

        Args:
            round_trip: Seconds, as the connectivity checks measured it.
            now: The present.

        """
        if self._fed_back or self._unheard_since is not None:
            return
        slow = max(_BLIND_BITS / max(round_trip, 0.001), _KNOWN_FLOOR, self._config.min_bitrate)
        if slow < self._target.bitrate:
            self._starts_slowly = True
            share = slow / self._config.start_bitrate
            self._unmeasured_bytes = max(_UNMEASURED_BYTES * share, _BLIND_BITS / 8)
            self._target.set_bitrate(slow)
            self._reports.start_from(slow, now)

    def handle_sent(self, number: int, size: int, now: float, *, probe: int | None = None) -> None:
        """Log a departure.

        Args:
            number: Transport-wide, not wrapped, one up a packet.
            size: Bytes on the wire, headers of every layer included.
            now: The present.
            probe: The probe cluster that it belongs to.

        """
        packet = SentPacket(number, now, size, probe)
        self._log.handle_sent(packet)
        if probe is not None:
            self._probes.handle_sent(packet)
        elapsed, self._sent_at = now - self._sent_at, now
        self._sent_rate *= math.exp(-elapsed / _SENT_WINDOW)
        self._sent_rate += size * 8 / _SENT_WINDOW
        if self._unheard_since is None:
            self._unheard_since = now
            if self._fed_back:
                self._next_silence_step = now + self._patience

    def handle_feedback(self, feedback: TransportFeedback, now: float) -> FeedbackReport:
        """Take a transport-wide report; return what became of packets, but for an outage's."""
        known_lost = self._log.reports_lost
        report = self._log.handle_feedback(feedback, now)
        report_lost = self._log.reports_lost != known_lost
        if report_lost:
            self._bottleneck.interrupt()
        if not report.arrived and not report.lost:
            return report
        for packet in report.arrived:
            self._acknowledged.handle_arrival(packet.arrived_at, packet.size)
            waited = self._queue.handle_arrival(packet.sent_at, packet.arrived_at)
            self._bottleneck.handle_arrival(packet.arrived_at, packet.size, waited)
            delta = self._groups.handle_arrival(packet)
            if delta is not None:
                self._trend.handle_group(delta)
        if report.arrived:
            self._hear(report, now)
        report.lost = [packet for packet in report.lost if packet.sent_at >= self._void_before]
        self._loss.handle_report(report, self._queue.seconds)
        if self._queue.seconds < _FULL_QUEUE:
            self._bursts.handle_report(report, now)
        path = self._path(now)
        before = self._target.bitrate
        if self._target.update(path, now) and self._target.bitrate < 0.9 * before:
            self._probes.handle_decrease(now)
        if self._target.outgrew or self._queue.poll_fall() > _FALL + path.jitter:
            self._probes.hurry(now)
        if self._target.queue_is_foreign:
            self._queue = QueueDelay()  # what stands there is the empty path from now on
            self._bottleneck = Bottleneck()
        measured = self._probes.handle_results(
            report.arrived, report.lost, now, report_lost=report_lost
        )
        if measured is not None:
            kept, limit = 1 - self._loss.inherent, self._probes.limit
            self._target.handle_probe(
                measured / kept, path, now, limit=None if limit is None else limit / kept
            )
        self._leave_slow_start(path, now)
        self._collapsed = self._collapsed or self._target.collapsed or self._target.was_misguessed
        self._follow_reached(now)
        return report

    def handle_reported_loss(self, fraction: float, round_trip: float | None, now: float) -> None:
        """Take the share lost by a receiver report, 0.0 to 1.0."""
        self._reported_loss += 0.3 * (fraction - self._reported_loss)
        self._reports.handle_loss(fraction, round_trip, now)

    def handle_estimate(self, bitrate: int, now: float) -> None:
        """Take a REMB, in bits per second; it counts only without transport-wide feedback."""
        self._reports.handle_estimate(bitrate, now)

    def set_connected(self, connected: bool, now: float) -> None:
        """Tell whether the path is there.  When it comes back, it may be another one."""
        if connected == self._connected:
            return
        self._connected = connected
        if not connected:
            if self._before_silence is None:
                self._before_silence = self._target.bitrate
            self._next_silence_step = None
            return
        self._unheard_since = None
        self._heard_at = self._void_before = self._connected_at = now
        self._queue = QueueDelay()
        self._bottleneck = Bottleneck()
        self._least_round_trip = math.inf
        self._reports.restart(now)
        before, self._before_silence = self._before_silence, None
        if before is None:
            self._probes.start(now)
        else:
            self._resume(before, now)

    # Time

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` is due, or :obj:`None`."""
        if not self._connected:
            return None
        return self._next_silence_step if self._fed_back else self._reports.poll_timeout()

    def handle_timeout(self, now: float) -> None:
        """Reduce the rate if nothing is heard."""
        if not self._connected:
            return
        if not self._fed_back:
            self._reports.handle_timeout(now)
            return
        if self._next_silence_step is None or now < self._next_silence_step:
            return
        self._next_silence_step = now + _SILENCE_STEP
        rate = self._target.bitrate
        if self._before_silence is None:
            self._before_silence = rate
        self._target.set_bitrate(max(rate * _SILENCE_CUT, min(rate, _SILENCE_FLOOR)))

    # Inside

    @property
    def _patience(self) -> float:
        return _SILENCE + 2 * (self._round_trip or _DEFAULT_ROUND_TRIP)

    def _leave_slow_start(self, path: PathState, now: float) -> None:
        if not self._starts_slowly:
            return
        usual, is_narrow = self._config.start_bitrate, self._target.capacity is not None
        if self._answered_at is None:
            self._answered_at = now
        is_calm = path.usage is Usage.NORMAL and path.queue_delay < _CALM_QUEUE + path.jitter
        if is_calm and not is_narrow and now - self._answered_at > _SLOW_START:
            self._target.set_bitrate(
                max(self._target.bitrate, min(usual, self._probes.limit or math.inf))
            )
        self._widens = self._target.bitrate >= usual
        self._starts_slowly = not (self._widens or is_narrow)

    def _path(self, now: float) -> PathState:
        sent_rate = self._sent_rate * math.exp(-(now - self._sent_at) / _SENT_WINDOW)
        return PathState(
            usage=self._trend.usage,
            acknowledged=self._acknowledged.rate,
            quick_acknowledged=self._acknowledged.quick_rate,
            bottleneck=self._bottleneck.rate,
            in_flight=self._in_flight_bits(),
            inherent_loss=self._loss.inherent,
            loss_limit=self._loss.limit,
            queue_delay=self._queue.seconds,
            jitter=self._trend.jitter,
            round_trip=self._round_trip or _DEFAULT_ROUND_TRIP,
            application_limited=sent_rate < _LIMITED_SHARE * self._target.bitrate,
        )

    def _follow_reached(self, now: float) -> None:
        settled = self._target.settled_bitrate
        if self._reached is None:
            self._reached, self._reached_since = settled, now
        else:
            elapsed = min(now - self._reached_at, 1.0)  # a silence says nothing of the rate
            self._reached += (settled - self._reached) * (1 - math.exp(-elapsed / _REACHED_SECONDS))
        self._reached_at = now

    def _in_flight_bits(self) -> float:
        """Return the bits under way beyond what the empty path holds at the rate that comes out."""
        passed = self._bottleneck.rate or 0.0
        known = self._least_round_trip
        held = passed * (known if math.isfinite(known) else _DEFAULT_ROUND_TRIP)
        return max(0.0, self._log.behind * 8 - held)

    def _hear(self, report: FeedbackReport, now: float) -> None:
        if not self._fed_back:
            self._fed_back = True
            self._target.set_bitrate(self._reports.bitrate)
        if report.round_trip is not None:
            self._least_round_trip = min(self._least_round_trip, report.round_trip)
            known = self._round_trip
            self._round_trip = (
                report.round_trip if known is None else known + 0.2 * (report.round_trip - known)
            )
        before, self._before_silence = self._before_silence, None
        if before is not None and now - self._heard_at >= _OUTAGE:
            if self._queue.seconds < _OUTAGE_QUEUE:
                self._loss.discard_observation()
                self._void_before = min(packet.sent_at for packet in report.arrived)
                self._resume(before, now)
            self._returned = True
        self._heard_at = now
        self._unheard_since = None
        self._next_silence_step = None

    def _resume(self, before: float, now: float) -> None:
        """Go on after an outage: from half of what was there, the rest by probing."""
        start = min(before, self._config.start_bitrate)
        self._target.set_bitrate(
            max(self._target.bitrate, start, min(before * _RETURN_SHARE, before))
        )
        self._groups = ArrivalGroups()
        self._trend = DelayTrend()
        self._acknowledged.reset()
        self._probes.start(now)
