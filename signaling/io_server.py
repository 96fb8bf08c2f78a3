"""RinglineServer: signaling, test page and TURN in one process.

On its own::

    async with RinglineServer(ServerConfig(dev=True)) as server:
        print(server.url)
        await server.wait_stopped()

or inside another aiohttp application, which then starts and stops it::

    RinglineServer(ServerConfig(dev=True)).add_routes(app, prefix="/calls")
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from ringline.signaling.authenticate import (
    Authenticate,
    authenticate_by_name,
    authenticate_by_token,
)
from ringline.signaling.call import MintedServers
from ringline.signaling.config import ServerConfig
from ringline.signaling.errors import ServerStartError
from ringline.signaling.hub import Hub, IceServerMinter
from ringline.signaling.ice_servers import no_ice_servers, turn_minter
from ringline.signaling.io_websocket_server import WebSocketServer
from ringline.signaling.metrics import MetricsPage
from ringline.signaling.page_files import PageFile, content_security_policy, read_page
from ringline.turn import ConfigError, ListenError, TurnConfig
from ringline.turn.io_run import Serving, make_service

__all__ = ["RinglineServer"]

_log = logging.getLogger(__name__)

_PAGE: Final = Path(__file__).parent / "page"
_LAG_PERIOD: Final = 0.25  # seconds between two looks at the loop's lag
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class RinglineServer:
    """A running server; see the module's docstring for its two uses.

    Args:
        config: All of it.

    """

    def __init__(self, config: ServerConfig) -> None:
        self._config: Final = config
        self._turn_secret: Final = config.turn_secret or secrets.token_urlsafe(32)
        self._mint: IceServerMinter = no_ice_servers  # until TURN has its port
        authenticate: Authenticate
        if config.dev:
            authenticate = authenticate_by_name
        else:
            assert config.token_keys is not None  # noqa: S101 - the config's own check
            authenticate = authenticate_by_token(config.token_keys, time.time)
        self.hub: Final = Hub(
            config,
            authenticate=authenticate,
            mint_ice_servers=self._mint_ice_servers,
            on_call_ended=self._end_relays,
            version=_version(),
        )
        self._websockets: Final = WebSocketServer(self.hub, config)
        self._metrics: Final = MetricsPage(
            self.hub,
            loop_lag=lambda: self._loop_lag,
            turn_allocations=(lambda: self._turn_allocations) if config.turn else None,
        )
        self._page: Final = read_page(_PAGE)
        self._turn: Serving | None = None
        self._turn_allocations = 0  # when they were last counted
        self._runner: web.AppRunner | None = None
        self._port = config.port
        self._loop_lag = 0.0
        self._stop: Final = asyncio.Event()

    # ---------------------------------------------------------------- on its own

    async def __aenter__(self) -> Self:
        """Start.

        Raises:
            ServerStartError: If a port is taken or an address is not ours; one line.

        """
        app = web.Application()
        self.add_routes(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        try:
            await runner.setup()
            site = web.TCPSite(runner, self._config.host, self._config.port)
            await site.start()
        except OSError as error:
            await runner.cleanup()
            # asyncio's text says address and port once more; names that do not resolve have none.
            number = error.errno or 0
            reason = os.strerror(number) if number > 0 else error.strerror or error
            raise ServerStartError(
                f"host, port: cannot listen on {self._config.host}:{self._config.port}/tcp: "
                f"{reason}"
            ) from None
        except ServerStartError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]
        _log.info("listening on %s", self.url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tell the clients, then stop."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()  # through _run, which drains

    @property
    def url(self) -> str:
        """Where the page is, and, with ``/ws`` behind it, the WebSocket."""
        host = self._config.external_host or self._config.host
        if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            host = "localhost"  # a wildcard names no machine
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    @property
    def port(self) -> int:
        """TCP port that it listens on."""
        return self._port

    @property
    def turn_port(self) -> int | None:
        """UDP port of TURN; :obj:`None` if it does not run here."""
        return None if self._turn is None else self._turn.port

    async def wait_stopped(self) -> None:
        """Wait for SIGINT or SIGTERM, or for :meth:`stop`.

        Leave the ``async with`` after it: that tells the clients and closes.
        """
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self._stop.set)
        try:
            await self._stop.wait()
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Make :meth:`wait_stopped` return."""
        self._stop.set()

    # ---------------------------------------------------------------- inside another application

    def add_routes(self, app: web.Application, *, prefix: str = "") -> None:
        """Attach to an application: it starts and stops this server with itself.

        Args:
            app: Not yet started.
            prefix: Before all paths, for instance ``/calls``; no slash at its end.

        """
        router = app.router
        router.add_get(f"{prefix}/ws", self._websockets.handle_request)
        router.add_get(f"{prefix}/health", self._handle_health)
        router.add_get(f"{prefix}/metrics", self._handle_metrics)
        for name, file in self._page.items():
            router.add_get(f"{prefix}/{name}", _file_handler(file))
            if name == "index.html":
                router.add_get(f"{prefix}/", _file_handler(file))
        app.cleanup_ctx.append(self._run)
        app.on_shutdown.append(self._handle_shutdown)

    async def _run(self, _app: web.Application) -> AsyncIterator[None]:
        """Run TURN and the look at the loop's lag while the application runs."""
        if self._config.turn:
            self._turn = await self._start_turn()
        if self._turn is not None or self._config.turn_urls:
            self._mint = turn_minter(
                secret=self._turn_secret,
                port=self.turn_port,
                lifetime=self._config.turn_credential_lifetime,
                external_host=self._config.external_host,
                wallclock=time.time,
                others=self._config.turn_urls,
            )
        lag = asyncio.get_running_loop().create_task(self._watch_lag())
        try:
            yield
        finally:
            lag.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await lag
            if self._turn is not None:
                await self._turn.close()
                self._turn = None

    async def _handle_shutdown(self, _app: web.Application) -> None:
        await self._websockets.drain()

    async def _start_turn(self) -> Serving:
        config = self._config
        host = await _turn_hosts(config.host)
        try:
            turn = TurnConfig(
                host=host,
                port=config.turn_port,
                secrets=(self._turn_secret,),
                allow_peers=config.turn_allow_peers,
            )
            return await make_service(turn, config.turn_workers).__aenter__()
        except ListenError as error:
            keys = ", ".join("turn_port" if key == "port" else key for key in error.keys)
            raise ServerStartError(f"{keys}: {error}" if keys else str(error)) from None
        except ConfigError as error:
            raise ServerStartError(str(error)) from None

    # ---------------------------------------------------------------- the small pages

    async def _handle_health(self, _request: web.Request) -> web.Response:
        """Say whether new clients should be sent here: 200 or 503."""
        draining = self.hub.draining
        late = self._loop_lag > self._config.max_loop_lag
        return web.json_response(
            {
                "status": "draining" if draining else "late" if late else "ok",
                "loop_lag_ms": round(self._loop_lag * 1000, 1),
                "connections": self.hub.connection_count,
            },
            status=503 if draining or late else 200,
        )

    async def _handle_metrics(self, _request: web.Request) -> web.Response:
        if self._turn is not None:
            self._turn_allocations = (await self._turn.read_metrics()).allocations
        return web.Response(body=self._metrics.text(), headers={"Content-Type": _METRICS_TYPE})

    # ---------------------------------------------------------------- parts

    def _mint_ice_servers(self, user: str, call: str, reached_host: str) -> MintedServers:
        return self._mint(user, call, reached_host)

    def _end_relays(self, call: str) -> None:
        """Take the relays of a call that is over, if TURN runs here.

        A relay elsewhere ends them when they are not refreshed any more.
        """
        if self._turn is not None:
            self._turn.end_call(call)

    async def _watch_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_PERIOD
            await asyncio.sleep(_LAG_PERIOD)
            self._loop_lag = max(0.0, loop.time() - due)


def _file_handler(file: PageFile) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(
            body=file.body,
            headers={
                "Content-Type": f"{file.content_type}; charset=utf-8"
                if file.content_type.startswith("text/")
                else file.content_type,
                "Content-Security-Policy": content_security_policy(request.headers.get("Host")),
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Cache-Control": "no-cache",
            },
        )

    return handle


async def _turn_hosts(host: str) -> tuple[str, ...]:
    """Return the addresses for TURN to listen on, of what the page listens on.

    Of a name it is the IPv4 address, and the IPv6 one only where that is all there is: a name in
    ``/etc/hosts`` may have one that this machine has not.
    """
    if host in ("", "::"):
        return "0.0.0.0", "::"  # noqa: S104 - as the user asked
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise ServerStartError(
            f"TURN needs an address, {host!r} has none: {error.strerror or error}"
        ) from None
    addresses = sorted((family is not socket.AF_INET, str(to[0])) for family, *_, to in found)
    return (addresses[0][1],)


def _version() -> str:
    try:
        return importlib.metadata.version("ringline")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        return ""
