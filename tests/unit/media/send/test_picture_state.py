from __future__ import annotations

from ringline.media.send.picture_state import PictureState, PictureWatch

PIXELS = 640 * 360


class Follower:
    """Asks ten times a second, and keeps what was told and when."""

    def __init__(self) -> None:
        self.watch = PictureWatch()
        self.now = 0.0
        self.told: list[tuple[float, PictureState]] = []

    def run(
        self,
        seconds: float,
        bitrate: int = 1_500_000,
        *,
        smaller: bool = False,
        paused: bool = False,
    ) -> None:
        for _ in range(round(seconds * 10)):
            state = self.watch.update(
                bitrate=bitrate, pixels=PIXELS, smaller=smaller, paused=paused, now=self.now
            )
            if state is not None:
                self.told.append((round(self.now, 1), state))
            self.now = round(self.now + 0.1, 3)


def test_a_steady_rate_is_no_news_however_low() -> None:
    follower = Follower()
    follower.run(60, 150_000)
    assert follower.told == []


def test_a_fall_is_told_at_once_and_its_end_after_four_seconds() -> None:
    follower = Follower()
    follower.run(10)
    follower.run(5, 300_000)
    follower.run(10)
    assert follower.told == [(10.0, PictureState.COARSER), (19.0, PictureState.FULL)]


def test_a_fall_that_nobody_sees_is_not_told() -> None:
    follower = Follower()
    follower.run(10, 2_000_000)
    follower.run(10, 800_000)
    assert follower.told == []


def test_a_low_rate_becomes_the_usual_one_in_time() -> None:
    follower = Follower()
    follower.run(10)
    follower.run(120, 300_000)
    assert [state for _, state in follower.told] == [PictureState.COARSER, PictureState.FULL]


def test_what_gets_worse_step_by_step_is_told_two_seconds_apart_but_a_pause_at_once() -> None:
    follower = Follower()
    follower.run(10)
    follower.run(0.5, 300_000)
    follower.run(2, 200_000, smaller=True)
    follower.run(1, 10_000, smaller=True, paused=True)
    assert follower.told == [
        (10.0, PictureState.COARSER),
        (12.0, PictureState.SMALLER),
        (12.5, PictureState.PAUSED),
    ]


def test_a_picture_that_comes_and_goes_stays_smaller_until_it_is_calm() -> None:
    follower = Follower()
    for _ in range(10):
        follower.run(3, 600_000)
        follower.run(1, 600_000, smaller=True)
    assert follower.told == [(3.0, PictureState.SMALLER)]
    follower.run(10, 600_000)
    assert follower.told[1:] == [(44.0, PictureState.FULL)]


def test_the_way_back_is_as_good_as_the_worst_of_the_calm() -> None:
    follower = Follower()
    follower.run(1, 10_000, paused=True)
    follower.run(2, 200_000, smaller=True)
    follower.run(10, 200_000)
    states = [state for _, state in follower.told]
    assert states == [PictureState.PAUSED, PictureState.SMALLER, PictureState.FULL]
