"""Run: the TURN server as a process of its own, with signals and a page for who operates it.

::

    SIGHUP           certificate, key and this machine's addresses are read again
    SIGTERM, SIGINT  drain: no new allocations; ends when the last one does, or at the limit
    a second one     ends at once
    GET /metrics     Prometheus
    GET /health      200 while new clients are welcome, else 503

With ``workers`` these are signals and pages of the supervisor, for all of them together.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from aiohttp import web
from aiohttp.http import HttpProcessingError

from ringline.turn.config import TurnConfig
from ringline.turn.errors import ConfigError, ListenError
from ringline.turn.exposition import CONTENT_TYPE, Exposition
from ringline.turn.io_service import TurnService
from ringline.turn.metrics import TurnMetrics
from ringline.turn.settings import RunConfig, Settings

__all__ = ["Serving", "make_service", "run_service"]

logger = logging.getLogger(__name__)

_page_logger = logging.getLogger(f"{__name__}.page")

_CAN_SHARE: Final = sys.platform.startswith("linux") and hasattr(socket, "SO_REUSEPORT")
"""Other systems know the option too, and give all datagrams to the one that came last."""

_LOOK: Final = 0.5  # seconds between two looks whether the last allocation has ended


class Serving(Protocol):
    """A server, of one process or several."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses that it listens on."""

    @property
    def port(self) -> int:
        """The UDP port, and the TCP port if there is one."""

    @property
    def tcp(self) -> bool:
        """Whether it serves TCP."""

    @property
    def tls_port(self) -> int | None:
        """The port that it serves TLS on, if it does."""

    @property
    def workers(self) -> int:
        """How many processes serve."""

    @property
    def draining(self) -> bool:
        """Whether new allocations are refused."""

    def deny_own_port(self, port: int) -> None:
        """Let no client reach a port that this process listens on."""

    def end_call(self, call: str) -> None:
        """Let the allocations end that were made with credentials for this call."""

    def drain(self) -> None:
        """Allow no new allocation from now on."""

    def reload(self) -> None:
        """Read certificate, key and this machine's addresses again."""

    async def read_metrics(self) -> TurnMetrics:
        """Return the counters."""

    async def close(self) -> None:
        """End; harmless when it has."""

    async def __aenter__(self) -> Self:
        """Begin to serve."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """End."""


async def run_service(
    settings: Settings, *, on_open: Callable[[Serving, int | None], None]
) -> None:
    """Serve until a signal says otherwise; afterwards the process ignores signals, and is to end.

    Args:
        settings: All of them.
        on_open: Called once when clients may come, with the port of the metrics page if there
            is one.

    Raises:
        ConfigError: If the certificate cannot be used.
        ListenError: If a port is taken or an address is not ours.

    """
    stop = _Signals()
    async with make_service(settings.turn, settings.run.workers) as service:
        page = await _open_page(service, settings.run)
        try:
            stop.listen(service)
            if page is not None:
                service.deny_own_port(page.addresses[0][1])
            on_open(service, None if page is None else page.addresses[0][1])
            await stop.asked.wait()
            service.drain()
            await _drained(service, stop, settings.run.drain_limit)
        finally:
            stop.ignore()
            if page is not None:
                await page.cleanup()


def make_service(config: TurnConfig, workers: int) -> Serving:
    """Return a server of one process or several, as is wanted and possible, not yet open.

    Args:
        config: How it behaves.
        workers: How many processes; 0: one for each core.

    """
    count = workers or len(os.sched_getaffinity(0) if _CAN_SHARE else (0,))
    if count > 1 and _CAN_SHARE:
        from ringline.turn.io_workers import Workers  # noqa: PLC0415 - not everywhere

        return Workers(config, count)
    if count > 1:
        logger.warning(
            "TURN: workers: this system does not spread a port's clients over processes; "
            "one serves all of them"
        )
    return TurnService(config)


class _Signals:
    """What the process was told.

    A SIGHUP that comes before the service is open is heeded when it is.
    """

    _ENDING = (signal.SIGTERM, signal.SIGINT)
    _RELOADING = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()

    def __init__(self) -> None:
        self.asked: Final = asyncio.Event()
        self.insisted: Final = asyncio.Event()
        self._service: Serving | None = None
        self._came_early = False
        self._loop: Final = asyncio.get_running_loop()
        for number in self._RELOADING:
            self._loop.add_signal_handler(number, self._reload)

    def listen(self, service: Serving) -> None:
        self._service = service
        for number in self._ENDING:
            self._loop.add_signal_handler(number, self._end)
        if self._came_early:
            self._reload()

    def ignore(self) -> None:
        """Hear nothing any more: the process ends, and what comes late must not say how."""
        numbers = (*self._ENDING, *self._RELOADING)
        # Between the loop's handler and none the system's own is in force, which ends the process.
        can_hold = hasattr(signal, "pthread_sigmask")
        held = signal.pthread_sigmask(signal.SIG_BLOCK, numbers) if can_hold else set()
        for number in numbers:
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        if can_hold:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _end(self) -> None:
        (self.insisted if self.asked.is_set() else self.asked).set()

    def _reload(self) -> None:
        if self._service is None:
            self._came_early = True
            return
        try:
            self._service.reload()
        except ConfigError as error:
            logger.error("TURN: %s; the old certificate stays", error)  # noqa: TRY400 - one line


async def _drained(service: Serving, stop: _Signals, limit: float) -> None:
    """Wait until the last allocation has ended, the limit has passed or somebody insists."""
    ended = asyncio.create_task(_all_ended(service))
    insisted = asyncio.create_task(stop.insisted.wait())
    # Not one after the other: a worker that is stuck takes its time to say what it has.
    done, waiting = await asyncio.wait(
        (ended, insisted), timeout=limit, return_when=asyncio.FIRST_COMPLETED
    )
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    if ended in done:
        ended.result()
        logger.info("TURN: no allocation is left")
    elif insisted in done:
        logger.info("TURN: told again to end, no call is waited for")
    else:
        logger.info("TURN: drain_limit has passed, no call is waited for any longer")


async def _all_ended(service: Serving) -> None:
    while True:
        if not (await service.read_metrics()).allocations:
            return
        await asyncio.sleep(_LOOK)


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Let pass what goes wrong with the page; requests that are no HTTP are their sender's."""
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, HttpProcessingError):
        return True
    logger.debug("TURN: no request for the page: %s", type(error).__name__)
    return False


_page_logger.addFilter(_is_our_fault)


async def _open_page(service: Serving, config: RunConfig) -> web.AppRunner | None:
    if config.metrics_port is None:
        return None

    async def metrics(_request: web.Request) -> web.Response:
        text = Exposition(
            await service.read_metrics(), workers=service.workers, draining=service.draining
        ).text()
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def health(_request: web.Request) -> web.Response:
        draining = service.draining
        body = {
            "status": "draining" if draining else "ok",
            "allocations": (await service.read_metrics()).allocations,
            "workers": service.workers,
        }
        return web.json_response(body, status=503 if draining else 200)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None, logger=_page_logger, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.metrics_host, config.metrics_port).start()
    except OSError as error:
        await runner.cleanup()
        # A name that cannot be resolved has an error number below 0, of another list.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        where = f"{config.metrics_host}:{config.metrics_port}/tcp"
        message = f"TURN: cannot show metrics on {where}: {reason}"
        raise ListenError(message, "metrics_host", "metrics_port") from None
    return runner
