from __future__ import annotations

from ringline.signaling.call import DeviceKey, MintedServers
from ringline.signaling.call_state import CallState
from ringline.signaling.codes import EndReason
from ringline.signaling.config import ServerConfig
from ringline.signaling.messages import (
    CallAccept,
    CallCancel,
    CallEnd,
    CallInvite,
    Description,
    Error,
    Message,
)
from ringline.signaling.switchboard import Switchboard

ANN, BOB, CID = DeviceKey("ann", "1"), DeviceKey("bob", "1"), DeviceKey("cid", "1")
IDS = [f"01ARZ3NDEKTSV4RRFFQ69G5F{n:02d}" for n in range(20)]


class Town:
    """A switchboard and the devices that are there."""

    def __init__(self, *devices: DeviceKey) -> None:
        self.devices = list(devices)
        self.switchboard = Switchboard(
            ServerConfig(dev=True),
            mint=lambda _device, _call: MintedServers(),
            devices_of=lambda user: [d for d in self.devices if d.user == user],
        )

    def say(self, device: DeviceKey, message: Message, now: float = 0.0) -> list[tuple[str, str]]:
        self.switchboard.handle_message(device, message, now)  # type: ignore[arg-type] # a client's
        return self.heard()

    def heard(self) -> list[tuple[str, str]]:
        """Return who was told what; ends with their reason."""
        found = []
        while (outbound := self.switchboard.poll_outbound()) is not None:
            message = outbound.message
            told = str(message.__struct_config__.tag)
            if isinstance(message, CallEnd):
                told = f"{told} {message.call[-2:]} {message.reason.value}"
                if message.replaced_by is not None:
                    told += f" {message.replaced_by[-2:]}"
            if isinstance(message, Error):
                told = f"error {message.code.value}"
            found.append((outbound.device.user, told))
        return found

    def connect(self, call: str, caller: DeviceKey, callee: DeviceKey) -> None:
        self.say(caller, CallInvite(call=call, to=callee.user, offer=Description(sdp="o")))
        self.say(callee, CallAccept(call=call, answer=Description(sdp="a")))
        assert self.switchboard.in_call(caller.user)


def test_who_is_not_there_is_offline() -> None:
    town = Town(ANN)
    assert town.say(ANN, CallInvite(call=IDS[0], to="bob")) == [("ann", "call.end 00 offline")]


def test_only_who_is_in_an_accepted_call_is_busy() -> None:
    town = Town(ANN, BOB, CID)
    town.say(ANN, CallInvite(call=IDS[0], to="bob"))
    assert town.say(CID, CallInvite(call=IDS[1], to="bob")) == [
        ("cid", "call.created"),
        ("bob", "call.incoming"),
    ]
    town.say(CID, CallCancel(call=IDS[1]))
    town.say(BOB, CallAccept(call=IDS[0]))
    assert town.say(CID, CallInvite(call=IDS[2], to="bob")) == [("cid", "call.end 02 busy")]
    assert town.say(CID, CallInvite(call=IDS[3], to="ann")) == [("cid", "call.end 03 busy")]


def test_glare_the_earlier_call_wins_when_it_came_first() -> None:
    town = Town(ANN, BOB)
    town.say(ANN, CallInvite(call=IDS[1], to="bob"))
    assert town.say(BOB, CallInvite(call=IDS[2], to="ann")) == [
        ("bob", "call.end 02 glare_replaced 01")
    ]
    assert town.switchboard.count_by_state()[CallState.RINGING] == 1
    town.say(BOB, CallAccept(call=IDS[1], answer=Description(sdp="a")))
    assert town.switchboard.in_call("ann")


def test_glare_the_earlier_call_wins_when_it_came_second() -> None:
    town = Town(ANN, BOB)
    town.say(ANN, CallInvite(call=IDS[2], to="bob"))
    assert town.say(BOB, CallInvite(call=IDS[1], to="ann")) == [
        ("bob", "call.created"),
        ("ann", "call.incoming"),
        ("ann", "call.end 02 glare_replaced 01"),
        ("bob", "call.end 02 glare_replaced 01"),
    ]
    assert not town.switchboard.in_call("ann")  # nobody has accepted for her
    town.say(ANN, CallAccept(call=IDS[1], answer=Description(sdp="a")))
    assert town.switchboard.in_call("bob")


def test_glare_leaves_devices_alone_that_called_nobody() -> None:
    other = DeviceKey("ann", "2")
    town = Town(ANN, other, BOB)
    town.say(ANN, CallInvite(call=IDS[2], to="bob"))
    town.say(BOB, CallInvite(call=IDS[1], to="ann"))
    assert town.say(other, CallAccept(call=IDS[1])) == [("ann", "error unknown_call")]


def test_a_device_that_calls_its_partner_anew_replaces_the_call() -> None:
    town = Town(ANN, BOB)
    town.connect(IDS[0], ANN, BOB)
    assert town.say(ANN, CallInvite(call=IDS[1], to="bob")) == [
        ("ann", "call.end 00 replaced 01"),
        ("bob", "call.end 00 replaced 01"),
        ("ann", "call.created"),
        ("bob", "call.incoming"),
    ]


def test_nobody_calls_oneself() -> None:
    assert Town(ANN).say(ANN, CallInvite(call=IDS[0], to="ann")) == [("ann", "error not_allowed")]


def test_an_invite_said_twice_rings_once() -> None:
    town = Town(ANN, BOB)
    town.say(ANN, CallInvite(call=IDS[0], to="bob"))
    assert town.say(ANN, CallInvite(call=IDS[0], to="bob")) == [("ann", "call.created")]


def test_a_calls_id_is_its_makers() -> None:
    town = Town(ANN, BOB, CID)
    town.say(ANN, CallInvite(call=IDS[0], to="bob"))
    assert town.say(CID, CallInvite(call=IDS[0], to="bob")) == [("cid", "error call_exists")]
    assert town.say(CID, CallEnd(call=IDS[0])) == [("cid", "error unknown_call")]
    assert town.switchboard.count_by_state()[CallState.RINGING] == 1


def test_one_device_has_so_many_calls_at_once() -> None:
    people = [DeviceKey(f"p{n}", "1") for n in range(9)]
    town = Town(ANN, *people)
    for n in range(8):
        town.say(ANN, CallInvite(call=IDS[n], to=f"p{n}"))
    assert town.say(ANN, CallInvite(call=IDS[8], to="p8")) == [("ann", "error overloaded")]


def test_who_hangs_up_a_call_that_nobody_knows_hears_that_it_is_over() -> None:
    assert Town(ANN).say(ANN, CallEnd(call=IDS[0])) == [
        ("ann", "error unknown_call"),
        ("ann", "call.end 00 hangup"),
    ]


def test_an_ended_call_is_remembered_for_a_while() -> None:
    town = Town(ANN, BOB)
    town.connect(IDS[0], ANN, BOB)
    town.say(ANN, CallEnd(call=IDS[0]), now=10.0)
    town.switchboard.handle_timeout(129.0)
    assert town.say(BOB, CallEnd(call=IDS[0]), now=129.0) == [("bob", "call.end 00 hangup")]
    town.switchboard.handle_timeout(131.0)
    assert town.say(BOB, CallCancel(call=IDS[0]), now=131.0) == [("bob", "error unknown_call")]
    assert town.switchboard.poll_timeout() is None


def test_each_ended_call_is_counted_once() -> None:
    town = Town(ANN, BOB)
    town.connect(IDS[0], ANN, BOB)
    town.say(ANN, CallEnd(call=IDS[0]))
    town.say(BOB, CallEnd(call=IDS[0]))
    call = town.switchboard.poll_ended()
    assert call is not None
    assert call.reason is EndReason.HANGUP
    assert town.switchboard.poll_ended() is None


def test_a_stop_ends_what_only_rings_and_takes_no_new_calls() -> None:
    town = Town(ANN, BOB, CID)
    town.connect(IDS[0], ANN, BOB)
    town.say(CID, CallInvite(call=IDS[1], to="ann"))
    extra = DeviceKey("dan", "1")
    town.devices.append(extra)
    town.say(CID, CallInvite(call=IDS[2], to="dan"))
    town.switchboard.handle_drain(5.0)
    assert town.heard() == [
        ("cid", "call.end 02 server_shutdown"),
        ("dan", "call.end 02 server_shutdown"),
    ]
    assert town.switchboard.in_call("ann")
    assert town.say(CID, CallInvite(call=IDS[3], to="dan")) == [("cid", "error draining")]


def test_a_call_whose_members_are_all_gone_is_over() -> None:
    town = Town(ANN, BOB)
    town.connect(IDS[0], ANN, BOB)
    town.devices.remove(ANN)
    town.switchboard.handle_device_gone(ANN, 200.0)
    assert town.switchboard.in_call("bob")
    town.devices.remove(BOB)
    town.switchboard.handle_device_gone(BOB, 300.0)
    assert not town.switchboard.in_call("bob")


def test_a_late_device_rings_too() -> None:
    town = Town(ANN, BOB)
    town.say(ANN, CallInvite(call=IDS[0], to="bob"))
    late = DeviceKey("bob", "2")
    town.devices.append(late)
    town.switchboard.handle_device_arrived(late, 10.0)
    assert town.heard() == [("bob", "call.incoming")]
    assert not town.switchboard.holds(late)
    assert [s.state for s in town.switchboard.snapshots(late, 10.0)] == ["ringing"]
