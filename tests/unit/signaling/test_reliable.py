from __future__ import annotations

from ringline.signaling.messages import CallCancel, Ping
from ringline.signaling.reliable import Arrival, ReliableChannel
from ringline.signaling.wire import WireFormat

CALL = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
WIRE = WireFormat()


def channel(*, max_messages: int = 256, max_bytes: int = 262_144) -> ReliableChannel:
    return ReliableChannel(WIRE.encode, max_messages=max_messages, max_bytes=max_bytes)


def numbers(frames: list[bytes]) -> list[tuple[int, int]]:
    return [(m.seq, m.ack) for m in map(WIRE.parse_client_message, frames)]


def test_reliable_messages_are_numbered_and_others_are_not() -> None:
    sender = channel()
    frames = [sender.send(m) for m in (CallCancel(call=CALL), Ping(), CallCancel(call=CALL))]
    assert numbers(frames) == [(1, 0), (0, 0), (2, 0)]
    assert sender.sent == 2


def test_1_each_number_is_new_once_and_in_order() -> None:
    receiver = channel()
    arrivals = [receiver.handle_arrival(seq, 0) for seq in (1, 1, 3, 2, 3, 0)]
    assert arrivals == [
        Arrival.NEW,
        Arrival.DUPLICATE,
        Arrival.GAP,
        Arrival.NEW,
        Arrival.NEW,
        Arrival.NEW,
    ]
    assert receiver.received == 3


def test_what_is_not_acknowledged_is_sent_again_with_a_fresh_acknowledgement() -> None:
    sender = channel()
    for _ in range(3):
        sender.send(CallCancel(call=CALL))
    sender.handle_arrival(1, 1)
    assert numbers(list(sender.replay())) == [(2, 1), (3, 1)]
    assert len(sender.unacknowledged()) == 2


def test_2_the_outbox_is_bounded_in_messages() -> None:
    sender = channel(max_messages=4)
    for _ in range(6):
        sender.send(CallCancel(call=CALL))
    assert numbers(list(sender.replay())) == [(3, 0), (4, 0), (5, 0), (6, 0)]
    assert [sender.can_replay(n) for n in (1, 2, 6, 7)] == [False, True, True, False]


def test_2_the_outbox_is_bounded_in_bytes() -> None:
    size = len(channel().send(CallCancel(call=CALL)))
    sender = channel(max_bytes=2 * size)
    for _ in range(3):
        sender.send(CallCancel(call=CALL))
    assert [seq for seq, _ in numbers(list(sender.replay()))] == [2, 3]


def test_an_acknowledgement_of_its_own_is_due_when_only_one_side_speaks() -> None:
    receiver = channel()
    due = []
    for seq in range(1, 34):
        receiver.handle_arrival(seq, 0)
        due.append(receiver.ack_due)
    assert due.index(True) == 31
    receiver.send(Ping())
    assert not receiver.ack_due


def test_a_receiver_knows_that_it_lacks_something() -> None:
    receiver = channel()
    receiver.handle_arrival(1, 0)
    assert not receiver.lacks(1)
    assert receiver.lacks(2)
