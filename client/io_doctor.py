"""Doctor, the looking: libraries, codecs, devices, this machine's network, and a server.

Nothing here changes anything; the network is asked a few datagrams and one page.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import secrets
import socket
import sys
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from ringline.client.doctor import (
    Finding,
    Level,
    judge_codec,
    judge_dred,
    judge_library,
    judge_python,
    required_libraries,
)
from ringline.client.errors import LocalError

__all__ = ["examine"]

_TIMEOUT: Final = 5.0
"""Seconds for a server to answer: three retries of anything, twice over."""

_STUN_TRIES: Final = 4
_STUN_WAIT: Final = 0.5  # seconds for one answer, RFC 8489's first retransmission timeout


async def examine(url: str | None, *, turn_port: int) -> list[Finding]:
    """Look at everything; with ``url`` at that server too.

    Raises:
        LocalError: If the URL is none.

    """
    server = None if url is None else _split_url(url)
    findings = [judge_python(sys.version_info[:3])]
    findings += _look_at_libraries()
    if all(finding.level is not Level.PROBLEM for finding in findings):
        findings += await asyncio.to_thread(lambda: [*_look_at_codecs(), *_look_at_devices()])
        findings += _look_at_addresses()
    findings.append(await _look_at_udp())
    if server is not None:
        base, host = server
        findings.append(await _look_at_server(base))
        findings.append(await _look_at_stun(host, turn_port))
    return findings


def _look_at_libraries() -> Iterator[Finding]:
    try:
        requirements = importlib.metadata.requires("ringline") or []
        version = importlib.metadata.version("ringline")
    except importlib.metadata.PackageNotFoundError:
        yield Finding("ringline", Level.PROBLEM, "not installed", "pip install -e . (or: make)")
        return
    yield Finding("ringline", Level.OK, version)
    for name, versions in required_libraries(requirements).items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = None
        yield judge_library(name, installed, versions)


def _look_at_codecs() -> Iterator[Finding]:
    from ringline.media.codecs.registry import CodecRegistry  # noqa: PLC0415 - may be missing

    codecs = CodecRegistry()
    for implementation in codecs.implementations:
        yield judge_codec(implementation)
    yield judge_dred(found=codecs.has_dred)


def _look_at_devices() -> Iterator[Finding]:
    from ringline.media.io_devices import DeviceKind, list_devices  # noqa: PLC0415
    from ringline.media.io_display import display_problem  # noqa: PLC0415

    without: dict[DeviceKind, str] = {
        "microphone": "none found; calls send a synthetic voice",
        "camera": "none found; calls send a synthetic moving picture",
        "speaker": "none found; what is said can be recorded (--record)",
    }
    mends: dict[DeviceKind, str] = {
        "microphone": "plug one in, or send a file: --audio FILE",
        "camera": "plug one in, or send a file: --video FILE (Linux: be in the group 'video')",
        "speaker": "plug one in (Linux: be in the group 'audio')",
    }
    for kind, text in without.items():
        devices = list_devices(kind)
        if devices:
            names = ", ".join(device.description for device in devices)
            yield Finding(kind, Level.OK, names)
        else:
            yield Finding(kind, Level.WARNING, text, mends[kind])
    problem = display_problem()
    if problem is None:
        yield Finding("window", Level.OK, "can be opened")
    else:
        yield Finding("window", Level.WARNING, problem, "run it in a desktop session, or record")


def _look_at_addresses() -> Iterator[Finding]:
    from ringline.client.io_aiortc.io_gather import local_addresses  # noqa: PLC0415 - may be missing
    from ringline.client.transport import TransportConfig  # noqa: PLC0415

    addresses = local_addresses(TransportConfig())
    outside = [address for address in addresses if address not in ("127.0.0.1", "::1")]
    if outside:
        yield Finding("addresses", Level.OK, ", ".join(outside))
    else:
        yield Finding(
            "addresses",
            Level.WARNING,
            "loopback only: calls stay on this machine",
            "connect to a network",
        )


async def _look_at_udp() -> Finding:
    """Send a datagram to ourselves."""
    loop = asyncio.get_running_loop()
    mend = "allow UDP on this machine: media goes over it"
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            receiver.setblocking(False)
            receiver.bind(("127.0.0.1", 0))
            word = secrets.token_bytes(8)
            sender.sendto(word, receiver.getsockname())
            got = await asyncio.wait_for(loop.sock_recv(receiver, 64), 1.0)
    except TimeoutError:
        return Finding("UDP", Level.PROBLEM, "a datagram to ourselves did not come", mend)
    except OSError as error:
        return Finding("UDP", Level.PROBLEM, f"no socket: {error.strerror or error}", mend)
    if got != word:
        return Finding("UDP", Level.PROBLEM, "a datagram to ourselves came changed", mend)
    return Finding("UDP", Level.OK, "sockets open, datagrams arrive")


async def _look_at_server(base: str) -> Finding:
    """Ask a server for its health and its subprotocol."""
    import aiohttp  # noqa: PLC0415 - 100 ms that the rest does not need

    from ringline.signaling.messages import SUBPROTOCOL  # noqa: PLC0415

    mend = "start one: ringline serve; and check address, port and firewall"
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            async with session.get(f"{base}/health") as response:
                status = response.status
            async with session.ws_connect(f"{base}/ws", protocols=(SUBPROTOCOL,)) as websocket:
                protocol = websocket.protocol
    except TimeoutError:
        return Finding("server", Level.PROBLEM, f"{base} did not answer in 5 s", mend)
    except aiohttp.WSServerHandshakeError as error:
        text = f"{base} is no Ringline server: no WebSocket there (HTTP {error.status})"
        return Finding("server", Level.PROBLEM, text, mend)
    except (aiohttp.ClientError, OSError) as error:
        return Finding("server", Level.PROBLEM, f"{base} cannot be reached: {error}", mend)
    if protocol != SUBPROTOCOL:
        text = f"{base} is no Ringline server: it does not speak {SUBPROTOCOL}"
        return Finding("server", Level.PROBLEM, text, mend)
    if status != 200:
        text = f"{base} answers, but says that it is overloaded or stopping (HTTP {status})"
        return Finding("server", Level.WARNING, text, "wait, or look at its /metrics")
    return Finding("server", Level.OK, f"{base} answers and speaks {SUBPROTOCOL}")


async def _look_at_stun(host: str, port: int) -> Finding:
    """Ask a STUN binding of the TURN server (RFC 8489 §5), and what address it sees."""
    from ringline.turn.attributes import XOR_MAPPED_ADDRESS  # noqa: PLC0415 - see above
    from ringline.turn.errors import ParseError  # noqa: PLC0415
    from ringline.turn.stun import Message, MessageClass, Method  # noqa: PLC0415

    area, loop = "STUN/TURN", asyncio.get_running_loop()
    mend = f"open UDP port {port} to the server, or name another: --turn-port"
    request = Message(Method.BINDING, MessageClass.REQUEST, secrets.token_bytes(12))
    try:
        found = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            asker.connect(found[0][4])
            for _ in range(_STUN_TRIES):
                sent_at = loop.time()
                await loop.sock_sendall(asker, request.serialize(fingerprint=True))
                try:
                    data = await asyncio.wait_for(loop.sock_recv(asker, 1500), _STUN_WAIT)
                    answer = Message.parse(data)
                    mapped = answer.get(XOR_MAPPED_ADDRESS)
                except (TimeoutError, ParseError):
                    continue
                if answer.transaction_id == request.transaction_id and mapped is not None:
                    milliseconds = (loop.time() - sent_at) * 1000
                    text = f"{host}:{port} answers in {milliseconds:.0f} ms, sees us as {mapped[0]}"
                    return Finding(area, Level.OK, text)
    except OSError as error:
        text = f"{host}:{port}/udp cannot be reached: {error.strerror or error}"
        return Finding(area, Level.WARNING, text, mend)
    text = f"{host}:{port}/udp does not answer; calls that need a relay fail"
    return Finding(area, Level.WARNING, text, mend)


def _split_url(url: str) -> tuple[str, str]:
    """Return the server's base as an HTTP URL, and its host.

    Raises:
        LocalError: If it is no URL of a server.

    """
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    schemes = {"ws": "http", "http": "http", "wss": "https", "https": "https"}
    if parts.scheme not in schemes or not parts.hostname:
        raise LocalError(f"expected a URL such as ws://localhost:8080, got {url!r}")
    path = parts.path.rstrip("/").removesuffix("/ws")
    return f"{schemes[parts.scheme]}://{parts.netloc}{path}", parts.hostname
