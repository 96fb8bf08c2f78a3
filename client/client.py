"""Client: a person on a server, who calls and is called by name."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from ringline.client.call import Call, CallConfig
from ringline.client.call_state import CallState
from ringline.client.errors import (
    CallEndedError,
    LocalError,
    NegotiationError,
    ServerUnreachableError,
)
from ringline.client.io_devices import default_camera, default_microphone
from ringline.client.io_network import NetworkRates
from ringline.client.io_signaling import SignalingConnection
from ringline.client.io_trust import trust_authority
from ringline.client.signaling_link import LinkState, StateChanged
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.io_file import FileSource
from ringline.media.source import AudioSource, VideoSource
from ringline.signaling import messages as wire

__all__ = ["Client", "ClientConfig", "IncomingCall"]

logger = logging.getLogger(__name__)

AudioChoice = AudioSource | FileSource | bool | None
VideoChoice = VideoSource | FileSource | bool | None
IncomingHandler = Callable[["IncomingCall"], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """How a client behaves."""

    max_calls: int = 8
    """Calls at one time, ringing ones among them: a person has one or two, a bot some more.
    Beyond it callers are told that we are busy."""

    call: CallConfig = field(default_factory=CallConfig)

    remember_rates: bool = True
    """Start a call at what the last one on the same network reached."""

    rate_file: Path | None = None
    """Where that is kept; :obj:`None` forgets it with the client.  Networks are hashed in it."""


class IncomingCall:
    """Somebody rings here; answer by :meth:`accept` or :meth:`decline`.

    Attributes:
        caller: Who it is.
        video: Whether they mean to send video.

    """

    def __init__(self, call: Call, *, video: bool) -> None:
        self.caller: Final = call.peer
        self.video: Final = video
        self._call: Final = call

    async def accept(self, *, audio: AudioChoice = True, video: VideoChoice = False) -> Call:
        """Answer; return the call, whose path is then being found.

        Args:
            audio: What we say: a source, :obj:`True` for the microphone (a synthetic voice
                where there is none), or nothing.
            video: What we show, likewise; nothing unless it is asked for.

        Raises:
            CallEndedError: If the caller gave up meanwhile.
            NegotiationError: If the caller speaks no codec that we do.

        """
        if self._call.state is not CallState.INCOMING:
            raise CallEndedError(f"{self.caller} gave up")
        self._call.set_sources(_audio_source(audio), _video_source(video, audio))
        try:
            self._call.accept()
        except NegotiationError as error:
            self._call.refuse(error)
            raise
        return self._call

    def decline(self, *, busy: bool = False) -> None:
        """Say no; ``busy`` tells the caller that we are in another call."""
        self._call.decline(busy=busy)

    async def wait_gone(self) -> str:
        """Wait until the caller gives up or the call ends otherwise; return the reason."""
        return await self._call.wait_ended()


class Client:
    """A person on a server.

    Args:
        url: The server, for instance ``ws://localhost:8080``; ``wss``, ``http`` and ``https``
            are understood too.
        name: Who we are, on a server in development mode.
        token: Who we are, on any other: a JWT that the server's operator gave.
        relay_only: Send media through the TURN relay even where a direct path works.
        turn_ca: File with the certificate of a private authority, PEM, that ``turns:`` servers are
            trusted by, beside the system's.
        config: Tuning.

    Raises:
        LocalError: If there is neither name nor token, or ``turn_ca`` cannot be used.

    Use it as ``async with Client(...) as me``.

    """

    def __init__(
        self,
        url: str,
        *,
        name: str | None = None,
        token: str | None = None,
        relay_only: bool = False,
        turn_ca: str | Path | None = None,
        config: ClientConfig | None = None,
    ) -> None:
        if name is None and token is None:
            raise LocalError("a client needs a name or a token")
        config = config or ClientConfig()
        transport = config.call.transport
        if relay_only:
            transport = replace(transport, policy="relay")
        if turn_ca is not None:
            transport = replace(transport, turn_tls=trust_authority(Path(turn_ca)))
        config = replace(config, call=replace(config.call, transport=transport))
        self._config: Final = config
        self._signaling: Final = SignalingConnection(
            url,
            name=name,
            token=token,
            on_message=self._handle_message,
            on_state=self._handle_signaling_state,
        )
        self._codecs: Final = CodecRegistry()
        self._rates: Final = NetworkRates(config.rate_file) if config.remember_rates else None
        self._calls: Final[dict[str, Call]] = {}
        self._handler: IncomingHandler | None = None
        self._handling: Final[set[asyncio.Task[None]]] = set()
        self._closing: Final[set[asyncio.Task[None]]] = set()  # calls that let go of their sockets
        self._people: dict[str, str] = {}

    # Life

    async def __aenter__(self) -> Self:
        """Enter the server.

        Raises:
            ServerUnreachableError: If nobody answers there.
            UnauthorizedError: If the token is wrong.
            NameTakenError: If somebody else is there under that name.

        """
        await self._signaling.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up all calls and leave the server."""
        await asyncio.gather(*(call.hang_up() for call in list(self._calls.values())))
        handling = self._handling - {asyncio.current_task()}  # a handler may well close us
        for task in handling:
            task.cancel()
        await asyncio.gather(*handling, return_exceptions=True)
        await asyncio.gather(*self._closing)
        await self._signaling.close()

    async def wait_closed(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait until the connection to the server is over, or ``timeout`` seconds have gone.

        Raises:
            SignalingError: If the server put us out or cannot be reached any more.

        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._signaling.wait_closed(), timeout)

    @property
    def name(self) -> str:
        """Who the server takes us for."""
        return self._signaling.name

    @property
    def people(self) -> dict[str, str]:
        """Who is there: name to ``online`` or ``in_call``, after :meth:`watch_people`."""
        return dict(self._people)

    def watch_people(self) -> None:
        """Keep :attr:`people` up to date from now on."""
        self._signaling.send(wire.PresenceSub())

    @property
    def calls(self) -> list[Call]:
        """The calls that have not ended."""
        return list(self._calls.values())

    # Calling

    async def call(
        self,
        name: str,
        *,
        audio: AudioChoice = True,
        video: VideoChoice = False,
        timeout: float | None = None,  # noqa: ASYNC109 - the ring time, which the server keeps
    ) -> Call:
        """Call somebody; return when media flows.

        Args:
            name: Whom.
            audio: What we say: a source, :obj:`True` for the microphone (a synthetic voice where
                there is none), or nothing.
            video: What we show, likewise.  A call without video is an audio call; video can be
                added by :meth:`Call.request_video`.
            timeout: Seconds to let it ring, instead of the configured 60.

        Raises:
            CallFailedError: If it does not come about; its subclasses and ``reason`` say why.
            LocalError: If ``name`` cannot be anybody's.
            ServerUnreachableError: If the connection to the server is over.
            MediaError: If a film has no sound or picture, as asked for.

        """
        call = self.start_call(name, audio=audio, video=video, timeout=timeout)
        try:
            await call.connected()
        except asyncio.CancelledError:
            await call.hang_up()
            raise
        return call

    def start_call(
        self,
        name: str,
        *,
        audio: AudioChoice = True,
        video: VideoChoice = False,
        timeout: float | None = None,
    ) -> Call:
        """Begin a call and return at once: for programs that show how it rings.

        ``await call.connected()`` waits for the path, ``call.events`` tells each step.

        Raises:
            LocalError: If ``name`` cannot be anybody's.
            ServerUnreachableError: If the connection to the server is over.
            MediaError: If a film has no sound or picture, as asked for.

        """
        if self._signaling.state is LinkState.CLOSED:
            raise ServerUnreachableError("the connection to the server is over")
        try:
            msgspec.convert(name, wire.Name)
        except msgspec.ValidationError:
            raise LocalError(
                f"expected a name of letters, digits and . _ @ + -, at most 64, got {name!r}"
            ) from None
        sources = _audio_source(audio), _video_source(video, audio)
        config = self._config.call
        if timeout is not None:
            config = replace(config, ring_timeout=timeout)
        call = Call(
            call_id=_ulid(time.time()),
            peer=name,
            outgoing=True,
            video=bool(video),
            send=self._signaling.send,
            on_ended=self._handle_ended,
            on_network_changed=self._signaling.handle_network_changed,
            config=config,
            codecs=self._codecs,
            rates=self._rates,
        )
        self._calls[call.id] = call
        call.set_sources(*sources)
        call.invite()
        return call

    def on_incoming(self, handler: IncomingHandler) -> IncomingHandler:
        """Register who answers; usable as a decorator.  Without one every call is declined.

        The handler is a coroutine function that takes an :class:`IncomingCall`.  Each incoming
        call runs it as a task of its own.
        """
        self._handler = handler
        return handler

    # Signaling

    def _handle_message(self, message: wire.Message) -> None:
        match message:
            case wire.CallIncoming():
                try:
                    self._handle_incoming(message)
                except Exception:  # must not take the session along
                    logger.exception("a call of %s could not be taken", message.sender)
            case wire.PresenceUpdate():
                if message.full:
                    self._people.clear()
                for person in message.people:
                    if person.state == "offline":
                        self._people.pop(person.name, None)
                    else:
                        self._people[person.name] = person.state
            case _:
                call = self._calls.get(getattr(message, "call", None) or "")
                if call is not None:
                    call.handle_message(message)

    def _handle_incoming(self, message: wire.CallIncoming) -> None:
        if message.call in self._calls:
            return  # said again after a resume
        for own in self._calls.values():
            if own.peer == message.sender and own.state in (CallState.CALLING, CallState.RINGING):
                self._handle_crossing(own, message)
                return
        call = Call(
            call_id=message.call,
            peer=message.sender,
            outgoing=False,
            video=message.media.video,
            send=self._signaling.send,
            on_ended=self._handle_ended,
            on_network_changed=self._signaling.handle_network_changed,
            config=self._config.call,
            codecs=self._codecs,
            rates=self._rates,
        )
        if self._handler is None or len(self._calls) >= self._config.max_calls:
            call.decline(busy=self._handler is not None)
            return
        self._calls[call.id] = call
        try:
            call.prepare(message)
        except NegotiationError as error:
            call.refuse(error)
            return
        incoming = IncomingCall(call, video=message.media.video)
        self._signaling.send(wire.CallRinging(call=call.id))
        task = asyncio.create_task(self._answer(self._handler, incoming))
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    def _handle_crossing(self, own: Call, theirs: wire.CallIncoming) -> None:
        """Two called each other at once: the call with the earlier id wins (glare)."""
        if theirs.call < own.id:
            self._calls[theirs.call] = self._calls.pop(own.id)
            own.cross(theirs)
        # Else theirs loses: the server tells both sides, and they answer ours.

    def _handle_signaling_state(self, change: StateChanged) -> None:
        if change.state is LinkState.CLOSED:
            for call in list(self._calls.values()):
                call.handle_signaling_lost()

    async def _answer(self, handler: IncomingHandler, incoming: IncomingCall) -> None:
        try:
            await handler(incoming)
        except CallEndedError as error:
            logger.info("%s", error)
        except NegotiationError as error:
            logger.info("call of %s refused: %s", incoming.caller, error)
        except Exception:
            logger.exception("the handler of incoming calls failed; %s declined", incoming.caller)
            incoming.decline()

    def _handle_ended(self, call: Call) -> None:
        self._calls.pop(call.id, None)
        task = asyncio.create_task(call.closed())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _ulid(wall_clock: float) -> str:
    """Return a fresh ULID: 48 bits of milliseconds, 80 random bits, in Crockford's base 32."""
    value = int(wall_clock * 1000) << 80 | secrets.randbits(80)
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(alphabet[value >> shift & 31] for shift in range(125, -1, -5))


def _audio_source(choice: AudioChoice) -> AudioSource | None:
    if isinstance(choice, FileSource):
        return choice.audio
    if isinstance(choice, bool) or choice is None:
        return default_microphone() if choice else None
    return choice


def _video_source(choice: VideoChoice, beside: AudioChoice) -> VideoSource | None:
    """Choose the picture; :obj:`True` beside a film's sound is that film's picture."""
    if isinstance(choice, FileSource):
        return choice.video
    if isinstance(choice, bool) or choice is None:
        if choice and isinstance(beside, FileSource) and beside.has_video:
            return beside.video
        return default_camera() if choice else None
    return choice
