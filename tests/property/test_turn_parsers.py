"""Parsers take any bytes; what is built is read back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ringline.turn import ClientSocket, ParseError, TurnConfig, TurnServer
from ringline.turn.addresses import pack_host, unpack_host
from ringline.turn.attributes import (
    ALTERNATE_SERVER,
    ATTRIBUTES,
    CHANNEL_NUMBER,
    DATA,
    ERROR_CODE,
    LIFETIME,
    PASSWORD_ALGORITHMS,
    USERNAME,
    XOR_PEER_ADDRESS,
    Attribute,
)
from ringline.turn.channel_data import parse_channel_data, serialize_channel_data
from ringline.turn.peer_policy import PeerPolicy, parse_networks
from ringline.turn.stream import STRANGER_LIMIT, StreamReader
from ringline.turn.stun import Integrity, Message, MessageClass

HOSTS = st.ip_addresses().map(str)
ADDRESSES = st.tuples(HOSTS, st.integers(0, 65_535))
VALUES: st.SearchStrategy[tuple[Attribute[Any], object]] = st.one_of(
    st.tuples(st.just(XOR_PEER_ADDRESS), ADDRESSES),
    st.tuples(st.just(ALTERNATE_SERVER), ADDRESSES),
    st.tuples(st.just(LIFETIME), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(CHANNEL_NUMBER), st.integers(0, 65_535)),
    st.tuples(
        st.just(PASSWORD_ALGORITHMS),
        st.lists(st.integers(0, 65_535), min_size=1, max_size=16).map(tuple),
    ),
    st.tuples(st.just(DATA), st.binary(max_size=50)),
    st.tuples(st.just(USERNAME), st.text(max_size=100)),
    st.tuples(st.just(ERROR_CODE), st.tuples(st.integers(300, 699), st.text(max_size=20))),
)
MESSAGES = st.builds(
    Message,
    method=st.integers(0, 0xFFF),
    message_class=st.sampled_from(MessageClass),
    transaction_id=st.binary(min_size=12, max_size=12),
)


@given(
    MESSAGES,
    st.lists(VALUES, max_size=8),
    st.binary(max_size=20),
    st.sampled_from(Integrity),
    st.booleans(),
)
def test_a_message_survives_the_wire(
    message: Message,
    values: list[tuple[Attribute[Any], object]],
    key: bytes,
    integrity: Integrity,
    fingerprint: bool,
) -> None:
    for attribute, value in values:
        message.add(attribute, value)
    data = message.serialize(integrity_key=key, integrity=integrity, fingerprint=fingerprint)
    assert len(data) % 4 == 0
    parsed = Message.parse(data)
    assert parsed.method == message.method
    assert parsed.message_class is message.message_class
    assert parsed.transaction_id == message.transaction_id
    assert parsed.values == message.values
    assert parsed.has_fingerprint is fingerprint
    assert parsed.verify_integrity(key)
    assert not parsed.verify_integrity(key + b"x")
    for attribute, value in values:
        assert value in parsed.get_all(attribute)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_parse_error(data: bytes) -> None:
    read_everything(data)


@given(MESSAGES, st.lists(VALUES, max_size=6), st.data())
def test_a_damaged_message_is_a_message_or_a_parse_error(
    message: Message, values: list[tuple[Attribute[Any], object]], draw: st.DataObject
) -> None:
    for attribute, value in values:
        message.add(attribute, value)
    data = bytearray(message.serialize(integrity_key=b"k", fingerprint=draw.draw(st.booleans())))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    read_everything(bytes(data[: draw.draw(st.integers(0, len(data)))]))
    read_everything(bytes(data))


def read_everything(data: bytes) -> None:
    try:
        message = Message.parse(data)
    except ParseError:
        return
    for row in ATTRIBUTES:
        try:
            message.get_all(row)
        except ParseError:
            continue
    message.verify_integrity(b"k")


@given(st.binary(max_size=64), st.sampled_from(ATTRIBUTES))
def test_any_value_is_read_or_a_parse_error(data: bytes, row: Attribute[Any]) -> None:
    try:
        value = row.decode(data, bytes(12))
    except ParseError:
        return
    assert row.decode(row.encode(value, bytes(12)), bytes(12)) == value


@given(st.integers(0x4000, 0x7FFF), st.binary(max_size=100), st.binary(max_size=3))
def test_channel_data_survives_the_wire(number: int, payload: bytes, padding: bytes) -> None:
    assert parse_channel_data(serialize_channel_data(number, payload) + padding) == (
        number,
        payload,
    )


@given(st.binary(max_size=40))
def test_any_bytes_are_channel_data_or_a_parse_error(data: bytes) -> None:
    try:
        number, payload = parse_channel_data(data)
    except ParseError:
        return
    assert data.startswith(serialize_channel_data(number, payload))


@given(
    st.lists(st.binary(max_size=120), max_size=5),
    st.sampled_from([b"", b"\0\1", b"\0\3", b"\0\x16"]),
)
def test_the_server_takes_any_datagrams(datagrams: list[bytes], start: bytes) -> None:
    server = TurnServer(TurnConfig(users={"ann": "pa"}), wall_clock=lambda: 0.0)
    for data in datagrams:
        server.handle_client_datagram(start + data, ClientSocket("8.8.8.8", 1), 0.0)
        server.handle_peer_datagram(50_000, data, ("8.8.8.8", 1), 0.0)
    assert server.metrics.allocations == 0


@given(HOSTS)
def test_a_host_has_one_spelling(host: str) -> None:
    assert unpack_host(pack_host(host)) == host


@given(st.ip_addresses(), st.integers(0, 128), st.ip_addresses())
def test_a_range_is_what_ipaddress_says_it_is(base: Any, prefix: int, other: Any) -> None:
    bits = base.max_prefixlen
    shift = bits - min(prefix, bits)
    network = type(base)(int(base) >> shift << shift)
    text = f"{network}/{bits - shift}"
    (parsed,) = parse_networks((text,))
    closed = PeerPolicy(allow=(), deny=(parsed,), own_ports=(1,))
    for host in (base, other):
        if host in parsed:
            assert closed.judge((str(host), 9)).value == "denied"


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_a_stream_gives_messages_of_its_bytes_or_ends(parts: list[bytes]) -> None:
    reader, came, given_out = StreamReader(), b"", b""
    try:
        for part in parts:
            came += part
            given_out += b"".join(reader.feed(part))
            assert came.startswith(given_out)
    except ParseError:
        return
    assert len(came) - len(given_out) < STRANGER_LIMIT
