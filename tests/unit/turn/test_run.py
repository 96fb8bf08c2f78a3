"""What signals do to a server that runs as a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import Any

import pytest

from ringline.turn import TurnMetrics, io_run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals to be told by")


class Stuck:
    """A server that never says what it has."""

    def __init__(self) -> None:
        self.reloads = 0

    def reload(self) -> None:
        self.reloads += 1

    async def read_metrics(self) -> TurnMetrics:
        await asyncio.Event().wait()
        raise AssertionError


class Signals:
    """What was told."""

    def __init__(self) -> None:
        self.insisted = asyncio.Event()


async def drained(service: Any, signals: Any, limit: float) -> None:
    async with asyncio.timeout(10):
        await io_run._drained(service, signals, limit)


async def test_who_insists_does_not_wait_for_what_is_stuck(
    caplog: pytest.LogCaptureFixture,
) -> None:
    signals = Signals()
    asyncio.get_running_loop().call_soon(signals.insisted.set)
    with caplog.at_level(logging.INFO, logger="ringline.turn"):
        await drained(Stuck(), signals, float("inf"))
    assert caplog.messages == ["TURN: told again to end, no call is waited for"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_limit_does_not_wait_for_what_is_stuck(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ringline.turn"):
        await drained(Stuck(), Signals(), 0.0)
    assert caplog.messages == ["TURN: drain_limit has passed, no call is waited for any longer"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_reload_that_is_asked_for_too_early_is_done_later() -> None:
    loop, service = asyncio.get_running_loop(), Stuck()
    signals = io_run._Signals()
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(10):
            while not signals._came_early:  # noqa: ASYNC110 - no event of a test's
                await asyncio.sleep(0)
        signals.listen(service)  # type: ignore[arg-type] # as much of one as is needed
        assert service.reloads == 1
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(10):
            while service.reloads == 1:  # noqa: ASYNC110 - no event of a test's
                await asyncio.sleep(0)
    finally:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def test_a_signal_between_the_two_handlers_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    signals = io_run._Signals()
    removed = loop.remove_signal_handler

    def remove(number: int) -> bool:
        done = removed(number)
        signal.raise_signal(signal.SIGTERM)  # the system's own handler would end this process
        return done

    monkeypatch.setattr(loop, "remove_signal_handler", remove)
    try:
        signals.ignore()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
