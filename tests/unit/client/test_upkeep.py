"""An allocation is refreshed often enough, asked after in silence, and given up on proof alone."""

from __future__ import annotations

import pytest

from ringline.client.upkeep import Upkeep, UpkeepConfig

CONFIG = UpkeepConfig()


def refreshes(
    upkeep: Upkeep, until: float, *, answers: bool, heard_every: float = 1.0
) -> list[float]:
    """Return when it asked, in virtual time; data goes all the while, and comes if it answers."""
    now, asked = 0.0, []
    while not upkeep.lost:
        upkeep.handle_sent(now if answers else 0.1)
        now = upkeep.poll_timeout()
        if now >= until:
            break
        upkeep.handle_heard(now - now % heard_every if answers else 0.0)
        if upkeep.is_due(now):
            asked.append(now)
            upkeep.handle_asked(now)
            if answers:
                upkeep.handle_refreshed(600.0, now)
    return asked


def test_a_server_that_is_heard_is_asked_each_half_minute() -> None:
    upkeep = Upkeep(CONFIG, 600.0, 0.0)
    assert refreshes(upkeep, 100.0, answers=True) == [30.0, 60.0, 90.0]
    assert not upkeep.lost


def test_a_short_life_is_renewed_before_its_end() -> None:
    assert Upkeep(CONFIG, 3.0, 0.0).poll_timeout() == 2.5


def test_a_silent_server_is_asked_more_often_and_given_up_when_its_time_is_over() -> None:
    upkeep = Upkeep(CONFIG, 60.0, 0.0)
    asked = refreshes(upkeep, 1000.0, answers=False)
    assert asked == [0.1 + 5.0 * number for number in range(1, 12)]
    assert upkeep.lost


def test_a_server_that_nothing_is_sent_to_is_asked_each_half_minute() -> None:
    upkeep = Upkeep(CONFIG, 600.0, 0.0)
    asked = []
    while (now := upkeep.poll_timeout()) < 100.0:
        asked.append(now)
        upkeep.handle_asked(now)
        upkeep.handle_refreshed(600.0, now + 0.02)
    assert asked == pytest.approx([30.0, 60.02, 90.04])


def test_a_refresh_that_is_not_answered_is_asked_after_too() -> None:
    upkeep = Upkeep(CONFIG, 600.0, 0.0)
    upkeep.handle_asked(30.0)
    assert upkeep.poll_timeout() == 35.0
    upkeep.handle_heard(30.02)
    assert upkeep.poll_timeout() == 60.0


@pytest.mark.parametrize(("code", "lost"), [(437, True), (441, True), (300, False), (500, False)])
def test_only_some_errors_say_that_there_is_no_allocation(code: int, lost: bool) -> None:
    upkeep = Upkeep(CONFIG, 600.0, 0.0)
    upkeep.handle_refused(code, 1.0)
    assert upkeep.lost is lost
