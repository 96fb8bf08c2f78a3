from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

from ringline.signaling.authenticate import authenticate_by_name, authenticate_by_token
from ringline.signaling.call import MintedServers
from ringline.signaling.codes import CloseCode
from ringline.signaling.config import ServerConfig
from ringline.signaling.connection import Transmit
from ringline.signaling.hub import Hub
from ringline.signaling.messages import IceServer
from ringline.signaling.tokens import TokenKeys, mint_token

IDS = [f"01ARZ3NDEKTSV4RRFFQ69G5F{n:02d}" for n in range(20)]
OFFER = {"sdp": "offer"}
Json = dict[str, Any]


class World:
    """A hub whose clients speak JSON, in virtual time."""

    def __init__(self, **config: Any) -> None:
        self.now = 0.0
        counter = itertools.count(1)
        self.over: list[str] = []
        self.hub = Hub(
            ServerConfig(dev=True, **config),
            authenticate=authenticate_by_name,
            mint_ice_servers=lambda user, call, host: MintedServers(
                (IceServer(urls=(f"turn:{host}",), username=f"{user}:{call}"),), 600_000
            ),
            on_call_ended=self.over.append,
            version="1.2",
            random_bytes=lambda n: next(counter).to_bytes(n, "big"),
            rng=random.Random(1),
        )
        self.inbox: dict[int, list[Json]] = {}
        self.closed: dict[int, int] = {}

    def open(self, host: str = "192.0.2.7") -> int:
        number = self.hub.handle_open(host, self.now)
        assert number is not None
        self.inbox[number] = []
        return number

    def say(self, number: int, t: str, **fields: Any) -> None:
        self.hub.handle_text(number, json.dumps({"t": t, **fields}), self.now)
        self.drain()

    def drain(self) -> None:
        while (item := self.hub.poll_transmit()) is not None:
            if isinstance(item, Transmit):
                self.inbox[item.connection].append(json.loads(item.data))
            else:
                self.closed[item.connection] = item.code

    def heard(self, number: int) -> list[Json]:
        heard = self.inbox[number]
        self.inbox[number] = []
        return heard

    def kinds(self, number: int) -> list[str]:
        return [message["t"] for message in self.heard(number)]

    def enter(self, name: str, device: str = "1") -> int:
        number = self.open()
        self.say(number, "hello", name=name, device=device)
        assert self.kinds(number) == ["welcome"]
        return number

    def lose(self, number: int, code: int | None = None) -> None:
        self.hub.handle_closed(number, code, self.now)
        self.drain()

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.hub.poll_timeout()) is not None and due <= end:
            self.now = max(self.now, due)
            self.hub.handle_timeout(self.now)
            self.drain()
        self.now = end

    def connect(self, call: str, caller: int, callee: int, name: str) -> None:
        self.say(caller, "call.invite", call=call, to=name, offer=OFFER)
        self.say(callee, "call.accept", call=call, answer={"sdp": "answer"})
        self.heard(caller)
        self.heard(callee)


def test_hello_is_answered_with_all_that_a_client_needs_to_know() -> None:
    world = World()
    number = world.open()
    world.say(number, "hello", name="ann", device="d1", client="x/1", unknown=[1])
    assert world.heard(number) == [
        {
            "t": "welcome",
            "session": "0000000000000001",
            "resume_secret": "00000000000000000000000000000002",
            "resume_ttl_ms": 60_000,
            "ping_ms": 25_000,
            "ping_in_call_ms": 5_000,
            "dead_ms": 15_000,
            "limits": {"max_message_bytes": 65_536, "messages_per_second": 40.0, "burst": 120},
            "server": {"name": "ringline", "version": "1.2"},
            "you": {"name": "ann", "device": "d1"},
        }
    ]


def test_1_nothing_is_processed_before_hello() -> None:
    world = World()
    number = world.open()
    world.say(number, "call.invite", call=IDS[0], to="bob")
    ((error),) = world.heard(number)
    assert (error["t"], error["code"], error["fatal"]) == ("error", "hello_expected", True)
    assert world.closed == {number: 4001}
    world.say(number, "hello", name="ann", device="1")
    assert world.heard(number) == []


def test_1_a_socket_without_hello_is_closed_in_time() -> None:
    world = World()
    number = world.open()
    world.wait(4.9)
    assert world.closed == {}
    world.wait(0.2)
    assert world.closed == {number: 4001}
    assert world.hub.connection_count == 0


def test_a_token_is_needed_where_there_are_keys() -> None:
    keys = TokenKeys(keys={"1": b"k" * 32})
    wallclock = 1_800_000_000.0
    hub = Hub(
        ServerConfig(token_keys=keys),
        authenticate=authenticate_by_token(keys, lambda: wallclock),
        mint_ice_servers=lambda _user, _call, _host: MintedServers(),
    )
    tokens = {
        "good": mint_token(keys, "ann", wallclock=wallclock),
        "wrong": "x.y.z",
        "old": mint_token(keys, "ann", wallclock=wallclock - 7200),
    }
    results = {}
    for kind, token in tokens.items():
        number = hub.handle_open("h", 0.0)
        assert number is not None
        hub.handle_text(number, json.dumps({"t": "hello", "device": kind, "token": token}), 0.0)
        answer = hub.poll_transmit()
        assert isinstance(answer, Transmit)
        closing = hub.poll_transmit()
        results[kind] = (json.loads(answer.data)["t"], getattr(closing, "code", None))
    assert results == {
        "good": ("welcome", None),
        "wrong": ("error", CloseCode.AUTH_FAILED),
        "old": ("error", CloseCode.TOKEN_EXPIRED),
    }


def test_a_taken_name_is_refused_with_a_clear_message() -> None:
    world = World()
    world.enter("ann", "1")
    other = world.open()
    world.say(other, "hello", name="ann", device="2")
    ((error),) = world.heard(other)
    assert (error["code"], error["message"]) == ("name_taken", "the name 'ann' is taken")
    assert world.closed == {other: 4001}


def test_a_name_is_free_again_when_its_holder_left_or_is_lost_outside_of_a_call() -> None:
    for code in (1000, None):
        world = World()
        world.lose(world.enter("ann", "1"), code)
        world.enter("ann", "2")
        assert world.hub.session_count == 1


def test_a_name_is_kept_for_who_is_lost_in_a_call() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.connect(IDS[0], ann, bob, "bob")
    world.lose(ann)
    other = world.open()
    world.say(other, "hello", name="ann", device="2")
    assert world.heard(other)[0]["code"] == "name_taken"


def test_a_call_from_invite_to_end() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.say(ann, "call.invite", call=IDS[0], to="bob", offer=OFFER, seq=1)
    assert world.heard(ann) == [
        {
            "t": "call.created",
            "seq": 1,
            "ack": 1,
            "call": IDS[0],
            "expires_in_ms": 60_000,
            "ice_servers": [{"urls": ["turn:192.0.2.7"], "username": f"ann:{IDS[0]}"}],
            "ice_expires_in_ms": 600_000,
        }
    ]
    ((incoming),) = world.heard(bob)
    assert incoming["ice_servers"][0]["username"] == f"bob:{IDS[0]}"
    assert incoming["media"] == {"audio": True, "video": False}
    world.say(bob, "call.accept", call=IDS[0], answer={"sdp": "answer"}, seq=1)
    assert world.kinds(ann) == ["call.accept", "call.state"]
    assert world.kinds(bob) == ["call.state"]
    world.say(ann, "call.path", call=IDS[0], state="connected", kind="host")
    assert [m["state"] for m in world.heard(ann)] == ["active"]
    world.heard(bob)
    assert world.over == []
    world.say(bob, "call.end", call=IDS[0])
    assert world.over == [IDS[0]]  # once for both: their relays can go
    for number in (ann, bob):
        ((end),) = world.heard(number)
        assert (end["t"], end["reason"], end["from"]) == ("call.end", "hangup", "bob")
    assert dict(world.hub.counters.calls) == {("audio", "hangup"): 1}


def test_2_a_lost_socket_ends_neither_session_nor_call() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.connect(IDS[0], ann, bob, "bob")
    world.lose(ann, 1000)  # not even a socket closed in good order
    world.wait(100.0)
    assert world.hub.session_count == 2
    assert "call.end" not in world.kinds(bob)


def test_a_resumed_session_gets_what_it_missed_and_where_its_calls_stand() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.say(ann, "call.invite", call=IDS[0], to="bob", offer=OFFER, seq=1)
    assert [m["seq"] for m in world.heard(ann)] == [1]
    world.lose(ann)
    world.say(bob, "call.accept", call=IDS[0], answer={"sdp": "answer"}, seq=1)
    again = world.open()
    resume = {"session": "0000000000000001", "secret": f"{2:032x}", "last_seq": 1}
    world.say(again, "hello", name="ann", device="1", resume=resume)
    heard = world.heard(again)
    assert [(m["t"], m.get("seq")) for m in heard] == [
        ("welcome", None),
        ("call.accept", 2),
        ("call.state", 3),
        ("call.state", 4),
    ]
    assert (heard[0]["resumed"], heard[0]["last_seq"]) == (True, 1)
    assert heard[3]["state"] == "connecting"
    assert dict(world.hub.counters.resumes) == {"resumed": 1}


def test_3_the_newer_socket_of_a_session_counts() -> None:
    world = World()
    ann = world.enter("ann")
    again = world.open()
    resume = {"session": "0000000000000001", "secret": f"{2:032x}"}
    world.say(again, "hello", name="ann", device="1", resume=resume)
    assert world.heard(ann)[0]["code"] == "replaced"
    assert world.closed == {ann: 4003}
    world.lose(ann)
    world.say(again, "ping")
    assert world.kinds(again) == ["welcome", "pong"]


def test_3_the_newer_session_of_a_device_counts_and_its_calls_go_on() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.connect(IDS[0], ann, bob, "bob")
    again = world.open()
    world.say(again, "hello", name="ann", device="1")
    assert world.closed == {ann: 4003}
    assert [(m["t"], m.get("state")) for m in world.heard(again)] == [
        ("welcome", None),
        ("call.state", "connecting"),
    ]
    world.say(bob, "media.request", call=IDS[0])
    assert world.kinds(again) == ["media.request"]
    assert world.hub.session_count == 2


@pytest.mark.parametrize(
    "resume",
    [
        {"session": "0000000000000001", "secret": "wrong"},
        {"session": "unknown", "secret": f"{2:032x}"},
        {"session": "0000000000000001", "secret": f"{2:032x}", "last_seq": 99},
    ],
)
def test_a_resume_that_cannot_be_made_good_is_refused(resume: Json) -> None:
    world = World()
    world.lose(world.enter("ann"))
    again = world.open()
    world.say(again, "hello", name="ann", device="1", resume=resume)
    assert world.heard(again)[0]["code"] == "resume_refused"
    assert world.closed == {again: 4009}


def test_nobody_else_resumes_a_session() -> None:
    world = World()
    world.lose(world.enter("ann"))
    eve = world.open()
    resume = {"session": "0000000000000001", "secret": f"{2:032x}"}
    world.say(eve, "hello", name="eve", device="1", resume=resume)
    assert world.closed == {eve: 4009}


def test_a_session_without_socket_is_over_after_its_time() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.say(bob, "presence.sub")
    world.heard(bob)
    world.lose(ann)
    for _ in range(3):
        world.wait(19.9)
        world.say(bob, "ping")
    assert world.hub.session_count == 2
    world.heard(bob)
    world.wait(0.4)
    assert world.hub.session_count == 1
    assert world.heard(bob) == [
        {"t": "presence.update", "people": [{"name": "ann", "state": "offline"}]}
    ]


def test_in_a_call_the_session_is_kept_longer() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.connect(IDS[0], ann, bob, "bob")
    world.say(ann, "call.path", call=IDS[0], state="connected")
    world.lose(ann)
    for _ in range(11):
        world.wait(10.0)
        world.say(bob, "ping")
    assert world.hub.session_count == 2
    world.wait(10.5)
    assert world.hub.session_count == 1
    assert world.hub.calls_by_state()  # and the call still stands
    world.say(bob, "call.end", call=IDS[0])
    assert world.heard(bob)[-1]["reason"] == "hangup"


def test_a_silent_socket_is_pinged_and_then_given_up() -> None:
    world = World()
    ann = world.enter("ann")
    world.wait(29.9)
    assert world.heard(ann) == []
    world.wait(0.2)
    assert world.kinds(ann) == ["ping"]
    world.wait(14.8)
    assert world.closed == {}
    world.wait(0.2)
    assert world.closed == {ann: 4011}
    assert world.hub.session_count == 1


def test_any_message_is_a_sign_of_life() -> None:
    world = World()
    ann = world.enter("ann")
    for _ in range(10):
        world.wait(31.0)
        world.say(ann, "pong")
    assert world.closed == {}
    assert world.kinds(ann) == ["ping"] * 10


def test_in_a_call_silence_is_noticed_sooner() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.connect(IDS[0], ann, bob, "bob")
    world.wait(6.1)
    assert world.kinds(ann) == ["ping"]
    world.wait(15.0)
    assert world.closed == {ann: 4011, bob: 4011}


def test_a_ping_is_answered() -> None:
    world = World()
    ann = world.enter("ann")
    world.say(ann, "ping", ts=12.5)
    assert world.heard(ann) == [{"t": "pong", "ts": 12.5}]


def test_a_repeated_number_is_dropped_and_a_missing_one_closes_the_socket() -> None:
    world = World()
    ann = world.enter("ann")
    world.enter("bob")
    for seq in (1, 1):
        world.say(ann, "call.invite", call=IDS[0], to="bob", seq=seq)
    assert world.kinds(ann) == ["call.created"]
    world.say(ann, "call.cancel", call=IDS[0], seq=3)
    assert world.heard(ann) == []
    assert world.closed == {ann: 4010}
    assert dict(world.hub.counters.dropped) == {"duplicate": 1, "gap": 1}


def test_a_ping_shows_that_the_last_message_was_lost() -> None:
    world = World()
    ann = world.enter("ann")
    world.say(ann, "ping", last_seq=1)
    assert world.closed == {ann: 4010}


def test_a_repeated_id_is_a_no_op() -> None:
    world = World()
    ann = world.enter("ann")
    for _ in range(2):
        world.say(ann, "call.invite", call=IDS[0], to="nobody", id="m1")
    assert world.kinds(ann) == ["call.end"]


@pytest.mark.parametrize(
    ("text", "code", "ref"),
    [
        ('{"t":"new.thing","id":"7"}', "unsupported", "7"),
        ('{"t":"new.thing"}', "unsupported", "new.thing"),
        ('{"t":"call.invite","call":"x","to":"bob"}', "bad_message", "call.invite"),
        ('{"t":"welcome"}', "bad_message", "welcome"),
        ("[]", "bad_message", None),
        ("{", "bad_message", None),
        ("", "bad_message", None),
    ],
)
def test_4_a_bad_message_gets_an_error_that_is_not_fatal(
    text: str, code: str, ref: str | None
) -> None:
    world = World()
    ann = world.enter("ann")
    world.hub.handle_text(ann, text, 0.0)
    world.drain()
    ((error),) = world.heard(ann)
    assert (error["t"], error["code"], error.get("ref"), error.get("fatal")) == (
        "error",
        code,
        ref,
        None,
    )
    world.say(ann, "ping")
    assert world.kinds(ann) == ["pong"]


def test_4_a_message_of_unknown_type_counts_as_received() -> None:
    world = World()
    ann = world.enter("ann")
    world.say(ann, "new.thing", seq=1)
    world.say(ann, "call.invite", call=IDS[0], to="nobody", seq=2)
    assert world.kinds(ann) == ["error", "call.end"]


def test_4_too_many_bad_messages_close_the_socket() -> None:
    world = World()
    ann = world.enter("ann")
    for _ in range(21):
        world.say(ann, "nonsense")
    assert world.kinds(ann) == ["error"] * 20
    assert world.closed == {ann: 1008}


def test_binary_frames_close_the_socket() -> None:
    world = World()
    ann = world.enter("ann")
    world.hub.handle_binary(ann, 0.0)
    world.drain()
    assert world.closed == {ann: 1008}


def test_who_sends_too_much_is_told_once_then_closed() -> None:
    world = World()
    ann = world.enter("ann")
    for _ in range(130):
        world.say(ann, "presence.sub", on=False)
    ((error),) = world.heard(ann)
    assert (error["code"], error["retry_after_ms"] > 0) == ("rate_limited", True)
    for _ in range(120):
        world.say(ann, "presence.sub", on=False)
    assert world.heard(ann)[-1]["fatal"] is True
    assert world.closed == {ann: 4008}


def test_5_hanging_up_is_never_shed() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.connect(IDS[0], ann, bob, "bob")
    for _ in range(150):
        world.say(ann, "ice.candidates", call=IDS[0])
    world.heard(bob)
    world.say(ann, "call.end", call=IDS[0])
    assert world.kinds(bob) == ["call.end"]


def test_statistics_are_shed_first() -> None:
    world = World()
    ann = world.enter("ann")
    for _ in range(95):
        world.say(ann, "presence.sub", on=False)
    world.say(ann, "call.quality", call=IDS[0], loss=0.1)
    assert world.heard(ann) == []
    assert dict(world.hub.counters.dropped) == {"shed": 1}


def test_presence_is_told_in_full_and_then_by_changes() -> None:
    world = World()
    ann = world.enter("ann")
    world.say(ann, "presence.sub")
    assert world.heard(ann) == [
        {"t": "presence.update", "people": [{"name": "ann", "state": "online"}], "full": True}
    ]
    world.lose(world.enter("bob"), 1000)
    assert world.heard(ann) == [
        {"t": "presence.update", "people": [{"name": "bob", "state": "online"}]},
        {"t": "presence.update", "people": [{"name": "bob", "state": "offline"}]},
    ]


def test_presence_shows_who_is_in_a_call() -> None:
    world = World()
    cid = world.enter("cid")
    ann, bob = world.enter("ann"), world.enter("bob")
    world.say(cid, "presence.sub")
    world.heard(cid)
    world.connect(IDS[0], ann, bob, "bob")
    world.say(ann, "call.end", call=IDS[0])
    changes = [m["people"][0] for m in world.heard(cid)]
    assert changes == [
        {"name": "ann", "state": "in_call"},
        {"name": "bob", "state": "in_call"},
        {"name": "ann", "state": "online"},
        {"name": "bob", "state": "online"},
    ]


def test_a_resumed_session_still_watches() -> None:
    world = World()
    ann = world.enter("ann")
    world.say(ann, "presence.sub")
    world.lose(ann)
    again = world.open()
    resume = {"session": "0000000000000001", "secret": f"{2:032x}"}
    world.say(again, "hello", name="ann", device="1", resume=resume)
    assert world.kinds(again) == ["welcome", "presence.update"]


def test_a_device_that_comes_while_it_rings_rings() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.say(ann, "call.invite", call=IDS[0], to="bob", offer=OFFER)
    world.lose(bob)
    again = world.open("198.51.100.1")
    world.say(again, "hello", name="bob", device="1")
    heard = world.heard(again)
    assert [m["t"] for m in heard] == ["welcome", "call.state", "call.incoming"]
    assert heard[2]["ice_servers"][0]["urls"] == ["turn:198.51.100.1"]


def test_a_callee_that_leaves_in_good_order_is_offline() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.say(ann, "call.invite", call=IDS[0], to="bob")
    world.heard(ann)
    world.lose(bob, 1001)
    assert [(m["t"], m["reason"]) for m in world.heard(ann)] == [("call.end", "offline")]


def test_there_is_room_for_so_many_sockets_and_devices() -> None:
    world = World(max_connections=2)
    world.open()
    world.open()
    assert world.hub.handle_open("h", 0.0) is None
    keys = TokenKeys(keys={"1": b"k" * 32})
    hub = Hub(
        ServerConfig(token_keys=keys, max_sessions_per_user=1),
        authenticate=authenticate_by_name,
        mint_ice_servers=lambda _user, _call, _host: MintedServers(),
    )
    closes = []
    for device in ("1", "2"):
        number = hub.handle_open("h", 0.0)
        assert number is not None
        hub.handle_text(number, json.dumps({"t": "hello", "device": device, "name": "ann"}), 0.0)
        while (item := hub.poll_transmit()) is not None:
            if not isinstance(item, Transmit):
                closes.append((item.connection, item.code))
    assert closes == [(2, 1013)]


def test_before_a_stop_all_are_told_and_nobody_comes_in() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.say(ann, "call.invite", call=IDS[0], to="bob")
    world.heard(ann)
    world.heard(bob)
    world.hub.handle_drain(0.0)
    world.drain()
    for number in (ann, bob):
        end, drain = world.heard(number)
        assert (end["reason"], drain["t"], drain["action"]) == (
            "server_shutdown",
            "server.drain",
            "reconnect",
        )
    assert world.hub.handle_open("h", 0.0) is None


def test_only_so_much_is_kept_for_who_is_away() -> None:
    world = World(max_outbox_messages=8)
    ann, bob = world.enter("ann"), world.enter("bob")
    world.connect(IDS[0], ann, bob, "bob")
    world.lose(ann)
    for _ in range(9):
        world.say(bob, "media.request", call=IDS[0])
    again = world.open()
    resume = {"session": "0000000000000001", "secret": f"{2:032x}", "last_seq": 3}
    world.say(again, "hello", name="ann", device="1", resume=resume)
    assert world.closed == {again: 4009}
    fresh = world.open()
    world.say(fresh, "hello", name="ann", device="1")
    assert world.kinds(fresh) == ["welcome", "call.state"]


def test_a_device_that_begins_anew_hears_what_ended_meanwhile() -> None:
    world = World()
    ann, bob = world.enter("ann"), world.enter("bob")
    world.connect(IDS[0], ann, bob, "bob")
    world.lose(ann)
    world.say(bob, "call.end", call=IDS[0])
    again = world.open()
    world.say(again, "hello", name="ann", device="1")
    assert [(m["t"], m.get("reason")) for m in world.heard(again)] == [
        ("welcome", None),
        ("call.end", "hangup"),
    ]


def test_a_ping_that_is_due_is_sent_however_its_time_is_rounded() -> None:
    world = World()
    for n in range(200):
        world.now = n / 7
        number = world.enter("ann", str(n))
        due = world.hub.poll_timeout()
        assert due is not None
        world.now = due
        world.hub.handle_timeout(due)
        world.drain()
        assert world.kinds(number) == ["ping"]
        world.lose(number, 1000)
        assert world.hub.session_count == 0
