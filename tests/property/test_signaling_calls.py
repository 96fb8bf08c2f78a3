"""Three devices call each other through a hub over sockets that drop, double, swap and die.

Whatever happens, once the network is whole again everybody agrees on how each call ended, and at
no time is an invariant broken.  Devices are real client links; the network is made up.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

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
from ringline.signaling.call import MintedServers
from ringline.signaling.codes import EndReason
from ringline.signaling.config import ServerConfig
from ringline.signaling.connection import Transmit
from ringline.signaling.hub import Hub

ELSEWHERE = {EndReason.ANSWERED_ELSEWHERE, EndReason.DECLINED_ELSEWHERE}
DEVICES = [("ann", "1"), ("bob", "1"), ("bob", "2")]


@dataclass
class Device:
    """One client: its link, its frames on their way, and what it knows of its calls."""

    user: str
    device: str
    link: SignalingLink
    connection: int | None = None
    up: deque[bytes] = field(default_factory=deque)
    down: deque[bytes] = field(default_factory=deque)
    rings: dict[str, str] = field(default_factory=dict)  # call to caller
    placed: dict[str, str] = field(default_factory=dict)  # call to callee
    accepted: set[str] = field(default_factory=set)  # by the local user
    ended: dict[str, EndReason] = field(default_factory=dict)

    def live(self, calls: dict[str, str]) -> list[str]:
        return [call for call in calls if call not in self.ended]


class Calls(RuleBasedStateMachine):
    """The people and the network between them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.numbers = itertools.count(1)
        self.hub = Hub(
            ServerConfig(token_keys=None, dev=False) if False else ServerConfig(dev=True),
            authenticate=lambda hello: str(hello.name),
            mint_ice_servers=lambda _user, _call, _host: MintedServers(),
            rng=random.Random(1),  # noqa: S311 - a seed for a test
        )
        self.devices = [
            Device(
                user,
                device,
                SignalingLink(device=device, name=user, rng=random.Random(1)),  # noqa: S311 - likewise
            )
            for user, device in DEVICES
        ]
        for device in self.devices:
            device.link.handle_start(self.now)
        self.deliver_all()
