"""Signaling link: the client's side of a ``ringline.v1`` session over sockets that come and go.

::

                 opened, hello                    welcome
    CONNECTING ────────────────> (waiting) ────────────────────> CONNECTED
        │                            │                            │      ^
        │ first socket fails,        │ refused                    │ lost │ welcome
        │ or is refused              v                            v      │
        └──────────────────────> CLOSED <─────────────────── RECONNECTING
                                        close(), refused, or nobody there
                                        for the whole of the back-off

Messages sent while there is no socket are kept and sent when there is one; what the server may
not have got is sent again after a resume, and in a new session too if the old one is over: each
means the same when said twice.  The link ends no call: it does not know what a call is, but for
pinging more often in one.

Sans I/O, and the drain rule holds: after each input drain :meth:`SignalingLink.poll_action` and
:meth:`SignalingLink.poll_event`, then arm one timer for :meth:`SignalingLink.poll_timeout`.

Invariants:

1. Each reliable message of the server is given out once and in order.
2. A message given to :meth:`SignalingLink.send` is delivered, unless the link is closed or more
   than the outbox holds were sent without a socket.
3. CLOSED is final, and comes with the error that caused it, if one did.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ringline.client.errors import (
    NameTakenError,
    ServerUnreachableError,
    SignalingError,
    UnauthorizedError,
)
from ringline.signaling import messages as wire
from ringline.signaling.codes import CloseCode, ErrorCode
from ringline.signaling.errors import ParseError
from ringline.signaling.reliable import Arrival, ReliableChannel
from ringline.signaling.wire import WireFormat

__all__ = [
    "CloseSocket",
    "LinkConfig",
    "LinkState",
    "OpenSocket",
    "Received",
    "SendText",
    "SignalingLink",
    "StateChanged",
]

_ACCEPTED_STATES: Final = ("accepted", "connecting", "active", "reconnecting")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """Times in seconds."""

    backoff: tuple[float, ...] = (0.0, 0.3, 1.2, 2.7, 4.8, 7.0, 7.0, 7.0, 7.0, 7.0)
    """Waits before each new socket: at once, as most losses are short, then slower and slower
    (LiveKit's numbers).  When all are used up the link gives up; in a call it goes on with the
    last one for as long as the call does."""

    max_jitter: float = 1.0
    """Up to this much, and up to the wait itself, is added at random, so that the clients of a
    server that restarts do not come all at once."""

    welcome_timeout: float = 10.0
    """From the socket's opening to the welcome."""


class LinkState(Enum):
    """Where the link stands."""

    CONNECTING = "connecting"
    """Not yet welcome."""
    CONNECTED = "connected"
    """Welcome."""
    RECONNECTING = "reconnecting"
    """The socket was lost; another is being opened."""
    CLOSED = "closed"
    """Over."""


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """Open a WebSocket; answer by ``handle_opened`` or ``handle_failed``."""


@dataclass(frozen=True, slots=True)
class SendText:
    """Send a text frame on the open socket."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Close the socket; nothing more is to be reported of it."""

    code: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the server for the program."""

    message: wire.ServerMessage


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The link moved on.

    Attributes:
        resumed: With CONNECTED: the session went on, nothing was missed.
        error: With CLOSED: why, unless the program closed it.

    """

    state: LinkState
    resumed: bool = False
    error: SignalingError | None = None


class SignalingLink:
    """One client's session.

    Args:
        device: Names this device among the user's; see :class:`wire.Hello`.
        name: Who we are, on a server in development mode.
        token: Gives a token that is good now; asked for at each socket.
        client: Program and version, for the server's statistics.
        config: Times.
        rng: For jitter.

    """

    def __init__(
        self,
        *,
        device: str,
        name: str | None = None,
        token: Callable[[], str] | None = None,
        client: str = "ringline",
        config: LinkConfig | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._device: Final = device
        self._wanted_name: Final = name
        self._token: Final = token
        self._client: Final = client
        self._config: Final = config or LinkConfig()
        self._rng: Final = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._wire: Final = WireFormat()
        self._channel = ReliableChannel(self._wire.encode)
        self._state = LinkState.CONNECTING
        self._welcome: wire.Welcome | None = None  # of the last session
        self._resume_allowed = False
        self._open = False  # there is a socket
        self._welcomed = False  # and it is through with hello
        self._attempt = 0  # index into the back-off
        self._open_due: float | None = None  # when the next socket is to be opened
        self._welcome_due: float | None = None
        self._heard_at = 0.0
        self._sent_at = 0.0
        self._pinged_at: float | None = None  # set while a ping is unanswered
        self._refusal: wire.Error | None = None  # why the server is about to close the socket
        self._wants_presence = False
        self._calls: Final[set[str]] = set()  # accepted ones
        self._actions: Final[deque[OpenSocket | SendText | CloseSocket]] = deque()
        self._events: Final[deque[Received | StateChanged]] = deque()

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self._state

    @property
    def socket_open(self) -> bool:
        """Whether there is a socket."""
        return self._open

    @property
    def name(self) -> str:
        """Who the server takes us for; empty before the first welcome."""
        return "" if self._welcome is None else self._welcome.you.name

    # ---------------------------------------------------------------- inputs

    def handle_start(self, now: float) -> None:
        """Begin: ask for the first socket."""
        self._open_due = now
        self.handle_timeout(now)

    def handle_opened(self, now: float) -> None:
        """Take note that the socket is open; say hello."""
        if self._state is LinkState.CLOSED:
            self._actions.append(CloseSocket(CloseCode.NORMAL))
            return
        self._open = True
        self._welcomed = False
        self._refusal = None
        self._heard_at = now
        self._pinged_at = None
        self._welcome_due = now + self._config.welcome_timeout
        resume = None
        if self._welcome is not None and self._resume_allowed:
            resume = wire.Resume(
                session=self._welcome.session,
                secret=self._welcome.resume_secret,
                last_seq=self._channel.received,
            )
        hello = wire.Hello(
            device=self._device,
            name=self._wanted_name,
            token=None if self._token is None else self._token(),
            client=self._client,
            resume=resume,
        )
        self._transmit(self._wire.encode(hello), now)

    def handle_failed(self, error: SignalingError, now: float) -> None:
        """Take note that no socket could be opened."""
        if self._state is LinkState.CONNECTING:
            self._finish(error)  # a wrong address is more likely than a short outage
        elif self._state is not LinkState.CLOSED:
            self._retry(now, error)

    def handle_closed(self, code: int | None, now: float) -> None:
        """Take note that the socket is gone; ``code`` is the server's, if it sent one."""
        if not self._open:
            return
        self._leave_socket()
        self._handle_loss(code, now)

    def handle_text(self, data: str | bytes, now: float) -> None:
        """Take a text frame."""
        if not self._open:
            return
        self._heard_at = now
        self._pinged_at = None
        try:
            message = self._wire.parse_server_message(data)
        except ParseError as error:
            # Newer than we are, or broken: of no use, but its number counts.
            if self._welcomed:
                self._arrives(error.seq, 0, now)
            return
        if isinstance(message, wire.Welcome):
            self._handle_welcome(message, now)
        elif isinstance(message, wire.Error) and message.fatal:
            self._refusal = message
        elif self._welcomed and self._arrives(message.seq, message.ack, now):
            self._handle_message(message, now)

    def handle_network_changed(self, now: float) -> None:
        """Take note that this machine's addresses are other ones: the socket is of no use."""
        if self._open:
            self._actions.append(CloseSocket(CloseCode.GOING_AWAY))
            self._leave_socket()
            self._handle_loss(None, now)
        elif self._open_due is not None:
            self._open_due = now
            self.handle_timeout(now)

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        if self._open_due is not None and now >= self._open_due:
            self._open_due = None
            self._actions.append(OpenSocket())
        if self._welcome_due is not None and now >= self._welcome_due:
            self._drop_socket("no welcome came", now)
            return
        due = self._ping_due()
        if due is None or now < due:
            return
        if self._pinged_at is not None:
            self._drop_socket("the server is silent", now)
            return
        self._pinged_at = now
        self._transmit(self._channel.send(wire.Ping(ts=now, last_seq=self._channel.sent)), now)

    def send(self, message: wire.Message, now: float) -> None:
        """Send a message, or keep it until there is a socket."""
        if self._state is LinkState.CLOSED:
            return
        if isinstance(message, wire.PresenceSub):
            self._wants_presence = message.on
        self._note_call(message)
        if not self._welcomed and isinstance(message, wire.UNRELIABLE):
            return
        data = self._channel.send(message)
        if self._welcomed:
            self._transmit(data, now)

    def close(self) -> None:
        """Leave for good; the server ends the session at once."""
        if self._state is LinkState.CLOSED:
            return
        if self._open:
            self._actions.append(CloseSocket(CloseCode.NORMAL))
        self._finish(None)

    # ---------------------------------------------------------------- outputs

    def poll_action(self) -> OpenSocket | SendText | CloseSocket | None:
        """Return the next thing to do with sockets."""
        return self._actions.popleft() if self._actions else None

    def poll_event(self) -> Received | StateChanged | None:
        """Return the next thing for the program."""
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` is due."""
        times = (self._open_due, self._welcome_due, self._ping_due())
        return min((when for when in times if when is not None), default=None)

    # ---------------------------------------------------------------- messages

    def _handle_welcome(self, welcome: wire.Welcome, now: float) -> None:
        self._welcome_due = None
        self._welcomed = True
        self._attempt = 0
        self._welcome = welcome
        self._resume_allowed = True
        if welcome.resumed and not self._channel.can_replay(welcome.last_seq):
            # More was sent without a socket than the outbox holds: the numbers have a hole that
            # no resume can close.  A new session gets what is left.
            self._resume_allowed = False
            self._drop_socket("the session cannot go on", now, code=CloseCode.GAP)
            return
        if welcome.resumed:
            self._channel.handle_ack(welcome.last_seq)
            for data in self._channel.replay():
                self._transmit(data, now)
        else:
            kept = self._channel.unacknowledged()
            self._channel = ReliableChannel(self._wire.encode)
            if self._wants_presence:
                self._transmit(self._channel.send(wire.PresenceSub()), now)
            for message in kept:
                self._transmit(self._channel.send(message), now)
        self._change(LinkState.CONNECTED, resumed=welcome.resumed)

    def _handle_message(self, message: wire.ServerMessage, now: float) -> None:
        match message:
            case wire.Ping():
                pong = wire.Pong(ts=message.ts, last_seq=self._channel.sent)
                self._transmit(self._channel.send(pong), now)
                self._check_lost(message.last_seq, now)
            case wire.Pong():
                self._check_lost(message.last_seq, now)
            case _:
                self._note_call(message)
                self._events.append(Received(message))

    def _arrives(self, seq: int, ack: int, now: float) -> bool:
        """Check a message's numbers; return whether it is to be processed."""
        arrival = self._channel.handle_arrival(seq, ack)
        if arrival is Arrival.GAP:
            self._drop_socket("a message is missing", now, code=CloseCode.GAP)
        elif arrival is Arrival.NEW and self._channel.ack_due:
            self._transmit(self._channel.send(wire.Pong(last_seq=self._channel.sent)), now)
        return arrival is Arrival.NEW

    def _check_lost(self, last_seq: int, now: float) -> None:
        if self._channel.lacks(last_seq):
            self._drop_socket("a message is missing", now, code=CloseCode.GAP)

    def _note_call(self, message: wire.Message) -> None:
        """Keep count of the accepted calls: in one, pings are more frequent."""
        match message:
            case wire.CallAccept():
                self._calls.add(message.call)
            case wire.CallSnapshot() if message.state in _ACCEPTED_STATES:
                self._calls.add(message.call)
            case wire.CallEnd() | wire.CallSnapshot():
                self._calls.discard(message.call)
            case _:
                pass

    # ---------------------------------------------------------------- sockets

    def _transmit(self, data: bytes, now: float) -> None:
        self._sent_at = now
        self._actions.append(SendText(data))

    def _ping_due(self) -> float | None:
        """Return when a ping is due, or, if one is unanswered, when the socket counts as dead."""
        if not self._welcomed or self._welcome is None:
            return None
        if self._pinged_at is not None:
            return self._pinged_at + self._welcome.dead_ms / 1000
        interval_ms = self._welcome.ping_in_call_ms if self._calls else self._welcome.ping_ms
        return min(self._sent_at, self._heard_at) + interval_ms / 1000

    def _drop_socket(self, why: str, now: float, *, code: int = CloseCode.DEAD) -> None:
        """Give up a socket from our side."""
        self._actions.append(CloseSocket(code))
        self._leave_socket()
        if self._state is LinkState.CONNECTING:
            self._finish(ServerUnreachableError(f"no Ringline server: {why}"))
        else:
            self._retry(now, ServerUnreachableError(f"the connection to the server broke: {why}"))

    def _leave_socket(self) -> None:
        self._open = False
        self._welcomed = False
        self._welcome_due = None
        self._pinged_at = None

    def _handle_loss(self, code: int | None, now: float) -> None:
        """Decide what the loss of the socket means."""
        refusal = self._refusal
        if refusal is not None and refusal.code is ErrorCode.RESUME_REFUSED:
            self._resume_allowed = False
            self._open_due = now  # the server is there: no reason to wait
            self.handle_timeout(now)
            return
        error = _refusal_error(refusal)
        if error is not None:
            self._finish(error)
            return
        lost = ServerUnreachableError(
            f"the server closed the connection ({'no reason' if code is None else code})"
        )
        if self._state is LinkState.CONNECTING:
            self._finish(lost)
        else:
            self._retry(now, lost)

    def _retry(self, now: float, error: SignalingError) -> None:
        backoff = self._config.backoff
        if self._attempt >= len(backoff) and not self._calls:
            self._finish(error)
            return
        wait = backoff[min(self._attempt, len(backoff) - 1)]
        self._attempt += 1
        wait += self._rng.uniform(0.0, min(wait, self._config.max_jitter))
        self._change(LinkState.RECONNECTING)
        self._open_due = now + wait
        self.handle_timeout(now)

    def _finish(self, error: SignalingError | None) -> None:
        self._leave_socket()
        self._open_due = None
        self._change(LinkState.CLOSED, error=error)

    def _change(
        self, state: LinkState, *, resumed: bool = False, error: SignalingError | None = None
    ) -> None:
        if state is not self._state:
            self._state = state
            self._events.append(StateChanged(state, resumed, error))


def _refusal_error(refusal: wire.Error | None) -> SignalingError | None:
    """Return why coming back is of no use; :obj:`None` if it may be of use."""
    if refusal is None:
        return None
    why = refusal.message or refusal.code.value
    match refusal.code:
        case ErrorCode.UNAUTHORIZED | ErrorCode.TOKEN_EXPIRED:
            return UnauthorizedError(f"the server refused us: {why}")
        case ErrorCode.NAME_TAKEN:
            return NameTakenError(f"the server refused us: {why}")
        case ErrorCode.NAME_INVALID | ErrorCode.BAD_MESSAGE | ErrorCode.REPLACED:
            return SignalingError(f"the server refused us: {why}")
        case _:
            return None
