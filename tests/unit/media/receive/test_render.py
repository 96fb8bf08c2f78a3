from __future__ import annotations

from itertools import pairwise

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


def due_until(renderer: Renderer, end: float, start: float = 0.0) -> list[tuple[float, int]]:
    """Show each picture when it is due, from ``start`` on; return when and which."""
    result: list[tuple[float, int]] = []
    while (due := renderer.poll_timeout()) is not None and due <= end:
        number = shown(renderer, max(due, start))
        if number is not None:
            result.append((max(due, start), number))
    return result


def learn_delay(renderer: Renderer) -> int:
    """Let each 30th of many pictures come 250 ms late, and show all; return the next's number."""
    ready_at = 0.0
    for number in range(615):
        late = 0.25 if number % 30 == 29 else 0.0
        ready_at = max(ready_at, number / 30 + late)
        due_until(renderer, ready_at)
        feed(renderer, number, late)
    due_until(renderer, 614 / 30 + 0.2)
    return 615


def test_frequent_repairs_make_a_delay_and_pictures_are_held_evenly() -> None:
    renderer = Renderer()
    first = learn_delay(renderer)
    assert renderer.delay == pytest.approx(0.05)
    times = []
    for number in range(first, first + 10):
        times += due_until(renderer, number / 30)
        feed(renderer, number)
    times += due_until(renderer, 1e9)
    expected = [number / 30 + 0.05 for number in range(first, first + 9)]
    assert [when for when, _ in times[:9]] == pytest.approx(expected)
    assert [number for _, number in times] == [n & 0xFF for n in range(first, first + 10)]


def test_while_a_repair_is_awaited_what_is_held_is_spread_over_the_wait() -> None:
    renderer = Renderer()
    first = learn_delay(renderer)
    feed(renderer, first)
    feed(renderer, first + 1)
    (start, _), *_ = due_until(renderer, first / 30 + 0.05 + 1e-9)
    renderer.set_resumption((start + 0.2, start + 0.5))
    assert renderer.poll_timeout() == pytest.approx(start + 0.1)
    renderer.set_resumption(None)
    assert renderer.poll_timeout() == pytest.approx(start + 1 / 30, abs=0.0151)


def test_no_picture_stands_so_long_that_it_freezes_while_another_is_held() -> None:
    renderer = Renderer(RenderConfig(max_stretch=0.155))
    first = learn_delay(renderer)
    feed(renderer, first)
    feed(renderer, first + 1)
    (start, _), *_ = due_until(renderer, first / 30 + 0.05 + 1e-9)
    renderer.set_resumption((start + 0.6, start + 0.9))
    assert renderer.poll_timeout() == pytest.approx(start + 0.155)


def test_after_a_stop_lag_is_caught_up_quickly_and_not_at_once() -> None:
    renderer = Renderer()
    for number in range(10):
        feed(renderer, number)
        shown(renderer, number / 30)
    ready = 10 / 30 + 0.25  # when the 10th is repaired, seven behind it are here
    feed(renderer, 10, late=0.25)
    for number in range(11, 18):
        feed(renderer, number)
    times = due_until(renderer, 1e9, start=ready)
    numbers = [number for _, number in times]
    assert times[0][0] == ready
    assert numbers == sorted(set(numbers))
    assert 4 <= len(numbers) < 8
    assert numbers[-1] == 17
    assert times[-1][0] < ready + 0.1
    assert min(b - a for (a, _), (b, _) in pairwise(times)) >= 0.014 - 1e-9
    assert renderer.dropped == 8 - len(numbers)


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
