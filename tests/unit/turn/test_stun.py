from __future__ import annotations

import hmac

import pytest

from ringline.turn import ParseError
from ringline.turn.attributes import (
    DATA,
    LIFETIME,
    NONCE,
    PASSWORD_ALGORITHM,
    REALM,
    SOFTWARE,
    USERHASH,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
)
from ringline.turn.long_term import PasswordAlgorithm, long_term_key, user_hash
from ringline.turn.stun import MAX_ATTRIBUTES, Integrity, Message, MessageClass, Method

# RFC 5769 §2
PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION_ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
SAMPLE_REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
SAMPLE_IPV4_RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
SAMPLE_IPV6_RESPONSE = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)
LONG_TERM_REQUEST = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e"
    "00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b3935346436 4f4c33346f4c39465354767936347341"
    "0014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)


def test_rfc_5769_request() -> None:
    message = Message.parse(SAMPLE_REQUEST)
    assert (message.method, message.message_class) == (Method.BINDING, MessageClass.REQUEST)
    assert message.transaction_id == TRANSACTION_ID
    assert message.get(SOFTWARE) == "STUN test client"
    assert message.get(USERNAME) == "evtj:h6vY"
    assert message.has_fingerprint
    assert message.verify_integrity(PASSWORD)
    assert not message.verify_integrity(PASSWORD[:-1])
    assert message.unknown_required({USERNAME.number}) == [0x0024]  # PRIORITY


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (SAMPLE_IPV4_RESPONSE, ("192.0.2.1", 32853)),
        (SAMPLE_IPV6_RESPONSE, ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ],
)
def test_rfc_5769_responses(data: bytes, address: tuple[str, int]) -> None:
    message = Message.parse(data)
    assert message.message_class is MessageClass.SUCCESS
    assert message.get(SOFTWARE) == "test vector"
    assert message.get(XOR_MAPPED_ADDRESS) == address
    assert message.has_fingerprint
    assert message.verify_integrity(PASSWORD)
    # The vector pads with spaces and we with zeros; the address is the same to the bit.
    built = Message(Method.BINDING, MessageClass.SUCCESS, TRANSACTION_ID)
    ours = built.add(XOR_MAPPED_ADDRESS, address).serialize()
    assert ours[20:] in data


def test_rfc_5769_request_with_long_term_credentials() -> None:
    message = Message.parse(LONG_TERM_REQUEST)
    username = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
    assert message.get(USERNAME) == username
    assert message.get(NONCE) == "f//499k954d6OL34oL9FSTvy64sA"
    assert message.get(REALM) == "example.org"
    assert not message.has_fingerprint
    key = long_term_key(username, "example.org", "TheMatrIX")
    assert message.verify_integrity(key)
    # This one's padding is zeros: we build the same bytes.
    built = Message(Method.BINDING, MessageClass.REQUEST, message.transaction_id)
    built.add(USERNAME, username).add(NONCE, "f//499k954d6OL34oL9FSTvy64sA")
    assert built.add(REALM, "example.org").serialize(integrity_key=key) == LONG_TERM_REQUEST


# RFC 8489 appendix B.1, as its erratum 6268 corrects it
LONG_TERM_SHA256_REQUEST = bytes.fromhex(
    "000100902112a44278ad3433c6ad72c029da412e"
    "001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
    "001500296f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c39"
    "4653547679363473410000000014000b6578616d706c652e6f726700"
    "001d000400020000"
    "001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65"
)


def test_rfc_8489_request_with_the_stronger_digests() -> None:
    message = Message.parse(LONG_TERM_SHA256_REQUEST)
    username = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
    nonce = "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"
    hashed = user_hash(username, "example.org")
    assert message.get(USERHASH) == hashed
    assert message.get(NONCE) == nonce
    assert message.get(PASSWORD_ALGORITHM) == (PasswordAlgorithm.SHA256,)
    assert message.integrity is Integrity.SHA256
    key = long_term_key(username, "example.org", "TheMatrIX", PasswordAlgorithm.SHA256)
    assert message.verify_integrity(key)
    assert not message.verify_integrity(key[:-1])
    built = Message(Method.BINDING, MessageClass.REQUEST, message.transaction_id)
    built.add(USERHASH, hashed).add(NONCE, nonce).add(REALM, "example.org")
    built.add(PASSWORD_ALGORITHM, (PasswordAlgorithm.SHA256,))
    data = built.serialize(integrity_key=key, integrity=Integrity.SHA256)
    assert data == LONG_TERM_SHA256_REQUEST


def request() -> Message:
    return Message(Method.REFRESH, MessageClass.REQUEST, bytes(12))


def test_every_class_and_method_survives_the_interleaved_bits() -> None:
    for message_class in MessageClass:
        for method in (*Method, 0x00A, 0x080, 0xFFF):
            parsed = Message.parse(Message(method, message_class, bytes(12)).serialize())
            assert (parsed.method, parsed.message_class) == (method, message_class)


def test_what_follows_the_integrity_is_not_part_of_the_message() -> None:
    signed = request().add(LIFETIME, 60).serialize(integrity_key=b"k")
    tail = request().add(LIFETIME, 3600).add(XOR_PEER_ADDRESS, ("192.0.2.9", 9)).serialize()[20:]
    data = signed[:2] + (len(signed) - 20 + len(tail)).to_bytes(2, "big") + signed[4:] + tail
    message = Message.parse(data)
    assert message.verify_integrity(b"k")
    assert message.get_all(LIFETIME) == [60]
    assert message.get(XOR_PEER_ADDRESS) is None


def test_of_two_signatures_the_stronger_counts_and_ends_the_message() -> None:
    weak = request().add(LIFETIME, 60).serialize(integrity_key=b"k")
    length = (len(weak) - 20 + 36).to_bytes(2, "big")
    covered = weak[:2] + length + weak[4:]
    strong = b"\x00\x1c\x00\x20" + hmac.digest(b"k", covered, "sha256")
    message = Message.parse(covered + strong)
    assert message.integrity is Integrity.SHA256
    assert message.verify_integrity(b"k")
    forged = Message.parse(covered + strong[:-1] + bytes([strong[-1] ^ 1]))
    assert not forged.verify_integrity(b"k")  # though the weaker one would do
    backwards = request().serialize(integrity_key=b"k", integrity=Integrity.SHA256)
    tail = weak[-24:]
    length = (len(backwards) - 20 + len(tail)).to_bytes(2, "big")
    message = Message.parse(backwards[:2] + length + backwards[4:] + tail)
    assert message.integrity is Integrity.SHA256
    assert message.verify_integrity(b"k")


def test_of_two_equal_attributes_the_first_counts() -> None:
    message = Message.parse(request().add(LIFETIME, 1).add(LIFETIME, 2).serialize())
    assert message.get(LIFETIME) == 1
    assert message.get_all(LIFETIME) == [1, 2]


def test_padding_is_zero() -> None:
    data = request().add(DATA, b"\xff" * 5).serialize()
    assert data.endswith(b"\xff" * 5 + bytes(3))


def test_a_changed_byte_breaks_integrity_and_fingerprint() -> None:
    data = bytearray(request().add(LIFETIME, 60).serialize(integrity_key=b"k"))
    data[27] ^= 1
    assert not Message.parse(bytes(data)).verify_integrity(b"k")
    marked = bytearray(request().add(LIFETIME, 60).serialize(fingerprint=True))
    marked[27] ^= 1
    with pytest.raises(ParseError, match="FINGERPRINT does not match"):
        Message.parse(bytes(marked))


def test_a_message_without_integrity_is_verified_by_no_key() -> None:
    assert not Message.parse(request().serialize()).verify_integrity(b"")


EMPTY = request().serialize()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (EMPTY[:19], "19 bytes"),
        (b"\x40" + EMPTY[1:], "first bits"),
        (EMPTY[:4] + bytes(4) + EMPTY[8:], "magic cookie"),
        (EMPTY + bytes(4), "length 0 in a datagram of 24"),
        (EMPTY[:2] + b"\x00\x03" + EMPTY[4:] + bytes(3), "length 3"),
        (EMPTY[:2] + b"\x00\x04" + EMPTY[4:] + b"\x00\x06\xff\xff", "65535 bytes does not fit"),
        (EMPTY[:2] + b"\x00\x04" + EMPTY[4:] + b"\x00\x06\x00\x01", "does not fit"),
        (EMPTY[:2] + b"\x00\x08" + EMPTY[4:] + b"\x00\x08\x00\x04abcd", "signature of 4"),
        (
            EMPTY[:2] + b"\x00\x0c" + EMPTY[4:] + b"\x80\x28\x00\x04abcd\x00\x0d\x00\x00",
            "not the last",
        ),
    ],
)
def test_what_breaks_the_format_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ParseError, match=reason):
        Message.parse(data)


def test_a_message_of_very_many_attributes_is_refused() -> None:
    message = request()
    for _ in range(MAX_ATTRIBUTES + 1):
        message.add(DATA, b"")
    with pytest.raises(ParseError, match="more than"):
        Message.parse(message.serialize())


def test_a_message_longer_than_its_length_field_is_not_built() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        request().add(DATA, bytes(0xFFFF)).serialize()
