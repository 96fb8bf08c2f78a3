from __future__ import annotations

from ringline.signaling.call import DeviceKey
from ringline.signaling.config import ServerConfig
from ringline.signaling.messages import CallCancel, Resume
from ringline.signaling.session import Session
from ringline.signaling.wire import WireFormat

ANN = DeviceKey("ann", "1")


def session() -> Session:
    return Session(
        ANN,
        ServerConfig(dev=True),
        encode=WireFormat().encode,
        random_bytes=lambda n: bytes(range(n)),
    )


def test_a_claim_needs_secret_device_and_a_number_that_can_be_replayed() -> None:
    ours = session()
    secret = bytes(range(16)).hex()
    assert ours.secret == secret
    good = Resume(session=ours.id, secret=secret)
    assert ours.accepts(good, ANN)
    assert not ours.accepts(Resume(session=ours.id, secret="é"), ANN)
    assert not ours.accepts(good, DeviceKey("ann", "2"))
    assert not ours.accepts(good, DeviceKey("eve", "1"))
    assert not ours.accepts(Resume(session=ours.id, secret=secret, last_seq=1), ANN)
    ours.channel.send(CallCancel(call="01ARZ3NDEKTSV4RRFFQ69G5FAV"))
    assert ours.accepts(Resume(session=ours.id, secret=secret, last_seq=1), ANN)


def test_ids_are_remembered_up_to_a_bound() -> None:
    ours = session()
    assert not ours.is_repeated(None)
    assert not ours.is_repeated(None)
    assert [ours.is_repeated("first"), ours.is_repeated("first")] == [False, True]
    for n in range(1024):
        assert not ours.is_repeated(str(n))
    assert not ours.is_repeated("first")  # forgotten
