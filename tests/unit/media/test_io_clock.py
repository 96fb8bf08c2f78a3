from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ringline.media.io_clock import LoopClock

LIBRARIES = pytest.mark.parametrize("library", ["asyncio", "uvloop"])


@LIBRARIES
def test_time_goes_on_within_a_turn_of_the_loop(library: str) -> None:
    async def look() -> tuple[float, float]:
        clock = LoopClock(asyncio.get_running_loop())
        before, started = clock.now(), time.perf_counter()
        while time.perf_counter() - started < 0.005:
            pass
        return clock.now() - before, time.perf_counter() - started

    told, true = pytest.importorskip(library).run(look())
    assert told == pytest.approx(true, abs=5e-4)


@LIBRARIES
def test_it_is_the_clock_of_the_loop(library: str) -> None:
    async def look() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        return LoopClock(loop).now(), loop.time()

    told, coarse = pytest.importorskip(library).run(look())
    assert told == pytest.approx(coarse, abs=0.5)


@LIBRARIES
@pytest.mark.parametrize("after", [0.0, 0.0003, 0.0012, 0.0017])
def test_a_timer_is_not_early(library: str, after: float) -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        clock = LoopClock(loop)
        called_at: asyncio.Future[float] = loop.create_future()
        when = clock.now() + after
        clock.call_at(when, lambda: called_at.set_result(clock.now()))
        return await called_at - when

    assert all(pytest.importorskip(library).run(wait()) >= -1e-6 for _ in range(10))


@LIBRARIES
def test_a_cancelled_timer_does_not_call(library: str) -> None:
    async def wait() -> list[int]:
        clock = LoopClock(asyncio.get_running_loop())
        calls: list[int] = []
        clock.call_at(clock.now() + 0.001, lambda: calls.append(1)).cancel()
        await asyncio.sleep(0.005)
        return calls

    assert pytest.importorskip(library).run(wait()) == []


def test_a_loop_that_has_a_time_of_its_own_is_believed(
    run_virtual: Callable[[Coroutine[Any, Any, float]], float],
) -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        clock = LoopClock(loop)
        called_at: asyncio.Future[float] = loop.create_future()
        clock.call_at(60.00025, lambda: called_at.set_result(clock.now()))
        return await called_at

    assert run_virtual(wait()) == 60.00025
