from __future__ import annotations

import random
from typing import Any

import pytest

from ringline.client.errors import (
    NameTakenError,
    ServerUnreachableError,
    SignalingError,
    UnauthorizedError,
)
from ringline.client.signaling_link import (
    CloseSocket,
    LinkState,
    OpenSocket,
    Received,
    SendText,
    SignalingLink,
    StateChanged,
)
from ringline.signaling import messages as wire
from ringline.signaling.codes import ErrorCode
from ringline.signaling.wire import WireFormat

CALL = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
WIRE = WireFormat()
REFUSED = ServerUnreachableError("nobody answers")


class NoJitter(random.Random):
    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the base's signature
        return a


class Bench:
    """A link and what came out of it, in virtual time."""

    def __init__(self, **options: Any) -> None:
        self.now = 100.0
        self.link = SignalingLink(device="d1", name="ann", rng=NoJitter(), **options)

    def actions(self) -> list[OpenSocket | CloseSocket | wire.ClientMessage]:
        found: list[OpenSocket | CloseSocket | wire.ClientMessage] = []
        while (action := self.link.poll_action()) is not None:
            found.append(
                WIRE.parse_client_message(action.data) if isinstance(action, SendText) else action
            )
        return found

    def events(self) -> list[Received | StateChanged]:
        found = []
        while (event := self.link.poll_event()) is not None:
            found.append(event)
        return found

    def hear(self, message: wire.Message) -> None:
        self.link.handle_text(WIRE.encode(message), self.now)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.link.poll_timeout()) is not None and due <= end:
            self.now = max(self.now, due)
            self.link.handle_timeout(self.now)
        self.now = end

    def open(self, *, resumed: bool = False, last_seq: int = 0) -> list[Any]:
        """Open the socket that was asked for, be welcome; return what was sent after hello."""
        self.link.handle_opened(self.now)
        self.hear(welcome(resumed=resumed, last_seq=last_seq))
        return self.actions()

    def enter(self) -> Bench:
        self.link.handle_start(self.now)
        self.open()
        self.events()
        return self


def welcome(*, resumed: bool = False, last_seq: int = 0) -> wire.Welcome:
    return wire.Welcome(
        session="s1",
        resume_secret="s2",
        resume_ttl_ms=60_000,
        resumed=resumed,
        last_seq=last_seq,
        ping_ms=25_000,
        ping_in_call_ms=5_000,
        dead_ms=15_000,
        limits=wire.Limits(max_message_bytes=65_536, messages_per_second=40.0, burst=120),
        server=wire.ServerInfo(name="ringline", version="1"),
        you=wire.You(name="ann", device="d1"),
    )


def test_the_first_socket_is_opened_at_once_and_hello_is_said() -> None:
    bench = Bench()
    bench.link.handle_start(bench.now)
    assert bench.actions() == [OpenSocket()]
    bench.link.handle_opened(bench.now)
    assert bench.actions() == [wire.Hello(device="d1", name="ann", client="ringline")]
    assert bench.events() == []
    bench.hear(welcome())
    assert bench.events() == [StateChanged(LinkState.CONNECTED)]
    assert bench.link.name == "ann"


def test_a_token_is_asked_for_at_each_socket() -> None:
    tokens = iter(["one", "two"])
    bench = Bench(token=lambda: next(tokens)).enter()
    bench.link.handle_closed(None, bench.now)
    bench.wait(0.0)
    bench.link.handle_opened(bench.now)
    hello = bench.actions()[-1]
    assert isinstance(hello, wire.Hello)
    assert hello.token == "two"  # noqa: S105 - no secret


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (ErrorCode.UNAUTHORIZED, UnauthorizedError),
        (ErrorCode.TOKEN_EXPIRED, UnauthorizedError),
        (ErrorCode.NAME_TAKEN, NameTakenError),
        (ErrorCode.NAME_INVALID, SignalingError),
    ],
)
def test_who_is_refused_does_not_come_back(code: ErrorCode, error: type[Exception]) -> None:
    bench = Bench()
    bench.link.handle_start(bench.now)
    bench.link.handle_opened(bench.now)
    bench.hear(wire.Error(code=code, message="because", fatal=True))
    bench.link.handle_closed(4001, bench.now)
    ((event),) = bench.events()
    assert isinstance(event, StateChanged)
    assert event.state is LinkState.CLOSED
    assert type(event.error) is error
    assert "because" in str(event.error)
    assert bench.link.poll_timeout() is None


def test_a_first_socket_that_fails_is_no_outage() -> None:
    bench = Bench()
    bench.link.handle_start(bench.now)
    bench.link.handle_failed(REFUSED, bench.now)
    assert bench.events() == [StateChanged(LinkState.CLOSED, error=REFUSED)]
    assert bench.link.poll_timeout() is None


def test_a_server_that_does_not_welcome_is_none() -> None:
    bench = Bench()
    bench.link.handle_start(bench.now)
    bench.link.handle_opened(bench.now)
    bench.actions()
    bench.wait(10.0)
    assert [type(action) for action in bench.actions()] == [CloseSocket]
    ((event),) = bench.events()
    assert isinstance(event, StateChanged)
    assert isinstance(event.error, ServerUnreachableError)


def test_the_waits_between_sockets_grow_and_end() -> None:
    bench = Bench().enter()
    bench.link.handle_closed(None, bench.now)
    waits = []
    while bench.link.state is LinkState.RECONNECTING:
        start = bench.now
        while OpenSocket() not in bench.actions():
            due = bench.link.poll_timeout()
            assert due is not None
            bench.wait(due - bench.now)
        waits.append(round(bench.now - start, 3))
        bench.link.handle_failed(REFUSED, bench.now)
    assert waits == [0.0, 0.3, 1.2, 2.7, 4.8, 7.0, 7.0, 7.0, 7.0, 7.0]
    assert bench.events() == [
        StateChanged(LinkState.RECONNECTING),
        StateChanged(LinkState.CLOSED, error=REFUSED),
    ]


def test_in_a_call_it_never_gives_up() -> None:
    bench = Bench().enter()
    bench.hear(wire.CallSnapshot(seq=1, call=CALL, state="active"))
    bench.events()
    bench.link.handle_closed(None, bench.now)
    for _ in range(50):
        bench.wait(7.0)
        assert bench.actions() == [OpenSocket()]
        bench.link.handle_failed(REFUSED, bench.now)
    assert bench.events() == [StateChanged(LinkState.RECONNECTING)]
    bench.link.send(wire.CallEnd(call=CALL), bench.now)  # the media path is gone as well
    bench.wait(7.0)
    bench.link.handle_failed(REFUSED, bench.now)
    assert bench.events() == [StateChanged(LinkState.CLOSED, error=REFUSED)]


def test_jitter_adds_at_most_the_wait_itself_and_a_second() -> None:
    class Most(random.Random):
        def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the base's signature
            return b

    link = SignalingLink(device="d1", name="ann", rng=Most())
    link.handle_start(0.0)
    link.handle_opened(0.0)
    link.handle_text(WIRE.encode(welcome()), 0.0)
    link.handle_closed(None, 0.0)
    dues = []
    for _ in range(4):
        link.handle_failed(REFUSED, 0.0)
        due = link.poll_timeout()
        assert due is not None
        dues.append(round(due, 3))
        link.handle_timeout(due)
    assert dues == [0.6, 2.2, 3.7, 5.8]


def test_what_is_said_without_a_socket_is_sent_when_there_is_one() -> None:
    bench = Bench().enter()
    bench.link.handle_closed(None, bench.now)
    bench.link.send(wire.CallCancel(call=CALL), bench.now)
    bench.link.send(wire.CallQuality(call=CALL), bench.now)  # of no use later
    assert bench.actions() == [OpenSocket()]
    hello, cancel = bench.open(resumed=True)
    assert hello.resume == wire.Resume(session="s1", secret="s2", last_seq=0)
    assert cancel == wire.CallCancel(call=CALL, seq=1)


def test_2_after_a_resume_only_what_the_server_lacks_is_sent_again() -> None:
    bench = Bench().enter()
    for _ in range(3):
        bench.link.send(wire.CallCancel(call=CALL), bench.now)
    bench.hear(wire.CallEnd(call=CALL, seq=1, ack=1))
    bench.actions()
    bench.link.handle_closed(1006, bench.now)
    hello, *again = bench.open(resumed=True, last_seq=2)[1:]
    assert hello.resume.last_seq == 1
    assert again == [wire.CallCancel(call=CALL, seq=3, ack=1)]


def test_2_a_new_session_is_told_all_that_was_not_acknowledged() -> None:
    bench = Bench().enter()
    bench.link.send(wire.PresenceSub(), bench.now)
    bench.link.send(wire.CallCancel(call=CALL), bench.now)
    bench.hear(wire.CallEnd(call=CALL, seq=1))
    bench.actions()
    bench.link.handle_closed(None, bench.now)
    bench.wait(0.0)
    bench.link.handle_opened(bench.now)
    bench.actions()
    bench.hear(wire.Error(code=ErrorCode.RESUME_REFUSED, fatal=True))
    bench.link.handle_closed(4009, bench.now)
    assert bench.actions() == [OpenSocket()]
    hello, *again = bench.open()
    assert hello.resume is None
    assert again == [wire.PresenceSub(), wire.CallCancel(call=CALL, seq=1)]
    bench.hear(wire.CallEnd(call=CALL, seq=1))  # numbers begin anew
    assert bench.events()[-1] == Received(wire.CallEnd(call=CALL, seq=1))


def test_who_said_more_than_is_kept_begins_a_new_session_instead_of_resuming_for_ever() -> None:
    bench = Bench().enter()
    bench.link.handle_closed(None, bench.now)
    for _ in range(300):
        bench.link.send(wire.CallCancel(call=CALL), bench.now)
    assert bench.actions() == [OpenSocket()]
    hello, *rest = bench.open(resumed=True)
    assert hello.resume is not None
    assert rest == [CloseSocket(4010), OpenSocket()]
    hello, *kept = bench.open()
    assert hello.resume is None
    assert [message.seq for message in kept] == list(range(1, 257))
    assert bench.events() == [
        StateChanged(LinkState.RECONNECTING),
        StateChanged(LinkState.CONNECTED),
    ]


def test_1_a_message_that_was_had_is_dropped_and_a_missing_one_is_asked_for() -> None:
    bench = Bench().enter()
    first = wire.CallRinging(call=CALL, seq=1)
    bench.hear(first)
    bench.hear(first)
    assert bench.events() == [Received(first)]
    bench.hear(wire.CallRinging(call=CALL, seq=3))
    assert bench.actions() == [CloseSocket(4010), OpenSocket()]
    assert bench.events() == [StateChanged(LinkState.RECONNECTING)]


def test_a_ping_shows_that_the_last_message_was_lost() -> None:
    bench = Bench().enter()
    bench.hear(wire.Ping(last_seq=1))
    assert [type(action) for action in bench.actions()] == [wire.Pong, CloseSocket, OpenSocket]


def test_it_pings_when_nothing_was_said_and_more_often_in_a_call() -> None:
    bench = Bench().enter()
    bench.wait(24.9)
    assert bench.actions() == []
    bench.wait(0.2)
    assert [type(action) for action in bench.actions()] == [wire.Ping]
    bench.hear(wire.Pong())
    bench.hear(wire.CallAccept(call=CALL, seq=1))
    bench.link.send(wire.CallPath(call=CALL, state="connected"), bench.now)
    bench.actions()
    bench.wait(5.1)
    assert [type(action) for action in bench.actions()] == [wire.Ping]


def test_a_silent_server_is_given_up_and_another_socket_taken() -> None:
    bench = Bench().enter()
    bench.wait(25.0)
    bench.actions()
    bench.wait(14.9)
    assert bench.actions() == []
    bench.wait(0.1)
    assert bench.actions() == [CloseSocket(4011), OpenSocket()]


def test_the_servers_ping_is_answered() -> None:
    bench = Bench().enter()
    bench.hear(wire.Ping(ts=3.5))
    assert bench.actions() == [wire.Pong(ts=3.5)]
    assert bench.events() == []


def test_many_messages_one_way_are_acknowledged() -> None:
    bench = Bench().enter()
    for seq in range(1, 33):
        bench.hear(wire.CallRinging(call=CALL, seq=seq))
    assert bench.actions() == [wire.Pong(ack=32)]


@pytest.mark.parametrize("text", ["", "[]", '{"t":"later","seq":1}', '{"t":"call.end"}', "\x00"])
def test_what_cannot_be_read_is_dropped(text: str) -> None:
    bench = Bench().enter()
    bench.link.handle_text(text, bench.now)
    assert bench.actions() == []
    assert bench.events() == []


def test_an_unknown_message_counts_as_received() -> None:
    bench = Bench().enter()
    bench.link.handle_text('{"t":"later","seq":1}', bench.now)
    bench.hear(wire.CallRinging(call=CALL, seq=2))
    assert bench.events() == [Received(wire.CallRinging(call=CALL, seq=2))]


def test_an_error_that_is_not_fatal_is_the_programs() -> None:
    bench = Bench().enter()
    error = wire.Error(code=ErrorCode.UNKNOWN_CALL, call=CALL, seq=1)
    bench.hear(error)
    assert bench.events() == [Received(error)]


def test_a_server_that_stops_is_come_back_to() -> None:
    bench = Bench().enter()
    bench.link.handle_closed(1001, bench.now)
    assert bench.actions() == [OpenSocket()]
    assert bench.events() == [StateChanged(LinkState.RECONNECTING)]


def test_another_network_is_another_socket() -> None:
    bench = Bench().enter()
    bench.link.handle_network_changed(bench.now)
    assert bench.actions() == [CloseSocket(1001), OpenSocket()]
    bench.link.handle_failed(REFUSED, bench.now)
    assert bench.actions() == []
    bench.link.handle_network_changed(bench.now)  # while it waits for the next one
    assert bench.actions() == [OpenSocket()]


def test_3_closing_is_final() -> None:
    bench = Bench().enter()
    bench.link.close()
    bench.link.close()
    assert bench.actions() == [CloseSocket(1000)]
    assert bench.events() == [StateChanged(LinkState.CLOSED)]
    bench.link.send(wire.CallCancel(call=CALL), bench.now)
    bench.link.handle_closed(1000, bench.now)
    bench.link.handle_failed(REFUSED, bench.now)
    bench.hear(wire.CallRinging(call=CALL, seq=1))
    assert bench.actions() == []
    assert bench.events() == []
    assert bench.link.poll_timeout() is None


def test_3_a_socket_that_opens_after_the_end_is_closed() -> None:
    bench = Bench()
    bench.link.handle_start(bench.now)
    bench.link.close()
    bench.actions()
    bench.link.handle_opened(bench.now)
    assert bench.actions() == [CloseSocket(1000)]
