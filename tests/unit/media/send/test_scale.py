from __future__ import annotations

from ringline.media.send.scale import ScaleConfig, ScalePolicy, Scaling

WIDTH, HEIGHT = 640, 360


def follow(policy: ScalePolicy, bitrate: int, start: float, seconds: float) -> list[float]:
    """Return when the size changed."""
    changes = []
    for index in range(round(seconds * 10)):
        now = start + index / 10
        if policy.update(bitrate, WIDTH, HEIGHT, now):
            changes.append(now)
    return changes


def size(policy: ScalePolicy) -> tuple[int, int]:
    return policy.scaling.size(WIDTH, HEIGHT)


def test_enough_rate_keeps_the_picture() -> None:
    policy = ScalePolicy(ScaleConfig(), now=0.0)
    assert follow(policy, 260_000, 0.0, 20) == []
    assert size(policy) == (640, 360)


def test_too_little_rate_goes_down_after_a_second_but_not_at_the_start() -> None:
    policy = ScalePolicy(ScaleConfig(), now=0.0)
    assert follow(policy, 200_000, 0.0, 10) == [3.0]
    assert size(policy) == (480, 270)
    assert follow(policy, 100_000, 10.0, 10) == [11.0]
    assert size(policy) == (320, 180)


def test_it_goes_straight_to_the_size_that_fits() -> None:
    policy = ScalePolicy(ScaleConfig(), now=0.0)
    assert follow(policy, 20_000, 5.0, 10) == [6.0]
    assert size(policy) == (160, 90)
    assert follow(policy, 2_000_000, 20.0, 10) == [23.0]
    assert size(policy) == (640, 360)


def test_going_up_needs_more_than_going_down() -> None:
    policy = ScalePolicy(ScaleConfig(), now=0.0)
    follow(policy, 200_000, 5.0, 2)
    assert follow(policy, 300_000, 10.0, 20) == []
    assert follow(policy, 340_000, 30.0, 10) == [33.0]


def test_a_short_dip_changes_nothing() -> None:
    policy = ScalePolicy(ScaleConfig(), now=0.0)
    for start in (5.0, 10.0, 15.0):
        assert follow(policy, 100_000, start, 0.9) == []
        assert follow(policy, 400_000, start + 0.9, 3) == []


def test_what_is_hard_to_encode_goes_down_and_is_tried_again_ever_more_rarely() -> None:
    policy = ScalePolicy(ScaleConfig(), now=0.0)
    went_up = []
    now = 10.0
    for _ in range(400):
        overshoot = 2.0 if size(policy) == (640, 360) else 1.0
        before = size(policy)
        policy.update(400_000, WIDTH, HEIGHT, now, overshoot=overshoot)
        if size(policy) > before:
            went_up.append(round(now))
        now += 0.1
    assert size(policy) == (480, 270)
    assert went_up == [17, 30]


def test_a_little_overshoot_changes_nothing() -> None:
    policy = ScalePolicy(ScaleConfig(), now=0.0)
    for tenth in range(100):
        assert not policy.update(260_000, WIDTH, HEIGHT, 5 + tenth / 10, overshoot=1.25)


def test_the_frame_rate_follows_with_hysteresis() -> None:
    policy = ScalePolicy(ScaleConfig(), now=0.0)
    rates = []
    for bitrate in (300_000, 170_000, 190_000, 210_000, 60_000, 30_000, 48_000, 55_000):
        policy.update(bitrate, WIDTH, HEIGHT, 0.0)
        rates.append(policy.scaling.frame_rate)
    assert rates == [30.0, 20.0, 20.0, 30.0, 15.0, 10.0, 10.0, 15.0]


def test_sizes_are_even_whatever_the_source() -> None:
    for numerator in (8, 6, 4, 3, 2):
        width, height = Scaling(numerator).size(854, 482)
        assert width % 2 == height % 2 == 0
    assert Scaling(2).size(2, 2) == (2, 2)
