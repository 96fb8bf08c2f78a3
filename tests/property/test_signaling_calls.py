"""Three devices call each other through a hub over sockets that drop, double, swap and die.

Whatever happens, once the network is whole again everybody agrees on how each call ended, and at
no time is an invariant broken.  Devices are real client links; only the network is made up.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ringline.client.signaling_link import LinkState, OpenSocket, Received, SendText, SignalingLink
from ringline.signaling import messages as wire
from ringline.signaling.call import MintedServers
from ringline.signaling.codes import EndReason
from ringline.signaling.config import ServerConfig
from ringline.signaling.connection import Transmit
from ringline.signaling.hub import Hub
from ringline.signaling.tokens import TokenKeys
from ringline.signaling.wire import WireFormat

CONFIG = ServerConfig(
    token_keys=TokenKeys(keys={"1": b"k" * 32}),
    session_ttl=5.0,  # short, so that sessions end while calls go on
    session_ttl_in_call=10.0,
    ping_interval=3.0,
    ping_interval_in_call=1.0,
    dead_after=3.0,
    message_burst=10_000,
)
ELSEWHERE = {EndReason.ANSWERED_ELSEWHERE, EndReason.DECLINED_ELSEWHERE}
ADDRESSES = (wire.CallAccept, wire.SdpAnswer, wire.SdpOffer, wire.IceCandidates)
LONGEST = 60.0  # seconds of trouble; the server remembers ended calls for twice as long
WIRE = WireFormat()

WHO = st.integers(0, 2)
DOWN = st.booleans()
PLACE = st.integers(0, 5)


@dataclass
class Device:
    """One client: its link, the frames on their way, and what it knows of its calls."""

    user: str
    device: str
    link: SignalingLink
    connection: int | None = None
    up: deque[bytes | int] = field(default_factory=deque)
    down: deque[bytes | int] = field(default_factory=deque)  # a number: the server's close code
    calls: dict[str, str] = field(default_factory=dict)  # to the other's name
    accepted: set[str] = field(default_factory=set)  # by this device's user
    ended: dict[str, EndReason] = field(default_factory=dict)

    def live(self) -> list[str]:
        return [call for call in self.calls if call not in self.ended]


class Calls(RuleBasedStateMachine):
    """The people and the network between them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.numbers = itertools.count()
        self.callers: dict[str, str] = {}
        self.joined: dict[tuple[str, str], str] = {}  # (call, callee) to the device that is heard
        self.hub = Hub(
            CONFIG,
            authenticate=lambda hello: str(hello.name),
            mint_ice_servers=lambda _user, _call, _host: MintedServers(),
        )
        self.devices = []
        for user, device in (("ann", "a1"), ("bob", "b1"), ("bob", "b2")):
            rng = random.Random(1)
            link = SignalingLink(device=device, name=user, rng=rng)
            self.devices.append(Device(user, device, link))
            link.handle_start(self.now)
            self.run(self.devices[-1])
        self.deliver_all()

    # People

    @rule(who=WHO, order=st.integers(0, 9), ring=st.sampled_from([5_000, 20_000]))
    def invite(self, who: int, order: int, ring: int) -> None:
        device = self.devices[who]
        call = f"0{order}AAAAAAAAAAAAAAAAAA{next(self.numbers):06d}"
        other = "bob" if device.user == "ann" else "ann"
        device.calls[call] = other
        self.callers[call] = device.user
        offer = wire.Description(sdp=device.device)
        self.send(device, wire.CallInvite(call=call, to=other, offer=offer, lifetime_ms=ring))

    @rule(who=WHO, which=PLACE)
    def accept(self, who: int, which: int) -> None:
        device = self.devices[who]
        calls = [c for c in device.live() if self.callers[c] != device.user]
        if calls:
            self.accept_call(device, calls[which % len(calls)])

    @rule(who=WHO, which=PLACE, kind=st.sampled_from(["decline", "cancel", "end", "lost", "path"]))
    def act(self, who: int, which: int, kind: str) -> None:
        device = self.devices[who]
        calls = device.live()
        if not calls:
            return
        call = calls[which % len(calls)]
        message: wire.Message = {
            "decline": wire.CallDecline(call=call),
            "cancel": wire.CallCancel(call=call),
            "end": wire.CallEnd(call=call, reason=EndReason.ICE_FAILED),
            "lost": wire.CallPath(call=call, state="lost"),
            "path": wire.CallPath(call=call, state="connected"),
        }[kind]
        self.send(device, message)

    @rule(who=WHO, which=PLACE)
    def trickle(self, who: int, which: int) -> None:
        device = self.devices[who]
        calls = device.live()
        if calls:
            found = (wire.Candidate(candidate=device.device),)
            call = calls[which % len(calls)]
            self.send(device, wire.IceCandidates(call=call, candidates=found))

    # The network

    @rule(who=WHO, down=DOWN, count=st.integers(1, 6))
    def deliver(self, who: int, down: bool, count: int) -> None:
        for _ in range(count):
            self.step(self.devices[who], down=down)

    @rule()
    def deliver_all(self) -> None:
        while any(self.step(d, down=down) for d in self.devices for down in (False, True)):
            pass

    @rule(who=WHO, down=DOWN, place=PLACE)
    def drop(self, who: int, down: bool, place: int) -> None:
        frames = self.frames(who, down=down)
        if place < len(frames) and isinstance(frames[place], bytes):
            del frames[place]

    @rule(who=WHO, down=DOWN, place=PLACE)
    def double(self, who: int, down: bool, place: int) -> None:
        frames = self.frames(who, down=down)
        if place < len(frames) and isinstance(frames[place], bytes):
            frames.insert(place, frames[place])

    @rule(who=WHO, down=DOWN, place=PLACE)
    def swap(self, who: int, down: bool, place: int) -> None:
        frames = self.frames(who, down=down)
        if place + 1 < len(frames) and all(
            isinstance(frames[n], bytes) for n in (place, place + 1)
        ):
            frames[place], frames[place + 1] = frames[place + 1], frames[place]

    @rule(who=WHO)
    def disconnect(self, who: int) -> None:
        device = self.devices[who]
        if device.connection is not None:
            self.hub.handle_closed(device.connection, None, self.now)
            self.cut(device)
            device.link.handle_closed(None, self.now)
            self.run(device)

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 7.0]))
    def let_time_pass(self, seconds: float) -> None:
        if self.now + seconds <= LONGEST:
            self.wait(seconds)

    # The end

    def teardown(self) -> None:
        self.heal()
        for device in self.devices:
            for call in device.live():
                self.send(device, wire.CallEnd(call=call))
        self.heal()
        reasons: dict[str, set[EndReason]] = {}
        for device in self.devices:
            assert device.link.state is LinkState.CONNECTED
            assert device.live() == []
            for call, reason in device.ended.items():
                if reason in ELSEWHERE:
                    assert device.user != self.callers[call]
                else:
                    reasons.setdefault(call, set()).add(reason)
        assert all(len(given) == 1 for given in reasons.values()), reasons
        assert not any(self.hub.calls_by_state().values())

    def heal(self) -> None:
        self.deliver_all()
        for _ in range(40):
            self.wait(0.5)
            self.deliver_all()

    # How it works

    def frames(self, who: int, *, down: bool) -> deque[bytes | int]:
        device = self.devices[who]
        return device.down if down else device.up

    def send(self, device: Device, message: wire.Message) -> None:
        device.link.send(message, self.now)
        self.run(device)

    def accept_call(self, device: Device, call: str) -> None:
        device.accepted.add(call)
        answer = wire.Description(sdp=device.device)
        self.send(device, wire.CallAccept(call=call, answer=answer))

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            dues = [self.hub.poll_timeout(), *(d.link.poll_timeout() for d in self.devices)]
            due = min((when for when in dues if when is not None), default=end)
            if due >= end:
                break
            self.now = max(self.now, due)
            self.hub.handle_timeout(self.now)
            self.route()
            for device in self.devices:
                device.link.handle_timeout(self.now)
                self.run(device)
        self.now = end

    def step(self, device: Device, *, down: bool) -> bool:
        """Deliver one frame; return whether there was one."""
        if not down:
            if not device.up:
                return False
            data = device.up.popleft()
            if device.connection is not None and isinstance(data, bytes):
                self.hub.handle_text(device.connection, data, self.now)
                self.route()
            return True
        if not device.down:
            return False
        frame = device.down.popleft()
        if isinstance(frame, int):
            self.cut(device)
            device.link.handle_closed(frame, self.now)
        else:
            device.link.handle_text(frame, self.now)
        self.run(device)
        return True

    def cut(self, device: Device) -> None:
        device.connection = None
        device.up.clear()
        device.down.clear()

    def route(self) -> None:
        """Put what the hub sends on its way, and check it."""
        while (item := self.hub.poll_transmit()) is not None:
            device = next((d for d in self.devices if d.connection == item.connection), None)
            if isinstance(item, Transmit):
                if device is not None:
                    self.check(device, WIRE.parse_server_message(item.data))
                    device.down.append(item.data)
            elif device is not None:
                device.down.append(item.code)

    def check(self, receiver: Device, message: wire.ServerMessage) -> None:
        if isinstance(message, ADDRESSES):
            sender, call = message.sender, message.call
            assert sender is not None
            if sender == self.callers[call]:
                return
            # I1, I3: nothing that tells of the callee's network before its user said yes.
            assert any(d.user == sender and call in d.accepted for d in self.devices)
            # I5: of its devices one is heard.
            if isinstance(message, wire.CallAccept):
                assert message.answer is not None
                heard = message.answer.sdp
            else:
                assert isinstance(message, wire.IceCandidates)
                heard = message.candidates[0].candidate
            assert self.joined.setdefault((call, sender), heard) == heard
            assert receiver.user == self.callers[call]
        if isinstance(message, wire.CallSnapshot) and message.state not in ("ringing", "ended"):
            # I2: only a user's own yes makes a call accepted.
            callees = [d for d in self.devices if d.user != self.callers[message.call]]
            assert any(message.call in d.accepted for d in callees)

    def run(self, device: Device) -> None:
        """Do what a device's link wants, and tell its user."""
        while (action := device.link.poll_action()) is not None:
            if isinstance(action, OpenSocket):
                device.connection = self.hub.handle_open("h", self.now)
                device.link.handle_opened(self.now)
            elif isinstance(action, SendText):
                device.up.append(action.data)
            elif device.connection is not None:
                self.hub.handle_closed(device.connection, None, self.now)
                self.cut(device)
        self.route()
        while (event := device.link.poll_event()) is not None:
            if isinstance(event, Received):
                self.tell(device, event.message)

    def tell(self, device: Device, message: wire.ServerMessage) -> None:
        match message:
            case wire.CallIncoming():
                device.calls[message.call] = message.sender
            case wire.CallEnd() if message.call not in device.ended:
                device.ended[message.call] = message.reason
                winner = message.replaced_by
                if message.reason is EndReason.GLARE_REPLACED and winner in device.live():
                    assert winner is not None
                    if (
                        self.callers[winner] != device.user
                        and self.callers[message.call] == device.user
                        and message.call in device.calls
                    ):
                        self.accept_call(device, winner)  # its own invite was its consent
            case _:
                pass


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
