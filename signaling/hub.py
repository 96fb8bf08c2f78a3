"""Hub: the whole signaling server without its sockets.

::

    text frame -> numbers, limits (here) -> call messages -> Switchboard -> Call
                                                                             │
    text frame <- Session (outbox, seq) <──────── Outbound(device, message) <┘

Sans I/O.  The drain rule: after each input, drain :meth:`Hub.poll_transmit`, then arm one timer
for :meth:`Hub.poll_timeout`.  ``now`` is monotonic seconds.

Invariants, each with a test of its number:

1. Nothing is processed before a good hello, and a socket without one is closed in time.
2. The loss of a socket ends neither the session nor a call.
3. Of two sockets or sessions of one device the newer one counts; the older is closed.
4. No message, however bad, raises: its sender gets an error, and after too many is closed.
5. ``call.end``, ``call.cancel``, ``call.decline`` and ``call.restart`` are never shed.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections import deque
from collections.abc import Callable
from typing import Final

from ringline.signaling.authenticate import Authenticate
from ringline.signaling.call import DeviceKey, MintedServers
from ringline.signaling.call_state import CallState
from ringline.signaling.codes import CloseCode, ErrorCode
from ringline.signaling.config import ServerConfig
from ringline.signaling.connection import CloseSocket, Connection, Transmit
from ringline.signaling.counters import Counters
from ringline.signaling.errors import HelloRefusedError, ParseError, UnsupportedError
from ringline.signaling.messages import (
    UNRELIABLE,
    CallAccept,
    CallCancel,
    CallDecline,
    CallEnd,
    CallQuality,
    CallRestart,
    CallSnapshot,
    ClientMessage,
    Error,
    Hello,
    Limits,
    Message,
    Ping,
    Pong,
    PresenceSub,
    Resume,
    ServerDrain,
    ServerInfo,
    Welcome,
    You,
)
from ringline.signaling.presence import Presence
from ringline.signaling.reliable import Arrival
from ringline.signaling.session import Session
from ringline.signaling.switchboard import Switchboard
from ringline.signaling.timers import Timers
from ringline.signaling.token_bucket import TokenBucket
from ringline.signaling.wire import WireFormat

__all__ = ["Hub", "IceServerMinter"]

_log = logging.getLogger(__name__)

IceServerMinter = Callable[[str, str, str], MintedServers]
"""Takes the user, the call and the host that the client reached us by; gives ICE servers."""

_NEVER_SHED: Final = (CallEnd, CallCancel, CallDecline, CallRestart, Ping, Pong)
_PATIENCE: Final = 1.2
"""Our ping comes this much later than the client's is due, so that as a rule only one pings.
Browsers slow the timers of hidden pages down to one a minute, but not their answers."""
_SHED_BELOW: Final = 0.25
"""Share of the burst left below which ``call.quality`` is shed."""


def _tell_nobody(_call: str) -> None:
    pass


class Hub:
    """All connections, sessions and calls of one process.

    Args:
        config: Times and limits.
        authenticate: Says who sent a hello.
        mint_ice_servers: Gives ICE servers.
        on_call_ended: Called with each call that is over.
        version: Of the program, shown to clients.
        random_bytes: For ids and secrets.
        rng: Spreads the clients' coming back after a drain.

    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        authenticate: Authenticate,
        mint_ice_servers: IceServerMinter,
        on_call_ended: Callable[[str], None] = _tell_nobody,
        version: str = "",
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        rng: random.Random | None = None,
    ) -> None:
        self.counters: Final = Counters()
        self._config: Final = config
        self._authenticate: Final = authenticate
        self._mint_ice_servers: Final = mint_ice_servers
        self._on_call_ended: Final = on_call_ended
        self._random_bytes: Final = random_bytes
        self._rng: Final = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._wire: Final = WireFormat()
        self._server: Final = ServerInfo(name=config.server_name, version=version)
        self._connections: Final[dict[int, Connection]] = {}
        self._sessions: Final[dict[str, Session]] = {}
        self._sessions_by_user: Final[dict[str, dict[DeviceKey, Session]]] = {}
        self._subscribers: Final[dict[str, Session]] = {}  # by session id
        self._presence: Final = Presence()
        self._switchboard: Final = Switchboard(config, mint=self._mint, devices_of=self._devices_of)
        self._connection_timers: Final[Timers[int]] = Timers()
        self._session_timers: Final[Timers[str]] = Timers()  # of detached sessions
        self._out: Final[deque[Transmit | CloseSocket]] = deque()
        self._next_number = 1
        self._draining = False

    # ---------------------------------------------------------------- what others ask

    @property
    def connection_count(self) -> int:
        """Sockets that are open."""
        return len(self._connections)

    @property
    def session_count(self) -> int:
        """Sessions, those without socket included."""
        return len(self._sessions)

    @property
    def draining(self) -> bool:
        """Whether the server is about to stop."""
        return self._draining

    def calls_by_state(self) -> dict[CallState, int]:
        """Return how many calls are in each state."""
        return self._switchboard.count_by_state()

    # ---------------------------------------------------------------- inputs

    def handle_open(self, reached_host: str, now: float) -> int | None:
        """Take a new socket.

        Args:
            reached_host: Host part, without port, of what the client connected to.
            now: The time.

        Returns:
            Its number for the other inputs; :obj:`None` if there are too many.

        """
        if len(self._connections) >= self._config.max_connections or self._draining:
            return None
        number = self._next_number
        self._next_number += 1
        self._connections[number] = Connection(
            number,
            reached_host,
            TokenBucket(self._config.messages_per_second, self._config.message_burst, now),
            now,
        )
        self._connection_timers.set(number, now + self._config.hello_timeout)
        return number

    def handle_text(self, number: int, data: str | bytes, now: float) -> None:
        """Take a text frame; frames after the end of a connection are dropped."""
        connection = self._connections.get(number)
        if connection is None:
            return
        connection.last_heard = now
        connection.pinged = False
        try:
            message = self._wire.parse_client_message(data)
        except ParseError as error:
            self._handle_bad(connection, error, now)
            return
        self.counters.messages_in[message.__struct_config__.tag] += 1  # type: ignore[index] # a str
        if connection.session is None:
            self._handle_first(connection, message, now)
        elif self._arrives(connection, connection.session, message.seq, message.ack, now):
            self._handle_message(connection, connection.session, message, now)
        self._drain_switchboard()

    def handle_binary(self, number: int, now: float) -> None:
        """Take a frame that is no text: the protocol has none."""
        connection = self._connections.get(number)
        if connection is not None:
            self._close(connection, CloseCode.POLICY, "text frames only", now)

    def handle_closed(self, number: int, code: int | None, now: float) -> None:
        """Take note that a socket is gone.

        Args:
            number: Which one.
            code: The close code that the client sent, if it closed in good order.
            now: The time.

        """
        connection = self._connections.pop(number, None)
        if connection is None:
            return
        self._connection_timers.set(number, None)
        session = connection.session
        if session is None:
            return
        self._detach(session, now)
        # Who leaves in good order while in no call will not come back to this session.
        # 1001 is what browsers send when a page is closed.
        leaves = code in (CloseCode.NORMAL, CloseCode.GOING_AWAY)
        if leaves and not self._switchboard.holds(session.device):
            self._end_session(session, now)
        self._drain_switchboard()

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        while (number := self._connection_timers.pop_due(now)) is not None:
            self._check_alive(self._connections[number], now)
        while (session_id := self._session_timers.pop_due(now)) is not None:
            self._end_session(self._sessions[session_id], now)
        self._switchboard.handle_timeout(now)
        self._drain_switchboard()

    def handle_drain(self, now: float) -> None:
        """Prepare to stop: no new sockets and calls, what only rings ends, all are told."""
        self._draining = True
        self._switchboard.handle_drain(now)
        self._drain_switchboard()
        spread_ms = int(self._config.drain_time * 1000)
        for session in self._sessions.values():
            self._send(
                session,
                ServerDrain(action="reconnect", after_ms=self._rng.randint(0, spread_ms)),
            )

    # ---------------------------------------------------------------- outputs

    def poll_transmit(self) -> Transmit | CloseSocket | None:
        """Return the next frame to send or socket to close."""
        return self._out.popleft() if self._out else None

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` is due."""
        times = (
            self._connection_timers.next(),
            self._session_timers.next(),
            self._switchboard.poll_timeout(),
        )
        return min((when for when in times if when is not None), default=None)

    # ---------------------------------------------------------------- hello

    def _handle_first(self, connection: Connection, message: ClientMessage, now: float) -> None:
        if not isinstance(message, Hello):
            self._refuse_hello(
                connection, ErrorCode.HELLO_EXPECTED, "expected hello as the first message", now
            )
            return
        try:
            user = self._authenticate(message)
            device = DeviceKey(user, message.device)
            if message.resume is not None:
                self._resume(connection, device, message.resume, now)
            else:
                self._begin_session(connection, device, now)
        except HelloRefusedError as error:
            self._refuse_hello(connection, error.code, str(error), now)

    def _resume(
        self, connection: Connection, device: DeviceKey, resume: Resume, now: float
    ) -> None:
        session = self._sessions.get(resume.session)
        if session is None or not session.accepts(resume, device):
            self.counters.resumes["refused"] += 1
            raise HelloRefusedError(ErrorCode.RESUME_REFUSED, "that session is over")
        self.counters.resumes["resumed"] += 1
        self._leave_socket(session, "resumed on a newer socket", now)
        session.channel.handle_ack(resume.last_seq)
        self._attach(session, connection, now)
        self._welcome(session, resumed=True)
        for data in session.channel.replay():
            self._out.append(Transmit(connection.number, data))
        for snapshot in self._switchboard.snapshots(device, now):
            self._send(session, snapshot)
        if session.wants_presence:
            self._send(session, self._presence.everybody())

    def _begin_session(self, connection: Connection, device: DeviceKey, now: float) -> None:
        if self._config.dev:
            self._check_name_free(device, now)
        sessions = self._sessions_by_user.setdefault(device.user, {})
        older = sessions.get(device)
        if older is None and len(sessions) >= self._config.max_sessions_per_user:
            raise HelloRefusedError(ErrorCode.OVERLOADED, "too many devices of this user")
        if older is not None:
            self._leave_socket(older, "the same device said hello anew", now)
            self._forget_session(older)
        session = Session(
            device, self._config, encode=self._wire.encode, random_bytes=self._random_bytes
        )
        self._sessions[session.id] = session
        self._sessions_by_user.setdefault(device.user, {})[device] = session
        self._attach(session, connection, now)
        self._welcome(session, resumed=False)
        self._show(device.user)
        for snapshot in self._switchboard.snapshots(device, now):
            self._send(session, snapshot)
        for end in self._switchboard.ends(device):  # it may have missed them
            self._send(session, end)
        self._switchboard.handle_device_arrived(device, now)

    def _check_name_free(self, device: DeviceKey, now: float) -> None:
        """In ``dev`` mode a name is one device's.

        A session that has lost its socket outside of a call gives way: mostly it is the same
        person's program, started again.
        """
        for other in list(self._sessions_by_user.get(device.user, {}).values()):
            if other.device == device:
                continue
            if other.connection is not None or self._switchboard.holds(other.device):
                raise HelloRefusedError(ErrorCode.NAME_TAKEN, f"the name {device.user!r} is taken")
            self._end_session(other, now)

    def _welcome(self, session: Session, *, resumed: bool) -> None:
        config = self._config
        self._send(
            session,
            Welcome(
                session=session.id,
                resume_secret=session.secret,
                resume_ttl_ms=int(config.session_ttl * 1000),
                resumed=resumed,
                last_seq=session.channel.received,
                ping_ms=int(config.ping_interval * 1000),
                ping_in_call_ms=int(config.ping_interval_in_call * 1000),
                dead_ms=int(config.dead_after * 1000),
                limits=Limits(
                    max_message_bytes=config.max_message_bytes,
                    messages_per_second=config.messages_per_second,
                    burst=config.message_burst,
                ),
                server=self._server,
                you=You(name=session.device.user, device=session.device.device),
            ),
        )

    def _refuse_hello(self, connection: Connection, code: ErrorCode, why: str, now: float) -> None:
        close_code = {
            ErrorCode.TOKEN_EXPIRED: CloseCode.TOKEN_EXPIRED,
            ErrorCode.RESUME_REFUSED: CloseCode.RESUME_REFUSED,
            ErrorCode.OVERLOADED: CloseCode.OVERLOADED,
        }.get(code, CloseCode.AUTH_FAILED)
        self._tell(connection, Error(code=code, message=why, ref="hello", fatal=True))
        self._close(connection, close_code, code.value, now)

    # ---------------------------------------------------------------- messages

    def _arrives(
        self, connection: Connection, session: Session, seq: int, ack: int, now: float
    ) -> bool:
        """Check a message's numbers; return whether it is to be processed."""
        arrival = session.channel.handle_arrival(seq, ack)
        if arrival is Arrival.NEW:
            if session.channel.ack_due:
                self._send(session, Pong(last_seq=session.channel.sent))
            return True
        self.counters.dropped[arrival.name.lower()] += 1
        if arrival is Arrival.GAP:
            self._close(connection, CloseCode.GAP, "a message is missing: resume", now)
        return False

    def _handle_message(
        self, connection: Connection, session: Session, message: ClientMessage, now: float
    ) -> None:
        left = connection.bucket.take(now)
        if isinstance(message, CallQuality) and left < _SHED_BELOW * self._config.message_burst:
            self.counters.dropped["shed"] += 1
            return
        if left < 0 and not self._may_overdraw(connection, session, message, now):
            return
        if left >= 0:
            connection.refusing = False
        if session.is_repeated(message.id):
            self.counters.dropped["duplicate"] += 1
            return
        match message:
            case Ping():
                self._send(session, Pong(ts=message.ts, last_seq=session.channel.sent))
                self._check_lost(connection, session, message.last_seq, now)
            case Pong():
                self._check_lost(connection, session, message.last_seq, now)
            case PresenceSub():
                session.wants_presence = message.on
                self._subscribers.pop(session.id, None)
                if message.on:
                    self._subscribers[session.id] = session
                    self._send(session, self._presence.everybody())
            case Hello():
                self._send(
                    session,
                    Error(
                        code=ErrorCode.BAD_MESSAGE, message="hello was said already", ref="hello"
                    ),
                )
            case _:
                self._switchboard.handle_message(session.device, message, now)
                if isinstance(message, CallAccept):
                    for user in self._switchboard.call_users(message.call):
                        self._show(user)

    def _may_overdraw(
        self, connection: Connection, session: Session, message: ClientMessage, now: float
    ) -> bool:
        """Decide on a message for which there is no token."""
        if connection.bucket.exhausted:
            self._tell(
                connection,
                Error(code=ErrorCode.RATE_LIMITED, message="far too many messages", fatal=True),
            )
            self._close(connection, CloseCode.RATE_LIMITED, "far too many messages", now)
            return False
        if isinstance(message, _NEVER_SHED):
            return True
        self.counters.dropped["rate"] += 1
        if not connection.refusing:  # one error an episode: answers must not add to the flood
            connection.refusing = True
            self._send(
                session,
                Error(
                    code=ErrorCode.RATE_LIMITED,
                    message="too many messages",
                    ref=message.id or str(message.__struct_config__.tag),
                    retry_after_ms=int(connection.bucket.retry_after() * 1000) + 1,
                ),
            )
        return False

    def _handle_bad(self, connection: Connection, error: ParseError, now: float) -> None:
        """Answer a message that could not be read."""
        _log.debug("connection %d: bad message: %s", connection.number, error)
        self.counters.dropped["bad"] += 1
        connection.bad_messages += 1
        unsupported = isinstance(error, UnsupportedError)
        code = ErrorCode.UNSUPPORTED if unsupported else ErrorCode.BAD_MESSAGE
        session = connection.session
        if session is None:
            self._refuse_hello(connection, code, str(error), now)
            return
        if not self._arrives(connection, session, error.seq, 0, now):
            return
        if connection.bucket.take(now) < 0 or (
            connection.bad_messages > self._config.max_bad_messages
        ):
            self._close(connection, CloseCode.POLICY, "too many bad messages", now)
            return
        self._send(session, Error(code=code, message=str(error), ref=error.ref))

    def _check_lost(
        self, connection: Connection, session: Session, last_seq: int, now: float
    ) -> None:
        if session.channel.lacks(last_seq):
            self.counters.dropped["gap"] += 1
            self._close(connection, CloseCode.GAP, "a message is missing: resume", now)

    # ---------------------------------------------------------------- life of a connection

    def _attach(self, session: Session, connection: Connection, now: float) -> None:
        session.connection = connection.number
        session.reached_host = connection.reached_host
        connection.session = session
        self._session_timers.set(session.id, None)
        self._arm(connection, session)
        connection.last_heard = now

    def _detach(self, session: Session, now: float) -> None:
        session.connection = None
        in_call = self._switchboard.holds(session.device)
        ttl = self._config.session_ttl_in_call if in_call else self._config.session_ttl
        self._session_timers.set(session.id, now + ttl)

    def _leave_socket(self, session: Session, why: str, now: float) -> None:
        """Close the socket that a session has, because it goes to another one, or ends."""
        connection = self._connections.get(session.connection or 0)
        if connection is None:
            return
        self._tell(connection, Error(code=ErrorCode.REPLACED, message=why, fatal=True))
        connection.session = None  # the session goes its own way
        self._close(connection, CloseCode.REPLACED, why, now)

    def _end_session(self, session: Session, now: float) -> None:
        self._leave_socket(session, "the session is over", now)
        self._forget_session(session)
        self._switchboard.handle_device_gone(session.device, now)
        self._show(session.device.user)

    def _forget_session(self, session: Session) -> None:
        del self._sessions[session.id]
        self._session_timers.set(session.id, None)
        self._subscribers.pop(session.id, None)
        devices = self._sessions_by_user[session.device.user]
        del devices[session.device]
        if not devices:
            del self._sessions_by_user[session.device.user]

    def _check_alive(self, connection: Connection, now: float) -> None:
        session = connection.session
        if session is None:
            self._refuse_hello(connection, ErrorCode.HELLO_EXPECTED, "no hello came in time", now)
            return
        # Sums as in _arm, not differences: these round otherwise, and a timer that is due and
        # not due at once would come up for ever.
        ping_due = connection.last_heard + self._ping_interval(session)
        if now >= ping_due + self._config.dead_after:
            self._close(connection, CloseCode.DEAD, "nothing was heard for too long", now)
            return
        if now >= ping_due and not connection.pinged:
            connection.pinged = True
            self._send(session, Ping(last_seq=session.channel.sent))
        self._arm(connection, session)

    def _arm(self, connection: Connection, session: Session) -> None:
        """Set the time of the next look at the connection: its ping, or after that its end."""
        due = connection.last_heard + self._ping_interval(session)
        if connection.pinged:
            due += self._config.dead_after
        self._connection_timers.set(connection.number, due)

    def _ping_interval(self, session: Session) -> float:
        in_call = self._switchboard.holds(session.device)
        interval = self._config.ping_interval_in_call if in_call else self._config.ping_interval
        return interval * _PATIENCE

    # ---------------------------------------------------------------- sending

    def _drain_switchboard(self) -> None:
        while (outbound := self._switchboard.poll_outbound()) is not None:
            session = self._sessions_by_user.get(outbound.device.user, {}).get(outbound.device)
            if session is None:
                continue  # it left; a new session of the device gets a snapshot
            self._send(session, outbound.message)
            if isinstance(outbound.message, CallSnapshot):
                connection = self._connections.get(session.connection or 0)
                if connection is not None:  # pings are more frequent in a call
                    self._arm(connection, session)
        while (call := self._switchboard.poll_ended()) is not None:
            self._on_call_ended(call.id)
            self.counters.count_call(call)
            for user in call.users:
                self._show(user)

    def _send(self, session: Session, message: Message) -> None:
        """Send a message in a session, or keep it until the session has a socket again."""
        if session.connection is None and isinstance(message, UNRELIABLE):
            return
        tag = str(message.__struct_config__.tag)
        self.counters.messages_out[tag] += 1
        if isinstance(message, Error):
            self.counters.errors[message.code.value] += 1
        data = session.channel.send(message)
        if session.connection is not None:
            self._out.append(Transmit(session.connection, data))

    def _tell(self, connection: Connection, message: Error) -> None:
        """Send an error outside of any session's numbers."""
        self.counters.errors[message.code.value] += 1
        self._out.append(Transmit(connection.number, self._wire.encode(message)))

    def _close(self, connection: Connection, code: CloseCode, reason: str, now: float) -> None:
        """Close a socket from our side; what still comes from it is not heard."""
        self._out.append(CloseSocket(connection.number, code, reason))
        del self._connections[connection.number]
        self._connection_timers.set(connection.number, None)
        if connection.session is not None:
            self._detach(connection.session, now)

    def _show(self, user: str) -> None:
        """Tell the subscribers if a user's presence has changed."""
        if user not in self._sessions_by_user:
            update = self._presence.handle_state(user, "offline")
        elif self._switchboard.in_call(user):
            update = self._presence.handle_state(user, "in_call")
        else:
            update = self._presence.handle_state(user, "online")
        if update is not None:
            for session in self._subscribers.values():
                self._send(session, update)

    # ---------------------------------------------------------------- for the switchboard

    def _devices_of(self, user: str) -> list[DeviceKey]:
        return list(self._sessions_by_user.get(user, ()))

    def _mint(self, device: DeviceKey, call_id: str) -> MintedServers:
        session = self._sessions_by_user.get(device.user, {}).get(device)
        if session is None:
            return MintedServers()
        return self._mint_ice_servers(device.user, call_id, session.reached_host)
