from __future__ import annotations

import numpy as np
import pytest

from ringline.media.frames import VideoFrame
from ringline.media.receive.render import RenderConfig, Renderer


def feed(renderer: Renderer, number: int, late: float = 0.0) -> float:
    """Let picture ``number`` come in ``late``; return when it is complete."""
    completed = number / 30 + late
    picture = VideoFrame(np.full((3, 2), number & 0xFF, np.uint8))
    renderer.handle_frame(
        picture, number * 3_000, started_at=completed - 0.002, completed_at=completed
    )
    return completed


def shown(renderer: Renderer, now: float) -> int | None:
    rendered = renderer.poll_frame(now)
    return None if rendered is None else int(rendered.frame.planes[0, 0])


def test_on_a_clean_link_a_picture_is_shown_the_moment_it_is_there() -> None:
    renderer = Renderer()
    assert renderer.poll_timeout() is None
    for number in range(100):
        now = feed(renderer, number, late=0.004 * (number % 3))
        assert shown(renderer, now) == number
        assert renderer.poll_timeout() is None
    assert renderer.delay == 0.0
    assert renderer.dropped == 0


def test_where_most_are_late_all_are_held_to_be_even() -> None:
    renderer = Renderer()
    for number in range(200):
        renderer.poll_frame(feed(renderer, number, late=0.03 * (number % 2)) + 1.0)
    assert renderer.delay == pytest.approx(0.02, abs=0.0051)
    base = 200 / 30
    feed(renderer, 200)
    assert renderer.poll_timeout() == pytest.approx(base + renderer.delay)
    assert shown(renderer, base) is None
    assert shown(renderer, base + renderer.delay + 1e-9) == 200


def test_no_jitter_holds_a_picture_for_long() -> None:
    renderer = Renderer(RenderConfig(max_delay=0.06))
    for number in range(300):
        feed(renderer, number, late=0.3 * (number % 2))
        renderer.poll_frame(1e9)
    assert renderer.delay == pytest.approx(0.06)


def test_a_repaired_picture_is_shown_at_once() -> None:
    renderer = Renderer()
    for number in range(50):
        shown(renderer, feed(renderer, number))
    now = feed(renderer, 50, late=0.12)
    assert shown(renderer, now) == 50


def test_of_pictures_due_together_the_last_is_shown() -> None:
    renderer = Renderer()
    for number in range(4):
        feed(renderer, number)
    assert shown(renderer, 1.0) == 3
    assert shown(renderer, 1.0) is None
    assert renderer.dropped == 3


def test_a_picture_from_before_the_last_one_shown_is_dropped() -> None:
    renderer = Renderer()
    feed(renderer, 5)
    assert shown(renderer, 1.0) == 5
    feed(renderer, 4)
    feed(renderer, 5)
    assert renderer.poll_timeout() is None
    assert renderer.dropped == 2


def test_lip_sync_adds_its_delay() -> None:
    renderer = Renderer()
    renderer.set_extra_delay(0.1)
    now = feed(renderer, 0)
    assert renderer.poll_timeout() == pytest.approx(now + 0.1)


def test_a_clock_that_jumps_back_is_followed() -> None:
    renderer = Renderer()
    for number in range(1_000, 1_010):
        shown(renderer, feed(renderer, number))
    picture = VideoFrame(np.full((3, 2), 7, np.uint8))
    now = 1_010 / 30
    renderer.handle_frame(picture, 0, started_at=now, completed_at=now)
    assert shown(renderer, now + 1e-9) == 7


def test_what_waits_is_bounded_and_a_restart_drops_it() -> None:
    renderer = Renderer(RenderConfig(max_queue=5))
    for number in range(20):
        feed(renderer, number)
    assert renderer.dropped == 15
    renderer.restart()
    assert renderer.poll_timeout() is None
    assert renderer.dropped == 20
