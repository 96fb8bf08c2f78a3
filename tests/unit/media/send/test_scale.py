from __future__ import annotations

import math

import pytest

from ringline.media.send.difficulty import COARSEST
from ringline.media.send.scale import ScaleConfig, ScalePolicy, Scaling

WIDTH, HEIGHT = 640, 360


class Camera:
    """A policy and an encoder that needs ``hardness`` bits a second and pixel at its coarsest.

    For smaller pictures it needs more for each pixel, as all of them do.
    """

    def __init__(self, *, hardness: float = 0.45, height: int = HEIGHT) -> None:
        self.policy = ScalePolicy(ScaleConfig(), now=0.0)
        self.hardness = hardness
        self.height = height
        self.width = height * 16 // 9
        self.now = 0.0

    def run(self, bitrate: int, seconds: float, *, key_due: bool = False) -> list[float]:
        """Return when the size changed."""
        changes = []
        for _ in range(round(seconds * 30)):
            if self.policy.update(bitrate, self.width, self.height, self.now, key_due=key_due):
                changes.append(round(self.now, 1))
            width, height = self.size
            pixels = self.width * self.height
            floor = pixels * self.hardness * (width * height / pixels) ** 0.7
            quantizer = COARSEST - 34 * math.log2(max(bitrate / floor, 1.0))
            self.policy.difficulty.handle_picture(
                int(max(bitrate, floor) / 30), 1 / 30, max(2, round(quantizer)), bitrate
            )
            self.now += 1 / 30
        return changes

    @property
    def size(self) -> tuple[int, int]:
        return self.policy.scaling.size(self.width, self.height)


@pytest.mark.parametrize("bitrate", [120_000, 300_000, 2_000_000])
def test_a_rate_that_the_encoder_can_meet_keeps_the_picture(bitrate: int) -> None:
    camera = Camera()
    assert camera.run(bitrate, 20) == []
    assert camera.size == (640, 360)


def test_what_is_expected_to_be_far_too_large_starts_smaller() -> None:
    camera = Camera(height=720)
    assert camera.run(230_000, 1 / 30) == [0.0]
    assert camera.size == (640, 360)


def test_a_rate_that_the_encoder_exceeds_for_a_while_makes_the_picture_smaller() -> None:
    camera = Camera()
    camera.run(300_000, 5)
    changes = camera.run(75_000, 20)
    assert len(changes) == 1
    assert 6 < changes[0] < 12
    assert camera.size == (480, 270)


def test_after_a_collapse_the_key_frame_is_smaller_yet() -> None:
    camera = Camera()
    camera.run(400_000, 5)
    camera.policy.restart()
    assert camera.run(60_000, 1 / 30, key_due=True) == [5.0]
    assert camera.size == (480, 270)


def test_pictures_that_are_easy_stay_large() -> None:
    camera = Camera(hardness=0.1)
    camera.run(300_000, 5)
    assert camera.run(40_000, 20) == []
    assert camera.size == (640, 360)


def test_it_goes_straight_to_the_size_that_fits() -> None:
    camera = Camera()
    camera.run(300_000, 5)
    camera.run(15_000, 20)
    assert camera.size == (160, 90)
    changes = camera.run(2_000_000, 20)
    assert len(changes) <= 2  # there are four rungs between
    assert 3.0 <= changes[0] - 25.0 < 6.0
    assert camera.size == (640, 360)


def test_going_up_needs_more_than_going_down() -> None:
    camera = Camera()
    camera.run(75_000, 20)
    assert camera.size == (480, 270)
    assert camera.run(85_000, 20) == []
    assert len(camera.run(150_000, 20)) == 1
    assert camera.size == (640, 360)


def test_a_short_dip_changes_nothing() -> None:
    camera = Camera()
    camera.run(400_000, 5)
    for _ in range(5):
        assert camera.run(40_000, 0.9) == []
        assert camera.run(400_000, 3) == []


def test_what_turns_out_too_hard_is_tried_again_ever_more_rarely() -> None:
    """Where a larger size needs more than expected, each try costs two key frames."""
    camera = Camera()
    camera.run(60_000, 20)
    tries = 0
    for _ in range(100):
        before = camera.size
        # What is easy while it is small and hard while it is large.
        camera.hardness = 1.5 if camera.size == (640, 360) else 0.3
        camera.run(100_000, 1.0)
        tries += camera.size > before
    assert 1 <= tries <= 5


def test_fewer_pictures_come_before_smaller_ones() -> None:
    camera = Camera()
    camera.run(300_000, 5)
    assert camera.policy.scaling.frame_rate == 30.0
    camera.run(155_000, 5)
    assert camera.policy.scaling.frame_rate in (15.0, 20.0, 30.0)
    camera.run(105_000, 5)
    assert camera.policy.scaling.frame_rate == 15.0
    assert camera.size == (640, 360)


def test_the_frame_rate_follows_the_bitrate_with_hysteresis() -> None:
    policy = ScalePolicy(ScaleConfig(), now=0.0)
    rates = []
    for index, bitrate in enumerate(
        (300_000, 140_000, 160_000, 180_000, 60_000, 30_000, 48_000, 55_000)
    ):
        policy.update(bitrate, WIDTH, HEIGHT, index * 10.0)
        rates.append(policy.scaling.frame_rate)
    assert rates == [30.0, 20.0, 20.0, 30.0, 15.0, 10.0, 10.0, 15.0]


def test_sizes_are_even_whatever_the_source() -> None:
    for numerator in (8, 6, 4, 3, 2):
        width, height = Scaling(numerator).size(854, 482)
        assert width % 2 == height % 2 == 0
    assert Scaling(2).size(2, 2) == (2, 2)


def test_a_size_for_a_start_in_the_dark_is_chosen_anew_at_once() -> None:
    camera = Camera(height=720)
    camera.run(100_000, 0.3)
    assert camera.size == (480, 270)
    assert camera.run(2_000_000, 0.5) == []  # by itself it would take some seconds
    camera.policy.begin_again()
    assert len(camera.run(2_000_000, 0.5)) == 1
    assert camera.size == (1_280, 720)
