"""Workers: a server of several processes on one port, and who keeps them alive.

::

    supervisor ── binds a socket for each worker (SO_REUSEPORT), starts them, sums their numbers
        ├── worker 0 ── its clients, by the kernel's hash of the five-tuple
        ├── worker 1      │ links: what is for a relay of another worker
        └── ...           └ shared memory: whose port it is, quotas (fleet.py)

Certificate and key, as they were when they could last be used, are kept here and read by the
workers from memory: one that is started again has the same as the others, whatever the files hold.

The sockets stay open here, so that the death of a worker does not change the hash: the other
workers keep their clients.  Those of the dead one lose their relays and go on by an ICE restart;
what they send waits for its successor, which is there within a second.  One that keeps dying is
started less and less often.

This process relays nothing: it cannot be what kills a call, short of ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self, TypeAlias

from ringline.turn.addresses import format_address
from ringline.turn.config import TurnConfig, part_of
from ringline.turn.ended_calls import EndedCalls
from ringline.turn.errors import ConfigError, ListenError
from ringline.turn.fleet import Fleet, shared_size
from ringline.turn.io_certificate import read_certificate
from ringline.turn.io_link import FileLock, map_memory, open_memory, open_pair
from ringline.turn.io_service import (
    FREE_PORT_ATTEMPTS,
    LISTENER_BUFFER,
    log_listening,
    what_is_reloaded,
)
from ringline.turn.io_socket import open_tcp, open_udp
from ringline.turn.log_format import LogFormatter
from ringline.turn.metrics import TurnMetrics
from ringline.turn.settings import dump_turn

__all__ = ["Workers"]

logger = logging.getLogger(__name__)

_Sockets: TypeAlias = dict[str, dict[str, socket.socket]]  # by kind and host

_START_PATIENCE: Final = 30.0  # seconds to come up, on a machine that starts many things
_PATIENCE: Final = 10.0  # seconds to answer; who does not is stuck
_LOOK: Final = 5.0  # seconds between two looks whether a worker answers
_END_PATIENCE: Final = 5.0  # seconds to end
_FIRST_DELAY: Final = 0.1  # seconds before a dead worker is started again
_MAX_DELAY: Final = 10.0
_STEADY: Final = 60.0  # seconds after which a death is no sequel of the last one


class Workers:
    """A running TURN server of several processes; used like a ``TurnService``.

    Args:
        config: How it behaves, all workers together.
        count: How many there are.

    """

    def __init__(self, config: TurnConfig, count: int) -> None:
        self._config = config
        self._count: Final = count
        self._draining = False
        self._denied_ports: Final[list[int]] = []
        self._kept: Final[dict[str, int]] = {}  # descriptors of certificate and key, by setting
        self._ended_calls: Final = EndedCalls(
            grace=config.call_end_grace, remembered=config.max_credential_lifetime
        )
        self._workers: Final[list[_Worker]] = []
        self._tasks: Final[list[asyncio.Task[None]]] = []
        self._descriptors: Final = contextlib.ExitStack()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses that it listens on; wildcards if so configured."""
        return self._config.hosts

    @property
    def port(self) -> int:
        """The UDP port that it listens on, and the TCP port if it does."""
        return self._config.port

    @property
    def tcp(self) -> bool:
        """Whether it serves TCP on the same port."""
        return self._config.tcp

    @property
    def tls_port(self) -> int | None:
        """The TCP port that it serves TLS on, if it does."""
        return self._config.tls_port if self._config.tls_certificate is not None else None

    @property
    def workers(self) -> int:
        """How many serve at this moment."""
        return sum(worker.is_up for worker in self._workers)

    @property
    def pids(self) -> list[int]:
        """The process ids of those that serve."""
        return [worker.pid for worker in self._workers if worker.is_up]

    @property
    def draining(self) -> bool:
        """Whether new allocations are refused because the server is about to stop."""
        return self._draining

    async def open(self) -> None:
        """Bind the sockets and start the workers; returns when all of them serve.

        Raises:
            ConfigError: If the settings do not fit so many workers, or a certificate is unusable.
            ListenError: If a port is taken or an address is not ours.

        """
        certificate = read_certificate(self._config)
        part_of(self._config, 0, self._count)
        with contextlib.ExitStack() as stack:
            sockets = self._bind(stack)
            for setting in certificate:
                self._kept[setting] = open_memory(0)
                stack.callback(os.close, self._kept[setting])
            self._keep_certificate(certificate)
            self._prepare(stack, sockets)
            self._descriptors.enter_context(stack.pop_all())
        starts = (worker.start(self._state()) for worker in self._workers)
        try:
            results = await asyncio.gather(*starts, return_exceptions=True)
        except asyncio.CancelledError:
            await self.close()
            raise
        for result in results:  # all have come up or not: none is left half started
            if isinstance(result, BaseException):
                await self.close()
                raise result
        self._tasks.extend(asyncio.create_task(self._keep(worker)) for worker in self._workers)
        ports = {"udp": self.port}
        if self.tcp:
            ports["tcp"] = self.port
        if self.tls_port is not None:
            ports["tls"] = self.tls_port
        log_listening(self.hosts, ports, logging.INFO)
        logger.info("TURN: %d workers on port %d", self._count, self.port)

    def deny_own_port(self, port: int) -> None:
        """Let no client reach a port that this process listens on, whatever range is open."""
        self._denied_ports.append(port)
        for worker in self._workers:
            worker.tell("deny_own_port", port=port)

    def _state(self) -> dict[str, Any]:
        """Return what a new worker has to know of what was said before it came."""
        return {
            "draining": self._draining,
            "denied_ports": self._denied_ports,
            "ended_calls": list(self._ended_calls),
        }

    def drain(self) -> None:
        """Allow no new allocation from now on; those that are there go on."""
        self._draining = True
        for worker in self._workers:
            worker.tell("drain")
        logger.info("TURN: draining")

    def end_call(self, call: str) -> None:
        """Let the allocations of a call end, whichever worker has them; as of a ``TurnService``."""
        now = asyncio.get_running_loop().time()
        self._ended_calls.pop_due(now)  # here only to forget: the workers end the allocations
        self._ended_calls.add(call, now)
        for worker in self._workers:
            worker.tell("end_call", call=call)

    def reload(self) -> None:
        """Let all workers read this machine's addresses, certificate and key again.

        Raises:
            ConfigError: If they cannot be read; the old ones stay in force.

        """
        try:
            certificate = read_certificate(self._config)
        except ConfigError:
            for worker in self._workers:
                worker.tell("read_interfaces")
            raise
        self._keep_certificate(certificate)
        for worker in self._workers:
            worker.tell("reload")
        logger.info("TURN: reloaded %s", what_is_reloaded(self._config))

    async def read_metrics(self) -> TurnMetrics:
        """Return the counters of all workers together, of dead ones what was last known."""
        await asyncio.gather(*(worker.look() for worker in self._workers))
        total = TurnMetrics()
        for worker in self._workers:
            total.add(worker.retired)
            total.add(worker.metrics)
        return total

    async def close(self) -> None:
        """End all workers; allocations end without a word.  Harmless when closed already."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await asyncio.gather(*(worker.end() for worker in self._workers))
        if self._workers:
            logger.info("TURN: closed port %d/udp", self.port)
        self._workers.clear()
        self._descriptors.close()

    def _keep_certificate(self, certificate: Mapping[str, bytes]) -> None:
        for setting, content in certificate.items():
            os.ftruncate(self._kept[setting], 0)
            os.pwrite(self._kept[setting], content, 0)

    def _bind(self, stack: contextlib.ExitStack) -> list[_Sockets]:
        """Bind each worker's sockets, all to the same ports."""
        config = self._config
        attempts = 1 if config.port else FREE_PORT_ATTEMPTS
        for attempt in range(attempts):
            try:
                self._config = _find_ports(config)
            except ListenError:
                if attempt + 1 == attempts:
                    raise
            else:
                break
        return [_open_sockets(self._config, stack) for _ in range(self._count)]

    def _prepare(self, stack: contextlib.ExitStack, sockets: list[_Sockets]) -> None:
        """Make what the workers share, and the workers, not yet started."""
        memory = open_memory(shared_size(self._count))
        stack.callback(os.close, memory)
        key = secrets.token_bytes(32)
        self._fleet = Fleet(
            map_memory(memory), index=0, count=self._count, key=key, lock=FileLock(memory)
        )
        kept = {setting: f"/proc/self/fd/{number}" for setting, number in self._kept.items()}
        config = dataclasses.replace(self._config, **kept)  # type: ignore[arg-type] # only texts
        pairs = [open_pair() for _ in range(self._count)]
        for pair in pairs:
            for end in pair:
                stack.enter_context(end)
        for index, mine in enumerate(sockets):
            start = {
                "index": index,
                "config": dump_turn(part_of(config, index, self._count)),
                "key": key.hex(),
                "memory": memory,
                "kept": list(self._kept.values()),
                "sockets": {
                    kind: {host: each.fileno() for host, each in by_host.items()}
                    for kind, by_host in mine.items()
                },
                "receiving": pairs[index][0].fileno(),
                "sending": [sending.fileno() for _, sending in pairs],
            }
            self._workers.append(_Worker(start))

    async def _keep(self, worker: _Worker) -> None:
        """Start a worker again whenever it dies, and end it when it is stuck."""
        loop = asyncio.get_running_loop()
        delay, begun = _FIRST_DELAY, loop.time()
        while True:
            how = await worker.died()
            self._fleet.forget(worker.index)
            worker.retire()
            delay = _FIRST_DELAY if loop.time() - begun > _STEADY else min(delay * 2, _MAX_DELAY)
            logger.error(
                "TURN: worker %d %s; its clients lose their relays; another is started in %.1f s",
                worker.index,
                how,
                delay,
            )
            await asyncio.sleep(delay)
            begun = loop.time()
            try:
                await worker.start(self._state())
            except (ConfigError, ListenError) as error:
                logger.error("TURN: worker %d: %s", worker.index, error)  # noqa: TRY400


class _Worker:
    """A worker's process, one after the other."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.index: Final[int] = start["index"]
        self._start: Final = start
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._asking: Final = asyncio.Lock()
        self._listens = False  # it has been told what it is, and reads what to do
        self.is_up = False
        self.metrics = TurnMetrics()  # of this process, when it was last asked
        self.retired: Final = TurnMetrics()  # of those before it

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    async def start(self, state: dict[str, Any]) -> None:
        """Start a process, tell it the state of things and wait until it serves.

        Raises:
            ConfigError: If it cannot work so.
            ListenError: If it does not come up.

        """
        self._process = None
        ours, theirs = socket.socketpair()
        inherited = [
            theirs.fileno(),
            self._start["memory"],
            *self._start["kept"],
            self._start["receiving"],
            *self._start["sending"],
            *(number for by_host in self._start["sockets"].values() for number in by_host.values()),
        ]
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "ringline.turn.io_worker",
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=inherited,
                    start_new_session=True,  # Ctrl-C is the supervisor's, which drains
                )
        except OSError as error:  # no memory, no descriptors, an update of Python under way
            ours.close()
            reason = error.strerror or str(error)
            raise ListenError(f"TURN: worker {self.index} cannot be started: {reason}") from None
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        root = logging.getLogger()
        log = {
            "log_level": root.getEffectiveLevel(),
            "log_format": _log_format(root),
            "log_style": _log_style(root),
        }
        self._say(self._start | log | state)
        self._listens = True
        answer = await self._listen(_START_PATIENCE)
        if answer is None:
            self._kill()  # its end is waited for, and it may never come by itself
            raise ListenError(f"TURN: worker {self.index} does not come up")
        if answer["type"] == "failed":
            raise ConfigError(answer["error"])
        self.is_up = True

    def tell(self, what: str, **fields: object) -> None:
        """Tell it to do something, if it is there; while it starts it is done afterwards."""
        if self._listens:
            self._say({"do": what} | fields)

    async def look(self) -> None:
        """Ask for its counters; one that does not answer is stuck, and killed."""
        async with self._asking:
            if not self.is_up:
                return
            self._say({"do": "metrics"})
            answer = await self._listen(_PATIENCE)
            if answer is not None:
                self.metrics = TurnMetrics.restore(answer["metrics"])
            elif self.is_up:
                self._kill()

    async def died(self) -> str:
        """Wait for the end of the process; return how it was."""
        if self._process is None:
            return "was not started"
        looking = asyncio.create_task(self._keep_looking())
        try:
            return f"ended with {await self._process.wait()}"  # a signal's number is below 0
        finally:
            self.is_up = self._listens = False
            looking.cancel()
            if self._writer is not None:
                self._writer.close()

    def retire(self) -> None:
        """Keep the numbers of a process that is dead; its relays are gone."""
        self.metrics.allocations = 0
        self.retired.add(self.metrics)
        self.metrics = TurnMetrics()

    async def end(self) -> None:
        """End the process."""
        self.is_up = self._listens = False
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            try:
                async with asyncio.timeout(_END_PATIENCE):
                    await self._process.wait()
            except TimeoutError:
                self._kill()
                await self._process.wait()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            await self.look()

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _say(self, what: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(what).encode() + b"\n")

    async def _listen(self, patience: float) -> dict[str, Any] | None:
        """Return what it says; :obj:`None` if it is dead or says nothing in time."""
        assert self._reader is not None  # noqa: S101 - started
        try:
            async with asyncio.timeout(patience):
                line = await self._reader.readline()
        except (TimeoutError, OSError):
            return None
        answer: dict[str, Any] | None = json.loads(line) if line else None
        return answer


def _log_style(root: logging.Logger) -> dict[str, Any] | None:
    """Return what a worker needs to log as this process does, and with the same pseudonyms."""
    for handler in root.handlers:
        formatter = handler.formatter
        if isinstance(formatter, LogFormatter):
            redactor = formatter.redactor
            key = None if redactor is None else redactor.key.hex()
            return {"as_json": formatter.as_json, "redaction_key": key}
    return None


def _log_format(root: logging.Logger) -> str:
    """Return how the supervisor writes its log."""
    for handler in root.handlers:
        style = getattr(handler.formatter, "_fmt", None)
        if isinstance(style, str):
            return style
    return logging.BASIC_FORMAT


def _find_ports(config: TurnConfig) -> TurnConfig:
    """Return the settings with ports that nobody has, not even another server that shares them.

    Addresses of a family that this machine lacks are left out where all were asked for.

    Raises:
        ListenError: If a port is taken or an address is not ours.

    """
    served: list[str] = []
    with contextlib.ExitStack() as stack:
        for host in config.hosts:
            try:
                with _errors_named(host, config.port, "udp", "port"):
                    opened = stack.enter_context(open_udp(host, config.port))
            except ListenError:
                if host == "::" and served and not _has_ipv6():
                    logger.warning("TURN: not listening on IPv6: this machine has none")
                    continue
                raise
            served.append(host)
            config = dataclasses.replace(config, port=opened.getsockname()[1])
        config = dataclasses.replace(config, host=tuple(served))
        for host in served:
            if config.tcp:
                with _errors_named(host, config.port, "tcp", "port"):
                    stack.enter_context(open_tcp(host, config.port))
            if config.tls_certificate is not None:
                with _errors_named(host, config.tls_port, "tcp", "tls_port"):
                    tls = stack.enter_context(open_tcp(host, config.tls_port))
                config = dataclasses.replace(config, tls_port=tls.getsockname()[1])
    return config


def _open_sockets(config: TurnConfig, stack: contextlib.ExitStack) -> _Sockets:
    """Return what one worker listens on; all workers say that they share."""
    sockets: _Sockets = {"udp": {}, "tcp": {}, "tls": {}}
    for host in config.hosts:
        with _errors_named(host, config.port, "udp", "port"):
            sockets["udp"][host] = stack.enter_context(
                open_udp(host, config.port, buffer=LISTENER_BUFFER, shared=True)
            )
        streams = {"tcp": config.port} if config.tcp else {}
        if config.tls_certificate is not None:
            streams["tls"] = config.tls_port
        for kind, port in streams.items():
            with _errors_named(host, port, "tcp", "tls_port" if kind == "tls" else "port"):
                sockets[kind][host] = stack.enter_context(open_tcp(host, port, shared=True))
    return sockets


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _errors_named(host: str, port: int, protocol: str, key: str) -> Iterator[None]:
    """Say where it was that one could not listen, and which setting says so."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        where = format_address((host, port))
        message = f"TURN: cannot listen on {where}/{protocol}: {reason}"
        raise ListenError(message, "host", key) from None
