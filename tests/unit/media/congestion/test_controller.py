from __future__ import annotations

import pytest

from ringline.media.congestion.controller import CongestionController
from ringline.media.congestion.target_rate import RateConfig
from ringline.media.rtp.transport_cc import TransportFeedback


class Feeder:
    """Sends 1000 bytes each 20 ms and reports each 100 ms, over a path of 50 ms."""

    def __init__(self, *, way_back: float = 0.05) -> None:
        self._way_back = way_back
        self.controller = CongestionController(RateConfig(), now=0.0)
        self.controller.set_connected(True, 0.0)
        self.now = 0.0
        self._number = 0
        self._count = 0

    def run(
        self,
        seconds: float,
        *,
        hears: bool = True,
        lost: bool = False,
        some_lost: bool = False,
        queue: float = 0.0,
    ) -> None:
        for _ in range(round(seconds / 0.1)):
            base = self._number
            arrivals: list[float | None] = []
            for index in range(5):
                self.controller.handle_sent(self._number, 1_000, self.now)
                self._number += 1
                is_lost = lost or (some_lost and index == 2)
                arrivals.append(None if is_lost else self.now + 50.05 + queue)
                self.now += 0.02
                self._timeout()
            if hears:
                feedback = TransportFeedback(1, 2, base & 0xFFFF, self._count & 0xFF, arrivals)
                self._count += 1
                self.controller.handle_feedback(feedback, self.now + self._way_back)

    def _timeout(self) -> None:
        due = self.controller.poll_timeout()
        if due is not None and due <= self.now:
            self.controller.handle_timeout(self.now)


def test_it_starts_at_the_start_rate_and_lets_the_first_picture_out_at_once() -> None:
    controller = Feeder().controller
    assert controller.target_bitrate == 300_000
    assert controller.pacing_bitrate == 2_400_000
    assert controller.feedback_round_trip is None


def test_from_the_first_feedback_on_it_paces_at_two_and_a_half_times_the_target() -> None:
    feeder = Feeder()
    feeder.run(0.3)
    controller = feeder.controller
    assert controller.pacing_bitrate == int(controller.target_bitrate * 2.5)


def test_silence_reduces_step_by_step_and_never_to_a_stop() -> None:
    feeder = Feeder()
    feeder.run(2)
    before = feeder.controller.target_bitrate
    feeder.run(0.5, hears=False)
    assert feeder.controller.target_bitrate == before
    feeder.run(1.0, hears=False)
    once = feeder.controller.target_bitrate
    assert 0.4 * before < once < before
    feeder.run(30, hears=False)
    assert feeder.controller.target_bitrate == 100_000


def test_after_an_outage_it_goes_on_from_what_it_had() -> None:
    feeder = Feeder()
    feeder.run(2)
    before = feeder.controller.target_bitrate
    feeder.run(5, hears=False)
    assert not feeder.controller.poll_return()
    feeder.run(0.1)
    assert feeder.controller.poll_return()
    assert not feeder.controller.poll_return()  # once
    assert feeder.controller.target_bitrate >= min(before, 300_000)


def test_what_an_outage_took_is_no_loss_of_the_path() -> None:
    feeder = Feeder()
    feeder.run(2)
    feeder.run(3, hears=False, lost=True)
    feeder.run(1)
    assert feeder.controller.loss == 0.0


def test_losses_are_to_be_protected_from_but_not_those_of_a_full_queue() -> None:
    path, link = Feeder(), Feeder()
    for feeder, queue in ((path, 0.0), (link, 0.2)):
        feeder.run(2)
        feeder.run(1.5, some_lost=True, queue=queue)
        assert feeder.controller.loss > 0.05
    assert path.controller.loss_to_protect_from > 0.1
    assert path.controller.loss_burst < 1.5
    assert link.controller.loss_to_protect_from == 0.0


def test_losses_are_assumed_at_first_where_a_retransmission_would_be_a_stop() -> None:
    near, far = Feeder(), Feeder(way_back=0.2)
    for feeder in (near, far):
        feeder.run(0.5)
    assert near.controller.loss_to_protect_from == 0.0
    assert 0.005 < far.controller.loss_to_protect_from < 0.01
    far.run(30)
    assert far.controller.loss_to_protect_from < 1e-4


def test_what_left_before_a_reconnection_is_no_loss_of_the_new_path() -> None:
    feeder = Feeder()
    feeder.run(2)
    feeder.run(0.1, hears=False, lost=True)
    feeder.controller.set_connected(False, feeder.now)
    feeder.controller.set_connected(True, feeder.now)
    feeder.run(0.5)
    feeder.controller.handle_feedback(TransportFeedback(1, 2, 100, 21, [None] * 5), feeder.now)
    feeder.run(1)
    assert feeder.controller.loss == 0.0
    assert feeder.controller.feedback_lost == 0


def test_a_path_that_comes_back_goes_on_from_half_of_what_it_was() -> None:
    feeder = Feeder()
    feeder.run(2)
    before = feeder.controller.target_bitrate
    feeder.controller.set_connected(False, feeder.now)
    assert feeder.controller.poll_timeout() is None
    feeder.controller.set_connected(True, feeder.now + 20)
    assert feeder.controller.target_bitrate == before  # not above the start rate: all of it


def test_before_anything_is_measured_only_so_much_is_under_way() -> None:
    feeder = Feeder()
    feeder.run(0.5)
    assert not feeder.controller.is_window_full(feeder.now)  # all of it has arrived
    feeder.run(0.3, hears=False)
    assert feeder.controller.is_window_full(feeder.now)
    assert not feeder.controller.is_window_full(1.6)  # a path with room to spare shows no bound


def test_what_a_queue_has_measured_ends_the_window() -> None:
    feeder = Feeder()
    for queue in range(10):
        feeder.run(0.1, queue=0.08 * queue)
    feeder.run(0.3, hears=False)
    assert feeder.now < 1.5
    assert not feeder.controller.is_window_full(feeder.now)


def test_reports_serve_until_transport_wide_feedback_comes() -> None:
    feeder = Feeder()
    feeder.controller.handle_reported_loss(0.4, 0.1, 1.0)
    assert feeder.controller.target_bitrate == pytest.approx(240_000)
    feeder.controller.handle_estimate(150_000, 1.1)
    assert feeder.controller.target_bitrate == 150_000
    feeder.run(0.1)
    feeder.controller.handle_estimate(50_000, 1.2)
    assert feeder.controller.target_bitrate == 150_000


def test_probing_waits_for_the_path_and_for_departures() -> None:
    controller = CongestionController(RateConfig(), now=0.0)
    assert controller.poll_probe(0.0) is None
    controller.set_connected(True, 0.0)
    assert controller.poll_probe(0.0) is None
    controller.handle_sent(0, 1_000, 0.0)
    cluster = controller.poll_probe(0.0)
    assert cluster is not None
    assert cluster.bitrate == 1_800_000


def test_a_probe_that_a_bottleneck_squeezed_bounds_growth() -> None:
    """Six packets of 1000 bytes leave at 1.8 Mbit/s and come out at 400 kbit/s."""
    controller = CongestionController(RateConfig(), now=0.0)
    controller.set_connected(True, 0.0)
    controller.handle_sent(0, 1_000, 0.0)
    cluster = controller.poll_probe(0.0)
    assert cluster is not None
    for number in range(1, 8):
        controller.handle_sent(number, 1_000, number * 8_000 / 1.8e6, probe=cluster.number)
    arrivals: list[float | None] = [50.05 + number * 0.02 for number in range(8)]
    controller.handle_feedback(TransportFeedback(1, 2, 0, 0, arrivals), 0.25)
    reached = 0.0
    for step in range(1, 36):  # less is sent than may be, enough to let the rate grow
        number, now = 7 + step, 0.25 + step * 0.1
        controller.handle_sent(number, 4_500, now)
        feedback = TransportFeedback(1, 2, number, step, [now + 50.05])
        controller.handle_feedback(feedback, now + 0.1)
        reached = max(reached, controller.target_bitrate)
    assert 300_000 < reached <= 400_000


def test_a_start_into_a_long_path_sends_little_before_the_first_answer() -> None:
    feeder = Feeder()
    feeder.controller.expect_round_trip(0.5, 0.0)
    assert feeder.controller.target_bitrate == 100_000
    feeder.controller.expect_bitrate(2_000_000, 0.0)  # of a better day: probing finds it
    assert feeder.controller.target_bitrate == 100_000
    assert not feeder.controller.is_window_full(0.0)
    feeder.run(0.2, hears=False)
    assert feeder.controller.is_window_full(0.05)
    assert not feeder.controller.is_window_full(0.13)  # a picture now and then is no stop


def test_a_slow_start_is_over_once_answers_tell_of_no_bottleneck() -> None:
    feeder = Feeder()
    feeder.controller.expect_round_trip(0.3, 0.0)
    assert feeder.controller.target_bitrate == 166_666
    feeder.run(0.4)
    assert not feeder.controller.poll_widening()
    feeder.run(0.5)
    assert feeder.controller.target_bitrate >= 300_000
    assert feeder.controller.poll_widening()
    assert not feeder.controller.poll_widening()


@pytest.mark.parametrize("round_trip", [0.0, 0.16])
def test_a_start_into_a_short_path_is_the_usual_one(round_trip: float) -> None:
    feeder = Feeder()
    feeder.controller.expect_round_trip(round_trip, 0.0)
    assert feeder.controller.target_bitrate == 300_000
    feeder.run(0.5)
    assert not feeder.controller.poll_widening()


def test_a_round_trip_is_of_no_interest_once_something_has_left() -> None:
    feeder = Feeder()
    feeder.run(0.1, hears=False)
    feeder.controller.expect_round_trip(1.0, feeder.now)
    assert feeder.controller.target_bitrate == 300_000
